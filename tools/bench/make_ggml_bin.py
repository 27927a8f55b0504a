"""A Whisper of ours as whisper.cpp reads it, for the bench: make_ggml_bin.py IN.gguf OUT.bin. The same weights, in whisper.cpp's own layout
(docs/formats.md): eleven numbers, the mel filters, the words, the tensors."""
import os
import struct
import sys

import gguf
import numpy as np

N_FFT, RATE = 400, 16000


def mel_filterbank(n_mel):
    """float32 [n_mel, 201]: triangles on Slaney's scale, each of area 1, as librosa's filters.mel makes them."""
    def to_hz(mel):
        return np.where(mel < 15, mel * 200 / 3, 1000 * np.exp(np.log(6.4) / 27 * (mel - 15)))
    top = 15 + 27 * np.log(RATE / 2 / 1000) / np.log(6.4)
    edges = to_hz(np.linspace(0, top, n_mel + 2))
    bins = np.arange(N_FFT // 2 + 1) * RATE / N_FFT
    up = (bins - edges[:-2, None]) / np.diff(edges)[:-1, None]
    down = (edges[2:, None] - bins) / np.diff(edges)[1:, None]
    return (np.maximum(0, np.minimum(up, down)) * (2 / (edges[2:] - edges[:-2]))[:, None]).astype(np.float32)


def byte_of():
    """GPT-2's letters for bytes."""
    seen = [*range(33, 127), *range(161, 173), *range(174, 256)]
    rest = [b for b in range(256) if b not in seen]
    return {chr(b): b for b in seen} | {chr(256 + i): b for i, b in enumerate(rest)}


def main():
    r = gguf.GGUFReader(sys.argv[1])
    key = {k: f.contents() for k, f in r.fields.items()}
    side = {s: [key[f"whisper.{s}.{k}"] for k in ("context_length", "embedding_length", "attention.head_count", "block_count")] for s in ("encoder", "decoder")}
    words, bytes_of, n_mel = key["tokenizer.ggml.tokens"], byte_of(), key["whisper.encoder.mels_count"]
    eot = key["tokenizer.ggml.eos_token_id"]
    part = sys.argv[2] + ".part"
    with open(part, "wb") as f:
        f.write(struct.pack("<I11i", 0x67676d6c, len(words), *side["encoder"], *side["decoder"], n_mel, 1))
        f.write(struct.pack("<2i", n_mel, N_FFT // 2 + 1) + mel_filterbank(n_mel).tobytes())
        f.write(struct.pack("<i", eot))
        for w in words[:eot]:
            b = bytes(bytes_of[c] for c in w)
            f.write(struct.pack("<i", len(b)) + b)
        for t in r.tensors:
            x = t.data.reshape(t.shape[::-1])
            if "positional" in t.name:
                x = x.astype(np.float32)
            if t.name in ("encoder.conv1.bias", "encoder.conv2.bias"):
                x = x[:, None]
            name = t.name.encode()
            f.write(struct.pack(f"<3i{x.ndim}i", x.ndim, len(name), int(x.dtype == np.float16), *x.shape[::-1]) + name + x.tobytes())
    os.rename(part, sys.argv[2])


main()
