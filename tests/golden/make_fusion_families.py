"""Whole models of random weights for tests/golden/fusion: made and computed by transformers 5.24 (float32, from the picture file on), and brought into
GGUF files by llama.cpp's own converters.

    python3 tests/golden/make_fusion_families.py LLAMA_CPP

qwen3vl: Qwen3-VL, whose rows are wider than the decoder. granite_vision: Granite Vision (several feature layers, tiles, a decoder that scales what comes
in); its logits over logits_scaling, as transformers' GraniteForCausalLM has them and its LlavaNextForConditionalGeneration does not. portrait.png in a
prompt. NAME_text.gguf, NAME_mmproj.gguf, every 16th row, the logits behind
the prompt, the greedy ids up to the first step whose two best logits are closer than 0.05. Needs torch 2.15, numpy 2.4.6, Pillow 12.0.0."""
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers import (AutoTokenizer, GraniteConfig, GraniteForCausalLM, LlavaNextConfig, LlavaNextForConditionalGeneration, Qwen3VLConfig,
                          Qwen3VLForConditionalGeneration, SiglipVisionConfig)
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import make_convert
import make_convert_encoders

OUT, TIE, HALF, PROMPT = Path(__file__).resolve().parent / "fusion", 0.05, [0.5] * 3, "Look at <__media__> and say what the garden is"
SEED = 74  # one whose first answers are no near ties
CONTROL = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def randomise(m, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in m.named_parameters():
            norm = "norm" in name and name.endswith("weight")
            p.copy_((torch.randn_like(p) * (0.2 if p.dim() < 2 else 1.2 / p[0].numel() ** 0.5) + norm).half().float())


def subfolder(folder, name):
    """Whose name the converter gives to the model."""
    path = Path(folder) / name
    path.mkdir()
    return str(path)


def convert(root, folder, out, pre, options=""):
    script = make_convert.RUN.format(gguf=root + "/gguf-py", root=root, pre=pre, folder=folder, out=str(out)).replace('"auto"]', f'"f16"{options}]')
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr[-3000:])


def qwen3vl(root):
    with tempfile.TemporaryDirectory() as temp:
        folder = subfolder(temp, "tiny-qwen3-vl")
        v = make_convert.byte_level(folder, "qwen2", ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + CONTROL)
        make_convert.write_json(folder + "/tokenizer_config.json", {"bos_token": None, "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>", "add_bos_token": False,
                                                                    "add_prefix_space": False, "tokenizer_class": "Qwen2Tokenizer"})
        tok = AutoTokenizer.from_pretrained(folder)
        start, end, pad, video = tok.convert_tokens_to_ids(CONTROL)
        rope = dict(rope_type="default", rope_theta=1e6, mrope_section=[4, 2, 2], mrope_interleaved=True)
        c = Qwen3VLConfig(
            text_config=dict(hidden_size=48, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, num_key_value_heads=2, head_dim=16, vocab_size=v,
                             max_position_embeddings=2048, rope_parameters=rope, rms_norm_eps=1e-6),
            vision_config=dict(depth=3, hidden_size=32, intermediate_size=56, num_heads=2, patch_size=16, out_hidden_size=48, num_position_embeddings=36,
                               deepstack_visual_indexes=[0, 1]),
            image_token_id=pad, video_token_id=video, vision_start_token_id=start, vision_end_token_id=end)
        m = Qwen3VLForConditionalGeneration(c).eval()
        randomise(m, SEED)
        m.half().save_pretrained(folder)
        m.float()
        make_convert.write_json(folder + "/preprocessor_config.json", dict(image_mean=HALF, image_std=HALF))
        convert(root, folder, OUT / "qwen3vl_text.gguf", "qwen2")
        convert(root, folder, OUT / "qwen3vl_mmproj.gguf", "qwen2", ', "--mmproj"')
    prep = Qwen2VLImageProcessorPil(size=dict(shortest_edge=65536, longest_edge=16777216), patch_size=16, image_mean=HALF, image_std=HALF)
    b = prep(Image.open(OUT / "portrait.png").convert("RGB"), return_tensors="pt")
    n = int(b["image_grid_thw"].prod()) // 4
    before, after = (tok(t, add_special_tokens=False).input_ids for t in PROMPT.split("<__media__>"))
    ids = before + [start] + [pad] * n + [end] + after
    args = dict(pixel_values=b["pixel_values"], image_grid_thw=b["image_grid_thw"])
    with torch.no_grad():
        f = m.model.get_image_features(**args)
        rows = torch.cat([torch.cat(list(f.pooler_output)), *(torch.cat(list(d)) for d in f.deepstack_features)], 1)
    keep("qwen3vl", rows, ids, tok.convert_tokens_to_ids("<|im_end|>"),
         lambda all_: m(input_ids=torch.tensor([all_]), mm_token_type_ids=torch.tensor([[int(i == pad) for i in all_]]), use_cache=False, **args).logits[0, -1])


