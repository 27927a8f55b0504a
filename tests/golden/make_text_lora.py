"""LoRA adapters of tests/test_text_lora.c and tests/cli/65_lora.sh, and what the models beside them say with them, written to
tests/golden/text/lora_*.

    python3 make_text_lora.py

The bases are llama_smollm.gguf (token embedding and output are one tensor) and llama_qwen2.gguf (they are two; biases) of
make_text_llama.py. The reference is the forward pass below, in float64, on W + factor * B A: the adapters are merged in it, so
that it shares nothing with a product beside the weight's. It is first held to what transformers said of the bases.

Made with gguf 0.19.0 and numpy. Adapters are files as llama.cpp's convert_lora_to_gguf.py writes them: of a token embedding,
lora_a is [n_vocab, rank] and lora_b [n_embd, rank].
"""
from pathlib import Path

import gguf
import numpy as np

OUT = Path(__file__).resolve().parent / "text"
LINEAR = ("attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down")
EMBD, OUTPUT = "token_embd.weight", "output.weight"


def value(a):
    return a.astype(np.float64)


class Model:
    def __init__(self, name):
        r = gguf.GGUFReader(OUT / f"llama_{name}.gguf")
        self.arch = r.fields["general.architecture"].contents()
        get = lambda k, absent=None: r.fields[f"{self.arch}.{k}"].contents() if f"{self.arch}.{k}" in r.fields else absent
        self.n_layer, self.n_head, self.n_kv = get("block_count"), get("attention.head_count"), get("attention.head_count_kv")
        self.eps, self.base = get("attention.layer_norm_rms_epsilon"), get("rope.freq_base", 10000.0)
        self.w = {t.name: value(gguf.dequantize(t.data, t.tensor_type)).reshape([int(n) for n in reversed(t.shape)]) for t in r.tensors}
        self.tied = OUTPUT not in self.w
        if self.tied:
            self.w[OUTPUT] = self.w[EMBD]
        self.d_head = self.w["blk.0.attn_q.weight"].shape[0] // self.n_head

    def norm(self, x, name):
        return x / np.sqrt((x * x).mean(-1, keepdims=True) + self.eps) * self.w[name]

    def linear(self, x, name):
        return x @ self.w[name + ".weight"].T + self.w.get(name + ".bias", 0.0)

    def rope(self, x):  # [n, heads, d_head]
        d = self.d_head
        angle = np.arange(len(x))[:, None, None] * self.base ** (-np.arange(0, d, 2) / d)
        c, s = np.cos(angle), np.sin(angle)
        a, b = (x[..., 0::2], x[..., 1::2]) if self.arch == "llama" else (x[..., :d // 2], x[..., d // 2:])
        pair = (a * c - b * s, a * s + b * c)
        return np.stack(pair, -1).reshape(x.shape) if self.arch == "llama" else np.concatenate(pair, -1)

    def logits(self, ids):
        x = self.w[EMBD][ids]
        n, mask = len(ids), np.triu(np.full((len(ids), len(ids)), -np.inf), 1)
        for il in range(self.n_layer):
            p = f"blk.{il}."
            h = self.norm(x, p + "attn_norm.weight")
            q, k, v = (self.linear(h, p + f"attn_{c}").reshape(n, -1, self.d_head) for c in "qkv")
            q, k = self.rope(q), self.rope(k)
            k, v = (np.repeat(m, self.n_head // self.n_kv, 1) for m in (k, v))
            s = np.einsum("ihd,jhd->hij", q, k) / np.sqrt(self.d_head) + mask
            s = np.exp(s - s.max(-1, keepdims=True))
            a = np.einsum("hij,jhd->ihd", s / s.sum(-1, keepdims=True), v).reshape(n, -1)
            x = x + self.linear(a, p + "attn_output")
            h = self.norm(x, p + "ffn_norm.weight")
            g = self.linear(h, p + "ffn_gate")
            x = x + self.linear(g / (1 + np.exp(-g)) * self.linear(h, p + "ffn_up"), p + "ffn_down")
        return self.norm(x[-1], "output_norm.weight") @ self.w[OUTPUT].T


def adapter(name, model, names, rank, alpha, seed, kind=gguf.GGMLQuantizationType.F32, strength=0.25):
    """Writes lora_<name>.gguf; returns name of a tensor -> what scale 1 adds to it."""
    rng = np.random.default_rng(seed)
    w = gguf.GGUFWriter(OUT / f"lora_{name}.gguf", model.arch)
    w.add_type("adapter")
    w.add_string("adapter.type", "lora")
    if alpha:
        w.add_float32("adapter.lora.alpha", alpha)
    factor, added = alpha / rank if alpha else 1.0, {}
    for key in names:
        base = model.w[key]
        n_out, n_in = base.shape
        a = rng.standard_normal((rank, n_in)) / np.sqrt(n_in)
        b = rng.standard_normal((n_out, rank)) * base.std() * np.sqrt(n_in / rank) / factor * strength
        halves = (b, a.T) if key == EMBD else (a, b)
        stored = [gguf.quantize(h.astype(np.float32), kind) for h in halves]
        for half, data in zip("ab", stored):
            w.add_tensor(f"{key}.lora_{half}", data, raw_dtype=kind)
        first, second = (value(gguf.dequantize(s, kind)) for s in stored)
        added[key] = factor * (first @ second.T if key == EMBD else second @ first)
    w.write_header_to_file()
    w.write_kv_data_to_file()
    w.write_tensors_to_file()
    w.close()
    return added


def with_adapters(name, *parts):
    m = Model(name)
    for added, scale in parts:
        for key, delta in added.items():
            m.w[key] = m.w[key] + scale * delta
    return m


def divergence(p, q):
    p, q = (x - x.max(-1, keepdims=True) for x in (p, q))
    p, q = (x - np.log(np.exp(x).sum(-1, keepdims=True)) for x in (p, q))
    return (np.exp(p) * (p - q)).sum(-1).max()


def all_logits(m, ids):
    return np.stack([m.logits(row[row >= 0].astype(int)) for row in ids])


def save(name, base, ids, *parts):
    got, bare = all_logits(with_adapters(base, *parts), ids), all_logits(Model(base), ids)
    print(f"{name}: KL from the bare model", divergence(bare, got))
    np.save(OUT / f"lora_{name}_logits.npy", got.astype(np.float32))


def main():
    kinds = gguf.GGMLQuantizationType
    for base in ("smollm", "qwen2"):
        m = Model(base)
        ids = np.load(OUT / f"llama_{base}_ids.npy")[:3]
        off = divergence(np.load(OUT / f"llama_{base}_logits.npy")[:3].astype(np.float64), all_logits(m, ids))
        print(f"{base}: KL of this file's forward pass from transformers", off)
        assert off < 1e-9
        layers = [f"blk.{il}.{part}.weight" for il in range(m.n_layer) for part in LINEAR]
        a = adapter(f"{base}_a", m, layers, 4, 8.0, 1)
        b = adapter(f"{base}_b", m, [n for n in layers if "attn_q" in n or "attn_v" in n] + [EMBD, OUTPUT], 3, 0.0, 2, kinds.F16)
        save(f"{base}_a", base, ids, (a, 1.0))
        save(f"{base}_b", base, ids, (b, 1.0))
        save(f"{base}_ab", base, ids, (a, 0.5), (b, -1.25))
        if base == "smollm":
            c = adapter("smollm_c", m, ["blk.1.ffn_down.weight", "blk.0.attn_q.weight"], 32, 16.0, 3, kinds.Q8_0)
            save("smollm_c", base, ids, (c, 1.0))
    adapter("gemma3", Model("gemma3"), [EMBD, "blk.0.attn_output.weight", "blk.6.ffn_down.weight"], 2, 2.0, 4)


if __name__ == "__main__":
    main()
