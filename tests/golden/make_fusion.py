"""Takes the fixtures of tests/golden/fusion from a parity set (small random-weight models in the real formats, with what Hugging Face
transformers 5.23 computes with them in float32, from the picture file on):

    python3 tests/golden/make_fusion.py SET

llava15: LLaVA-1.5 (CLIP, class token, MLP), picture cropped as the transformers processor does. smolvlm: SmolVLM (SigLIP, pixel
shuffle, splitting). For each the decoder and the mmproj, one picture, every 16th embedding row, the logits behind the prompt, and the
greedy ids up to the first step whose two best logits are closer than 0.05."""
import json
import shutil
import sys
from pathlib import Path

import numpy as np

TIE = 0.05
root, out = Path(sys.argv[1]), Path(__file__).parent / "fusion"
out.mkdir(exist_ok=True)
manifest = json.loads((root / "manifest.json").read_text())
for family, case in (("llava15", "portrait"), ("smolvlm", "portrait")):
    entry = next(f for f in manifest["media"] if f["family"] == family)
    c = next(x for x in entry["cases"] if x["name"] == case)
    z = np.load(root / c["npz"])
    for part in ("text", "mmproj"):
        shutil.copyfile(root / entry[part], out / f"{family}_{part}.gguf")
    shutil.copyfile(root / "media" / c["media"][0], out / f"{case}.png")
    embd = z["hfown_embd"] if "hfown_embd" in z else z["hfpix_embd"]
    np.save(out / f"{family}_rows.npy", embd[::16].astype("<f4"))
    np.save(out / f"{family}_logits.npy", z["hfown_logits"].astype("<f4"))
    margin = z["hfown_margin"]
    n = int(np.argmax(margin < TIE)) if (margin < TIE).any() else len(margin)
    np.save(out / f"{family}_greedy.npy", z["hfown_greedy"][:n].astype("<f4"))
    (out / f"{family}_prompt.txt").write_text(c["prompt"])
    print(family, embd.shape, n, "greedy ids")
