"""Models of random weights in the true shapes of known ones, for speed alone: make_models.py FOLDER SENSES. What is there already stays.

  llama-1b-{f16,q4_0,q4_k_m,q8_0}.gguf   TinyLlama-1.1B: 22 layers of 2048, 32 heads over 4, 5632 in the feed-forward, 32,000 words
  clip-l-336-mmproj.gguf                 CLIP ViT-L/14-336 with LLaVA-1.5's two layers, to the width of that decoder
  siglip-b-512-mmproj.gguf               SigLIP-B/16-512 with SmolVLM's pixel shuffle, one tile a picture, to the same width"""
import os
import subprocess
import sys
from pathlib import Path

import gguf
import numpy as np

D, N_LAYER, N_HEAD, N_KV, N_FF, N_VOCAB = 2048, 22, 32, 4, 5632, 32000
RANDOM = np.random.default_rng(1)


def weight(*shape):
    """Rows of variance 1 / n_in: the activations of a random network stay in range."""
    n_in = int(np.prod(shape[1:]))
    return (RANDOM.standard_normal(shape, dtype=np.float32) / np.sqrt(n_in)).astype(np.float16)


def write(path, arch, fill):
    part = path.with_suffix(".part")
    w = gguf.GGUFWriter(part, arch)
    fill(w)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    os.rename(part, path)


def decoder(w):
    w.add_context_length(2048)
    w.add_embedding_length(D)
    w.add_block_count(N_LAYER)
    w.add_feed_forward_length(N_FF)
    w.add_head_count(N_HEAD)
    w.add_head_count_kv(N_KV)
    w.add_rope_dimension_count(D // N_HEAD)
    w.add_layer_norm_rms_eps(1e-5)
    w.add_vocab_size(N_VOCAB)
    words = ["<unk>", "<s>", "</s>"] + [f"<0x{i:02X}>" for i in range(256)]
    kinds = [gguf.TokenType.UNKNOWN, gguf.TokenType.CONTROL, gguf.TokenType.CONTROL] + [gguf.TokenType.BYTE] * 256
    words += [f"\u2581w{i}" for i in range(N_VOCAB - len(words))]
    kinds += [gguf.TokenType.NORMAL] * (N_VOCAB - len(kinds))
    w.add_tokenizer_model("llama")
    w.add_token_list(words)
    w.add_token_scores([-float(i) for i in range(N_VOCAB)])
    w.add_token_types(kinds)
    w.add_bos_token_id(1)
    w.add_eos_token_id(2)
    w.add_add_bos_token(True)
    w.add_chat_template("{% for m in messages %}{% if m['role'] == 'user' %}USER: {{ m['content'] }} ASSISTANT:{% endif %}{% endfor %}")
    w.add_tensor("token_embd.weight", weight(N_VOCAB, D))
    w.add_tensor("output_norm.weight", np.ones(D, np.float32))
    w.add_tensor("output.weight", weight(N_VOCAB, D))
    for i in range(N_LAYER):
        b = f"blk.{i}."
        w.add_tensor(b + "attn_norm.weight", np.ones(D, np.float32))
        w.add_tensor(b + "attn_q.weight", weight(D, D))
        w.add_tensor(b + "attn_k.weight", weight(D * N_KV // N_HEAD, D))
        w.add_tensor(b + "attn_v.weight", weight(D * N_KV // N_HEAD, D))
        w.add_tensor(b + "attn_output.weight", weight(D, D))
        w.add_tensor(b + "ffn_norm.weight", np.ones(D, np.float32))
        w.add_tensor(b + "ffn_gate.weight", weight(N_FF, D))
        w.add_tensor(b + "ffn_up.weight", weight(N_FF, D))
        w.add_tensor(b + "ffn_down.weight", weight(D, N_FF))


def linear(w, name, n_out, n_in):
    w.add_tensor(name + ".weight", weight(n_out, n_in))
    w.add_tensor(name + ".bias", np.zeros(n_out, np.float32))


def norm(w, name, n):
    w.add_tensor(name + ".weight", np.ones(n, np.float32))
    w.add_tensor(name + ".bias", np.zeros(n, np.float32))


def encoder(w, d, n_ff, n_layer, n_head, side, patch, mean, std, eps):
    w.add_bool("clip.has_vision_encoder", True)
    for key, value in (("image_size", side), ("patch_size", patch), ("embedding_length", d), ("feed_forward_length", n_ff), ("projection_dim", D),
                       ("attention.head_count", n_head), ("block_count", n_layer)):
        w.add_uint32("clip.vision." + key, value)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", eps)
    w.add_array("clip.vision.image_mean", mean)
    w.add_array("clip.vision.image_std", std)
    w.add_tensor("v.patch_embd.weight", weight(d, 3, patch, patch))
    for i in range(n_layer):
        b = f"v.blk.{i}."
        for name in ("attn_q", "attn_k", "attn_v", "attn_out"):
            linear(w, b + name, d, d)
        linear(w, b + "ffn_up", n_ff, d)
        linear(w, b + "ffn_down", d, n_ff)
        norm(w, b + "ln1", d)
        norm(w, b + "ln2", d)


def clip_l(w):
    encoder(w, 1024, 4096, 23, 16, 336, 14, [0.48145467, 0.4578275, 0.40821072], [0.26862955, 0.2613026, 0.27577710], 1e-5)
    w.add_bool("clip.has_llava_projector", True)
    w.add_string("clip.projector_type", "mlp")
    w.add_bool("clip.use_gelu", False)
    w.add_tensor("v.class_embd", np.zeros(1024, np.float32))
    w.add_tensor("v.position_embd.weight", weight(577, 1024))
    norm(w, "v.pre_ln", 1024)
    linear(w, "mm.0", D, 1024)
    linear(w, "mm.2", D, D)


def siglip_b(w):
    encoder(w, 768, 3072, 12, 12, 512, 16, [0.5] * 3, [0.5] * 3, 1e-6)
    w.add_string("clip.projector_type", "idefics3")
    w.add_bool("clip.use_gelu", True)
    w.add_uint32("clip.vision.projector.scale_factor", 4)
    w.add_uint32("clip.vision.preproc_image_size", 512)
    w.add_tensor("v.patch_embd.bias", np.zeros(768, np.float32))
    w.add_tensor("v.position_embd.weight", weight(1024, 768).astype(np.float32))
    norm(w, "v.post_ln", 768)
    w.add_tensor("mm.model.fc.weight", weight(D, 768 * 16))


def main():
    folder, senses = Path(sys.argv[1]), sys.argv[2]
    folder.mkdir(parents=True, exist_ok=True)
    for name, arch, fill in (("llama-1b-f16", "llama", decoder), ("clip-l-336-mmproj", "clip", clip_l), ("siglip-b-512-mmproj", "clip", siglip_b)):
        path = folder / f"{name}.gguf"
        if not path.exists():
            print(f"making {path.name}", file=sys.stderr)
            write(path, arch, fill)
    for kind in ("q4_0", "q4_k_m", "q8_0"):
        path = folder / f"llama-1b-{kind}.gguf"
        if not path.exists():
            print(f"making {path.name}", file=sys.stderr)
            subprocess.run([senses, "quantize", "-q", folder / "llama-1b-f16.gguf", path, kind.upper()], check=True)


main()
