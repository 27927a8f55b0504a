#!/usr/bin/env python3
"""Makes gemma3.gguf, qwen2vl.gguf and qwen25vl.gguf of tests/golden/vision/ (random weights in the layout of llama.cpp's converters)
and what transformers' own classes and Pillow processors compute with them of landscape.png; qwen_sizes.npy: HF smart_resize.

NAME_landscape_rows.npy, NAME_landscape_in.npy: as make_vision_models.py says. Needs torch 2.15, transformers 5.23, gguf 0.19,
numpy 2.4.6, Pillow 12.0.0.
"""
import gguf
import numpy as np
import torch
from PIL import Image
from transformers import Gemma3Config, Gemma3TextConfig, SiglipVisionConfig, SiglipVisionModel
from transformers.models.gemma3.modeling_gemma3 import Gemma3MultiModalProjector
from transformers.models.qwen2_5_vl.configuration_qwen2_5_vl import Qwen2_5_VLVisionConfig
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VisionTransformerPretrainedModel
from transformers.models.qwen2_vl.configuration_qwen2_vl import Qwen2VLVisionConfig
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize
from transformers.models.qwen2_vl.modeling_qwen2_vl import Qwen2VisionTransformerPretrainedModel

from make_vision_models import CLIP_MEAN, CLIP_STD, OUT, normalise, samples

E, MAX_PIXELS = 40, 12845056
NORMS = ("norm", "ln_q")


def randomise(m, seed, shift=1.0):
    """Norms around `shift`, the rest wide enough to make every part count; all exact in float16."""
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in m.named_parameters():
            wide = 0.2 if p.dim() < 2 else 1.5 / p[0].numel() ** 0.5
            norm = any(n in name for n in NORMS) and name.endswith("weight")
            p.copy_((torch.randn_like(p) * wide + (shift if norm else 0)).half().float())
    return {k: v.detach().numpy() for k, v in m.state_dict().items()}


def write(name, projector, sizes, n_head, mean, std, tensors, flags=()):
    w = gguf.GGUFWriter(str(OUT / f"{name}.gguf"), "clip")
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", projector)
    for k, v in sizes.items():
        w.add_uint32(f"clip.vision.{k}", v)
    w.add_uint32("clip.vision.attention.head_count", n_head)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    w.add_array("clip.vision.image_mean", list(mean))
    w.add_array("clip.vision.image_std", list(std))
    for f in flags:
        w.add_bool(f, True)
    for k, v in tensors.items():
        w.add_tensor(k, np.ascontiguousarray(v, np.float16 if v.ndim in (2, 4) and "position" not in k else np.float32))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()


def save(name, rows, pixels, seed):
    np.save(OUT / f"{name}_landscape_rows.npy", np.ascontiguousarray(rows[:, ::8], np.float32))
    np.save(OUT / f"{name}_landscape_in.npy", samples([pixels], seed))


def gemma3(img):
    S, P, D, FF, L, H = 112, 14, 48, 96, 3, 4
    vc = SiglipVisionConfig(hidden_size=D, intermediate_size=FF, num_hidden_layers=L, num_attention_heads=H, image_size=S, patch_size=P,
                            hidden_act="gelu_pytorch_tanh", layer_norm_eps=1e-6, vision_use_head=False)
    vit = SiglipVisionModel(vc).eval()
    proj = Gemma3MultiModalProjector(Gemma3Config(text_config=Gemma3TextConfig(hidden_size=E), vision_config=vc, mm_tokens_per_image=16)).eval()
    s, q = randomise(vit, 21), randomise(proj, 22, 0.0)
    s = {k.removeprefix("vision_model."): v for k, v in s.items()}
    t = {"v.patch_embd.weight": s["embeddings.patch_embedding.weight"], "v.patch_embd.bias": s["embeddings.patch_embedding.bias"],
         "v.position_embd.weight": s["embeddings.position_embedding.weight"], "v.post_ln.weight": s["post_layernorm.weight"],
         "v.post_ln.bias": s["post_layernorm.bias"], "mm.soft_emb_norm.weight": q["mm_soft_emb_norm.weight"] + 1,
         "mm.input_projection.weight": q["mm_input_projection_weight"]}
    for i in range(L):
        for x, y in (("self_attn.q_proj", "attn_q"), ("self_attn.k_proj", "attn_k"), ("self_attn.v_proj", "attn_v"), ("self_attn.out_proj", "attn_out"),
                     ("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down"), ("layer_norm1", "ln1"), ("layer_norm2", "ln2")):
            for e in (".weight", ".bias"):
                t[f"v.blk.{i}.{y}{e}"] = s[f"encoder.layers.{i}.{x}{e}"]
    write("gemma3", "gemma3", {"image_size": S, "patch_size": P, "embedding_length": D, "feed_forward_length": FF, "projection_dim": E,
                               "block_count": L, "projector.scale_factor": 2}, H, [0.5] * 3, [0.5] * 3, t, flags=["clip.use_gelu"])
    px = normalise(img.resize((S, S), Image.BILINEAR), [0.5] * 3, [0.5] * 3)
    with torch.no_grad():
        rows = proj(vit(torch.from_numpy(px)[None]).last_hidden_state)[0].numpy()
    save("gemma3", rows, px, 7)


