#!/usr/bin/env python3
"""The references of tests/test_audio_{mel,encoder,families}.c. Run from the repository root; writes tests/golden/audio/front_*.

  front_level_<file>.npy          faster-whisper's decode_audio (PyAV 18) of the samples: rms of every 1600 samples
                                  of their running mean over 4
  front_filters80.npy             transformers' mel filters [80, 201]
  front_mel80.npy                 log-mel of samples/jfk.wav in a 30 s window, numpy path (float64): every 37th frame
  front_mel128.npy                the same with 128 bands, torch path (float32)
  front_mel_short.npy             12345 samples from the middle, not padded: all 77 frames
  front_{voxtral,ultravox,qwen2audio}.gguf   random encoders with their adapters, values exact in float16
  front_states.npy                rows of voxtral's encoder for the formula of formula_mel(), 101 frames: [2, 51, 32], all keys
                                  and the first 30
  front_<family>_<seconds>.npy    adapter rows of jfk.wav (11 s) and of it three times over (33 s): every 5th, and the last

Made with transformers 5.23.0, torch 2.15.0, numpy 2.4.6, gguf 0.19, soundfile 0.14.0, faster-whisper
1.2.1. The seeds are fixed.
"""
import os

import gguf
import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from faster_whisper.audio import decode_audio
from transformers import WhisperConfig, WhisperFeatureExtractor
from transformers.models.whisper.modeling_whisper import WhisperEncoder

OUT = "tests/golden/audio/front_"
CTX, EPS = 1500, 1e-5


def save(name, x):
    np.save(OUT + name + ".npy", np.ascontiguousarray(np.asarray(x, np.float32)))


def random_tensors(d, n_mel, layers, adapter, seed):
    """name -> float32 array whose values float16 holds."""
    rng = np.random.default_rng(seed)
    t = {}

    def put(name, *shape, scale=None, one=False):
        x = rng.standard_normal(shape) * (scale or shape[-1] ** -0.5) + (1 if one else 0)
        t[name] = x.astype(np.float16).astype(np.float32)

    put("a.conv1d.1.weight", d, n_mel, 3, scale=(3 * n_mel) ** -0.5)
    put("a.conv1d.1.bias", d, scale=0.1)
    put("a.conv1d.2.weight", d, d, 3, scale=(3 * d) ** -0.5)
    put("a.conv1d.2.bias", d, scale=0.1)
    put("a.position_embd.weight", CTX, d, scale=0.3)
    for i in range(layers):
        b = "a.blk.%d." % i
        for n in ("attn_q", "attn_k", "attn_v", "attn_out"):
            put(b + n + ".weight", d, d, scale=1.5 * d ** -0.5)
            if n != "attn_k":
                put(b + n + ".bias", d, scale=0.1)
        put(b + "ffn_up.weight", 2 * d, d)
        put(b + "ffn_up.bias", 2 * d, scale=0.1)
        put(b + "ffn_down.weight", d, 2 * d)
        put(b + "ffn_down.bias", d, scale=0.1)
        for n in ("ln1", "ln2"):
            put(b + n + ".weight", d, scale=0.2, one=True)
            put(b + n + ".bias", d, scale=0.1)
    put("a.post_ln.weight", d, scale=0.2, one=True)
    put("a.post_ln.bias", d, scale=0.1)
    for name, shape in adapter.items():
        put(name, *shape, scale=0.2 if len(shape) == 1 else None, one="norm" in name)
    return t


def write_gguf(name, t, kind, d, heads, n_mel, layers, n_embd, stack):
    w = gguf.GGUFWriter(OUT + name + ".gguf", "clip")
    w.add_string("clip.projector_type", kind)
    w.add_bool("clip.has_audio_encoder", True)
    for key, v in {"projection_dim": n_embd, "embedding_length": d, "feed_forward_length": 2 * d, "block_count": layers,
                   "attention.head_count": heads, "num_mel_bins": n_mel}.items():
        w.add_uint32("clip.audio." + key, v)
    w.add_float32("clip.audio.attention.layer_norm_epsilon", EPS)
    if stack:
        w.add_uint32("clip.audio.projector.stack_factor", stack)
    for key, x in t.items():
        small = x.ndim == 1
        if "conv1d" in key and small:
            x = x[None].T  # as llama.cpp's converter writes it
        w.add_tensor(key, np.ascontiguousarray(x if small else x.astype(np.float16)))
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()


