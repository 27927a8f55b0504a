#!/usr/bin/env python3
"""A checkpoint as two GGUF files that senses reads: the encoder with its adapter (projector "senses_page") and the decoder (architecture llama).

  export.py [--checkpoint reader.pt] --out DIR [--type q8_0|f16|f32]     DIR/sketch-mmproj.gguf and DIR/sketch.gguf

README.md names every key and tensor; read() gives the model back, as stored. Needs the package gguf."""
import argparse, os
import gguf
import numpy as np
import torch
import language, pages
from evaluate import load
import model
from model import CELL, Reader

TYPES = {"q8_0": gguf.GGMLQuantizationType.Q8_0, "f16": gguf.GGMLQuantizationType.F16, "f32": gguf.GGMLQuantizationType.F32}


class File:
    def __init__(self, path, arch, kind):
        self.w, self.kind, self.bytes = gguf.GGUFWriter(path, arch), TYPES[kind], 0

    def add(self, name, t, big=True):
        """big: a matrix that may be quantised (rows of a multiple of 32), or the type it is stored in; else f32."""
        a = np.ascontiguousarray(t.detach().float().cpu().numpy())
        kind = self.kind if big is True and a.ndim == 2 else big or TYPES["f32"]
        if kind == TYPES["q8_0"] and a.shape[-1] % 32:
            kind = TYPES["f16"]
        if kind == TYPES["f32"]:
            self.w.add_tensor(name, a)
        else:
            a = gguf.quants.quantize(a, kind)
            self.w.add_tensor(name, a, raw_dtype=kind)
        self.bytes += a.nbytes

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


def unfold(conv, w, b):
    """Puts a stored matrix back, with the batch norm made the identity (but for its bias)."""
    conv.c.weight.data = w.view(w.shape[0], 3, 3, -1).permute(0, 3, 1, 2).contiguous()
    n = conv.n
    n.running_mean.zero_(), n.weight.data.fill_(1.0), n.running_var.fill_(1.0 - n.eps)
    n.bias.data = b


def pairs(w, heads):
    """Rows of a query or key matrix from the halves of each head to neighbouring pairs."""
    return w.view(heads, 2, -1, w.shape[1]).transpose(1, 2).reshape(w.shape)


def halves(w, heads):
    return w.view(heads, -1, 2, w.shape[1]).transpose(1, 2).reshape(w.shape)


def convolutions(stem):
    got = [("v.stem.0", stem.c1), ("v.stem.1", stem.c2), ("v.stem.2", stem.c3)]
    for name, pairs in (("fine", stem.fine), ("res", stem.res)):
        for i, (x, y) in enumerate(pairs):
            got += [(f"v.stem.{name}.{i}.0", x), (f"v.stem.{name}.{i}.1", y)]
    return got + [("v.stem.down", stem.down)]


def encoder_layers(m):
    """Stored name, module, whether its matrix may be quantised: all with a bias"""
    e, a, got = m.enc, m.ada, []
    for i, b in enumerate(e.blocks):
        got += [(f"v.blk.{i}.{n}", x, True) for n, x in (("ln1", b.n1), ("attn_qkv", b.qkv), ("attn_out", b.o), ("ln2", b.n2), ("ffn_up", b.f1), ("ffn_down", b.f2))]
    return got + [("v.stem.norm", e.norm0, False), ("mm.stem_head", e.char0, True), ("v.post_ln", e.norm, True), ("mm.char_head", e.char, True), ("mm.kind_head", e.kind, False), ("mm.start_head", e.start, False),
                  ("mm.free", a.free, True), ("mm.0", a.f1, True), ("mm.2", a.f2, True)]


def encoder_tables(m):
    return [("v.position_embd.weight", m.enc.pos, TYPES["f16"]), ("mm.char_embd.weight", m.ada.char.weight, True), ("mm.kind_embd.weight", m.ada.kind.weight, False),
            ("mm.row_embd.weight", m.ada.row, False), ("mm.col_embd.weight", m.ada.col, False)]


def decoder_matrices(d):
    """Stored name, parameter, heads whose rows are in another order (0: none)"""
    c, got = d.c, [("token_embd.weight", d.emb.weight, 0), ("output.weight", d.out.weight, 0), ("output_norm.weight", d.norm.w, 0)]
    for i, b in enumerate(d.layers):
        got += [(f"blk.{i}.{n}.weight", x, h) for n, x, h in (
            ("attn_norm", b.n1.w, 0), ("ffn_norm", b.n2.w, 0), ("attn_q", b.q.weight, c["dheads"]), ("attn_k", b.k.weight, c["kv"]), ("attn_v", b.v.weight, 0),
            ("attn_output", b.o.weight, 0), ("ffn_gate", b.gate.weight, 0), ("ffn_up", b.up.weight, 0), ("ffn_down", b.down.weight, 0))]
    return got


