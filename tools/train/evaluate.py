#!/usr/bin/env python3
"""What a checkpoint can read.

  evaluate.py letters [--n 6]                    letters read by the stem, by font, known and unknown ones
  evaluate.py pages [--n 40]                     whole pages through the decoder: character error rate, elements, by kind of font
  evaluate.py decoder [--n 40]                   the decoder on true labels, without and with noise
  evaluate.py pictures --truth T.jsonl --scorer SCORER.py [--save DIR]    picture files, by the scorer's own figures
  evaluate.py read FILE...                       the descriptions of picture files"""
import argparse, difflib, html, json, os, re, subprocess, sys, tempfile
import cv2
import numpy as np
import torch
from PIL import Image, ImageOps
import language, pages, train
from model import CELL, FRAMES, N_CLASS, Reader, normalise

SEED = 9 * 10 ** 9            # away from all training seeds
HELD = {"held": 1.0}


def light_on_dark(grey):
    """Whether strokes are lighter than what is around them: the third moment of the difference to the mean of the 17 x 17 pixels around each, cut at the edges"""
    x = grey.astype(np.float64)
    around = [cv2.blur(v, (17, 17), borderType=cv2.BORDER_CONSTANT) for v in (x, np.ones_like(x))]
    return ((x - around[0] / around[1]) ** 3).sum() > 0