def qwen(img, name):
    D, H, P = 32, 2, 14
    if name == "qwen2vl":
        L, FF = 2, 64
        vit = Qwen2VisionTransformerPretrainedModel(Qwen2VLVisionConfig(depth=L, embed_dim=D, hidden_size=E, num_heads=H, mlp_ratio=2, patch_size=P)).eval()
        names, sizes, flags, mlp = "qwen2vl_merger", {}, [], (("mlp.fc1", "ffn_up"), ("mlp.fc2", "ffn_down"))
    else:
        L, FF = 3, 56
        vit = Qwen2_5_VisionTransformerPretrainedModel(Qwen2_5_VLVisionConfig(depth=L, hidden_size=D, intermediate_size=FF, num_heads=H, out_hidden_size=E,
                                                                              patch_size=P, window_size=112, fullatt_block_indexes=[1])).eval()
        names, sizes, flags = "qwen2.5vl_merger", {"n_wa_pattern": 2}, ["clip.use_silu"]
        mlp = (("mlp.gate_proj", "ffn_gate"), ("mlp.up_proj", "ffn_up"), ("mlp.down_proj", "ffn_down"))
    s = randomise(vit, 23 + L)
    conv = s["patch_embed.proj.weight"]  # [D, 3, 2, P, P]
    t = {"v.patch_embd.weight": conv[:, :, 0], "v.patch_embd.weight.1": conv[:, :, 1]}
    for x, y in (("merger.ln_q", "v.post_ln"), ("merger.mlp.0", "mm.0"), ("merger.mlp.2", "mm.2")):
        t |= {f"{y}.{e}": s[f"{x}.{e}"] for e in ("weight", "bias") if f"{x}.{e}" in s}
    for i in range(L):
        for x, y in mlp + (("attn.proj", "attn_out"), ("norm1", "ln1"), ("norm2", "ln2")):
            t |= {f"v.blk.{i}.{y}.{e}": s[f"blocks.{i}.{x}.{e}"] for e in ("weight", "bias") if f"blocks.{i}.{x}.{e}" in s}
        for e in ("weight", "bias"):
            for y, part in zip("qkv", np.split(s[f"blocks.{i}.attn.qkv.{e}"], 3)):
                t[f"v.blk.{i}.attn_{y}.{e}"] = part
    write(name, names, {"image_size": 560, "patch_size": P, "embedding_length": D, "feed_forward_length": FF, "projection_dim": E, "block_count": L} | sizes,
          H, CLIP_MEAN, CLIP_STD, t, flags=flags)
    out = Qwen2VLImageProcessorPil(size=dict(shortest_edge=3136, longest_edge=MAX_PIXELS))(img, return_tensors="pt")
    with torch.no_grad():
        rows = vit(out["pixel_values"], grid_thw=out["image_grid_thw"]).pooler_output.numpy()
    h, w = smart_resize(img.height, img.width, 28, 3136, MAX_PIXELS)
    save(name, rows, normalise(img.resize((w, h), Image.BICUBIC), CLIP_MEAN, CLIP_STD), 8)


def sizes():
    r = np.random.Generator(np.random.PCG64(4))
    all_ = np.concatenate([r.integers(1, 1200, (100, 2)), [[1, 1], [1, 200], [200, 1], [14, 14], [42, 70], [4000, 3000], [20000, 700], [9000, 9000]]])
    all_ = [(int(w), int(h)) for w, h in all_ if max(w, h) / min(w, h) <= 200]
    np.save(OUT / "qwen_sizes.npy", np.array([[w, h, *smart_resize(h, w, 28, 3136, MAX_PIXELS)[::-1]] for w, h in all_], np.float32))


if __name__ == "__main__":
    picture = Image.open(OUT / "landscape.png").convert("RGB")
    gemma3(picture)
    qwen(picture, "qwen2vl")
    qwen(picture, "qwen25vl")
    sizes()
