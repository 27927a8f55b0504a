#!/usr/bin/env python3
"""Mutations of a model file: any valid GGUF or whisper.cpp ggml-*.bin in, many files out that are nearly valid. The same on every run.

    mutate.py FILE FOLDER [--count N]     writes them (N: a spread of so many) and prints "NAME VERDICT" of each

VERDICT is what a program must make of the file: "refuse" where no reader may take it for good, "accept" for valid twins (the file is
written otherwise and means the same), "any" where either is right as long as nothing breaks.
"""
import argparse
import math
import os
import struct
import sys

INTS = (0, 1, 2, 3, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
FLOATS = (0.0, -1.0, float("nan"), float("inf"), -float("inf"), 1e38, 1e-45)
SIZES = {0: 1, 1: 1, 2: 2, 3: 2, 4: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}  # of a value, by its type
STRING, ARRAY = 8, 9
#        values and bytes of a block, by the tensor's type
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 10: (256, 84), 11: (256, 110),
          12: (256, 144), 13: (256, 176), 14: (256, 210), 30: (1, 2)}
HUGE = (0xFFFF, 1 << 31, 1 << 32, (1 << 63) - 1, 1 << 63, (1 << 64) - 1)


def pack_string(s):
    return struct.pack("<Q", len(s)) + s


class Gguf:
    """A GGUF file as lists of (key, type, value's bytes) and (name, dims, type, offset, data)."""

    def __init__(self, data):
        self.at, self.bytes = 24, data
        magic, self.version, n_tensors, n_kv = struct.unpack_from("<4sIQQ", data)
        assert magic == b"GGUF"
        self.keys = [self.read_key() for _ in range(n_kv)]
        heads = [self.read_tensor() for _ in range(n_tensors)]
        self.header_bytes = self.at
        base = (self.at + 31) // 32 * 32
        self.tensors = []
        for name, dims, kind, offset in heads:
            values, size = BLOCKS[kind]
            n = math.prod(dims) // values * size
            self.tensors.append((name, dims, kind, offset, data[base + offset:base + offset + n]))

    def take(self, fmt):
        v = struct.unpack_from("<" + fmt, self.bytes, self.at)
        self.at += struct.calcsize("<" + fmt)
        return v[0]

    def read_string(self):
        n = self.take("Q")
        self.at += n
        return self.bytes[self.at - n:self.at]

    def skip_value(self, kind):
        if kind == STRING:
            self.read_string()
        elif kind == ARRAY:
            elem, n = self.take("I"), self.take("Q")
            if elem == STRING:
                for _ in range(n):
                    self.read_string()
            else:
                self.at += n * SIZES[elem]
        else:
            self.at += SIZES[kind]

    def read_key(self):
        key, kind = self.read_string(), self.take("I")
        start = self.at
        self.skip_value(kind)
        return key, kind, self.bytes[start:self.at]

    def read_tensor(self):
        name, n_dims = self.read_string(), self.take("I")
        dims = [self.take("Q") for _ in range(n_dims)]
        return name, dims, self.take("I"), self.take("Q")


def write_gguf(g, keys=None, tensors=None, n_keys=None, n_tensors=None, version=None, offsets=None):
    """The file again, with other parts. Offsets are computed unless given."""
    keys = g.keys if keys is None else keys
    tensors = g.tensors if tensors is None else tensors
    out = bytearray(b"GGUF" + struct.pack("<IQQ", g.version if version is None else version,
                                          len(tensors) if n_tensors is None else n_tensors, len(keys) if n_keys is None else n_keys))
    for key, kind, value in keys:
        out += pack_string(key) + struct.pack("<I", kind) + value
    body = bytearray()
    for i, (name, dims, kind, _, data) in enumerate(tensors):
        offset = len(body) if offsets is None or i not in offsets else offsets[i]
        out += pack_string(name) + struct.pack("<I", len(dims)) + b"".join(struct.pack("<Q", d) for d in dims)
        out += struct.pack("<IQ", kind, offset)
        body += data + b"\0" * (-len(data) % 32)
    return bytes(out) + b"\0" * (-len(out) % 32) + bytes(body)


def with_one(items, i, new):
    return items[:i] + new + items[i + 1:]


