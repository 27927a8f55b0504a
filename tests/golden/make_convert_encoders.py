#!/usr/bin/env python3
"""Tiny Hugging Face folders of picture and sound encoders, and what llama.cpp's converter makes of them (--mmproj).

    make_convert_encoders.py LLAMA_CPP OUT [NAME ...]

As make_convert.py, whose folders' form they have: OUT/NAME/{config.json, model.safetensors, preprocessor_config.json, expected.txt}. They hold
an encoder with its projector and, of the decoder, what the converter looks at. LLaVA is for the legacy converter
(tools/mtmd/legacy-models): it reads a CLIP model through transformers and the projector from a file of torch's, so a module with that one class
stands in for transformers, filled from the folder's own weights.
"""
import os
import shutil
import subprocess
import sys
import tempfile

import numpy as np

import make_convert
from make_convert import listing, save, write_json

D, FF, LAYERS, HEADS, PX, PATCH, TEXT = 16, 24, 3, 2, 32, 8, 12
HALF, CLIP_MEAN, CLIP_STD = [0.5] * 3, [0.48145466, 0.4578275, 0.40821073], [0.26862954, 0.26130258, 0.27577711]


class Weights(dict):
    def __init__(self, rng):
        super().__init__()
        self.rng = rng

    def add(self, name, *shape):
        self[name] = self.rng.standard_normal(shape).astype(np.float32) * 0.1

    def linear(self, name, rows, cols, bias=True):
        self.add(name + ".weight", rows, cols)
        if bias:
            self.add(name + ".bias", rows)

    def norm(self, name, n, bias=True):
        self.add(name + ".weight", n)
        if bias:
            self.add(name + ".bias", n)


def clip_blocks(t, prefix, layers=LAYERS):
    for i in range(layers):
        p = f"{prefix}encoder.layers.{i}."
        for n in "qkv":
            t.linear(f"{p}self_attn.{n}_proj", D, D)
        t.linear(p + "self_attn.out_proj", D, D)
        t.norm(p + "layer_norm1", D)
        t.norm(p + "layer_norm2", D)
        t.linear(p + "mlp.fc1", FF, D)
        t.linear(p + "mlp.fc2", D, FF)


