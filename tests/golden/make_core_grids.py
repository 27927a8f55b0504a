#!/usr/bin/env python3
"""Writes core/quant_grids.c: the code books of ggml's IQ types, which are data of the file format.

Made with the gguf Python package 0.19.0 (gguf.quants); run from the repository root:
    python3 tests/golden/make_core_grids.py > core/quant_grids.c
"""
import gguf.quants as q

HEAD = """/* quant_grids.c: the code books of the IQ types; part of the file format, like an alphabet. Written by
 * tests/golden/make_core_grids.py from the tables of the gguf Python package. See quant.h for the packing. */
#include "quant.h"

/* clang-format off */"""


def table(name, cls):
    raw = bytes.fromhex(cls.grid_hex.decode())
    n = cls.grid_shape[0]
    assert len(raw) == 2 * n, name
    words = [raw[2 * i] | raw[2 * i + 1] << 8 for i in range(n)]
    print(f"const uint16_t {name}[{n}] = {{")
    for i in range(0, n, 16):
        print("    " + ", ".join(f"0x{w:04x}" for w in words[i : i + 16]) + ",")
    print("};")


print(HEAD)
table("sn_iq2_xxs_grid", q.IQ2_XXS)
table("sn_iq2_xs_grid", q.IQ2_XS)
table("sn_iq2_s_grid", q.IQ2_S)
table("sn_iq3_xxs_grid", q.IQ3_XXS)
table("sn_iq3_s_grid", q.IQ3_S)
table("sn_iq1_grid", q.IQ1_S)
