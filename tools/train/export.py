#!/usr/bin/env python3
"""A checkpoint as two GGUF files that senses reads: the encoder with its adapter (projector "senses_page") and the decoder (architecture llama).

  export.py [--checkpoint reader.pt] --out DIR [--type q8_0|f16|f32]     DIR/sketch-mmproj.gguf, DIR/sketch.gguf, DIR/sketch-check.npz

sketch-check.npz holds one picture, its adapter output and its greedy text in f32 from the weights as stored, for the parity test.
README.md names every key and tensor. Needs the package gguf."""
import argparse, os
import gguf
import numpy as np
import torch
import language, pages
from evaluate import load
from model import CELL, GRID, normalise

TYPES = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "f16": gguf.GGMLQuantizationType.F16, "f32": gguf.GGMLQuantizationType.F32}


class File:
    def __init__(self, path, arch, kind):
        self.w, self.kind, self.bytes = gguf.GGUFWriter(path, arch), TYPES[kind], 0
        self.stored = {}

    def add(self, name, t, big=True):
        """big: a matrix that may be quantised (rows of a multiple of 32); else f32. Remembers the values as stored."""
        a = np.ascontiguousarray(t.detach().float().cpu().numpy())
        kind = self.kind if big and a.ndim == 2 else gguf.GGMLQuantizationType.F32
        if kind == TYPES["q8_0"] and a.shape[-1] % 32:
            kind = TYPES["f16"]
        if kind == gguf.GGMLQuantizationType.F32:
            self.w.add_tensor(name, a)
            q = a
        else:
            q = gguf.quants.quantize(a, kind)
            self.w.add_tensor(name, q, raw_dtype=kind)
            a = gguf.quants.dequantize(q, kind)
        self.bytes += q.nbytes
        self.stored[name] = torch.from_numpy(np.array(a, np.float32))

    def close(self):
        self.w.write_header_to_file()
        self.w.write_kv_data_to_file()
        self.w.write_tensors_to_file()
        self.w.close()


def fold(conv):
    """Batch norm into the convolution: rows [out][ky][kx][in], the order of a picture in rows, pixels, channels."""
    n = conv.n
    k = n.weight / (n.running_var + n.eps).sqrt()
    return (conv.c.weight * k[:, None, None, None]).permute(0, 2, 3, 1).flatten(1), n.bias - n.running_mean * k


def unfold(w, conv):
    """Puts a stored matrix back, with the batch norm made the identity (but for its bias)."""
    conv.c.weight.data = w.view(w.shape[0], 3, 3, -1).permute(0, 3, 1, 2).contiguous()
    n = conv.n
    n.running_mean.zero_(), n.weight.data.fill_(1.0), n.running_var.fill_(1.0 - n.eps)


def write_encoder(m, path, kind):
    c, e, a = m.config, m.enc, m.ada
    f = File(path, "clip", kind)
    w = f.w
    w.add_name("senses page reader")
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "senses_page")
    for k, v in (("image_size", pages.SIDE), ("patch_size", CELL), ("embedding_length", c["d"]), ("feed_forward_length", 4 * c["d"]), ("block_count", c["blocks"]),
                 ("projection_dim", c["dec"]), ("attention.head_count", c["heads"])):
        w.add_uint32("clip.vision." + k, v)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    w.add_array("clip.vision.image_mean", [0.0] * 3)         # the picture's own mean and deviation are used
    w.add_array("clip.vision.image_std", [1.0] * 3)
    w.add_uint32("clip.vision.page.stem_channels", c["stem"])
    w.add_uint32("clip.vision.page.stem_blocks", c["res"])
    w.add_uint32("clip.vision.page.frames", 4)
    w.add_uint32("clip.vision.page.classes", 96)
    w.add_array("clip.vision.page.kinds", pages.TYPES)
    s = e.stem
    convs = [("v.stem.0", s.c1), ("v.stem.1", s.c2), ("v.stem.2", s.c3)]
    for i, (x, y) in enumerate(s.res):
        convs += [(f"v.stem.res.{i}.0", x), (f"v.stem.res.{i}.1", y)]
    convs.append(("v.stem.down", s.down))
    for name, x in convs:
        k, b = fold(x)
        f.add(name + ".weight", k)
        f.add(name + ".bias", b)
    f.add("v.position_embd.weight", e.pos.reshape(GRID * GRID, -1), False)
    for i, b in enumerate(e.blocks):
        for name, x in (("ln1", b.n1), ("attn_qkv", b.qkv), ("attn_out", b.o), ("ln2", b.n2), ("ffn_up", b.f1), ("ffn_down", b.f2)):
            f.add(f"v.blk.{i}.{name}.weight", x.weight)
            f.add(f"v.blk.{i}.{name}.bias", x.bias)
    for name, x in (("v.post_ln", e.norm), ("mm.char_head", e.char), ("mm.kind_head", e.kind), ("mm.start_head", e.start), ("mm.free", a.free), ("mm.0", a.f1), ("mm.2", a.f2)):
        f.add(name + ".weight", x.weight, name not in ("mm.kind_head", "mm.start_head"))
        f.add(name + ".bias", x.bias)
    f.add("mm.char_embd.weight", a.char.weight)
    f.add("mm.kind_embd.weight", a.kind.weight, False)
    f.add("mm.row_embd.weight", a.row, False)
    f.add("mm.col_embd.weight", a.col, False)
    f.close()
    with torch.no_grad():                                    # the model as stored
        for name, x in convs:
            unfold(f.stored[name + ".weight"], x)
            x.n.bias.data = f.stored[name + ".bias"]
        for i, b in enumerate(e.blocks):
            for name, x in (("attn_qkv", b.qkv), ("attn_out", b.o), ("ffn_up", b.f1), ("ffn_down", b.f2)):
                x.weight.data = f.stored[f"v.blk.{i}.{name}.weight"]
        for name, x in (("mm.char_head", e.char), ("mm.free", a.free), ("mm.0", a.f1), ("mm.2", a.f2), ("mm.char_embd", a.char)):
            x.weight.data = f.stored[name + ".weight"]
    return f.bytes


