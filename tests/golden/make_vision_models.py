#!/usr/bin/env python3
"""Makes the small encoders of tests/golden/vision/ and what transformers computes with them.

  make_vision_models.py --oracle DIR   llava15, llavanext, smolvlm, pixtral: mmproj files of random weights in the real shapes, made by
                                       llama.cpp's converters, and subsets of what transformers 5.23 (float32, the Pillow processors,
                                       Pillow 12) makes of two drawn pictures with them; DIR holds manifest.json, media/, FAMILY/
  make_vision_models.py --internvl     internvl.gguf and its references, from transformers 5.23's own classes; internvl_grids.npy
  make_vision_models.py --mistral3     mistral3.gguf and its references, likewise
  make_vision_models.py --pad          llava15_pad_in.npy: the picture padded to a square in the mean colour, by Pillow 12

NAME_rows.npy: every 8th column of the rows that enter the decoder. NAME_in.npy [3, n]: tile, index, value of samples of the encoder's
input. Needs numpy 2.4.6, Pillow 12.0.0 (13.0 orders its passes differently), and torch 2.15, transformers 5.23, gguf 0.19 for --internvl and --mistral3.
"""
import argparse, json, shutil
from pathlib import Path

import numpy as np

OUT = Path(__file__).resolve().parent / "vision"
CASES = [("llava15", "portrait"), ("llavanext", "landscape"), ("llavanext", "small"), ("smolvlm", "landscape"), ("pixtral", "landscape")]
CLIP_MEAN, CLIP_STD = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)


def from_oracle(root):
    for fam, case in CASES:
        z = np.load(root / fam / f"{case}.npz")
        ref = z["hfown_embd"] if "hfown_embd" in z else z["hfpix_embd"]
        np.save(OUT / f"{fam}_{case}_rows.npy", np.ascontiguousarray(ref[:, ::8], np.float32))
        cols, i = [], 0
        while f"hfin{i}_idx" in z:
            idx, val = z[f"hfin{i}_idx"][:400], z[f"hfin{i}_val"][:400]
            cols.append(np.stack([np.full(len(idx), i), idx, val]))
            i += 1
        np.save(OUT / f"{fam}_{case}_in.npy", np.concatenate(cols, 1).astype(np.float32))
        shutil.copyfile(root / fam / "mmproj.gguf", OUT / f"{fam}.gguf")
        shutil.copyfile(root / "media" / f"{case}.png", OUT / f"{case}.png")


def normalise(img, mean, std):
    x = (np.asarray(img, np.float64) * (1 / 255)).astype(np.float32)
    return ((x - np.float32(mean)) / np.float32(std)).transpose(2, 0, 1)


def samples(tiles, seed):
    r, cols = np.random.Generator(np.random.PCG64(seed)), []
    for i, t in enumerate(tiles):
        idx = r.choice(t.size, 400, replace=False)
        cols.append(np.stack([np.full(400, i), idx, t.ravel()[idx]]))
    return np.concatenate(cols, 1).astype(np.float32)


