#!/usr/bin/env python3
"""Makes quantize_rows.npy and quantize_TYPE.blocks of tests/golden/core/: rows of weights, and what llama-quantize makes of them.

    make_core_quantize.py FOLDER     with text.F16.gguf and what llama.cpp's llama-quantize (the source in llama-cpp-python 0.3.36, no
                                     importance matrix) made of it: text.Q2_K.gguf, text.Q3_K_S.gguf, text.Q4_K_S.gguf,
                                     text.Q5_K_M.gguf, text.Q6_K.gguf

Made with gguf 0.19.0, numpy. The rows are the first 24 of blk.0.attn_q.weight, of 256 random values each.
"""
import sys
from pathlib import Path

import numpy as np
from gguf import GGUFReader

OUT = Path(__file__).parent / "core"
N_ROWS = 24


def tensor(path):
    return next(t for t in GGUFReader(path).tensors if t.name == "blk.0.attn_q.weight")


folder = Path(sys.argv[1])
np.save(OUT / "quantize_rows.npy", tensor(folder / "text.F16.gguf").data[:N_ROWS].astype(np.float32))
for file in ("Q2_K", "Q3_K_S", "Q4_K_S", "Q5_K_M", "Q6_K"):
    t = tensor(folder / f"text.{file}.gguf")
    assert t.tensor_type.name == file[:4], t.tensor_type.name
    (OUT / f"quantize_{t.tensor_type.name}.blocks").write_bytes(t.data[:N_ROWS].tobytes())
