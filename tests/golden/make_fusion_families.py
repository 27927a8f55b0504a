"""Whole models of random weights for tests/golden/fusion: made and computed by transformers 5.24 (float32, from the picture file on), and brought into
GGUF files by llama.cpp's own converters.

    python3 tests/golden/make_fusion_families.py LLAMA_CPP

qwen3vl: Qwen3-VL, whose rows are wider than the decoder: portrait.png in a prompt. NAME_text.gguf, NAME_mmproj.gguf, every 16th row, the logits behind
the prompt, the greedy ids up to the first step whose two best logits are closer than 0.05. Needs torch 2.15, numpy 2.4.6, Pillow 12.0.0."""
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from transformers import AutoTokenizer, Qwen3VLConfig, Qwen3VLForConditionalGeneration
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

import make_convert

OUT, TIE, HALF, PROMPT = Path(__file__).resolve().parent / "fusion", 0.05, [0.5] * 3, "Look at <__media__> and say what the garden is"
SEED = 74  # one whose first answers are no near ties
CONTROL = ["<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"]


def randomise(m, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for name, p in m.named_parameters():
            norm = "norm" in name and name.endswith("weight")
            p.copy_((torch.randn_like(p) * (0.2 if p.dim() < 2 else 1.2 / p[0].numel() ** 0.5) + norm).half().float())


def convert(root, folder, out, options=""):
    script = make_convert.RUN.format(gguf=root + "/gguf-py", root=root, pre="qwen2", folder=folder, out=str(out)).replace('"auto"]', f'"f16"{options}]')
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(done.stderr[-3000:])


def qwen3vl(root):
    with tempfile.TemporaryDirectory() as folder:
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
        convert(root, folder, OUT / "qwen3vl_text.gguf")
        convert(root, folder, OUT / "qwen3vl_mmproj.gguf", ', "--mmproj"')
    prep = Qwen2VLImageProcessorPil(size=dict(shortest_edge=65536, longest_edge=16777216), patch_size=16, image_mean=HALF, image_std=HALF)
    b = prep(Image.open(OUT / "portrait.png").convert("RGB"), return_tensors="pt")
    n = int(b["image_grid_thw"].prod()) // 4
    before, after = (tok(t, add_special_tokens=False).input_ids for t in PROMPT.split("<__media__>"))
    ids = before + [start] + [pad] * n + [end] + after
    args = dict(pixel_values=b["pixel_values"], image_grid_thw=b["image_grid_thw"])
    greedy = []
    with torch.no_grad():
        f = m.model.get_image_features(**args)
        rows = torch.cat([torch.cat(list(f.pooler_output)), *(torch.cat(list(d)) for d in f.deepstack_features)], 1)
        for step in range(24):
            kind = torch.tensor([[int(i == pad) for i in ids + greedy]])
            logits = m(input_ids=torch.tensor([ids + greedy]), mm_token_type_ids=kind, use_cache=False, **args).logits[0, -1]
            if step == 0:
                first = logits.numpy()
            best = logits.topk(2)
            if best.values[0] - best.values[1] < TIE or int(best.indices[0]) == tok.convert_tokens_to_ids("<|im_end|>"):
                break
            greedy.append(int(best.indices[0]))
    np.save(OUT / "qwen3vl_rows.npy", rows[::16].numpy().astype("<f4"))
    np.save(OUT / "qwen3vl_logits.npy", first.astype("<f4"))
    np.save(OUT / "qwen3vl_greedy.npy", np.array(greedy, "<f4"))
    (OUT / "qwen3vl_prompt.txt").write_text(PROMPT)
    print("qwen3vl", tuple(rows.shape), len(greedy), "greedy ids")


if __name__ == "__main__":
    qwen3vl(str(Path(sys.argv[1]).resolve()))