def prepare(path):
    """The exact preprocessing: RGB, Pillow's bilinear resampling, Pillow's grey, light strokes on a dark ground made dark ones. -> uint8 H x W"""
    im = ImageOps.exif_transpose(Image.open(path))
    if im.mode in ("RGBA", "LA", "P", "PA"):
        im = im.convert("RGBA")
        white = Image.new("RGBA", im.size, (255, 255, 255, 255))
        white.alpha_composite(im)
        im = white
    im = im.convert("RGB")
    L = max(im.size)
    w, h = (max(1, (2 * pages.SIDE * s + 32 * L) // (64 * L)) * 32 for s in im.size)
    grey = np.array(im.resize((w, h), Image.Resampling.BILINEAR).convert("L"))
    return 255 - grey if light_on_dark(grey) else grey


def load(path=None, dev="cpu"):
    z = torch.load(path or os.path.join(train.DIR, "reader.pt"), map_location=dev, weights_only=True)
    m = Reader(z.get("config")).to(dev)
    m.load_state_dict(z["model"])
    print("checkpoint:", z.get("done"), {k: f"{v:.0f} min" for k, v in z.get("minutes", {}).items()}, flush=True)
    return m.eval()


def distance(a, b):
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def multiset_f1(a, b):
    left, hit = list(b), 0
    for x in a:
        if x in left:
            left.remove(x)
            hit += 1
    return 2 * hit / (len(a) + len(b)) if a or b else 1.0


@torch.no_grad()
def letters(m, n, vit):
    rows = {}
    todo = [(h["kind"], h["name"]) for k in ("held", "hand", "stroke", "print") for h in pages.store().hands[k]]
    for kind, name in todo:
        got = [pages.page(SEED + i, kinds={kind: 1.0}, only=name, pool="soup", size=256) for i in range(n)]
        im = normalise(torch.from_numpy(np.stack([s.image for s in got])))
        y = torch.from_numpy(np.stack([train.cell_labels(s.chars, [], *s.cells.shape)[0] for s in got]))
        B, h, w, _ = y.shape
        p = m.enc.letters(*m.enc(im, vit)).view(B, h, w * FRAMES, N_CLASS)
        y = y.view(B, h, w * FRAMES)
        rows.setdefault(kind, []).append((train.read_rate(p, y)[0], name))
        print(f"{kind:7} {name:34} {rows[kind][-1][0]:.3f}", flush=True)
    print({k: round(float(np.mean([x for x, _ in v])), 3) for k, v in rows.items()})


def compare(got, ref):
    """Character error rate without and with case aside, F1 of element types, F1 of (type, text)."""
    a, b = language.elements(got), language.elements(ref)
    s, t = " ".join(x for _, x in a if x), " ".join(x for _, x in b if x)
    return (distance(s, t), distance(s.lower(), t.lower()), len(t), multiset_f1([x for x, _ in a], [x for x, _ in b]),
            multiset_f1([(x, y.lower()) for x, y in a], [(x, y.lower()) for x, y in b]))


def report(name, rows):
    e, l, n = (sum(r[k] for r in rows) for k in range(3))
    print(f"{name}: pages {len(rows)}  CER {e / max(1, n):.3f}  case aside {l / max(1, n):.3f}  types F1 {np.mean([r[3] for r in rows]):.3f}  elements F1 {np.mean([r[4] for r in rows]):.3f}", flush=True)


def describe(m, image, dev, grammar=False):
    """The tokens of one picture."""
    seq, valid, _, _ = m.see(normalise(torch.from_numpy(image[None]).to(dev)))
    return m.dec.write(seq, valid, grammar=grammar)[0]


@torch.no_grad()
def whole(m, n, dev):
    for name, kinds in (("known hands", {"hand": 0.6, "stroke": 0.4}), ("unknown fonts", HELD), ("printed", {"print": 1.0})):
        rows = []
        for i in range(n):
            s = pages.page(SEED + i, kinds=kinds, pool="page")
            got = describe(m, s.image, dev)
            rows.append(compare(got, s.ids))
            if i < 2:
                print("  got", language.show(got)[:200])
                print("  ref", language.show(s.ids)[:200])
        report(name, rows)
    none = [pages.page(SEED + i) for i in range(40 * n)]
    none = [s for s in none if s.ids[0] == language.NONE][:n]
    right = 0
    for s in none:
        right += describe(m, s.image, dev)[0] == language.NONE
    print(f"no page: {right} of {len(none)} refused")


@torch.no_grad()
def decoder(m, n, dev):
    """On soft labels, as the decoder's own stage makes them"""
    rows = []
    for i in range(n):
        b = [torch.from_numpy(x).to(dev) for x in train.make_labels(1, SEED // 512 + i, None)[0]]
        got = m.dec.write(*train.label_tokens(m, b))[0]
        ref = b[6][0].tolist()
        rows.append(compare(got, ref))
        if i < 2:
            print("  got", language.show(got)[:200])
            print("  ref", language.show(ref)[:200])
    report("soft labels", rows)


def markup(ids):
    """Plain HTML of a description: for the scorer. The program's own writer is the real one."""
    out, k, column = [], 0, False
    e = {"<h1>": "h1", "<h2>": "h2", "<p>": "p", "<button>": "button", "<li>": "li", "<footer>": "footer", "<td>": "td"}
    walk, cur = [], None
    for i in ids:
        if i >= language.CHAR0:
            if walk:
                walk[-1][1] += chr(min(126, i - language.CHAR0 + 32))
        elif i > language.NONE:
            walk.append([language.TAGS[i], ""])
    opened = []
    for t, s in walk:
        s, k = html.escape(" ".join(s.split())), k + 1
        if t in e:
            out.append(f"<{e[t]}>{s}</{e[t]}>")
        elif t == "<a>":
            out.append(f'<a href="#{k}">{s}</a>')
        elif t in ("<input>", "<area>", "<select>", "<check>", "<radio>"):
            f = {"<input>": f'<input id="f{k}">', "<area>": f'<textarea id="f{k}"></textarea>', "<select>": f'<select id="f{k}"></select>',
                 "<check>": f'<input type="checkbox" id="f{k}">', "<radio>": f'<input type="radio" id="f{k}">'}[t]
            out.append(f'<label for="f{k}">{s}</label>{f}')
        elif t == "<img>":
            out.append(f'<img alt="{s}">')
        elif t in ("<nav>", "<row>", "<table>"):
            opened.append(t)
            out.append({"<nav>": "<nav>", "<row>": '<div class="row">', "<table>": "<table>"}[t])
        elif t in ("<col>", "<card>", "<tr>"):
            want = "<row>" if t != "<tr>" else "<table>"
            if column:
                out.append("</div>" if want == "<row>" else "</tr>")
            column = want in opened
            if column:
                out.append('<div class="col">' if want == "<row>" else "<tr>")
        elif t in ("</nav>", "</row>", "</table>") and opened and opened[-1] == "<" + t[2:]:
            if column and t != "</nav>":
                out.append("</div>" if t == "</row>" else "</tr>")
                column = False
            opened.pop()
            out.append({"</nav>": "</nav>", "</row>": "</div>", "</table>": "</table>"}[t])
    for t in reversed(opened):
        if column and t != "<nav>":
            out.append("</div>" if t == "<row>" else "</tr>")
            column = False
        out.append({"<nav>": "</nav>", "<row>": "</div>", "<table>": "</table>"}[t])
    return "<!doctype html><html><body>" + "\n".join(out) + "</body></html>"


@torch.no_grad()
def read(m, path, dev, grammar=True):
    return describe(m, prepare(path), dev, grammar)


def pictures(m, a, dev):
    with tempfile.TemporaryDirectory() as tmp:
        to = a.save or tmp
        os.makedirs(to, exist_ok=True)
        for line in open(a.truth, encoding="utf-8"):
            t = json.loads(line)
            ids = read(m, os.path.join(os.path.dirname(a.truth), t["file"]), dev)
            print(t["id"], language.show(ids))
            with open(os.path.join(to, t["id"] + ".html"), "w", encoding="utf-8") as f:
                f.write(markup(ids))
        if a.scorer:
            sys.exit(subprocess.run([sys.executable, a.scorer, "--truth", a.truth, "--html-dir", to]).returncode)


def truth(first, n, to, kinds, levels=256):
    """Generated pages as files with a truth the scorer reads; fewer levels of grey make smaller files."""
    os.makedirs(to, exist_ok=True)
    near = {"<h1>": "title", "<h2>": "heading", "<p>": "text", "<li>": "text", "<td>": "text", "<a>": "link", "<button>": "button", "<img>": "image", "<footer>": "footer"}
    with open(os.path.join(to, "truth.jsonl"), "w", encoding="utf-8") as f:
        for i in range(first, first + n):
            s = pages.page(i, kinds=kinds, pool="page")
            Image.fromarray(s.image // (256 // levels) * (255 // (levels - 1))).save(os.path.join(to, f"g{i - first:03}.png"), optimize=True, bits=levels.bit_length() - 1)
            cols, most = 0, 1
            for k in s.ids:
                t = language.TAGS[k] if k < language.CHAR0 else ""
                cols = 0 if t == "<row>" else cols + (t in ("<col>", "<card>"))
                most = max(most, cols)
            f.write(json.dumps(dict(id=f"g{i - first:03}", file=f"g{i - first:03}.png", columns=most,
                                    elements=[dict(type=near.get(t, "input"), text=x) for t, x in language.elements(s.ids)])) + "\n")


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=["letters", "pages", "decoder", "pictures", "read", "truth"])
    ap.add_argument("files", nargs="*")
    ap.add_argument("--checkpoint")
    ap.add_argument("--n", type=int, default=0)
    ap.add_argument("--truth")
    ap.add_argument("--scorer")
    ap.add_argument("--save", help="pictures: keep the HTML here; truth: write generated pages of unknown fonts and their truth here")
    ap.add_argument("--stem", action="store_true", help="letters: by the stem alone")
    ap.add_argument("--threads", type=int, default=2)
    a = ap.parse_args()
    torch.set_num_threads(a.threads)
    dev = "cuda" if torch.cuda.is_available() else "cpu"
    if a.what == "truth":
        return truth(SEED, a.n or 50, a.save, HELD)
    m = load(a.checkpoint, dev)
    if a.what == "letters":
        letters(m.to("cpu"), a.n or 3, not a.stem)
    elif a.what == "pages":
        whole(m, a.n or 40, dev)
    elif a.what == "decoder":
        decoder(m, a.n or 40, dev)
    elif a.what == "pictures":
        pictures(m, a, dev)
    else:
        for f in a.files:
            print(f, language.show(read(m, f, dev)))


if __name__ == "__main__":
    main()