def gguf_values(kind, value):
    """(what, type, bytes) that a key's value may be turned into."""
    if kind in (4, 5, 10, 11, 2, 3, 0, 1):
        n = SIZES[kind]
        old = int.from_bytes(value, "little")
        for v in INTS + (old + 1, old - 1, old * 2, old ^ 1):
            yield f"is{v}", kind, (v % (1 << 8 * n)).to_bytes(n, "little")
        yield "u64", 10, struct.pack("<Q", 1 << 40)
        yield "negative", 5, struct.pack("<i", -1)
    elif kind in (6, 12):
        for v in FLOATS:
            yield f"is{v}", kind, struct.pack("<f" if kind == 6 else "<d", v)
    elif kind == STRING:
        yield "empty", kind, pack_string(b"")
        yield "other", kind, pack_string(b"x\x1b[31m\n\xff" + value[8:40])
        yield "zero", kind, pack_string(b"\0" * 20)
        yield "long", kind, pack_string(b"A" * 70000)
        yield "beyond", kind, struct.pack("<Q", 1 << 62) + value[8:]
    elif kind == ARRAY:
        elem, n = struct.unpack_from("<IQ", value)
        for m in (0, 1, n - 1, n + 1, 1 << 31, 1 << 61, (1 << 64) - 1):
            yield f"n{m}", kind, struct.pack("<IQ", elem, m % (1 << 64)) + (value[12:] if m else b"")
        for e in (0, 6, STRING, ARRAY, 13, 0xFFFFFFFF):
            if e != elem:
                yield f"elem{e}", kind, struct.pack("<IQ", e, n) + value[12:]
        if elem in (5, 4):
            for v in (-1, 7, 0x7FFFFFFF):
                yield f"first{v}", kind, value[:12] + struct.pack("<i", v) + value[16:]
        if elem == 6:
            yield "nan", kind, value[:12] + struct.pack("<f", float("nan")) * n
    yield "text", STRING, pack_string(b"seven")
    yield "u32", 4, struct.pack("<I", 7)
    yield "bool", 7, b"\1"
    yield "type13", 13, value
    yield "type255", 255, value


def of_gguf_keys(g):
    for i, (key, kind, value) in enumerate(g.keys):
        name = key.decode("ascii", "replace")
        for what, new_kind, new in gguf_values(kind, value):
            if new_kind != kind or new != value:
                counted = name in ("tokenizer.ggml.tokens", "tokenizer.ggml.token_type") and what[:1] == "n" and what[1:].isdigit()
                verdict = "refuse" if what in ("beyond", "type13", "type255") or counted else "any"
                yield f"{name}-{what}", write_gguf(g, keys=with_one(g.keys, i, [(key, new_kind, new)])), verdict
        yield f"{name}-dropped", write_gguf(g, keys=with_one(g.keys, i, [])), "any"
        yield f"{name}-twice", write_gguf(g, keys=with_one(g.keys, i, [g.keys[i]] * 2)), "refuse"
        yield f"{name}-last", write_gguf(g, keys=with_one(g.keys, i, []) + [g.keys[i]]), "accept"