def write_encoder(m, path, kind):
    c = m.config
    f = File(path, "clip", kind)
    w = f.w
    w.add_name("senses page reader")
    w.add_license("mit")
    w.add_bool("clip.has_vision_encoder", True)
    w.add_string("clip.projector_type", "senses_page")
    for k, v in (("image_size", pages.SIDE), ("patch_size", CELL), ("embedding_length", c["d"]), ("feed_forward_length", 4 * c["d"]), ("block_count", c["blocks"]),
                 ("projection_dim", c["dec"]), ("attention.head_count", c["heads"])):
        w.add_uint32("clip.vision." + k, v)
    w.add_float32("clip.vision.attention.layer_norm_epsilon", 1e-6)
    w.add_array("clip.vision.image_mean", [0.0] * 3)         # the picture's own mean and deviation are used
    w.add_array("clip.vision.image_std", [1.0] * 3)
    w.add_uint32("clip.vision.page.stem_channels", c["stem"])
    w.add_uint32("clip.vision.page.stem_fine_blocks", c["fine"])
    w.add_uint32("clip.vision.page.stem_blocks", c["res"])
    w.add_float32("clip.vision.page.keep", model.KEEP)
    w.add_float32("clip.vision.page.sure", model.SURE)
    w.add_uint32("clip.vision.page.gap", model.GAP)
    w.add_uint32("clip.vision.page.frames", 4)
    w.add_uint32("clip.vision.page.classes", 96)
    w.add_array("clip.vision.page.kinds", pages.TYPES)
    for name, x in convolutions(m.enc.stem):
        k, b = fold(x)
        f.add(name + ".weight", k)
        f.add(name + ".bias", b)
    for name, x, big in encoder_layers(m):
        f.add(name + ".weight", x.weight, big)
        f.add(name + ".bias", x.bias)
    for name, x, big in encoder_tables(m):
        f.add(name, x.flatten(0, -2), big)
    f.close()
    return f.bytes


def write_decoder(m, path, kind):
    c, d = m.config, m.dec
    f = File(path, "llama", kind)
    w = f.w
    w.add_name("senses page writer")
    w.add_license("mit")
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
    for name, x, heads in decoder_matrices(d):
        f.add(name, pairs(x.data, heads) if heads else x)
    f.close()
    return f.bytes


def read(folder):
    """The model as stored in FOLDER/sketch-mmproj.gguf and FOLDER/sketch.gguf: what a next training may start from."""
    files = [gguf.GGUFReader(os.path.join(folder, n)) for n in ("sketch-mmproj.gguf", "sketch.gguf")]
    has = {t.name: torch.from_numpy(np.array(gguf.quants.dequantize(t.data, t.tensor_type), np.float32).reshape([int(n) for n in reversed(t.shape)])) for f in files for t in f.tensors}
    enc, dec = ({k: f.fields[k].parts[-1][0] for k in f.fields} for f in files)
    number = lambda f, k: int(f[k])
    m = Reader(dict(stem=number(enc, "clip.vision.page.stem_channels"), fine=number(enc, "clip.vision.page.stem_fine_blocks"), res=number(enc, "clip.vision.page.stem_blocks"), d=number(enc, "clip.vision.embedding_length"),
                    blocks=number(enc, "clip.vision.block_count"), heads=number(enc, "clip.vision.attention.head_count"), hidden=has["mm.0.weight"].shape[0],
                    dec=number(enc, "clip.vision.projection_dim"), layers=number(dec, "llama.block_count"), dheads=number(dec, "llama.attention.head_count"),
                    kv=number(dec, "llama.attention.head_count_kv"), ff=number(dec, "llama.feed_forward_length")))
    for name, x in convolutions(m.enc.stem):
        unfold(x, has[name + ".weight"], has[name + ".bias"])
    for name, x, _ in encoder_layers(m):
        x.weight.data, x.bias.data = has[name + ".weight"], has[name + ".bias"]
    for name, x, _ in encoder_tables(m):
        x.data = has[name].view(x.shape)
    for name, x, heads in decoder_matrices(m.dec):
        x.data = halves(has[name], heads) if heads else has[name]
    return m.eval()


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
    print(f"{a.out}: encoder {n / 1e6:.2f} MB, decoder {k / 1e6:.2f} MB")


if __name__ == "__main__":
    main()