def padded():
    from PIL import Image
    img = Image.open(OUT / "portrait.png").convert("RGB")
    side = max(img.size)
    square = Image.new("RGB", (side, side), tuple(int(m * 255) for m in CLIP_MEAN))
    square.paste(img, ((side - img.width) // 2, (side - img.height) // 2))
    np.save(OUT / "llava15_pad_in.npy", samples([normalise(square.resize((336, 336), Image.BICUBIC), CLIP_MEAN, CLIP_STD)], 5))


def internvl():
    import gguf, torch
    from PIL import Image
    from transformers import InternVLConfig, InternVLVisionConfig, LlamaConfig
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import get_optimal_tiled_canvas
    from transformers.models.internvl.modeling_internvl import InternVLModel, InternVLMultiModalProjector, InternVLVisionModel
    torch.manual_seed(11)
    S, P, D, FF, H, L, E = 112, 14, 48, 96, 4, 3, 40
    vc = InternVLVisionConfig(hidden_size=D, num_hidden_layers=L, num_attention_heads=H, attention_bias=True, intermediate_size=FF,
                              image_size=(S, S), patch_size=(P, P), layer_norm_eps=1e-6)
    cfg = InternVLConfig(vision_config=vc, text_config=LlamaConfig(hidden_size=E, num_attention_heads=4), downsample_ratio=0.5)
    vit, proj = InternVLVisionModel(vc).eval(), InternVLMultiModalProjector(cfg).eval()
    with torch.no_grad():
        for m in (vit, proj):
            for name, p in m.named_parameters():  # norms and scales around 1, the rest wide enough to make every part count
                p.copy_((torch.randn_like(p) * (0.2 if p.dim() < 2 else 1.5 / p[0].numel() ** 0.5) + ("norm" in name and name.endswith("weight")) + ("lambda" in name)).half().float())
    s = {k: v.detach().numpy() for k, v in vit.state_dict().items()}
    q = {k: v.detach().numpy() for k, v in proj.state_dict().items()}
    t = {"v.class_embd": s["embeddings.cls_token"].ravel(), "v.position_embd.weight": s["embeddings.position_embeddings"][0],
         "v.patch_embd.weight": s["embeddings.patch_embeddings.projection.weight"], "v.patch_embd.bias": s["embeddings.patch_embeddings.projection.bias"],
         "mm.model.mlp.0.weight": q["layer_norm.weight"], "mm.model.mlp.0.bias": q["layer_norm.bias"], "mm.model.mlp.1.weight": q["linear_1.weight"],
         "mm.model.mlp.1.bias": q["linear_1.bias"], "mm.model.mlp.3.weight": q["linear_2.weight"], "mm.model.mlp.3.bias": q["linear_2.bias"]}
    for i in range(L):
        a, b = f"encoder.layer.{i}.", f"v.blk.{i}."
        for x, y in (("attention.q_proj", "attn_q"), ("attention.k_proj", "attn_k"), ("attention.v_proj", "attn_v"), ("attention.projection_layer", "attn_out"),
                     ("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down"), ("layernorm_before", "ln1"), ("layernorm_after", "ln2")):
            for e in (".weight", ".bias"):
                t[b + y + e] = s[a + x + e]
        t[b + "ls1.weight"], t[b + "ls2.weight"] = s[a + "lambda_1"], s[a + "lambda_2"]
    w = gguf.GGUFWriter(str(OUT / "internvl.gguf"), "clip")
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "internvl")
    for k, v in dict(image_size=S, patch_size=P, embedding_length=D, feed_forward_length=FF, projection_dim=E, block_count=L, preproc_min_tiles=1, preproc_max_tiles=12).items():
        w.add_uint32(f"clip.vision.{k}", v)
    w.add_uint32("clip.vision.attention.head_count", H)
    w.add_uint32("clip.vision.projector.scale_factor", 2)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    w.add_array("clip.vision.image_mean", list(mean))
    w.add_array("clip.vision.image_std", list(std))
    w.add_bool("clip.use_gelu", True)
    for k, v in t.items():
        w.add_tensor(k, np.ascontiguousarray(v, np.float16 if v.ndim == 2 and "position" not in k else np.float32))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    img = Image.open(OUT / "landscape.png").convert("RGB")
    gw, gh = get_optimal_tiled_canvas((img.height, img.width), (S, S), 1, 12)
    whole = img.resize((gw * S, gh * S), Image.BICUBIC)
    tiles = [whole.crop((x * S, y * S, x * S + S, y * S + S)) for y in range(gh) for x in range(gw)] + [img.resize((S, S), Image.BICUBIC)]
    px = np.stack([normalise(i, mean, std) for i in tiles])
    with torch.no_grad():
        f = vit(torch.from_numpy(px)).last_hidden_state[:, 1:]
        f = InternVLModel.pixel_shuffle(None, f.reshape(len(px), S // P, S // P, D), scale_factor=0.5)
        rows = proj(f.reshape(len(px), -1, f.shape[-1])).reshape(-1, E).numpy()
    np.save(OUT / "internvl_landscape_rows.npy", np.ascontiguousarray(rows[:, ::8]))
    np.save(OUT / "internvl_landscape_in.npy", samples(px, 6))
    r = np.random.Generator(np.random.PCG64(3))
    sizes = np.concatenate([r.integers(1, 900, (100, 2)), [[448, 448], [100, 100], [224, 112], [112, 224], [1000, 1], [1, 1000], [300, 200], [200, 300], [80, 60], [336, 224]]])
    np.save(OUT / "internvl_grids.npy", np.array([[x, y, *get_optimal_tiled_canvas((int(y), int(x)), (S, S), 1, 12)] for x, y in sizes], np.float32))


def mistral3():
    import gguf, torch
    from PIL import Image
    from transformers import Mistral3Config, MistralConfig, PixtralVisionConfig
    from transformers.models.mistral3.modeling_mistral3 import Mistral3MultiModalProjector
    from transformers.models.pixtral.image_processing_pil_pixtral import get_resize_output_image_size
    from transformers.models.pixtral.modeling_pixtral import PixtralVisionModel
    torch.manual_seed(12)
    S, P, D, FF, H, L, E, M = 210, 14, 48, 80, 3, 2, 40, 2
    vc = PixtralVisionConfig(hidden_size=D, intermediate_size=FF, num_hidden_layers=L, num_attention_heads=H, image_size=S, patch_size=P, hidden_act="silu")
    cfg = Mistral3Config(vision_config=vc, text_config=MistralConfig(hidden_size=E, num_attention_heads=4, rms_norm_eps=1e-5), spatial_merge_size=M)
    vit, proj = PixtralVisionModel(vc).eval(), Mistral3MultiModalProjector(cfg).eval()
    with torch.no_grad():
        for m in (vit, proj):
            for name, p in m.named_parameters():
                p.copy_((torch.randn_like(p) * (0.2 if p.dim() < 2 else 1.5 / p[0].numel() ** 0.5) + ("norm" in name or "ln_pre" in name)).half().float())
    s = {k: v.detach().numpy() for k, v in vit.state_dict().items()}
    q = {k: v.detach().numpy() for k, v in proj.state_dict().items()}
    row_break = torch.randn(E).half().float().numpy()
    t = {"v.patch_embd.weight": s["patch_conv.weight"], "v.pre_ln.weight": s["ln_pre.weight"], "v.token_embd.img_break": row_break,
         "mm.input_norm.weight": q["norm.weight"], "mm.patch_merger.weight": q["patch_merger.merging_layer.weight"],
         "mm.1.weight": q["linear_1.weight"], "mm.2.weight": q["linear_2.weight"]}
    for i in range(L):
        a, b = f"transformer.layers.{i}.", f"v.blk.{i}."
        for x, y in (("attention.q_proj", "attn_q"), ("attention.k_proj", "attn_k"), ("attention.v_proj", "attn_v"), ("attention.o_proj", "attn_out"),
                     ("feed_forward.gate_proj", "ffn_gate"), ("feed_forward.up_proj", "ffn_up"), ("feed_forward.down_proj", "ffn_down"),
                     ("attention_norm", "ln1"), ("ffn_norm", "ln2")):
            v = s[a + x + ".weight"]
            if y in ("attn_q", "attn_k"):  # rotary halves woven, as llama.cpp's converters do
                v = v.reshape(H, 2, D // H // 2, D).swapaxes(1, 2).reshape(D, D)
            t[b + y + ".weight"] = v
    w = gguf.GGUFWriter(str(OUT / "mistral3.gguf"), "clip")
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "pixtral")
    for k, v in dict(image_size=S, patch_size=P, embedding_length=D, feed_forward_length=FF, projection_dim=E, block_count=L, spatial_merge_size=M).items():
        w.add_uint32(f"clip.vision.{k}", v)
    w.add_uint32("clip.vision.attention.head_count", H)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-5)
    w.add_array("clip.vision.image_mean", list(CLIP_MEAN))
    w.add_array("clip.vision.image_std", list(CLIP_STD))
    w.add_bool("clip.use_silu", True)
    for k, v in t.items():
        w.add_tensor(k, np.ascontiguousarray(v, np.float16 if v.ndim == 2 else np.float32))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    for case in ("landscape", "small"):
        img = Image.open(OUT / f"{case}.png").convert("RGB")
        h, wd = get_resize_output_image_size(np.asarray(img), (S, S), (P * M, P * M), "channels_last")
        px = normalise(img.resize((wd, h), Image.BICUBIC), CLIP_MEAN, CLIP_STD)
        with torch.no_grad():
            f = vit(torch.from_numpy(px)[None], image_sizes=[(h, wd)]).last_hidden_state[0]
            rows = proj(f, [(h, wd)]).numpy().reshape(h // P // M, wd // P // M, E)
        lines = [np.concatenate([r, row_break[None]]) for r in rows]
        np.save(OUT / f"mistral3_{case}_rows.npy", np.ascontiguousarray(np.concatenate(lines)[:-1, ::8]))
        np.save(OUT / f"mistral3_{case}_in.npy", samples([px], 7))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--oracle", type=Path)
    ap.add_argument("--internvl", action="store_true")
    ap.add_argument("--mistral3", action="store_true")
    ap.add_argument("--pad", action="store_true")
    a = ap.parse_args()
    if a.oracle:
        from_oracle(a.oracle)
    if a.internvl:
        internvl()
    if a.mistral3:
        mistral3()
    if a.pad:
        padded()


if __name__ == "__main__":
    main()