def of_gguf_tensors(g):
    for i, (name, dims, kind, offset, data) in enumerate(g.tensors):
        def changed(name=name, dims=dims, kind=kind, data=data):
            return write_gguf(g, tensors=with_one(g.tensors, i, [(name, dims, kind, 0, data)]))

        shown = name.decode("ascii", "replace")
        yield f"{shown}-dropped", write_gguf(g, tensors=with_one(g.tensors, i, [])), "any"
        yield f"{shown}-twice", write_gguf(g, tensors=with_one(g.tensors, i, [g.tensors[i]] * 2)), "refuse"
        yield f"{shown}-renamed", changed(name=b"x" + name[1:]), "any"
        yield f"{shown}-unnamed", changed(name=b""), "refuse"
        yield f"{shown}-name65", changed(name=b"n" * 65), "refuse"
        for d in range(len(dims)):
            for v in (0, 1, dims[d] + 1, dims[d] - 1, *HUGE):
                if v != dims[d]:
                    grown = math.prod(dims[:d] + [v] + dims[d + 1:]) > math.prod(dims) + 64
                    yield f"{shown}-dim{d}is{v}", changed(dims=dims[:d] + [v] + dims[d + 1:]), "refuse" if v == 0 or grown else "any"
        if len(dims) > 1:
            plain = [d for d in dims if d != 1]  # an axis of 1 more or less means the same
            yield f"{shown}-turned", changed(dims=dims[::-1]), "any" if plain == plain[::-1] else "refuse"
        yield f"{shown}-flat", changed(dims=[math.prod(dims)]), "any"
        yield f"{shown}-nodims", changed(dims=[]), "refuse"
        yield f"{shown}-dims5", changed(dims=dims + [1] * (5 - len(dims))), "refuse"
        for k in (0, 1, 2, 8, 12, 14, 16, 20, 24, 28, 30, 31, 39, 99, 0xFFFFFFFF):
            if k != kind:
                yield f"{shown}-type{k}", changed(kind=k), "any"
        for o in (1, 31, 1 << 40, (1 << 64) - 32, (1 << 63) - 1):
            yield f"{shown}-at{o}", write_gguf(g, offsets={i: o}), "refuse"
        if i > 0:
            yield f"{shown}-overlaps", write_gguf(g, offsets={i: 0}), "refuse"
        for what, bits in (("nan", b"\0\0\xc0\x7f"), ("inf", b"\0\0\x80\x7f"), ("nan16", b"\0\x7e\0\x7e"), ("ones", b"\xff" * 4), ("zero", b"\0" * 4)):
            yield f"{shown}-{what}", changed(data=(bits * (len(data) // 4 + 1))[:len(data)]), "any"


def of_gguf_head(g):
    for v in (0, 1, 4, 99, 0xFFFFFFFF, 0x03000000):
        yield f"version{v}", write_gguf(g, version=v), "refuse"
    for n in (0, len(g.keys) - 1, len(g.keys) + 1, *HUGE):
        yield f"keys{n}", write_gguf(g, n_keys=n), "refuse"
    for n in (0, len(g.tensors) - 1, len(g.tensors) + 1, *HUGE):
        yield f"tensors{n}", write_gguf(g, n_tensors=n), "any" if n < len(g.tensors) else "refuse"
    yield "again", write_gguf(g), "accept"
    yield "tensors-reversed", write_gguf(g, tensors=g.tensors[::-1]), "accept"
    yield "keys-reversed", write_gguf(g, keys=g.keys[::-1]), "accept"
    yield "alignment3", write_gguf(g, keys=g.keys + [(b"general.alignment", 4, struct.pack("<I", 3))]), "refuse"
    yield "alignment0", write_gguf(g, keys=g.keys + [(b"general.alignment", 4, struct.pack("<I", 0))]), "refuse"
    yield "more-keys", write_gguf(g, keys=g.keys + [(b"a.key", STRING, pack_string(b"\x1b]0;x\x07"))]), "accept"


def cuts(data, boundaries, header_bytes):
    """The file ends early: at each byte of the beginning, around each boundary, and one byte short."""
    places = set(range(0, min(header_bytes, 300))) | {len(data) - 1}
    for b in boundaries:
        places |= {b - 1, b, b + 1}
    for at in sorted(p for p in places if 0 <= p < len(data)):
        yield f"cut{at}", data[:at], "refuse"


def of_gguf(data):
    g = Gguf(data)
    if any(key == b"general.alignment" for key, _, _ in g.keys):
        g.keys = [k for k in g.keys if k[0] != b"general.alignment"]
    whole = write_gguf(g)
    yield from of_gguf_head(g)
    yield from of_gguf_keys(g)
    yield from of_gguf_tensors(g)
    fresh = Gguf(whole)
    base = (fresh.header_bytes + 31) // 32 * 32
    last = max(range(len(fresh.tensors)), key=lambda i: fresh.tensors[i][3])  # behind it there is only padding
    end = base + fresh.tensors[last][3] + len(fresh.tensors[last][4])
    yield from cuts(whole[:end], [base + t[3] for t in fresh.tensors] + [fresh.header_bytes], fresh.header_bytes)


def read_bin(data):
    """The head, the words and the tensors (name, dims, type, data) of a ggml-*.bin."""
    n_mel, n_fft = struct.unpack_from("<2i", data, 48)
    at = 56 + 4 * n_mel * n_fft
    words = at
    n = struct.unpack_from("<i", data, at)[0]
    at += 4
    for _ in range(n):
        at += 4 + struct.unpack_from("<i", data, at)[0]
    behind, tensors = at, []
    while at < len(data):
        n_dims, n_name, kind = struct.unpack_from("<3i", data, at)
        dims = list(struct.unpack_from(f"<{n_dims}i", data, at + 12))
        at += 12 + 4 * n_dims
        name = data[at:at + n_name]
        values, size = BLOCKS[kind]
        n = math.prod(dims) // values * size
        tensors.append((name, dims, kind, data[at + n_name:at + n_name + n]))
        at += n_name + n
    return words, behind, tensors


def write_bin(head, tensors):
    out = [head]
    for name, dims, kind, data in tensors:
        out += [struct.pack("<3I", len(dims), len(name), kind % (1 << 32)), b"".join(struct.pack("<I", d % (1 << 32)) for d in dims), name, data]
    return b"".join(out)


def of_bin(data):
    words, behind, tensors = read_bin(data)
    head = data[:behind]
    yield "again", write_bin(head, tensors), "accept"
    yield "reversed", write_bin(head, tensors[::-1]), "accept"
    names = ("magic n_vocab n_audio_ctx n_audio_state n_audio_head n_audio_layer n_text_ctx n_text_state n_text_head n_text_layer n_mels "
             "ftype filter_mels filter_bins").split()
    for i, name in enumerate(names):
        old = struct.unpack_from("<I", data, 4 * i)[0]
        for v in INTS + (old + 1, old - 1, old * 2):
            if v % (1 << 32) != old:
                yield f"{name}-is{v}", data[:4 * i] + struct.pack("<I", v % (1 << 32)) + data[4 * i + 4:], "any" if name == "ftype" or "head" in name else "refuse"
    for at, name in ((words, "n_words"), (words + 4, "word")):
        old = struct.unpack_from("<I", data, at)[0]
        for v in INTS + (old + 1, old - 1):
            if v % (1 << 32) != old:
                yield f"{name}-is{v}", data[:at] + struct.pack("<I", v % (1 << 32)) + data[at + 4:], "refuse"
    ends, at = [], behind
    for i, (name, dims, kind, values) in enumerate(tensors):
        ends.append(at)
        at += 12 + 4 * len(dims) + len(name) + len(values)

        def changed(name=name, dims=dims, kind=kind, values=values):
            return write_bin(head, with_one(tensors, i, [(name, dims, kind, values)]))

        shown = name.decode("ascii", "replace")
        yield f"{shown}-dropped", write_bin(head, with_one(tensors, i, [])), "refuse"
        yield f"{shown}-twice", write_bin(head, with_one(tensors, i, [tensors[i]] * 2)), "refuse"
        yield f"{shown}-renamed", changed(name=b"x" + name[1:]), "refuse"
        yield f"{shown}-unnamed", changed(name=b""), "refuse"
        yield f"{shown}-name1000", changed(name=b"n" * 1000), "refuse"
        for d in range(len(dims)):
            for v in (0, -1, dims[d] + 1, dims[d] - 1, 0x7FFFFFFF):
                yield f"{shown}-dim{d}is{v}", changed(dims=dims[:d] + [v] + dims[d + 1:]), "refuse"
        yield f"{shown}-nodims", changed(dims=[]), "refuse"
        yield f"{shown}-dims5", changed(dims=dims + [1] * (5 - len(dims))), "refuse"
        for k in (0, 1, 2, 8, 12, 30, 31, 99, -1):
            if k != kind:
                yield f"{shown}-type{k}", changed(kind=k), "any" if BLOCKS.get(k) == BLOCKS[kind] else "refuse"
        for what, bits in (("nan", b"\0\0\xc0\x7f"), ("inf", b"\0\x7c\x80\x7f"), ("ones", b"\xff" * 4)):
            yield f"{shown}-{what}", changed(values=(bits * (len(values) // 4 + 1))[:len(values)]), "any"
    yield from cuts(data, [words, words + 4, behind] + ends, 56)


def mutations(data):
    """(name, bytes, verdict) of each."""
    yield from (of_gguf if data[:4] == b"GGUF" else of_bin)(data)


def spread(data, count):
    """So many of the mutations, evenly: the same ones on every run. All of them are never in memory at once."""
    total = 0 if count is None else sum(1 for _ in mutations(data))
    for i, mutation in enumerate(mutations(data)):
        if count is None or i * count // total != (i - 1) * count // total:
            yield mutation


def main():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("file")
    p.add_argument("folder")
    p.add_argument("--count", type=int)
    a = p.parse_args()
    os.makedirs(a.folder, exist_ok=True)
    for i, (name, data, verdict) in enumerate(spread(open(a.file, "rb").read(), a.count)):
        file = f"{i:05}-{name}".replace("/", "_")[:120]
        with open(os.path.join(a.folder, file), "wb") as f:
            f.write(data)
        print(file, verdict)


if __name__ == "__main__":
    sys.exit(main())