def encoder(t, heads, mel, n_valid=None, post_norm=True):
    """mel [n_mel, n_frame] -> [rows, d], keys from n_valid on masked."""
    t = {k: torch.from_numpy(v) for k, v in t.items()}
    d = t["a.post_ln.weight"].shape[0]
    x = F.gelu(F.conv1d(mel[None], t["a.conv1d.1.weight"], t["a.conv1d.1.bias"], padding=1))
    x = F.gelu(F.conv1d(x, t["a.conv1d.2.weight"], t["a.conv1d.2.bias"], stride=2, padding=1))[0].T
    n = x.shape[0]
    x = x + t["a.position_embd.weight"][:n]
    mask = torch.zeros(n)
    if n_valid is not None:
        mask[n_valid:] = float("-inf")
    i = 0
    while "a.blk.%d.ln1.weight" % i in t:
        b = "a.blk.%d." % i
        h = F.layer_norm(x, (d,), t[b + "ln1.weight"], t[b + "ln1.bias"], EPS)
        q, k, v = (F.linear(h, t[b + "attn_" + c + ".weight"], t.get(b + "attn_" + c + ".bias")).view(n, heads, -1).transpose(0, 1) for c in "qkv")
        a = torch.softmax(q @ k.transpose(1, 2) * (d // heads) ** -0.5 + mask, -1) @ v
        x = x + F.linear(a.transpose(0, 1).reshape(n, d), t[b + "attn_out.weight"], t[b + "attn_out.bias"])
        h = F.layer_norm(x, (d,), t[b + "ln2.weight"], t[b + "ln2.bias"], EPS)
        h = F.gelu(F.linear(h, t[b + "ffn_up.weight"], t[b + "ffn_up.bias"]))
        x = x + F.linear(h, t[b + "ffn_down.weight"], t[b + "ffn_down.bias"])
        i += 1
    return F.layer_norm(x, (d,), t["a.post_ln.weight"], t["a.post_ln.bias"], EPS) if post_norm else x


def same_as_transformers(t, d, heads, n_mel, layers, mel):
    cfg = WhisperConfig(d_model=d, encoder_layers=layers, encoder_attention_heads=heads, encoder_ffn_dim=2 * d, num_mel_bins=n_mel)
    m = WhisperEncoder(cfg).eval()
    names = {"conv1": "a.conv1d.1", "conv2": "a.conv1d.2", "layer_norm": "a.post_ln", "embed_positions": "a.position_embd"}
    inner = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v", "self_attn.out_proj": "attn_out",
             "self_attn_layer_norm": "ln1", "final_layer_norm": "ln2", "fc1": "ffn_up", "fc2": "ffn_down"}
    state = {}
    for key in m.state_dict():
        stem, end = key.rsplit(".", 1)
        if stem.startswith("layers."):
            _, i, rest = stem.split(".", 2)
            state[key] = torch.from_numpy(t["a.blk.%s.%s.%s" % (i, inner[rest], end)])
        else:
            state[key] = torch.from_numpy(t[names[stem] + "." + end])
    m.load_state_dict(state)
    worst = (m(mel[None]).last_hidden_state[0] - encoder(t, heads, mel)).abs().max().item()
    assert worst < 1e-4, worst


def log_mel(samples, n_mel):
    fe = WhisperFeatureExtractor(feature_size=n_mel)
    return torch.from_numpy(np.asarray(fe._torch_extract_fbank_features(samples[None])[0], np.float32))


def pad(x, n):
    return np.pad(x, (0, n - len(x)))


def some(rows):
    return torch.cat([rows[::5], rows[-1:]])


def voxtral(t, heads, n_mel, samples):
    mel = log_mel(pad(samples, -(-len(samples) // 480000) * 480000), n_mel)
    rows = []
    for w in range(0, mel.shape[1], 3000):
        x = encoder(t, heads, mel[:, w:w + 3000]).reshape(375, -1)
        rows.append(F.gelu(x @ torch.from_numpy(t["mm.a.mlp.1.weight"]).T) @ torch.from_numpy(t["mm.a.mlp.2.weight"]).T)
    return torch.cat(rows)


def ultravox(t, heads, n_mel, samples):
    def rms(x, w):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-6) * torch.from_numpy(w)

    mel = log_mel(pad(samples, max(-(-len(samples) // 160) * 160, 320)), n_mel)
    rows = []
    for first in range(0, mel.shape[1], 3000):
        piece = mel[:, first:first + 3000]
        own = piece.shape[1]
        if first > 0:
            piece = F.pad(piece, (0, 3000 - own))
        x = encoder(t, heads, piece, (own - 1) // 2 + 1)
        x = F.pad(x, (0, 0, 0, -x.shape[0] % 8)).reshape(-1, 8 * x.shape[1])
        a, g = (rms(x, t["mm.a.norm_pre.weight"]) @ torch.from_numpy(t["mm.a.mlp.1.weight"]).T).chunk(2, -1)
        x = rms(a * F.silu(g), t["mm.a.norm_mid.weight"]) @ torch.from_numpy(t["mm.a.mlp.2.weight"]).T
        rows.append(x[:-(-own // 16)])
    return torch.cat(rows)


def qwen2audio(t, heads, n_mel, samples):
    samples = samples[:480000]
    own = -(-len(samples) // 160)
    valid = (own - 1) // 2 + 1
    x = encoder(t, heads, log_mel(pad(samples, 480000), n_mel), valid, post_norm=False)
    x = x.reshape(750, 2, -1).mean(1)
    x = F.layer_norm(x, x.shape[1:], torch.from_numpy(t["a.post_ln.weight"]), torch.from_numpy(t["a.post_ln.bias"]), EPS)
    x = F.linear(x, torch.from_numpy(t["mm.a.fc.weight"]), torch.from_numpy(t["mm.a.fc.bias"]))
    return x[:(valid - 2) // 2 + 1]


def formula_mel(n_mel, n_frame):
    i, j = np.meshgrid(np.arange(n_mel), np.arange(n_frame), indexing="ij")
    return torch.from_numpy((0.5 * np.sin(0.37 * i + 0.11 * j * (1 + i % 7)) + 0.25 * np.cos(0.05 * j)).astype(np.float32))


def main():
    torch.set_grad_enabled(False)
    jfk, rate = soundfile.read("samples/jfk.wav", dtype="float32")
    assert rate == 16000
    window = pad(jfk, 480000)
    for name in ("jfk.mp3", "newuser.flac", "queue.ogg", "testpattern.mp4"):
        x = decode_audio("samples/" + name)
        x = np.convolve(x, np.full(4, 0.25), "valid")  # closes 8 kHz, where one resampler's filter is not the other's
        save("level_" + name, np.sqrt((x[: len(x) // 1600 * 1600].reshape(-1, 1600) ** 2).mean(1)))
    save("filters80", WhisperFeatureExtractor(feature_size=80).mel_filters.T)
    save("mel80", WhisperFeatureExtractor(feature_size=80)._np_extract_fbank_features(window[None].astype(np.float64), "cpu")[0][:, ::37])
    save("mel128", log_mel(window, 128)[:, ::37])
    save("mel_short", WhisperFeatureExtractor(feature_size=80)._np_extract_fbank_features(jfk[None, 50000:62345].astype(np.float64), "cpu")[0])
    families = {  # d, heads, n_mel, layers, n_embd, stack, adapter
        "voxtral": (voxtral, "voxtral", 32, 4, 128, 2, 20, 4, {"mm.a.mlp.1.weight": (24, 128), "mm.a.mlp.2.weight": (20, 24)}),
        "ultravox": (ultravox, "ultravox", 16, 2, 80, 2, 12, 8,
                     {"mm.a.norm_pre.weight": (128,), "mm.a.mlp.1.weight": (28, 128), "mm.a.norm_mid.weight": (14,), "mm.a.mlp.2.weight": (12, 14)}),
        "qwen2audio": (qwen2audio, "qwen2a", 16, 2, 128, 2, 12, 0, {"mm.a.fc.weight": (12, 16), "mm.a.fc.bias": (12,)}),
    }
    for seed, (name, (run, kind, d, heads, n_mel, layers, n_embd, stack, adapter)) in enumerate(families.items()):
        t = random_tensors(d, n_mel, layers, adapter, seed)
        write_gguf(name, t, kind, d, heads, n_mel, layers, n_embd, stack)
        same_as_transformers(t, d, heads, n_mel, layers, log_mel(window, n_mel))
        for seconds, sound in ((11, jfk), (33, np.tile(jfk, 3))):
            rows = run(t, heads, n_mel, sound)
            print(name, seconds, tuple(rows.shape))
            save("%s_%d" % (name, seconds), some(rows))
        if name == "voxtral":
            mel = formula_mel(n_mel, 101)
            save("states", torch.stack([encoder(t, heads, mel), encoder(t, heads, mel, 30)]))


if __name__ == "__main__":
    os.makedirs(os.path.dirname(OUT), exist_ok=True)
    main()
