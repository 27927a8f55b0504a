#!/usr/bin/env python3
"""Makes qwen3vl.gguf of tests/golden/vision/ (random weights in the layout of llama.cpp's converter, conversion/qwen3vl.py) and what
transformers' Qwen3VLVisionModel and its image processor make of pictures with it.

NAME_PICTURE_rows.npy, NAME_PICTURE_in.npy: as make_vision_models.py says; a row is what enters the decoder, and behind it what is added in its first
layers. Needs torch 2.15, transformers 5.24, gguf 0.19, numpy 2.4.6, Pillow 12.0.0.
"""
import gguf
import numpy as np
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize
from transformers.models.qwen3_vl.configuration_qwen3_vl import Qwen3VLVisionConfig
from transformers.models.qwen3_vl.modeling_qwen3_vl import Qwen3VLVisionModel

from make_vision_gemma_qwen import randomise
from make_vision_models import OUT, normalise, samples

HALF, E, D, FF, H, P, L, SIDE, DEEP = [0.5] * 3, 24, 32, 56, 2, 16, 4, 7, [0, 2]
BOUNDS = dict(shortest_edge=65536, longest_edge=16777216)


def main():
    c = Qwen3VLVisionConfig(depth=L, hidden_size=D, intermediate_size=FF, num_heads=H, patch_size=P, out_hidden_size=E, num_position_embeddings=SIDE * SIDE,
                            deepstack_visual_indexes=DEEP)
    vit = Qwen3VLVisionModel(c).eval()
    s = randomise(vit, 61)
    conv = s["patch_embed.proj.weight"]  # [D, 3, 2, P, P]
    t = {"v.patch_embd.weight": conv[:, :, 0], "v.patch_embd.weight.1": conv[:, :, 1], "v.patch_embd.bias": s["patch_embed.proj.bias"],
         "v.position_embd.weight": s["pos_embed.weight"]}
    parts = [("merger.norm", "v.post_ln"), ("merger.linear_fc1", "mm.0"), ("merger.linear_fc2", "mm.2")]
    for i, il in enumerate(DEEP):
        parts += [(f"deepstack_merger_list.{i}.{x}", f"v.deepstack.{il}.{y}") for x, y in (("norm", "norm"), ("linear_fc1", "fc1"), ("linear_fc2", "fc2"))]
    for i in range(L):
        parts += [(f"blocks.{i}.{x}", f"v.blk.{i}.{y}") for x, y in (("norm1", "ln1"), ("norm2", "ln2"), ("attn.qkv", "attn_qkv"), ("attn.proj", "attn_out"),
                                                                     ("mlp.linear_fc1", "ffn_up"), ("mlp.linear_fc2", "ffn_down"))]
    t |= {f"{y}.{e}": s[f"{x}.{e}"] for x, y in parts for e in ("weight", "bias")}
    w = gguf.GGUFWriter(str(OUT / "qwen3vl.gguf"), "clip")
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "qwen3vl_merger")
    for k, v in dict(image_size=SIDE * P, patch_size=P, embedding_length=D, feed_forward_length=FF, projection_dim=E, block_count=L, spatial_merge_size=2).items():
        w.add_uint32(f"clip.vision.{k}", v)
    w.add_uint32("clip.vision.attention.head_count", H)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    w.add_array("clip.vision.image_mean", HALF)
    w.add_array("clip.vision.image_std", HALF)
    w.add_bool("clip.use_gelu", True)
    w.add_array("clip.vision.is_deepstack_layers", [i in DEEP for i in range(L)])
    for k, v in t.items():
        w.add_tensor(k, np.ascontiguousarray(v, np.float16 if v.ndim in (2, 4) and "position" not in k else np.float32))
    w.write_header_to_file(), w.write_kv_data_to_file(), w.write_tensors_to_file(), w.close()
    for picture in ("portrait", "small"):
        img = Image.open(OUT / f"{picture}.png").convert("RGB")
        out = Qwen2VLImageProcessorPil(size=BOUNDS, patch_size=P, image_mean=HALF, image_std=HALF)(img, return_tensors="pt")
        with torch.no_grad():
            r = vit(out["pixel_values"], grid_thw=out["image_grid_thw"])
        rows = torch.cat([r.pooler_output, *r.deepstack_features], 1).numpy()
        h, wd = smart_resize(img.height, img.width, 2 * P, BOUNDS["shortest_edge"], BOUNDS["longest_edge"])
        np.save(OUT / f"qwen3vl_{picture}_rows.npy", np.ascontiguousarray(rows[:, ::8]))
        np.save(OUT / f"qwen3vl_{picture}_in.npy", samples([normalise(img.resize((wd, h), Image.BICUBIC), HALF, HALF)], 11))
        print(picture, img.size, (wd, h), rows.shape)


if __name__ == "__main__":
    main()
