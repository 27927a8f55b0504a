#!/usr/bin/env python3
"""Writes tests/golden/core/types_*: random blocks of every tensor type and what the gguf Python package makes of them.

    TYPE.blocks  8 blocks of 32 (2 of 256) values: random bytes, with halves that are finite scales
    TYPE.npy     gguf.quants.dequantize of them, float32
    quant.npy    [24, 32] float32 rows, some of them awkward (zeros, ties, one value, both ends)
    TYPE.quant   gguf.quants.quantize of those rows: the same bytes as ggml's reference functions

Made with gguf 0.19.0 and numpy 2.4.6 (bit-exact with ggml for these functions); run from the repository root:
    python3 tests/golden/make_core_types.py
"""
import os

import gguf
import gguf.quants as q
import numpy as np

OUT = "tests/golden/core"
T = gguf.GGMLQuantizationType
# where the halves stand in each block: byte offsets of f16 scales
HALVES = {
    T.Q4_0: [0], T.Q4_1: [0, 2], T.Q5_0: [0], T.Q5_1: [0, 2], T.Q8_0: [0], T.IQ4_NL: [0], T.MXFP4: [],
    T.Q2_K: [80, 82], T.Q3_K: [108], T.Q4_K: [0, 2], T.Q5_K: [0, 2], T.Q6_K: [208], T.IQ4_XS: [0],
    T.IQ2_XXS: [0], T.IQ2_XS: [0], T.IQ2_S: [0], T.IQ3_XXS: [0], T.IQ3_S: [0], T.IQ1_S: [0], T.IQ1_M: [],
    T.TQ1_0: [52], T.TQ2_0: [64],
}  # fmt: skip


def half(rng):
    return np.frombuffer(np.float16(rng.normal() * 0.1).tobytes(), np.uint8)


def main():
    rng = np.random.default_rng(20261124)
    os.makedirs(OUT, exist_ok=True)
    for t, halves in HALVES.items():
        block, size = gguf.GGML_QUANT_SIZES[t]
        n = 8 if block == 32 else 2
        b = rng.integers(0, 256, (n, size), dtype=np.uint8)
        for i in range(n):
            for at in halves:
                b[i, at : at + 2] = half(rng)
            if t == T.MXFP4:
                b[i, 0] = [0, 1, 2, 120, 127, 130, 200, 250][i]
            if t == T.IQ1_M:  # the four top nibbles of the words are the scale
                h = int(np.float16(rng.normal() * 0.1).view(np.uint16))
                for k in range(4):
                    b[i, 48 + 2 * k + 1] = b[i, 48 + 2 * k + 1] & 0x0F | (h >> 4 * k & 15) << 4
        with np.errstate(all="ignore"):
            y = q.dequantize(b, t).astype("<f4")
        assert np.isfinite(y).all(), t
        b.tofile(f"{OUT}/types_{t.name}.blocks")
        np.save(f"{OUT}/types_{t.name}.npy", y.reshape(-1))
    x = rng.normal(size=(24, 32)).astype(np.float32)
    x[0] = 0
    x[1] = 1.5
    x[2] = -0.25
    x[3] = np.arange(32) - 16
    x[4] = np.arange(32) * 0.5
    x[5, 5] = 1e-30
    x[6] = np.where(np.arange(32) % 2, 3.0, -3.0)
    x[7] *= 1e4
    x[8] *= 1e-6
    x[9, 1:] = 0
    np.save(f"{OUT}/types_quant.npy", x)
    for t in (T.Q4_0, T.Q4_1, T.Q5_0, T.Q5_1, T.Q8_0, T.BF16, T.F16):
        with np.errstate(all="ignore"):
            q.quantize(x, t).tofile(f"{OUT}/types_{t.name}.quant")


main()
