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
import evaluate, export, language, model
from model import normalise

OUT, N, N_ROWS = os.path.join(HERE, "sketches"), 50, 5
TIE = 0.02                                                   # logits: less between the best two is no decision; "~" behind the token
EDGE = 2e-4                                                  # probability: as near to a threshold, whether a frame is read is none; "~" behind the name
evaluate.SEED += 10 ** 6                                     # pages of their own


def margins(m, seq, valid, ids):
    """For each token, how far it is ahead of the best other one that the grammar allows"""
    told = [language.BOS, *ids[:-1]]
    logits = m.dec(seq, valid, torch.tensor([told]))[0][0]
    out = []
    for i in range(len(ids)):
        others = list(language.allowed(told[:i + 1]) - {ids[i]})
        out.append(float(logits[i, ids[i]] - logits[i, others].max()) if others else np.inf)
    return out


def edge(heads):
    """How near the probabilities of frames and of starts come to what decides whether a frame is read"""
    mass, start = 1 - heads[0].softmax(-1)[..., 0], heads[2].sigmoid()
    return min(float((v - t).abs().min()) for v, t in ((mass, model.KEEP), (mass, model.SURE), (start, model.KEEP)))


def main():
    os.makedirs(OUT, exist_ok=True)
    if "--expect" not in sys.argv:
        evaluate.truth(evaluate.SEED, N, OUT, evaluate.HELD, levels=16)
    m = export.read(os.path.join(ROOT, "models"))
    names = [json.loads(line)["id"] for line in open(os.path.join(OUT, "truth.jsonl"), encoding="utf-8")]
    with open(os.path.join(OUT, "tokens.txt"), "w") as f, torch.no_grad():
        for i, name in enumerate(names):
            image = evaluate.prepare(os.path.join(OUT, name + ".png"))
            seq, valid, heads, out = m.see(normalise(torch.from_numpy(image[None])))
            ids = m.dec.write(seq, valid, 600, grammar=True)[0]
            print(name + "~" * (edge(heads) < EDGE), *(f"{k}{'~' * (d < TIE)}" for k, d in zip(ids, margins(m, seq, valid, ids))), file=f)
            if i < N_ROWS:                                   # one row of the file: its number, then its values
                rows = out[0].numpy()
                at = np.flatnonzero((rows != 0).any(1))
                np.save(os.path.join(OUT, name + ".npy"), np.concatenate([at[:, None], rows[at]], 1).astype("<f4"))


main()
