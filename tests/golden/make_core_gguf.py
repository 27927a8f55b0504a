#!/usr/bin/env python3
"""Writes tests/golden/core/gguf_all.gguf: every type of value, arrays of each, and tensors of one to four axes.

Made with the gguf Python package 0.19.0; run from the repository root:
    python3 tests/golden/make_core_gguf.py
"""
import gguf
import numpy as np

V = gguf.GGUFValueType
NUMBERS = {
    V.UINT8: 200, V.INT8: -100, V.UINT16: 60000, V.INT16: -30000, V.UINT32: 4000000000, V.INT32: -2000000000,
    V.UINT64: 2**63 + 5, V.INT64: -(2**62), V.FLOAT32: 1.5, V.FLOAT64: -2.25,
}  # fmt: skip

w = gguf.GGUFWriter("tests/golden/core/gguf_all.gguf", "llama")
for t, v in NUMBERS.items():
    w.add_key_value("one." + t.name, v, t)
w.add_key_value("one.true", True, V.BOOL)
w.add_key_value("one.false", False, V.BOOL)
w.add_string("one.text", "grüße, 世界")
w.add_key_value("one.empty", "", V.STRING)
for t, v in NUMBERS.items():
    w.add_key_value("many." + t.name, [v, 1, 0], V.ARRAY, sub_type=t)
w.add_key_value("many.bool", [True, False, True], V.ARRAY, sub_type=V.BOOL)
w.add_array("many.text", ["a", "", "ccc", "naïve"])
f = lambda *shape: (np.arange(np.prod(shape), dtype=np.float32).reshape(shape) / 8)
w.add_tensor("one.weight", f(5))
w.add_tensor("two.weight", f(3, 4))
w.add_tensor("four.weight", f(2, 1, 3, 2).astype(np.float16))
w.add_tensor("row.bias", f(1, 3))
for t in (gguf.GGMLQuantizationType.Q8_0, gguf.GGMLQuantizationType.BF16):
    w.add_tensor(t.name + ".weight", gguf.quants.quantize(f(2, 32) - 3, t), raw_dtype=t)
w.add_tensor("id", np.arange(6, dtype=np.int32))
w.write_header_to_file()
w.write_kv_data_to_file()
w.write_tensors_to_file()
w.close()
