#!/usr/bin/env python3
"""Makes tests/golden/page/: a small page reader of random weights in the trained graph's form, what PyTorch computes with it, and the
grammar of page descriptions, from tools/train. Run with an environment that has tools/train/requirements.txt and Pillow 12 (13 orders its passes differently):

  make_page.py                    all of tests/golden/page
  make_page.py --full DIR         sketch-mmproj.gguf and sketch.gguf in the true shapes, untrained, every fourth pair kept: to measure

sketch-mmproj.gguf, sketch.gguf: Q8_0 where tools/train/export.py quantises; for pictures of 160 pixels. page.png: a drawn page of
190 x 300. in.npy [3, n]: tile, index, value of samples of the encoder's input (Pillow's resampling). rows.npy: what enters the
decoder, zeros where a pair of cells is not kept. ids.npy: the greedy, grammar-held description. All computed in float32 from the weights
as stored. grammar.txt: random walks through language.allowed, a line each step: the token taken, and the tokens that may follow as a hexadecimal
number (bit i: token i); a walk begins with "walk" and what may follow <bos>."""
import argparse, random, sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "page"
sys.path.append(str(HERE.parent.parent / "tools" / "train"))

import numpy as np
import pages

SMALL = dict(stem=32, res=1, d=32, blocks=1, heads=2, hidden=64, dec=64, layers=2, dheads=2, kv=1, ff=96)


def page_picture():
    from PIL import Image, ImageDraw
    img = Image.new("RGB", (190, 300), (244, 240, 228))       # upright: narrower than the table of positions
    d = ImageDraw.Draw(img)
    d.text((20, 12), "My page", (20, 30, 90))
    d.rectangle((20, 60, 130, 85), outline=(60, 40, 40), width=2)
    d.text((40, 66), "Press", (0, 0, 0))
    d.line((20, 220, 170, 228), (90, 0, 0), 3)
    d.ellipse((90, 120, 160, 185), outline=(10, 80, 10), width=3)
    img.save(OUT / "page.png")


def prepare(img):
    """evaluate.prepare for our smaller side."""
    from PIL import Image
    w, h = (max(1, (2 * pages.SIDE * s + 32 * max(img.size)) // (64 * max(img.size))) * 32 for s in img.size)
    return np.array(img.resize((w, h), Image.Resampling.BILINEAR).convert("L"))


def widen(m, torch):
    """Random weights that make every part count: the untrained start leaves some at 0, and the norms of the stem at 1."""
    for name, p in m.named_parameters():
        if p.dim() == 1:
            p.copy_(p + 0.2 * torch.randn_like(p))
        elif "emb" not in name and not name.startswith("enc.pos") and "char" not in name and "kind" not in name:
            p.copy_(torch.randn_like(p) * (1.3 / p[0].numel() ** 0.5))
    for name, b in m.named_buffers():
        if name.endswith("running_mean"):
            b.copy_(0.1 * torch.randn_like(b))
        if name.endswith("running_var"):
            b.copy_(0.6 + 0.8 * torch.rand_like(b))
    m.enc.char.weight.mul_(2)
    m.enc.start.bias.fill_(-4)
    m.enc.char.bias.view(4, -1)[:, 0] += 7                 # mostly nothing; the rest is what sets the pairs apart
    m.dec.out.weight.mul_(4)


def scores(m, x):
    """Of pairs of cells: how surely one of them shows something."""
    c, _, s = m.see(x)[2]
    return (1 - c[0].softmax(-1)[..., 0]).amax(1).maximum(s[0, :, 0].sigmoid()).view(-1, 2).amax(1)


def gap(v, part):
    """A threshold in the widest gap between scores near the wanted part."""
    s = v.sort().values
    at = int(len(s) * part)
    i = max(range(max(1, at - len(s) // 8), min(len(s), at + len(s) // 8 + 1)), key=lambda j: float(s[j] - s[j - 1]))
    return float(s[i] + s[i - 1]) / 2


def write_pair(m, x, part, folder):
    """Both files, with a threshold that leaves away `part` of the pairs of x. -> the model as stored, the threshold, the scores"""
    import export, model
    for _ in range(2):                                      # the second time with the threshold of the weights as stored
        export.write_encoder(m, str(folder / "sketch-mmproj.gguf"), "q8_0")
        export.write_decoder(m, str(folder / "sketch.gguf"), "q8_0")
        stored = export.read(folder)
        v = scores(stored, x)
        model.KEEP = export.KEEP = float(np.float32(gap(v, part)))
    return stored, model.KEEP, v


def small():
    import torch
    pages.SIDE = 160                                        # before the model takes its grid from it
    import language, model
    from PIL import Image
    torch.manual_seed(5)
    page_picture()
    m = model.Reader(SMALL).eval()
    x = model.normalise(torch.from_numpy(prepare(Image.open(OUT / "page.png").convert("RGB"))[None]))
    with torch.no_grad():
        widen(m, torch)
        m, keep, v = write_pair(m, x, 0.6, OUT)
        seq, valid, _, rows = m.see(x)
        ids = m.dec.write(seq, valid, most=60, grammar=True)[0]
        margins, now = [], [language.BOS]
        for t in ids:
            lg = m.dec(seq, valid, torch.tensor([now]))[0][0, -1]
            s = lg[sorted(language.allowed(now))].sort(descending=True).values
            margins.append(float(s[0] - s[1]) if len(s) > 1 else 9.0)
            now.append(t)
    print(f"{tuple(x.shape[1:])} pixels, {seq.shape[1]} of {len(v)} pairs kept at {keep:.3f}, the nearest score {float((v - keep).abs().min()):.4f} off; "
          f"{len(ids)} ids, smallest margin {min(margins):.4f}")
    print(language.show(ids))
    np.save(OUT / "rows.npy", rows[0].numpy().astype("<f4"))
    np.save(OUT / "ids.npy", np.array(ids, "<f4"))
    r = np.random.Generator(np.random.PCG64(4))
    idx = r.choice(x.numel(), 400, replace=False)
    np.save(OUT / "in.npy", np.stack([np.zeros(400), idx, x.numpy().ravel()[idx]]).astype("<f4"))


def full(to):
    import torch
    import model
    torch.manual_seed(1)
    to.mkdir(parents=True, exist_ok=True)
    x = model.normalise(torch.from_numpy(pages.page(1, pool="page", shape=(640, 480)).image[None]))
    with torch.no_grad():
        write_pair(model.Reader().eval(), x, 0.75, to)


def walk(r, language, most):
    """Tags are as likely as text, and every branch is taken; a text goes on with a weight of its own."""
    ids = [language.BOS]
    yield None, language.allowed(ids)
    while ids[-1] != language.EOS and len(ids) < most:
        ok = sorted(language.allowed(ids))
        tags = [t for t in ok if t < language.CHAR0]
        chars = [t for t in ok if t >= language.CHAR0]
        t = r.choice(tags if tags and (not chars or r.random() < 0.5) else chars)
        if t == language.EOS and len(ids) < 20 and len(tags) > 1 and r.random() < 0.8:
            continue
        ids.append(t)
        yield t, language.allowed(ids) if t != language.EOS else set()


def grammar():
    import language
    r = random.Random(8)
    with open(OUT / "grammar.txt", "w") as f:
        for _ in range(40):
            for t, ok in walk(r, language, 60):
                f.write(f"{'walk' if t is None else t} {sum(1 << i for i in ok):x}\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--full", type=Path)
    a = ap.parse_args()
    OUT.mkdir(exist_ok=True)
    if a.full:
        full(a.full)
        return
    grammar()
    small()


if __name__ == "__main__":
    main()