def granite_vision(root):
    with tempfile.TemporaryDirectory() as temp:
        folder, eyes = subfolder(temp, "tiny-granite-vision"), subfolder(temp, "eyes")
        v = make_convert.byte_level(folder, "refact", ["<|end_of_text|>", "<fim_prefix>", "<|start_of_role|>", "<image>"])
        make_convert.write_json(folder + "/tokenizer_config.json", {"bos_token": "<|end_of_text|>", "eos_token": "<|end_of_text|>", "add_bos_token": False,
                                                                    "add_prefix_space": False, "tokenizer_class": "GPT2Tokenizer"})
        tok = AutoTokenizer.from_pretrained(folder)
        image, pins, px = tok.convert_tokens_to_ids("<image>"), [[76, 76], [76, 152], [152, 76], [152, 152], [228, 76]], 76
        text = GraniteConfig(hidden_size=48, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2, vocab_size=v,
                             max_position_embeddings=2048, attention_multiplier=0.05, embedding_multiplier=12.0, residual_multiplier=0.22, logits_scaling=2.0,
                             tie_word_embeddings=True, bos_token_id=0, eos_token_id=0)
        tower = SiglipVisionConfig(hidden_size=32, intermediate_size=56, num_hidden_layers=4, num_attention_heads=2, image_size=px, patch_size=14, vision_use_head=False)
        c = LlavaNextConfig(vision_config=tower, text_config=text, vision_feature_layer=[-4, -3, -2, -1], vision_feature_select_strategy="full",
                            image_grid_pinpoints=pins, image_token_index=image, tie_word_embeddings=True)
        m = LlavaNextForConditionalGeneration(c).eval()
        randomise(m, 81)
        s = m.state_dict()
        lm = GraniteForCausalLM(text)
        lm.model.load_state_dict({k[len("model.language_model."):]: t for k, t in s.items() if k.startswith("model.language_model.")})
        lm.half().save_pretrained(folder)
        convert(root, folder, OUT / "granite_vision_text.gguf", "refact")
        names = {k: k[len("model."):] for k in s if k.startswith(("model.vision_tower.", "model.multi_modal_projector.", "model.image_newline"))}
        names = {k: n if n.startswith("vision_tower.vision_model.") else n.replace("vision_tower.", "vision_tower.vision_model.") for k, n in names.items()}
        save_file({n: s[k].half().contiguous() for k, n in names.items()}, eyes + "/model.safetensors")
        config = dict(vision_config=dict(make_convert_encoders.vision(model_type="siglip_vision_model"), hidden_size=32, intermediate_size=56, num_hidden_layers=4,
                                         num_attention_heads=2, image_size=px, patch_size=14), vision_feature_layer=c.vision_feature_layer, image_grid_pinpoints=pins)
        make_convert_encoders.legacy(root, eyes, config, temp)
        shutil.copyfile(temp + "/mmproj-model-f16.gguf", OUT / "granite_vision_mmproj.gguf")
    prep = LlavaNextImageProcessorPil(size=dict(height=px, width=px), crop_size=dict(height=px, width=px), image_grid_pinpoints=pins, image_mean=HALF, image_std=HALF)
    b = prep(Image.open(OUT / "portrait.png").convert("RGB"), return_tensors="pt")
    with torch.no_grad():
        rows = torch.cat(list(m.model.get_image_features(b["pixel_values"], b["image_sizes"], vision_feature_layer=c.vision_feature_layer,
                                                         vision_feature_select_strategy="full", output_hidden_states=True).pooler_output))
    before, after = (tok(t, add_special_tokens=False).input_ids for t in PROMPT.split("<__media__>"))
    keep("granite_vision", rows, before + [image] * len(rows) + after, 0,
         lambda all_: m(input_ids=torch.tensor([all_]), pixel_values=b["pixel_values"], image_sizes=b["image_sizes"], output_hidden_states=True,
                        use_cache=False).logits[0, -1] / text.logits_scaling)


def keep(name, rows, ids, end, logits_of):
    greedy = []
    with torch.no_grad():
        for step in range(24):
            logits = logits_of(ids + greedy)
            if step == 0:
                first = logits.numpy()
            best = logits.topk(2)
            if best.values[0] - best.values[1] < TIE or int(best.indices[0]) == end:
                break
            greedy.append(int(best.indices[0]))
    np.save(OUT / f"{name}_rows.npy", rows[::16].numpy().astype("<f4"))
    np.save(OUT / f"{name}_logits.npy", first.astype("<f4"))
    np.save(OUT / f"{name}_greedy.npy", np.array(greedy, "<f4"))
    (OUT / f"{name}_prompt.txt").write_text(PROMPT)
    print(name, tuple(rows.shape), len(greedy), "greedy ids")


if __name__ == "__main__":
    for family in (qwen3vl, granite_vision):
        family(str(Path(sys.argv[1]).resolve()))
