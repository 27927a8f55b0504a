#!/usr/bin/env python3
"""Drawn pages in fonts kept out of training, and what PyTorch reads on them with the weights as stored in models/: tests/golden/sketches.

  make_sketches.py            pictures, truth and expectations
  make_sketches.py --expect   expectations alone, for new weights

Needs what tools/train needs; its fonts come from tools/train/run.sh."""
import json, os, sys
import cv2
import numpy as np
import torch
HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.join(HERE, "..", "..")
sys.path.insert(0, os.path.join(ROOT, "tools", "train"))
import evaluate, export
from model import normalise

OUT, N, N_ROWS = os.path.join(HERE, "sketches"), 50, 5
evaluate.SEED += 10 ** 6                                     # pages of their own


def main():
    os.makedirs(OUT, exist_ok=True)
    if "--expect" not in sys.argv:
        evaluate.truth(evaluate.SEED, N, OUT, evaluate.HELD, levels=16)
    m = export.read(os.path.join(ROOT, "models"))
    names = [json.loads(line)["id"] for line in open(os.path.join(OUT, "truth.jsonl"), encoding="utf-8")]
    with open(os.path.join(OUT, "tokens.txt"), "w") as f, torch.no_grad():
        for i, name in enumerate(names):
            image = evaluate.prepare(os.path.join(OUT, name + ".png"))
            seq, valid, _, out = m.see(normalise(torch.from_numpy(image[None])))
            print(name, *m.dec.write(seq, valid, 600, grammar=True)[0], file=f)
            if i < N_ROWS:                                   # one row of the file: its number, then its values
                rows = out[0].numpy()
                at = np.flatnonzero((rows != 0).any(1))
                np.save(os.path.join(OUT, name + ".npy"), np.concatenate([at[:, None], rows[at]], 1).astype("<f4"))


main()
