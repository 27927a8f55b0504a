#!/usr/bin/env python3
"""Makes tests/golden/page/: a small page reader of random weights in the trained graph's form, what PyTorch computes with it, and the
grammar of page descriptions, from tools/train. Run with an environment that has tools/train/requirements.txt and Pillow 12 (13 orders its passes differently):

  make_page.py                    all of tests/golden/page
  make_page.py --full DIR         sketch-mmproj.gguf and sketch.gguf in the true shapes, untrained, every fourth frame above the threshold: to measure

sketch-mmproj.gguf, sketch.gguf: Q8_0 where tools/train/export.py quantises; for pictures of 160 pixels. page.png: a drawn page of
190 x 300. in.npy [3, n]: tile, index, value of samples of the encoder's input (Pillow's resampling). rows.npy: what enters the
decoder, then zeros. order.npy [4, n]: case, row and frame of places; the numbers of the case's places in reading order. ids.npy: the greedy, grammar-held description. All computed in float32 from the weights
as stored. grammar.txt: random walks through language.allowed, a line each step: the token taken, and the tokens that may follow as a hexadecimal
number (bit i: token i); a walk begins with "walk" and what may follow <bos>."""
import argparse, random, sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
OUT = HERE / "page"
sys.path.append(str(HERE.parent.parent / "tools" / "train"))

import numpy as np
import pages

SMALL = dict(stem=32, fine=1, res=1, d=32, blocks=1, heads=2, hidden=64, dec=64, layers=2, dheads=2, kv=1, ff=96)


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
    for head in (m.enc.char, m.enc.char0):
        head.weight.copy_(torch.randn_like(head.weight) * (1.4 / head.weight.shape[1] ** 0.5))
    m.enc.start.bias.fill_(-4)
    m.enc.char.bias.view(4, -1)[:, 0] += 7                 # mostly nothing; the rest is what sets the frames apart
    m.dec.out.weight.mul_(4)


def scores(m, x):
    """How surely a frame that shows more than its neighbours shows a character, or an element's start: what the threshold is held against; and by how much the
    nearest two neighbours differ."""
    import model, torch
    c, _, s = m.see(x)[2]
    gh, gw = x.shape[1] // model.CELL, x.shape[2] // model.CELL
    mass = (1 - c.softmax(-1)[..., 0]).view(gh, gw * model.FRAMES)
    near = [mass[:, 1:] - mass[:, :-1], mass[1:] - mass[:-1], mass[1:, 1:] - mass[:-1, :-1], mass[1:, :-1] - mass[:-1, 1:]]
    return torch.cat([mass.flatten(), s.sigmoid().flatten()]), min(float(d.abs().min()) for d in near)


def gap(v, part):
    """A threshold in the widest gap between scores near the wanted part."""
    s = v.sort().values
    at = int(len(s) * part)
    i = max(range(max(1, at - len(s) // 8), min(len(s), at + len(s) // 8 + 1)), key=lambda j: float(s[j] - s[j - 1]))
    return float(s[i] + s[i - 1]) / 2


def write_pair(m, x, part, folder):
    """Both files, with thresholds such that `part` of the scores of x are below the first, and of the others three quarters below the second. -> the model as stored, the first
    threshold, the scores"""
    import export, model
    for _ in range(2):                                      # the second time with the threshold of the weights as stored
        export.write_encoder(m, str(folder / "sketch-mmproj.gguf"), "q8_0")
        export.write_decoder(m, str(folder / "sketch.gguf"), "q8_0")
        stored = export.read(folder)
        v, _ = scores(stored, x)
        model.KEEP, model.SURE = (float(np.float32(gap(v, p))) for p in (part, (part + 3) / 4))
    return stored, model.KEEP, v


def small():
    import torch
    pages.SIDE = 160                                        # before the model takes its grid from it
    import language, model
    from PIL import Image
    torch.manual_seed(332)
    page_picture()
    m = model.Reader(SMALL).eval()
    x = model.normalise(torch.from_numpy(prepare(Image.open(OUT / "page.png").convert("RGB"))[None]))
    with torch.no_grad():
        widen(m, torch)
        m, keep, v = write_pair(m, x, 0.6, OUT)
        apart = scores(m, x)[1]
        seq, valid, _, rows = m.see(x)
        ids = m.dec.write(seq, valid, most=60, grammar=True)[0]
        margins, now = [], [language.BOS]
        for t in ids:
            lg = m.dec(seq, valid, torch.tensor([now]))[0][0, -1]
            s = lg[sorted(language.allowed(now))].sort(descending=True).values
            margins.append(float(s[0] - s[1]) if len(s) > 1 else 9.0)
            now.append(t)
    print(f"{tuple(x.shape[1:])} pixels, {seq.shape[1]} of {rows.shape[1]} frames kept at {keep:.3f}, the nearest score {float((v - keep).abs().min()):.4f} off, neighbours {apart:.1e} apart; "
          f"{len(ids)} ids, smallest margin {min(margins):.4f}")
    print(language.show(ids))
    np.save(OUT / "rows.npy", rows[0].numpy().astype("<f4"))
    np.save(OUT / "ids.npy", np.array(ids, "<f4"))
    r = np.random.Generator(np.random.PCG64(4))
    idx = r.choice(x.numel(), 400, replace=False)
    np.save(OUT / "in.npy", np.stack([np.zeros(400), idx, x.numpy().ravel()[idx]]).astype("<f4"))


def order():
    """Places in random order, and the order they are read in: lines that wander, side by side and close to each other, and scattered ones"""
    import model
    r, out = random.Random(3), []
    for case in range(12):
        at = {(r.randrange(40), r.randrange(160)) for _ in range(r.choice([0, 1, 30, 200]) if case % 3 == 0 else 5)}
        for _ in range(r.randint(1, 12) if case % 3 else 0):
            y, f, drift = r.uniform(0, 39), r.randrange(120), r.uniform(-0.08, 0.08)
            for _ in range(r.randint(1, 30)):
                at.add((min(39, max(0, int(y))), min(159, f)))
                y, f = y + drift * 2 + r.gauss(0, 0.15), f + r.choice([1, 2, 2, 3, 3, 4, 6, 10, 11])
        at = sorted(at)
        out += [(case, y, f, k) for (y, f), k in zip(at, model.reading_order([y for y, _ in at], [f for _, f in at]))]
    np.save(OUT / "order.npy", np.ascontiguousarray(np.array(out, "<f4").T))


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
    order()


if __name__ == "__main__":
    main()