def write_decoder(m, path, kind):
    c, d = m.config, m.dec
    f = File(path, "llama", kind)
    w = f.w
    w.add_name("senses page writer")
    w.add_context_length(2048)
    w.add_embedding_length(c["dec"])
    w.add_block_count(c["layers"])
    w.add_feed_forward_length(c["ff"])
    w.add_head_count(c["dheads"])
    w.add_head_count_kv(c["kv"])
    w.add_layer_norm_rms_eps(1e-5)
    w.add_rope_dimension_count(c["dec"] // c["dheads"])
    w.add_rope_freq_base(10000.0)
    w.add_vocab_size(language.N_VOCAB)
    tokens = language.TAGS + ["\u2581"] + [chr(i) for i in range(33, 127)] + ["<unk>"]
    types = [3, 3, 3] + [4] * (len(language.TAGS) - 3) + [1] * 95 + [2]
    w.add_tokenizer_model("llama")
    w.add_token_list(tokens)
    w.add_token_scores([0.0] * len(tokens))
    w.add_token_types(types)
    w.add_bos_token_id(language.BOS)
    w.add_eos_token_id(language.EOS)
    w.add_unk_token_id(len(tokens) - 1)
    w.add_pad_token_id(language.PAD)
    w.add_add_bos_token(False)
    w.add_add_space_prefix(False)
    pairs = [("token_embd", d.emb), ("output", d.out)]
    for i, b in enumerate(d.layers):
        for name, x in (("attn_q", b.q), ("attn_k", b.k), ("attn_v", b.v), ("attn_output", b.o), ("ffn_gate", b.gate), ("ffn_up", b.up), ("ffn_down", b.down)):
            pairs.append((f"blk.{i}.{name}", x))
        f.add(f"blk.{i}.attn_norm.weight", b.n1.w)
        f.add(f"blk.{i}.ffn_norm.weight", b.n2.w)
    f.add("output_norm.weight", d.norm.w)
    for name, x in pairs:
        f.add(name + ".weight", x.weight)
    f.close()
    for name, x in pairs:
        x.weight.data = f.stored[name + ".weight"]
    return f.bytes


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--checkpoint")
    ap.add_argument("--out", required=True)
    ap.add_argument("--type", choices=list(TYPES), default="q8_0")
    a = ap.parse_args()
    os.makedirs(a.out, exist_ok=True)
    m = load(a.checkpoint)
    n = write_encoder(m, os.path.join(a.out, "sketch-mmproj.gguf"), a.type)
    k = write_decoder(m, os.path.join(a.out, "sketch.gguf"), a.type)
    s = pages.page(9 * 10 ** 9, pool="page", shape=(640, 480))
    with torch.no_grad():
        x = normalise(torch.from_numpy(s.image[None]))
        pic, heads, _ = m.see(x)
        ids = m.dec.write(pic, grammar=True)[0]
    np.savez_compressed(os.path.join(a.out, "sketch-check.npz"), picture=s.image, adapter=pic[0].numpy(), char=heads[0][0].numpy(), ids=np.array(ids), truth=np.array(s.ids))
    print(f"encoder {n / 1e6:.2f} MB, decoder {k / 1e6:.2f} MB; check: {language.show(ids)[:120]}")


if __name__ == "__main__":
    main()