def siglip(t, prefix, px=PX):
    t.add(prefix + "embeddings.patch_embedding.weight", D, 3, PATCH, PATCH)
    t.add(prefix + "embeddings.patch_embedding.bias", D)
    t.add(prefix + "embeddings.position_embedding.weight", (px // PATCH) ** 2, D)
    clip_blocks(t, prefix)
    t.norm(prefix + "post_layernorm", D)


def vision(**more):
    return dict(dict(hidden_size=D, intermediate_size=FF, num_hidden_layers=LAYERS, num_attention_heads=HEADS, image_size=PX, patch_size=PATCH), **more)


def text(model_type, **more):
    return dict(dict(model_type=model_type, hidden_size=TEXT, intermediate_size=FF, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2,
                     vocab_size=20), **more)


def preprocessor(folder, mean, std, **more):
    write_json(folder + "/preprocessor_config.json", dict(image_mean=mean, image_std=std, **more))


def llava(folder, t, newline=False):
    p = "vision_tower.vision_model."
    t.add(p + "embeddings.class_embedding", D)
    t.add(p + "embeddings.patch_embedding.weight", D, 3, PATCH, PATCH)
    t.add(p + "embeddings.position_embedding.weight", (PX // PATCH) ** 2 + 1, D)
    t.norm(p + "pre_layrnorm", D)
    clip_blocks(t, p, 4)
    t.norm(p + "post_layernorm", D)
    t.linear("multi_modal_projector.linear_1", TEXT, D)
    t.linear("multi_modal_projector.linear_2", TEXT, TEXT)
    if newline:
        t.add("image_newline", TEXT)
    t.add("language_model.model.embed_tokens.weight", 20, TEXT)
    preprocessor(folder, CLIP_MEAN, CLIP_STD)
    return dict(architectures=["LlavaForConditionalGeneration"], model_type="llava", vision_feature_layer=-2, vision_feature_select_strategy="default",
                text_config=text("llama"), vision_config=vision(model_type="clip_vision_model", num_hidden_layers=4, projection_dim=10)), "F16"


def llavanext(folder, t):
    c, dtype = llava(folder, t, newline=True)
    c.update(architectures=["LlavaNextForConditionalGeneration"], model_type="llava_next", image_grid_pinpoints=[[32, 64], [64, 32], [64, 64]])
    return c, dtype


def llava_siglip(folder, t, newline=False, features=-1):
    """A head that pools the picture, which a LLaVA has no use for, lies in the folder of a Granite Vision."""
    p = "vision_tower.vision_model."
    siglip(t, p, 34)
    n = 1 if isinstance(features, int) else len(features)
    if newline:
        t.add(p + "head.probe", 1, 1, D)
        t.linear(p + "head.mlp.fc1", FF, D)
        t.add("image_newline", TEXT)
    t.linear("multi_modal_projector.linear_1", TEXT, n * D)
    t.linear("multi_modal_projector.linear_2", TEXT, TEXT)
    t.add("language_model.model.embed_tokens.weight", 20, TEXT)
    preprocessor(folder, HALF, HALF)
    return dict(architectures=["LlavaForConditionalGeneration"], model_type="llava", vision_feature_layer=features, vision_feature_select_strategy="full",
                text_config=text("qwen2"), vision_config=vision(model_type="siglip_vision_model", image_size=34)), "F16"


def granite_vision(folder, t):
    c, dtype = llava_siglip(folder, t, True, [-3, -1, -2])
    c.update(architectures=["LlavaNextForConditionalGeneration"], model_type="llava_next", image_grid_pinpoints=[[34, 68], [68, 34], [68, 68], [34, 102]],
             text_config=text("granite"))
    return c, dtype


def idefics3(folder, t, width=TEXT):
    """Weights of 32 bits, and no size in the processor's configuration."""
    siglip(t, "model.vision_model.")
    t.linear("model.connector.modality_projection.proj", width, D * 4, bias=False)
    preprocessor(folder, HALF, HALF)
    return dict(architectures=["Idefics3ForConditionalGeneration"], model_type="idefics3", scale_factor=2, text_config=text("llama"),
                vision_config=vision(model_type="idefics3_vision")), "F32"


def smolvlm(folder, t):
    """A whole model, with its decoder."""
    c, decoder, dtype, _ = make_convert.smolvlm(folder, t.rng)
    t.update((n, a) for n, a in decoder.items() if "vision" not in n)
    more, _ = idefics3(folder, t, c["text_config"]["hidden_size"])
    preprocessor(folder, HALF, HALF, size={"longest_edge": 64})
    return dict(c, scale_factor=2, vision_config=dict(more["vision_config"], model_type="smolvlm_vision")), dtype


def pixtral(folder, t, merge=0):
    t.add("vision_tower.patch_conv.weight", D, 3, PATCH, PATCH)
    t.norm("vision_tower.ln_pre", D, bias=False)
    for i in range(LAYERS):
        p = f"vision_tower.transformer.layers.{i}."
        for n in "qkvo":
            t.linear(f"{p}attention.{n}_proj", D, D, bias=False)
        for n, rows, cols in (("gate", FF, D), ("up", FF, D), ("down", D, FF)):
            t.linear(f"{p}feed_forward.{n}_proj", rows, cols, bias=False)
        t.norm(p + "attention_norm", D, bias=False)
        t.norm(p + "ffn_norm", D, bias=False)
    if merge:
        t.norm("multi_modal_projector.norm", D, bias=False)
        t.linear("multi_modal_projector.patch_merger.merging_layer", D, D * merge * merge, bias=False)
    t.linear("multi_modal_projector.linear_1", TEXT, D, bias=not merge)
    t.linear("multi_modal_projector.linear_2", TEXT, TEXT, bias=not merge)
    t.add("language_model.model.embed_tokens.weight", 20, TEXT)
    preprocessor(folder, CLIP_MEAN, CLIP_STD)
    write_json(folder + "/tokenizer_config.json", {})
    write_json(folder + "/tokenizer.json", {"added_tokens": [{"id": 10, "content": "[IMG]"}, {"id": 12, "content": "[IMG_BREAK]"}]})
    c = dict(architectures=["LlavaForConditionalGeneration"], model_type="llava", text_config=text("mistral"), multimodal_projector_bias=not merge,
             vision_config=vision(model_type="pixtral", hidden_act="silu", head_dim=D // HEADS, rope_theta=10000.0))
    if merge:
        c.update(architectures=["Mistral3ForConditionalGeneration"], model_type="mistral3", spatial_merge_size=merge)
    return c, "BF16"


def mistral3(folder, t):
    return pixtral(folder, t, merge=2)


def mistral3tekken(folder, t):
    """The tokenizer is tekken.json alone; the converter, which does not look there for [IMG_BREAK], still sees tokenizer.json (see main)."""
    write_json(folder + "/tekken.json", {"config": {"version": "v11"}, "special_tokens": [
        {"rank": i, "token_str": s, "is_control": True} for i, s in enumerate(["<unk>", "<s>", "</s>"] + ["x"] * 9 + ["[IMG_BREAK]"])]})
    return pixtral(folder, t, merge=2)


def internvl(folder, t):
    p = "vision_model."
    t.add(p + "embeddings.class_embedding", 1, 1, D)
    t.add(p + "embeddings.patch_embedding.weight", D, 3, PATCH, PATCH)
    t.add(p + "embeddings.patch_embedding.bias", D)
    t.add(p + "embeddings.position_embedding", 1, (PX // PATCH) ** 2 + 1, D)
    for i in range(4):  # mlp1.3 has no name in a converter of fewer
        q = f"{p}encoder.layers.{i}."
        t.linear(q + "attn.qkv", 3 * D, D)
        t.linear(q + "attn.proj", D, D)
        t.norm(q + "norm1", D)
        t.norm(q + "norm2", D)
        t.linear(q + "mlp.fc1", FF, D)
        t.linear(q + "mlp.fc2", D, FF)
        t.add(q + "ls1", D)
        t.add(q + "ls2", D)
    t.norm("mlp1.0", D * 4)
    t.linear("mlp1.1", TEXT, D * 4)
    t.linear("mlp1.3", TEXT, TEXT)
    t.add("language_model.model.embed_tokens.weight", 20, TEXT)
    preprocessor(folder, [0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    return dict(architectures=["InternVLChatModel"], model_type="internvl_chat", downsample_ratio=0.5, min_dynamic_patch=1, max_dynamic_patch=6,
                llm_config=text("qwen2", architectures=["Qwen2ForCausalLM"]),
                vision_config=vision(model_type="intern_vit_6b", architectures=["InternVisionModel"], num_hidden_layers=4, hidden_act="gelu", layer_norm_eps=1e-6)), "BF16"


def internvlhf(folder, t):
    """transformers' own layout, from its class. rows.npy: what that makes of tests/golden/vision/landscape.png, in up to 4 tiles and an overview."""
    import torch
    from PIL import Image
    from transformers import InternVLConfig, InternVLForConditionalGeneration, InternVLVisionConfig, Qwen2Config
    from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
    v = InternVLVisionConfig(hidden_size=D, intermediate_size=FF, num_hidden_layers=4, num_attention_heads=HEADS, image_size=[PX, PX],
                             patch_size=[PATCH, PATCH], attention_bias=True, norm_type="layer_norm", architectures=["InternVisionModel"])
    decoder = Qwen2Config(hidden_size=TEXT, intermediate_size=FF, num_hidden_layers=1, num_attention_heads=2, num_key_value_heads=2, vocab_size=20,
                          architectures=["Qwen2ForCausalLM"])
    model = InternVLForConditionalGeneration(InternVLConfig(vision_config=v, text_config=decoder, image_token_id=19)).eval()
    with torch.no_grad():
        for name, p in model.named_parameters():  # as float16 holds them; norms and scales around 1
            a = t.rng.standard_normal(tuple(p.shape)).astype(np.float32) * (0.2 if p.dim() < 2 else 0.6)
            p.copy_(torch.from_numpy(a + float("lambda" in name or ("norm" in name and name.endswith("weight")))).half().float())
    t.update({n: a.numpy() for n, a in model.state_dict().items() if "language_model.layers" not in n})
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    preprocessor(folder, mean, std, max_patches=4, min_patches=1)
    picture = Image.open(os.path.join(os.path.dirname(os.path.abspath(__file__)), "vision/landscape.png")).convert("RGB")
    tiles = GotOcr2ImageProcessorPil(size={"height": PX, "width": PX}, image_mean=mean, image_std=std)(
        picture, crop_to_patches=True, min_patches=1, max_patches=4, return_tensors="pt")["pixel_values"]
    with torch.no_grad():
        rows = model.model.get_image_features(tiles.float()).pooler_output
    np.save(folder + "/rows.npy", rows.reshape(-1, TEXT).numpy())
    return model.config.to_dict(), "F16"


def qwen2vl(folder, t, newer=False):
    ff = FF if newer else 2 * D
    t.add("visual.patch_embed.proj.weight", D, 3, 2, PATCH, PATCH)
    for i in range(LAYERS):
        p = f"visual.blocks.{i}."
        t.linear(p + "attn.qkv", 3 * D, D)
        t.linear(p + "attn.proj", D, D)
        t.norm(p + "norm1", D, bias=not newer)
        t.norm(p + "norm2", D, bias=not newer)
        for n, rows, cols in (("gate_proj", ff, D), ("up_proj", ff, D), ("down_proj", D, ff)) if newer else (("fc1", ff, D), ("fc2", D, ff)):
            t.linear(f"{p}mlp.{n}", rows, cols)
    t.norm("visual.merger.ln_q", D, bias=not newer)
    t.linear("visual.merger.mlp.0", 4 * D, 4 * D)
    t.linear("visual.merger.mlp.2", TEXT, 4 * D)
    t.add("model.embed_tokens.weight", 20, TEXT)
    preprocessor(folder, CLIP_MEAN, CLIP_STD)
    v = dict(model_type="qwen2_5_vl" if newer else "qwen2_vl", depth=LAYERS, num_heads=HEADS, patch_size=PATCH, spatial_merge_size=2, temporal_patch_size=2)
    v.update(dict(hidden_size=D, intermediate_size=FF, out_hidden_size=TEXT, fullatt_block_indexes=[0, 1, 2], window_size=32) if newer
             else dict(embed_dim=D, hidden_size=TEXT, mlp_ratio=2))
    c = text(v["model_type"], rms_norm_eps=1e-6, rope_scaling=dict(type="mrope", mrope_section=[1, 1, 1]))
    return dict(c, architectures=["Qwen2_5_VLForConditionalGeneration" if newer else "Qwen2VLForConditionalGeneration"], vision_config=v), "BF16"


def qwen25vl(folder, t):
    return qwen2vl(folder, t, newer=True)


def qwen3vl(folder, t):
    p, deep = "model.visual.", [0, 2]
    t.add(p + "patch_embed.proj.weight", D, 3, 2, PATCH, PATCH)
    t.add(p + "patch_embed.proj.bias", D)
    t.add(p + "pos_embed.weight", (PX // PATCH) ** 2, D)
    for i in range(LAYERS):
        q = f"{p}blocks.{i}."
        t.linear(q + "attn.qkv", 3 * D, D)
        t.linear(q + "attn.proj", D, D)
        t.norm(q + "norm1", D)
        t.norm(q + "norm2", D)
        t.linear(q + "mlp.linear_fc1", FF, D)
        t.linear(q + "mlp.linear_fc2", D, FF)
    for q, n in [(p + "merger.", D)] + [(f"{p}deepstack_merger_list.{i}.", 4 * D) for i in range(len(deep))]:
        t.norm(q + "norm", n)
        t.linear(q + "linear_fc1", 4 * D, 4 * D)
        t.linear(q + "linear_fc2", TEXT, 4 * D)
    t.add("model.language_model.embed_tokens.weight", 20, TEXT)
    preprocessor(folder, HALF, HALF)
    v = dict(model_type="qwen3_vl", depth=LAYERS, hidden_size=D, intermediate_size=FF, num_heads=HEADS, patch_size=PATCH, spatial_merge_size=2,
             temporal_patch_size=2, out_hidden_size=TEXT, num_position_embeddings=(PX // PATCH) ** 2, deepstack_visual_indexes=deep, hidden_act="gelu_pytorch_tanh")
    return dict(architectures=["Qwen3VLForConditionalGeneration"], model_type="qwen3_vl", vision_config=v,
                text_config=text("qwen3_vl_text", rms_norm_eps=1e-6, head_dim=8, rope_scaling=dict(rope_type="default", mrope_section=[2, 1, 1], mrope_interleaved=True))), "BF16"


def gemma3(folder, t):
    siglip(t, "vision_tower.vision_model.")
    t.add("multi_modal_projector.mm_input_projection_weight", D, TEXT)
    t.add("multi_modal_projector.mm_soft_emb_norm.weight", D)
    t.add("language_model.model.embed_tokens.weight", 20, TEXT)
    preprocessor(folder, HALF, HALF, image_seq_length=4)
    return dict(architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3", text_config=text("gemma3_text", head_dim=8), mm_tokens_per_image=4,
                vision_config=vision(model_type="siglip_vision_model")), "BF16"


def whisper(t, d=D, prefix="audio_tower."):
    t.add(prefix + "conv1.weight", d, 80, 3)
    t.add(prefix + "conv1.bias", d)
    t.add(prefix + "conv2.weight", d, d, 3)
    t.add(prefix + "conv2.bias", d)
    t.add(prefix + "embed_positions.weight", 20, d)
    for i in range(LAYERS):
        p = f"{prefix}layers.{i}."
        for n in ("q_proj", "k_proj", "v_proj", "out_proj"):
            t.linear(f"{p}self_attn.{n}", d, d, bias=n != "k_proj")
        t.norm(p + "self_attn_layer_norm", d)
        t.norm(p + "final_layer_norm", d)
        t.linear(p + "fc1", 4 * d, d)
        t.linear(p + "fc2", d, 4 * d)
    t.norm(prefix + "layer_norm", d)


def sound(model_type):
    return dict(model_type=model_type, d_model=D, encoder_layers=LAYERS, encoder_attention_heads=HEADS, encoder_ffn_dim=4 * D, num_mel_bins=80,
                max_source_positions=20)


def ultravox(folder, t):
    whisper(t)
    t.norm("multi_modal_projector.ln_pre", 8 * D, bias=False)
    t.linear("multi_modal_projector.linear_1", 24, 8 * D, bias=False)
    t.norm("multi_modal_projector.ln_mid", 12, bias=False)
    t.linear("multi_modal_projector.linear_2", TEXT, 12, bias=False)
    return dict(architectures=["UltravoxModel"], model_type="ultravox", hidden_size=24, stack_factor=8, projector_act="swiglu", projector_ln_mid=True,
                text_config=text("llama"), audio_config=sound("whisper")), "BF16"


def voxtral(folder, t):
    whisper(t)
    t.linear("multi_modal_projector.linear_1", TEXT, 4 * D, bias=False)
    t.linear("multi_modal_projector.linear_2", TEXT, TEXT, bias=False)
    t.add("language_model.model.embed_tokens.weight", 20, TEXT)
    return dict(architectures=["VoxtralForConditionalGeneration"], model_type="voxtral", text_config=text("llama"),
                audio_config=dict(model_type="voxtral_encoder", hidden_size=D, num_hidden_layers=LAYERS, num_attention_heads=HEADS,
                                  intermediate_size=4 * D, num_mel_bins=80, max_source_positions=20)), "BF16"


def qwen2audio(folder, t):
    whisper(t)
    t.linear("multi_modal_projector.linear", TEXT, D)
    t.add("language_model.model.embed_tokens.weight", 20, TEXT)
    return dict(architectures=["Qwen2AudioForConditionalGeneration"], model_type="qwen2_audio", text_config=text("qwen2"),
                audio_config=sound("qwen2_audio_encoder")), "F16"


FAMILIES = {f.__name__: f for f in (llava, llavanext, smolvlm, idefics3, pixtral, mistral3, internvl, qwen2vl, qwen25vl, gemma3, ultravox, voxtral,
                                    qwen2audio, llava_siglip, granite_vision, qwen3vl, mistral3tekken, internvlhf)}

# row: the converter passes over the decoder's tensors before it looks among them for the row of [IMG_BREAK], which llama.cpp's loader wants to find.
RUN = """
import runpy, sys
sys.path.insert(0, {root!r} + "/gguf-py"); sys.path.insert(0, {root!r})
import torch
for name in ("float8_e4m3fn", "float8_e5m2", "uint16", "uint32", "uint64"):
    if not hasattr(torch, name): setattr(torch, name, name)
from conversion import base
kept = base.MmprojModel.filter_tensors.__func__
if {row!r}:
    base.MmprojModel.filter_tensors = classmethod(lambda cls, item: item if item[0].endswith("embed_tokens.weight") else kept(cls, item))
sys.argv = ["convert_hf_to_gguf.py", {folder!r}, "--mmproj", "--outfile", {out!r}, "--outtype", "auto"]
runpy.run_path({root!r} + "/convert_hf_to_gguf.py", run_name="__main__")
"""

# What transformers and llava_surgery_v2.py would have handed over: a CLIP vision model and the projector. The folder's name is `clip`.
LEGACY = """
import runpy, sys, types
sys.path.insert(0, {root!r} + "/gguf-py")
import torch
from safetensors.torch import load_file
w = load_file({folder!r} + "/model.safetensors")
clip = {{n[len("vision_tower."):]: v for n, v in w.items() if n.startswith("vision_tower.") and ".head." not in n}} # vision_use_head: false
torch.save({{n: v for n, v in w.items() if n.startswith("multi_modal_projector.") or n == "image_newline"}}, {temp!r} + "/llava.projector")
class CLIPVisionModel:
    def __init__(self):
        self.vision_model = types.SimpleNamespace(encoder=types.SimpleNamespace(layers=list(range({layers}))))
    from_pretrained = classmethod(lambda cls, folder: cls())
    def state_dict(self):
        n = len(self.vision_model.encoder.layers)
        return {{k: v for k, v in clip.items() if ".layers." not in k or int(k.split(".layers.")[1].split(".")[0]) < n}}
m = types.ModuleType("transformers")
m.CLIPVisionModel = m.SiglipVisionModel = CLIPVisionModel
m.CLIPModel = m.CLIPProcessor = m.AutoModelForCausalLM = None
sys.modules["transformers"] = m
sys.argv = ["convert_image_encoder_to_gguf.py", "-m", {temp!r} + "/clip", "--llava-projector", {temp!r} + "/llava.projector",
            "--clip-model-is-vision", "-o", {temp!r}] + {siglip!r}
runpy.run_path({root!r} + "/tools/mtmd/legacy-models/convert_image_encoder_to_gguf.py", run_name="__main__")
"""


def run(script, name):
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"{name}: {done.stderr[-3000:]}")


def legacy(root, folder, config, temp):
    """The legacy converter reads LLaVA's own config.json, which is the encoder's with the model's keys in it."""
    siglip = config["vision_config"]["model_type"] == "siglip_vision_model"
    v = dict({"layer_norm_eps": 1e-6, "hidden_act": "gelu_pytorch_tanh"} if siglip else {"layer_norm_eps": 1e-5, "hidden_act": "quick_gelu"}, **config["vision_config"])
    v["vision_feature_layer"] = config["vision_feature_layer"]
    if "image_grid_pinpoints" in config:
        v.update(image_grid_pinpoints=config["image_grid_pinpoints"], image_aspect_ratio="anyres", mm_patch_merge_type="spatial_unpad")
    os.makedirs(temp + "/clip")
    write_json(temp + "/clip/config.json", v)
    run(LEGACY.format(root=root, folder=folder, temp=temp, layers=v["num_hidden_layers"],
                      siglip=["--clip-model-is-siglip", "--image-mean"] + ["0.5"] * 3 + ["--image-std"] + ["0.5"] * 3 if siglip else []), folder)
    # Two keys that the newer converter gives to every file.
    with open(folder + "/expected.txt", "w", encoding="utf-8") as f:
        lines = listing(temp + "/mmproj-model-f16.gguf").splitlines()
        lines += ["key general.type string " + b"mmproj".hex(), "key general.quantization_version number 4 02000000"]
        f.write("\n".join(sorted(lines)) + "\n")


def main():
    root, out = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
    for seed, name in enumerate(FAMILIES):
        if sys.argv[3:] and name not in sys.argv[3:]:
            continue
        folder = os.path.join(out, name)
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        t = Weights(np.random.default_rng(1000 + seed))
        config, dtype = FAMILIES[name](folder, t)
        write_json(folder + "/config.json", config)
        save(folder + "/model.safetensors", t, dtype)
        with tempfile.TemporaryDirectory() as temp:
            if name in ("llava", "llavanext", "llava_siglip", "granite_vision"):
                legacy(root, folder, config, temp)
            else:
                run(RUN.format(root=root, row=name in ("pixtral", "mistral3", "mistral3tekken"), folder=folder, out=temp + "/mmproj.gguf"), name)
                lines = listing(temp + "/mmproj.gguf").splitlines()
                if name == "internvlhf":  # which the converter looks for in config.json alone
                    lines += [f"key clip.vision.preproc_{k}_tiles number 4 {n:02x}000000" for k, n in (("min", 1), ("max", 4))]
                with open(folder + "/expected.txt", "w", encoding="utf-8") as f:
                    f.write("\n".join(sorted(lines)) + "\n")
        if name == "mistral3tekken":
            os.remove(folder + "/tokenizer.json")
            os.remove(folder + "/tokenizer_config.json")
        print(name, flush=True)


if __name__ == "__main__":
    main()
