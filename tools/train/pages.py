#!/usr/bin/env python3
"""Drawn pages and their truth. page(seed) -> Sample: a grey picture, the page description, where each of its tokens
stands, every character's place, every element's box. The same seed gives the same page.

  pages.py OUT.png [FIRST [N]]    a contact sheet to look at;   pages.py --time   milliseconds a page"""
import math, random, sys
from dataclasses import dataclass, field
import cv2
import numpy as np
import fonts, language, words

cv2.setNumThreads(1)
SIDE = 800                    # pixels of the longer side of every picture
UNITS = 640                   # what lies on a page is laid out in 640ths of that
CELL = 16                     # pixels of a cell of the encoder
FINER = 1.6                   # pixels of the drawing, before it is photographed, to a unit
TILE = 1280                   # pixels of a side of the stored textures
FRAME = 4                     # a character belongs to a frame of 4 x 16 pixels
TYPES = ["none", "h1", "h2", "p", "button", "a", "input", "area", "select", "check", "radio", "img", "li", "footer", "wave", "td", "card", "outside"]
TYPE = {t: i for i, t in enumerate(TYPES)}


@dataclass
class Sample:
    image: np.ndarray         # H x W uint8, both multiples of 32, the longer one SIDE
    ids: list                 # tokens without <bos>, with <eos>
    place: np.ndarray         # len(ids) x 2: x, y in the picture; -1 where a token stands nowhere
    chars: np.ndarray         # n x 3: x, y, class 1..95 (code - 31); no spaces
    cells: np.ndarray         # H/16 x W/16 uint8: element type
    starts: np.ndarray        # n x 2: where elements begin
    hand: str = ""
    extra: dict = field(default_factory=dict)


class Store:
    """Fonts, words and textures, loaded once in each process."""
    one = None

    def __init__(self):
        d = fonts.load()
        self.words, self.photos = d["words"], d["photos"]
        self.hands = {k: [h for h in d["hands"] if h["kind"] == k] for k in ("hand", "print", "held", "stroke")}
        rs = np.random.default_rng(7)
        self.noise = rs.standard_normal((TILE, TILE), dtype=np.float32)
        self.soft = []                                      # smooth textures of three coarsenesses, mean 0, deviation 1
        for s in (2, 5, 24):
            t = cv2.GaussianBlur(cv2.resize(rs.standard_normal((TILE // s + 8, TILE // s + 8), dtype=np.float32), (TILE, TILE), interpolation=cv2.INTER_CUBIC), (0, 0), s / 2)
            self.soft.append((t - t.mean()) / t.std())

    def photo(self, r, h, w):
        """A part of a photo, float 0..1, or None where there are none."""
        if not self.photos:
            return None
        im = cv2.imdecode(np.frombuffer(r.choice(self.photos), np.uint8), cv2.IMREAD_GRAYSCALE)
        k = max(h / im.shape[0], w / im.shape[1]) * r.choice([1.0, 1.0, r.uniform(1, 2.5)])
        im = cv2.resize(im, (max(w, int(im.shape[1] * k + 1)), max(h, int(im.shape[0] * k + 1))), interpolation=cv2.INTER_LINEAR)
        y, x = r.randint(0, im.shape[0] - h), r.randint(0, im.shape[1] - w)
        im = im[y:y + h, x:x + w].astype(np.float32) / 255
        return np.ascontiguousarray(im[:, ::-1]) if r.random() < 0.5 else im

    def pick(self, r, bank, h, w):
        y, x = r.randrange(TILE - h + 1), r.randrange(TILE - w + 1)
        t = bank[y:y + h, x:x + w]
        f = r.randrange(4)
        return t[::-1] if f == 1 else t[:, ::-1] if f == 2 else t[::-1, ::-1] if f == 3 else t


def store():
    if Store.one is None:
        Store.one = Store()
    return Store.one


def thickness(font):
    """Of a filled font's strokes, in heights of its capitals."""
    if "thick" not in font:
        area = length = 0.0
        for c in "HTEnlu":
            for p in font["glyphs"][c][1]:
                q = np.roll(p, -1, 0)
                area += float((p[:, 0] * q[:, 1] - q[:, 0] * p[:, 1]).sum()) / 2
                length += float(np.hypot(*(q - p).T).sum())
        font["thick"] = abs(area) * 2 / max(length, 1e-6)
    return font["thick"]


class Writer:
    """One hand: a font and what this writer does to it."""

    def __init__(self, r, kinds, only=None):
        st = store()
        self.r, self.rs = r, np.random.default_rng(r.getrandbits(32))
        kind = r.choices(list(kinds), list(kinds.values()))[0]
        pool = st.hands[kind] if only is None else [h for h in st.hands[kind] if h["name"] == only]
        self.font = r.choices(pool, [h["weight"] for h in pool])[0]
        self.closed, self.g = self.font["closed"], self.font["glyphs"]
        loose = 0.0 if kind == "print" and r.random() < 0.8 else r.uniform(0.2, 1.0) ** 1.5
        self.slant = r.gauss(0, 0.17) * loose
        self.wide = r.uniform(0.75, 1.25) if loose else 1.0
        self.space = r.uniform(-0.02, 0.22) * loose
        self.gap = r.uniform(1.0, 1.7) if loose else 1.0
        self.bounce, self.turn, self.scale = r.uniform(0, 0.07) * loose, r.uniform(0, 0.06) * loose, r.uniform(0, 0.07) * loose
        self.wob = r.uniform(0.0, 0.03) * loose if self.closed else r.uniform(0.006, 0.03)
        if loose and r.random() < 0.3:
            self.wob = r.uniform(0.03, 0.055)
        self.pen = r.uniform(0.06, 0.16) if not self.closed else r.uniform(0, 0.09) if r.random() < 0.45 else 0
        thick = thickness(self.font) if self.closed else 0.0
        self.thin = r.uniform(0, thick - 0.07) if thick > 0.1 and not self.pen and r.random() < 0.6 else 0.0
        joined = any(s in self.font["name"] for s in ("script", "Script", "cursive", "Ecolier", "Kristi", "Brush"))
        self.caps = self.font["capitals"] or (r.random() < 0.12 and not joined)
        self.own = {}                                       # this writer's own form of each letter
        self.loose = loose if kind != "held" else 0.0       # the hands kept out stay what they are
        self.low = r.uniform(0.85, 1.2) if r.random() < 0.4 * self.loose else 1.0
        if r.random() < 0.3 * self.loose:
            self.borrow(r.choices(pool, [h["weight"] for h in pool])[0])

    def borrow(self, other):
        """Some letters of another hand."""
        if other["closed"] != self.closed or other["capitals"] != self.font["capitals"]:
            return
        self.g = {c: other["glyphs"][c] if c in other["glyphs"] and self.r.random() < 0.4 else v for c, v in self.g.items()}
        if self.thin:
            self.thin = max(0.0, min(self.thin, thickness(other) - 0.07))

    def fit(self, t):
        if self.caps:
            t = t.upper()
        return "".join(c for c in t if c in self.g)

    def width(self, t, h):
        return h * sum((self.g[c][0] * self.wide * (self.gap if c == " " else 1) + self.space) for c in t)

    def form(self, c):
        if c not in self.own:
            pl = self.g[c][1]
            if self.wob and pl:
                # a smooth displacement over the letter: same at equal places, so that contours stay closed
                k, f = self.rs.standard_normal((2, 4), dtype=np.float32), self.rs.uniform(1.5, 4.5, 4).astype("f4")
                ph = self.rs.uniform(0, 6.3, 4).astype("f4")
                out = []
                for p in pl:
                    u = p[:, :1] * f[:2] + p[:, 1:] * f[2:] + ph[:2]
                    v = p[:, 1:] * f[:2] - p[:, :1] * f[2:] + ph[2:]
                    out.append(p + self.wob * 1.4 * np.concatenate([np.sin(u) @ k[0, :2, None] + np.sin(v) @ k[0, 2:, None], np.cos(u) @ k[1, :2, None] + np.sin(v) @ k[1, 2:, None]], 1))
                pl = out
            if self.loose:
                k = self.low if c.islower() else 1.0
                x, y, lean = (float(v) * self.loose for v in self.rs.normal(0, (0.08, 0.06, 0.06)))
                m = np.array([[k * (1 + x), 0], [-lean, k * (1 + y)]], "f4")
                pl = [p @ m for p in pl]
            self.own[c] = pl
        return self.own[c]

    def draw(self, canvas, x, y, t, h, ink=255):
        """Baseline from x, y (canvas pixels), capitals h high. -> [(char, centre x, centre y)], end x"""
        out, r = [], self.r
        th = max(1, int(round(self.pen * h))) if self.pen else 0
        drift = r.gauss(0, 0.008) if self.bounce else 0
        x0 = x
        for c in t:
            adv = (self.g[c][0] * self.wide * (self.gap if c == " " else 1) + self.space) * h
            yy = y + drift * (x - x0) + (r.gauss(0, self.bounce * h) if self.bounce else 0)
            if c != " " and canvas is not None:
                s = h * (1 + r.gauss(0, self.scale)) if self.scale else h
                a = r.gauss(0, self.turn) if self.turn else 0.0
                ca, sa = math.cos(a), math.sin(a)
                m = np.array([[self.wide * ca, sa], [-self.slant * ca - sa, ca - self.slant * sa]], "f4") * (s * 16)
                o = np.array([x * 16, yy * 16], "f4")
                pl = self.form(c)
                if not self.closed and len(pl):
                    pl = [p + self.rs.standard_normal(p.shape, dtype=np.float32) * (self.wob * 0.35) for p in pl]
                z = [(p @ m + o).astype(np.int32) for p in pl]
                if self.closed:
                    cv2.fillPoly(canvas, z, ink, cv2.LINE_AA, 4)
                    if th:
                        cv2.polylines(canvas, z, True, ink, th, cv2.LINE_AA, 4)
                    elif self.thin * h >= 1 and ink == 255:  # a finer pen than the font's
                        cv2.polylines(canvas, z, True, 0, int(self.thin * h + 0.5), cv2.LINE_AA, 4)
                else:
                    cv2.polylines(canvas, z, False, ink, max(1, th), cv2.LINE_AA, 4)
            out.append((c, x + adv * 0.48 + 0.42 * h * self.slant, yy - h * 0.42))
            x += adv
        return out, x


class Page:
    """A page in the making, in units of picture pixels; the canvas is k times finer."""

    def __init__(self, r, w, h, kinds, only=None, k=FINER, draw=True):
        self.r, self.w, self.h, self.k = r, w, h, k
        self.ink = np.zeros((int(h * k) + 1, int(w * k) + 1), np.uint8) if draw else None
        self.rs = np.random.default_rng(r.getrandbits(32))
        self.hand = Writer(r, kinds, only)
        self.print = self.hand.font["kind"] == "print"
        self.head = self.hand if r.random() < 0.85 else Writer(r, kinds, only)
        self.pen = max(1, int(round(r.uniform(1.0, 3.4) * k * (0.7 if self.print else 1))))
        self.jit = 0.0 if self.print and r.random() < 0.7 else r.uniform(0.25, 1.5)
        self.over = r.uniform(0, 5) if self.jit else 0
        self.ids, self.at, self.chars, self.boxes, self.starts = [], [], [], [], []

    def line(self, x0, y0, x1, y1, pen=None, ink=255):
        if self.ink is None:
            return
        k, n = self.k, max(1, int(math.hypot(x1 - x0, y1 - y0) / 18))
        t = np.linspace(0, 1, n + 1, dtype="f4")[:, None]
        p = np.array([x0, y0], "f4") * (1 - t) + np.array([x1, y1], "f4") * t
        if self.jit:
            w = self.rs.standard_normal((n + 1, 2), dtype=np.float32) * (self.jit * 0.6)
            p = p + w + self.rs.standard_normal((1, 2), dtype=np.float32) * self.jit * 0.6 + np.sin(t * 3.1) * self.rs.standard_normal((1, 2), dtype=np.float32) * self.jit
        cv2.polylines(self.ink, [(p * (k * 16)).astype(np.int32)], False, ink, pen or self.pen, cv2.LINE_AA, 4)

    def rect(self, x0, y0, x1, y1, rad=0.0, pen=None, ink=255):
        r, ov = self.r, self.over

        def o():
            return r.uniform(-0.4, 1) * ov
        rad = min(rad, (y1 - y0) / 2, (x1 - x0) / 2)
        q = rad if rad else 0
        if rad:
            ov *= 0.3
        self.line(x0 + q - o(), y0, x1 - q + o(), y0, pen, ink)
        self.line(x1, y0 + q - o(), x1, y1 - q + o(), pen, ink)
        self.line(x1 - q + o(), y1, x0 + q - o(), y1, pen, ink)
        self.line(x0, y1 - q + o(), x0, y0 + q - o(), pen, ink)
        if rad and self.ink is not None:
            k = self.k
            for cx, cy, a in ((x0 + q, y0 + q, 180), (x1 - q, y0 + q, 270), (x1 - q, y1 - q, 0), (x0 + q, y1 - q, 90)):
                cv2.ellipse(self.ink, (int(cx * k * 16), int(cy * k * 16)), (int(q * k * 16), int(q * k * 16)), 0, a - 8, a + 98, ink, pen or self.pen, cv2.LINE_AA, 4)

    def shade(self, x0, y0, x1, y1, level):
        """A filled box (printed pages, markers); drawn before its text."""
        if self.ink is not None:
            k = self.k
            cv2.rectangle(self.ink, (int(x0 * k), int(y0 * k)), (int(x1 * k), int(y1 * k)), level, -1)

    def paste(self, x0, y0, x1, y1):
        """A photo in a box. -> whether there was one"""
        x0, y0, x1, y1 = (max(0, int(v * self.k)) for v in (x0, y0, x1, y1))
        part = self.ink[y0:y1, x0:x1]
        im = store().photo(self.r, *part.shape) if min(part.shape) > 8 else None
        if im is not None:
            part[:] = (1 - im) * 255
        return im is not None

    def disc(self, x, y, rad, fill):
        if self.ink is not None:
            k = self.k
            cv2.ellipse(self.ink, (int(x * k * 16), int(y * k * 16)), (int(rad * k * 16), int(rad * k * 16 * self.r.uniform(0.85, 1.15))), self.r.uniform(0, 90), 0, 360 if fill or not self.jit else self.r.uniform(330, 400), 255, -1 if fill else self.pen, cv2.LINE_AA, 4)

    def tag(self, t, x, y, start=False):
        self.ids.append(language.TAG[t])
        self.at.append((x, y))
        if start:
            self.starts.append((x, y))

    def put(self, x, y, t, h, w=None, ink=255, tokens=True):
        """Text with its baseline at y. -> end x"""
        k, w = self.k, w or self.hand
        cs, xe = w.draw(self.ink, x * k, y * k, t, h * k, ink)
        cs = [(c, a / k, b / k) for c, a, b in cs]
        self.chars += [c for c in cs if c[0] != " "]
        if tokens:
            for c, a, b in cs:
                self.ids.append(language.CHAR0 + ord(c) - 32)
                self.at.append((a, b))
        return xe / k

    def box(self, t, x0, y0, x1, y1):
        self.boxes.append((TYPE[t], x0, y0, x1, y1))


def shrink(w, t, h, room):
    """Text and height that fit into room: words go first, then size."""
    t = w.fit(t).strip()
    while w.width(t, h) > room and " " in t:
        t = t.rsplit(" ", 1)[0].strip()
    while t and w.width(t, h) > room:
        if h > 8.5:
            h *= 0.92
        else:
            t = t[:-1].strip()
    return t, h


def leaf(g, kind, x, y, w, hb, mid=False):
    """One element with its top left corner at x, y, at most w wide. -> the height it took (0: nothing could be drawn)"""
    r, W = g.r, g.hand
    t = words.text(r, store().words, kind)
    if kind in ("h1", "h2"):
        return heading(g, kind, t, x, y, w, hb, mid)
    if kind == "p":
        return paragraph(g, t, x, y, w, hb, mid)
    if kind in ("a", "li", "footer", "check", "radio"):
        return line_leaf(g, kind, t, x, y, w, hb, mid)
    if kind == "button":
        t, h = shrink(W, t, hb * r.uniform(0.85, 1.1), w * 0.85)
        if not t:
            return 0
        tw, px, py = W.width(t, h), r.uniform(4, 18), r.uniform(3, 10)
        bw, bh = min(w, tw + 2 * px), h * 1.45 + 2 * py
        xx = x + ((w - bw) / 2 if mid else 0)
        rad = r.choice([0, 0, 4, 8, bh * 0.5])
        if g.print and r.random() < 0.5 or r.random() < 0.04:
            g.shade(xx, y, xx + bw, y + bh, r.randint(40, 110))
        if r.random() < 0.1:
            g.rect(xx + 3, y + 3, xx + bw + 3, y + bh + 3, rad)
        g.rect(xx, y, xx + bw, y + bh, rad)
        g.box("button", xx, y, xx + bw, y + bh)
        g.tag("<button>", xx + (bw - tw) / 2 + h * 0.3, y + py + h * 0.75, True)
        g.put(xx + (bw - tw) / 2, y + py + h * 1.2, t, h)
        return bh + 2
    if kind in ("input", "area", "select"):
        return entry(g, kind, t, x, y, w, hb)
    if kind == "img":
        return picture(g, t, x, y, w, hb, mid)
    raise ValueError(kind)


def heading(g, kind, t, x, y, w, hb, mid):
    r, W = g.r, g.head
    h = hb * (r.uniform(1.3, 2.2) if kind == "h1" else r.uniform(1.1, 1.5))
    boxed = kind == "h1" and r.random() < 0.2
    pad = r.uniform(4, 14) if boxed else 0
    t, h = shrink(W, t, h, w - 2 * pad)
    if not t:
        return 0
    tw = W.width(t, h)
    xx, yy = x + pad + ((w - tw - 2 * pad) / 2 if mid else 0), y + h * 1.05 + pad
    g.tag(f"<{kind}>", xx + h * 0.3, yy - h * 0.42, True)
    xe = g.put(xx, yy, t, h, W)
    if r.random() < 0.12:
        g.put(xx + 1, yy, t, h, W, tokens=False)
        del g.chars[-len(t.replace(" ", "")):]
    g.box(kind, xx - pad - 2, yy - h * 1.15 - pad, xe + pad + 2, yy + h * 0.3 + pad)
    if boxed:
        g.rect(xx - pad, yy - h * 1.1 - pad, xe + pad, yy + h * 0.25 + pad, r.choice([0, 0, 6]))
    elif r.random() < 0.28:
        for i in range(r.choice([1, 1, 2])):
            g.line(xx - r.uniform(0, 10), yy + h * r.uniform(0.3, 0.55) + 3 * i, xe + r.uniform(-6, 10), yy + h * r.uniform(0.3, 0.55) + 3 * i)
    return h * 1.6 + 2 * pad


def paragraph(g, t, x, y, w, hb, mid):
    r, W = g.r, g.hand
    if r.random() < 0.06:                                   # waves that stand for text
        n, yy = r.randint(1, 3), y + hb * 0.6
        g.tag("<p>", x + 4, yy, True)
        g.tag("<wave>", x + 12, yy)
        for _ in range(n):
            x1 = x + w * r.uniform(0.5, 0.95)
            m, am = int((x1 - x) / r.uniform(2, 4)) + 3, r.uniform(1.0, 3.5) if r.random() < 0.75 else 0.3
            xs = np.linspace(x, x1, m, dtype="f4")
            ys = yy + am * np.sin(np.arange(m, dtype="f4") * r.uniform(1.2, 1.9)) * g.rs.uniform(0.6, 1.2, m).astype("f4")
            if g.ink is not None:
                cv2.polylines(g.ink, [(np.stack([xs, ys], 1) * (g.k * 16)).astype(np.int32)], False, 255, g.pen, cv2.LINE_AA, 4)
            g.box("wave", x, yy - 5, x1, yy + 5)
            yy += hb * 1.6
        return hb * 1.6 * n
    t, h = W.fit(t), hb
    lines, cur = [], ""
    for q in t.split():
        if cur and W.width(cur + " " + q, h) > w:
            lines.append(cur)
            cur = q
        else:
            cur = (cur + " " + q).strip()
    lines = [s for s in (lines + [cur])[:3] if s]
    if not lines:
        return 0
    lines = [shrink(W, s, h, w)[0] for s in lines]
    lines = [s for s in lines if s]
    if not lines:
        return 0
    yy, lead = y + h, r.uniform(1.55, 2.0)
    for i, q in enumerate(lines):
        xx = x + ((w - W.width(q, h)) / 2 if mid else 0)
        if i == 0:
            g.tag("<p>", xx + h * 0.3, yy - h * 0.42, True)
        else:
            g.ids.append(language.CHAR0)
            g.at.append((xx, yy - h * 0.42))
        xe = g.put(xx, yy, q, h)
        g.box("p", xx - 2, yy - h * 1.2, xe + 2, yy + h * 0.35)
        yy += h * lead
    return yy - y - h * (lead - 1.35)


def line_leaf(g, kind, t, x, y, w, hb, mid):
    r, W = g.r, g.hand
    ind = hb * r.uniform(1.2, 1.7) if kind in ("li", "check", "radio") else 0
    t, h = shrink(W, t, hb * (r.uniform(0.75, 1.0) if kind == "footer" else 1), w - ind)
    if not t:
        return 0
    tw = W.width(t, h)
    xx, yy = x + ind + ((w - tw - ind) / 2 if mid and kind in ("a", "footer") else 0), y + h
    if kind == "footer" and r.random() < 0.65:
        g.line(x, y - hb * 0.2, x + w, y - hb * 0.2)
        yy += hb * 0.5
    cx, cy, e = x + hb * 0.5, yy - h * 0.45, hb * 0.2
    if kind == "li":
        v = r.random()
        if v < 0.6:
            g.disc(cx, cy, e * r.uniform(0.7, 1.2), r.random() < 0.7)
        elif v < 0.9:
            g.line(cx - e * 1.5, cy, cx + e * 1.5, cy)
        else:
            g.line(cx - e * 1.5, cy, cx + e * 1.5, cy)
            g.line(cx + e * 0.3, cy - e, cx + e * 1.6, cy)
            g.line(cx + e * 0.3, cy + e, cx + e * 1.6, cy)
    elif kind == "check":
        g.rect(cx - e * 2.2, cy - e * 2.2, cx + e * 2.2, cy + e * 2.2)
        if r.random() < 0.4:
            g.line(cx - e * 1.5, cy, cx - e * 0.2, cy + e * 1.6)
            g.line(cx - e * 0.2, cy + e * 1.6, cx + e * 2.5, cy - e * 2.5)
    elif kind == "radio":
        g.disc(cx, cy, e * 2.3, False)
        if r.random() < 0.4:
            g.disc(cx, cy, e, True)
    g.tag(f"<{kind}>", (x + hb * 0.4) if ind else xx + h * 0.3, cy, True)
    xe = g.put(xx, yy, t, h)
    g.box(kind, (x if ind else xx) - 2, yy - h * 1.2, xe + 2, yy + h * 0.35)
    if kind == "a":
        u = r.uniform(-0.15, 0.4) if r.random() < 0.3 else 0.28
        g.line(xx - r.uniform(0, 4), yy + h * u, xe + r.uniform(0, 4), yy + h * u, max(1, g.pen - 1))
    return yy - y + h * 0.45


def entry(g, kind, t, x, y, w, hb):
    """A field with its label above, beside, or written into it."""
    r, W = g.r, g.hand
    t, h = shrink(W, t, hb * r.uniform(0.85, 1.0), w * 0.55)
    if not t:
        return 0
    v = r.random()
    bh = h * 1.5 + r.uniform(5, 14) + (h * r.uniform(1.5, 4) if kind == "area" else 0)
    bw, rad = w * r.uniform(0.6, 1), r.choice([0, 0, 0, 5, 9])
    if v < 0.6:
        g.tag(f"<{kind}>", x + h * 0.3, y + h * 0.58, True)
        g.put(x, y + h, t + (":" if r.random() < 0.15 and ":" in W.g and not t.endswith(":") else ""), h)
        top, x0, x1 = y + h * r.uniform(1.5, 1.8), x, x + bw
    elif v < 0.78 and kind != "area":
        tw = W.width(t, h) + h
        g.tag(f"<{kind}>", x + h * 0.3, y + bh * 0.5, True)
        g.put(x, y + bh * 0.5 + h * 0.45, t + (":" if r.random() < 0.4 and ":" in W.g and not t.endswith(":") else ""), h)
        top, x0, x1 = y, x + tw + h * 0.5, x + max(bw, tw + 3 * h)
    else:
        g.tag(f"<{kind}>", x + 7 + h * 0.3, y + h * 1.2, True)
        g.put(x + 7, y + h * 0.5 + min(bh, h * 1.5 + 8) * 0.5, t, h * 0.92)
        top, x0, x1 = y, x, x + bw
    if kind == "input" and r.random() < 0.08:
        g.line(x0, top + bh, x1, top + bh)                   # a line to write on
    else:
        g.rect(x0, top, x1, top + bh, rad)
    if kind == "select":
        e, cx, cy = hb * 0.35, x1 - hb, top + bh / 2
        g.line(cx - e, cy - e * 0.6, cx, cy + e * 0.7)
        g.line(cx, cy + e * 0.7, cx + e, cy - e * 0.6)
        if r.random() < 0.4:
            g.line(cx - e, cy - e * 0.6, cx + e, cy - e * 0.6)
        if r.random() < 0.3:
            g.line(cx - 2 * e, top, cx - 2 * e, top + bh)
    g.box(kind, x, y, max(x1, x + bw), top + bh)
    return top + bh - y + 2


def picture(g, t, x, y, w, hb, mid):
    r = g.r
    iw = w * r.uniform(0.55, 1)
    ih = min(iw * r.uniform(0.4, 0.95), g.h * 0.3)
    xx = x + ((w - iw) / 2 if mid else 0)
    g.rect(xx, y, xx + iw, y + ih)
    v, cx, cy = r.random(), xx + iw / 2, y + ih / 2
    g.box("img", xx, y, xx + iw, y + ih)
    g.tag("<img>", cx, cy, True)
    if g.print and r.random() < 0.5 and g.ink is not None and g.paste(xx, y, xx + iw, y + ih):
        pass
    elif v < 0.68:
        g.line(xx, y, xx + iw, y + ih)
        g.line(xx, y + ih, xx + iw, y)
    elif v < 0.8:
        g.line(xx, y + ih * 0.85, xx + iw * 0.35, y + ih * 0.35)
        g.line(xx + iw * 0.35, y + ih * 0.35, xx + iw * 0.6, y + ih * 0.75)
        g.line(xx + iw * 0.6, y + ih * 0.75, xx + iw * 0.78, y + ih * 0.5)
        g.line(xx + iw * 0.78, y + ih * 0.5, xx + iw, y + ih * 0.85)
        g.disc(xx + iw * 0.72, y + ih * 0.24, ih * 0.1, False)
    elif v < 0.88:                                          # a face, a ball, a house
        g.disc(cx, cy, ih * 0.3, False)
        g.disc(cx - ih * 0.1, cy - ih * 0.07, ih * 0.03, True)
        g.disc(cx + ih * 0.1, cy - ih * 0.07, ih * 0.03, True)
        g.line(cx - ih * 0.12, cy + ih * 0.12, cx + ih * 0.12, cy + ih * 0.12)
    else:                                                   # only the caption inside tells
        t, h = shrink(g.hand, r.choice(["image", "photo", "picture", "img", "Image", "PHOTO", "logo", "map", "video"]) if r.random() < 0.5 else t, hb, iw * 0.8)
        if t:
            g.put(cx - g.hand.width(t, h) / 2, cy + h / 2, t, h)
            return ih + 2
        g.line(xx, y, xx + iw, y + ih)
        g.line(xx, y + ih, xx + iw, y)
    if r.random() < 0.4:
        t, h = shrink(g.hand, t, hb * 0.95, iw)
        if t:
            g.put(xx + ((iw - g.hand.width(t, h)) / 2 if r.random() < 0.4 else 0), y + ih + h * 1.45, t, h)
            g.box("img", xx, y + ih, xx + iw, y + ih + h * 1.8)
            return ih + h * 1.9
    return ih + 2


CARDS = [["h2", "p"], ["img"], ["img", "h2"], ["h2", "button"], ["p"], ["button"], ["img", "p"], ["h2", "p", "button"], ["input"], ["h2", "li", "li"],
         ["img", "button"], ["input", "button"], ["h2"], ["p", "button"], ["check"], ["img", "h2", "p"], ["select"], ["h2", "input", "button"]]


def nav(g, m, y, w, hb):
    r, n, hs = g.r, g.r.randint(2, 5), []
    under, style = r.random() < 0.45, r.random()
    x, cw = m, w / n
    if style < 0.5:
        cw = min(cw, hb * r.uniform(5, 9))
        x = m + (w - cw * n) * r.choice([0, 0.5, 1])
    ids0 = len(g.ids)
    g.tag("<nav>", x + 4, y + hb * 0.5)
    for i in range(n):
        t, h = shrink(g.hand, words.text(r, store().words, "a"), hb, cw * 0.82)
        if not t:
            continue
        xx = x + cw * i
        g.tag("<a>", xx + h * 0.3, y + h * 0.58, True)
        xe = g.put(xx, y + h, t, h)
        g.box("a", xx - 2, y - h * 0.25, xe + 2, y + h * 1.35)
        if under:
            g.line(xx - 2, y + h * 1.3, xe + 2, y + h * 1.3, max(1, g.pen - 1))
        elif 0.5 < style < 0.62 and i < n - 1:
            g.line(xx + cw * 0.92, y - h * 0.1, xx + cw * 0.92, y + h * 1.2)
        elif 0.62 < style < 0.72:
            g.rect(xx - 4, y - h * 0.35, xx + cw * 0.9, y + h * 1.5)
        hs.append(h * 1.55)
    if not hs:
        del g.ids[ids0:], g.at[ids0:]
        return 0
    g.tag("</nav>", x + w, y + hb * 0.5)
    if r.random() < 0.2:
        g.line(m, y + max(hs) + 2, m + w, y + max(hs) + 2)
        return max(hs) + 6
    return max(hs)


def row(g, m, y, w, hb, room, mid):
    r = g.r
    n = r.choice([2, 2, 2, 3]) if w > 330 else 2
    gp = r.uniform(8, 26)
    cw, card = (w - gp * (n - 1)) / n, r.random() < 0.6
    p, h2 = (r.uniform(5, 13) if card else 0), hb * (0.88 if n == 3 else 1)
    kinds, mix, tallest, kept = r.choice(CARDS), r.random() < 0.25, 0.0, []
    ids0 = len(g.ids)
    g.tag("<row>", m + 4, y + 6)
    for i in range(n):
        if mix:
            kinds = r.choice(CARDS)
        x, yy, at0 = m + i * (cw + gp), y + p, len(g.ids)
        g.tag("<card>" if card else "<col>", x + 6, y + 6)
        for t in kinds:
            if yy - y + (cw * 0.5 if t == "img" else hb * 3.2 if t in ("input", "select") else hb * 2) > room:
                continue
            d = leaf(g, t, x + p, yy, cw - 2 * p, h2, mid)
            yy += d + (h2 * r.uniform(0.4, 0.8) if d else 0)
        if len(g.ids) == at0 + 1:
            del g.ids[at0:], g.at[at0:]
            continue
        kept.append(x)
        tallest = max(tallest, yy - y)
    if len(kept) < 1:
        del g.ids[ids0:], g.at[ids0:]
        return 0
    if card:
        rad = r.choice([0, 0, 0, 8])
        for x in kept:
            g.rect(x, y, x + cw, y + tallest + p * 0.3, rad)
            g.boxes.insert(0, (TYPE["card"], x, y, x + cw, y + tallest))
    g.tag("</row>", m + w, y + tallest)
    return tallest + p * 0.5


def table(g, m, y, w, hb, room):
    r = g.r
    rows, cols = r.randint(2, 4), r.randint(2, 3)
    rh, cw = hb * r.uniform(1.9, 2.5), w * r.uniform(0.6, 1) / cols
    rows = min(rows, int(room / rh))
    if rows < 2:
        return 0
    g.tag("<table>", m + 4, y + 4)
    for i in range(rows):
        g.tag("<tr>", m + 4, y + rh * (i + 0.5))
        for j in range(cols):
            x = m + cw * j
            t = str(r.randint(0, 999)) if r.random() < 0.3 else words.text(r, store().words, "td")
            t, h = shrink(g.hand, t, hb * 0.95, cw - 12)
            g.tag("<td>", x + 6 + h * 0.3, y + rh * (i + 0.5), True)
            if t:
                xe = g.put(x + 6, y + rh * (i + 0.5) + h * 0.5, t, h)
                g.box("td", x + 4, y + rh * i, xe + 2, y + rh * (i + 1))
    g.tag("</table>", m + cw * cols, y + rh * rows)
    full = r.random() < 0.7
    for i in range(rows + 1):
        if full or i == 1:
            g.line(m, y + rh * i, m + cw * cols, y + rh * i)
    for j in range(cols + 1):
        if full or 0 < j < cols:
            g.line(m + cw * j, y, m + cw * j, y + rh * rows)
    return rh * rows + 3


def layout(g, hb):
    """Fills the page; the tokens come in reading order: blocks from top to bottom, columns from left to right."""
    r, W, H = g.r, g.w, g.h
    m = r.uniform(0.05, 0.12) * W
    w, y, mid = W - 2 * m, m * r.uniform(0.5, 1.2), r.random() < 0.25
    if r.random() < 0.22:
        g.rect(m * 0.35, m * 0.35, W - m * 0.35, H - m * 0.35)
        if r.random() < 0.3:                                # a drawn browser window
            g.line(m * 0.35, m * 0.35 + hb * 1.5, W - m * 0.35, m * 0.35 + hb * 1.5)
            for i in range(3):
                g.disc(m * 0.35 + hb * (0.8 + i), m * 0.35 + hb * 0.75, hb * 0.28, False)
            y += hb * 1.7
    first = r.random() < 0.15
    if first:
        y += nav(g, m, y, w, hb) + hb
    if r.random() < 0.93:
        y += leaf(g, "h1", m, y, w, hb, mid or r.random() < 0.4) + hb * r.uniform(0.5, 1.4)
    if not first and r.random() < 0.22:
        y += nav(g, m, y, w, hb) + hb * r.uniform(0.6, 1.4)
    style = r.random()
    pairs = r.choice([["p", "button"], ["p", "button"], ["input"], ["h2", "p"], ["check"], ["img", "p"], ["li"], ["p"]]) if style < 0.4 else None
    most = r.choice([2, 3, 4, 6, 9, 14])
    used = 0
    while y < H - m - hb * 2 and used < most and len(g.ids) < 170:
        seq = list(pairs) if pairs and r.random() < 0.85 else [r.choice(["h2", "p", "p", "p", "img", "button", "button", "input", "input", "list", "checks", "row", "row", "row", "a", "area", "select", "table", "p", "footer"])]
        if pairs == ["input"] and used >= 2 and r.random() < 0.5:
            seq = ["button"]
        used += 1
        for t in seq:
            room, full = H - m - y, w * (1 if mid else r.uniform(0.7, 1))
            if room < hb * 1.6:
                break
            d = 0.0
            if t in ("list", "checks"):
                kind = "li" if t == "list" else r.choice(["check", "check", "radio"])
                for _ in range(min(r.randint(2, 5), int(room / (hb * 2)))):
                    e = leaf(g, kind, m, y + d, full, hb)
                    d += e + hb * 0.5 if e else 0
            elif t == "row":
                d = row(g, m, y, w, hb, room, mid or r.random() < 0.2)
            elif t == "table":
                if r.random() < 0.5:
                    d = table(g, m, y, w, hb, room)
            elif t == "footer":
                continue
            elif room > {"img": H * 0.2, "input": hb * 4.2, "select": hb * 4.2, "area": hb * 7, "p": hb * 3.4}.get(t, hb * 2.6):
                d = leaf(g, t, m, y, full, hb, mid or t == "button" and r.random() < 0.15)
            y += d + (hb * r.uniform(0.6, 1.8) if d else 0)
    if r.random() < 0.3 and H - m - y > hb * 2.2 and len(g.ids) < 190:
        fy = max(y, H - m - hb * r.uniform(2, 4)) if r.random() < 0.7 else y
        leaf(g, "footer", m, fy, w, hb, mid or r.random() < 0.5)


def sign(g, hb):
    """A label, a sign or a document: lines of text, headings, no controls."""
    r, W, H = g.r, g.w, g.h
    m = r.uniform(0.06, 0.15) * W
    mid, y = r.random() < 0.5, m
    big = hb * r.uniform(1.0, 2.6)
    if r.random() < 0.5:
        g.rect(m * 0.4, m * 0.4, W - m * 0.4, H - m * 0.4, r.choice([0, 8, 20]))
    if r.random() < 0.7:
        y += leaf(g, "h1", m, y, W - 2 * m, big, mid) + big * 0.5
    for _ in range(r.randint(0 if g.ids else 1, 5)):
        if y > H - m - big * 4 or len(g.ids) > 160:
            break
        y += leaf(g, r.choice(["p", "p", "p", "h2", "li"]), m, y, W - 2 * m, big, mid) + big * r.uniform(0.3, 1.2)


def soup(g, size):
    """Text everywhere, many hands and sizes: for learning letters quickly."""
    r, y = g.r, g.r.uniform(0, 8)
    kinds = g.kinds
    while y < size - 5:
        if r.random() < 0.55:
            g.hand = Writer(r, kinds, g.only)
        h = r.choice([8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 22, 24, 27, 30, 34, 39, 45]) * r.uniform(0.9, 1.1)
        y, x = y + h * 1.1, r.uniform(-12, 10)
        under, boxed = r.random() < 0.12, r.random() < 0.15
        y += h * 0.4 if boxed else 0
        while x < size - 4:
            t = g.hand.fit(words.text(r, store().words, r.choice(["h1", "p", "button", "input", "td", "footer"])))
            if r.random() < 0.08:
                t = g.hand.fit("".join(chr(r.randint(33, 126)) for _ in range(r.randint(3, 9))))
            x0, x = x, g.put(x, y, t, h, tokens=False)
            if under:
                g.line(x0, y + h * 0.3, x, y + h * 0.3, max(1, g.pen - 1))
            if boxed:
                g.rect(x0 - 4, y - h * 1.3 - 2, x + 4, y + h * 0.35 + 2)
            x += h * r.uniform(0.6, 2.2)
        y += h * r.uniform(0.35, 1.0)


def paper(r, h, w, k, printed):
    """The blank page, float, 0..1."""
    st = store()
    base = r.uniform(0.72, 1.0)
    im = np.full((h, w), base, np.float32)
    hh, ww = min(h, TILE), min(w, TILE)
    tex = np.zeros((hh, ww), np.float32)
    for s, a in zip(st.soft, (0.02, 0.025, 0.03)):
        if r.random() < 0.5:
            tex += st.pick(r, s, hh, ww) * (a * r.random())
    im[:hh, :ww] += tex
    if not printed and r.random() < 0.45:
        d, v, dash = r.uniform(13, 34) * k, r.uniform(0.03, 0.22), r.random()
        t = 1 if r.random() < 0.7 else 2
        off = r.uniform(0, d)
        lines = np.zeros((h, w), np.uint8)
        for y in np.arange(off, h, d):
            cv2.line(lines, (0, int(y)), (w, int(y)), 255, t)
        if dash < 0.5:
            for x in np.arange(r.uniform(0, d), w, d):
                cv2.line(lines, (int(x), 0), (int(x), h), 255, t)
        elif dash < 0.7:
            cv2.line(lines, (int(w * 0.09), 0), (int(w * 0.09), h), 255, t)
        im -= lines * np.float32(v / 255)
    for _ in range(r.choice([0, 0, 0, 0, 1, 1, 2])):         # folds, rings of cups, stains
        v = r.random()
        layer = np.zeros((h, w), np.uint8)
        if v < 0.4:
            x0, x1 = r.uniform(0, w), r.uniform(0, w)
            if r.random() < 0.5:
                cv2.line(layer, (int(x0), 0), (int(x0 + (x1 - x0) * 0.1), h), 255, r.randint(1, 3), cv2.LINE_AA)
            else:
                y0 = r.uniform(0, h)
                cv2.line(layer, (0, int(y0)), (w, int(y0 + r.uniform(-20, 20))), 255, r.randint(1, 3), cv2.LINE_AA)
        else:
            c, q = (int(r.uniform(0, w)), int(r.uniform(0, h))), int(r.uniform(0.06, 0.2) * w)
            cv2.circle(layer, c, q, 255, r.randint(2, 7) if v < 0.8 else -1, cv2.LINE_AA)
        im -= cv2.blur(layer, (5, 5)) * np.float32(r.uniform(-0.05, 0.18) / 255)
    return im


def scene(r, h, w):
    """What lies around the page."""
    st = store()
    im = st.photo(r, h, w) if r.random() < 0.3 else None
    if im is not None:
        return im
    im = np.full((h, w), r.uniform(0.05, 0.9), np.float32)
    im += st.pick(r, st.soft[r.randrange(3)], h, w) * r.uniform(0, 0.08)
    v = r.random()
    if v < 0.35:                                            # boards of a table
        a = cv2.resize(st.pick(r, st.noise, 8, w // 4), (w, h), interpolation=cv2.INTER_CUBIC) * r.uniform(0.01, 0.07)
        im += a if r.random() < 0.5 else cv2.resize(a.T, (w, h))
        for _ in range(r.randint(0, 5)):
            y = r.randrange(h)
            im[max(0, y - 1):y + 1] *= r.uniform(0.5, 0.9)
    elif v < 0.5:
        d = max(3, int(r.uniform(4, 40)))
        im += ((np.arange(h)[:, None] // d + np.arange(w)[None] // d) % 2 * r.uniform(0.02, 0.3)).astype("f4")
    for _ in range(r.choice([0, 0, 0, 1, 2])):
        cv2.ellipse(im, (r.randrange(w), r.randrange(h)), (r.randint(10, w // 3), r.randint(10, h // 3)), r.uniform(0, 180), 0, 360, r.uniform(0, 1), -1, cv2.LINE_AA)
    return im


def develop(r, im, strength):
    """Light, lens, sensor, file: float picture -> uint8."""
    st = store()
    h, w = im.shape
    if r.random() < 0.8 * strength:
        g = np.float32(1) + np.array([[r.uniform(-0.28, 0.12) for _ in range(3)] for _ in range(3)], np.float32) * strength
        im = im * cv2.resize(g, (w, h), interpolation=cv2.INTER_CUBIC)
    if r.random() < 0.25 * strength:                         # a shadow with an edge
        s = np.ones((h // 8, w // 8), np.float32)
        p = np.array([[r.uniform(-0.3, 1.3) * w / 8, r.uniform(-0.3, 1.3) * h / 8] for _ in range(4)], np.int32)
        cv2.fillConvexPoly(s, cv2.convexHull(p), r.uniform(0.55, 0.9))
        im = im * cv2.resize(cv2.GaussianBlur(s, (0, 0), r.uniform(0.6, 5)), (w, h))
    v = r.random()
    if v < 0.3:
        im = cv2.GaussianBlur(im, (0, 0), r.uniform(0.35, 0.9))
    elif v < 0.36:
        n = r.choice([3, 3, 5])
        im = cv2.blur(im, (n, 1) if r.random() < 0.5 else (1, n))
    elif v < 0.46:                                          # a picture of fewer pixels
        f = r.uniform(0.5, 0.95)
        im = cv2.resize(cv2.resize(im, (int(w * f), int(h * f)), interpolation=cv2.INTER_AREA), (w, h), interpolation=cv2.INTER_LINEAR)
    elif v < 0.54:
        im = im + (im - cv2.GaussianBlur(im, (0, 0), 1.2)) * r.uniform(0.3, 1.2)
    if r.random() < 0.7:
        im = im + st.pick(r, st.noise, h, w) * (r.uniform(0.002, 0.035) * strength + 0.001)
    c = r.uniform(0.6, 1.15)
    im = (im - 0.5) * c + 0.5 + r.uniform(-0.12, 0.12)
    u = np.clip(im * 255, 0, 255).astype(np.uint8)
    if r.random() < 0.55:
        u = cv2.imdecode(cv2.imencode(".jpg", u, [cv2.IMWRITE_JPEG_QUALITY, r.randint(28, 92)])[1], cv2.IMREAD_GRAYSCALE)
    return u


def view(r, pw, ph, w, h, flat):
    """Homography from page units to picture pixels, the page somewhere in the picture."""
    z = r.uniform(0.86, 1.04) if not flat else 1.0
    if flat and r.random() < 0.5:
        z = r.uniform(0.9, 1.0)
    s = min(w / pw, h / ph) * z
    a = math.radians(max(-8, min(8, r.gauss(0, 2.2)))) if not flat else 0.0
    cx, cy = w / 2 + (r.uniform(-0.04, 0.04) * w if z < 1 else 0), h / 2 + (r.uniform(-0.04, 0.04) * h if z < 1 else 0)
    q = []
    for x, y in ((0, 0), (pw, 0), (pw, ph), (0, ph)):
        dx, dy = (x - pw / 2) * s, (y - ph / 2) * s
        j = 0 if flat else 0.022 * max(w, h)
        q.append((cx + dx * math.cos(a) - dy * math.sin(a) + r.gauss(0, 0.5) * j, cy + dx * math.sin(a) + dy * math.cos(a) + r.gauss(0, 0.5) * j))
    return cv2.getPerspectiveTransform(np.array([(0, 0), (pw, 0), (pw, ph), (0, ph)], np.float32), np.array(q, np.float32))


def project(H, pts):
    p = np.asarray(pts, np.float32).reshape(-1, 2)
    q = np.concatenate([p, np.ones((len(p), 1), np.float32)], 1) @ H.T.astype(np.float32)
    return q[:, :2] / q[:, 2:]


def wobble(r, rs, h, w, amount):
    """A smooth displacement of the picture, as a coarse field scaled up."""
    d = r.choice([18, 28, 45, 80])
    f = rs.standard_normal((2, h // d + 3, w // d + 3), dtype=np.float32) * amount
    return cv2.resize(f[0], (w, h), interpolation=cv2.INTER_CUBIC), cv2.resize(f[1], (w, h), interpolation=cv2.INTER_CUBIC)


KINDS = {"hand": 0.52, "stroke": 0.33, "print": 0.15}
SHAPES = [(800, 608), (800, 608), (800, 608), (608, 800), (800, 576), (800, 448), (576, 800), (800, 800), (448, 800), (800, 704), (704, 800)]


def page(seed, kinds=None, only=None, draw=True, pool=None, size=None, shape=None):
    """One sample. pool None: pages, signs, no pages as they come; "page": drawn pages only; "soup": a square full of text (of `size` units)."""
    r = random.Random(seed * 1000003 + 17)
    kinds = kinds or KINDS
    if pool == "soup":
        size = size or 320
        g = Page(r, size, size, kinds, only, draw=draw)
        g.kinds, g.only = kinds, only
        soup(g, size)
        return finish(g, r, size, size, draw, size * SIDE // UNITS, size * SIDE // UNITS)
    v = r.random()
    if pool is None and v < 0.09:
        return nothing(r, *(shape or r.choice(SHAPES)), draw)
    w, h = shape or r.choice(SHAPES)
    pw, ph = w * UNITS / SIDE, h * UNITS / SIDE
    hb = r.uniform(12, 23) if r.random() < 0.8 else r.uniform(8.5, 12)
    hb = max(8.5, hb * min(pw, ph) / 520)
    if r.random() < 0.2:
        pw, ph = pw * r.uniform(0.8, 1), ph * r.uniform(0.8, 1)
    g = Page(r, pw, ph, kinds, only, draw=draw)
    if pool is None and v < 0.17:
        sign(g, hb)
    else:
        layout(g, hb)
    if not g.ids:
        return nothing(r, w, h, draw)
    return finish(g, r, pw, ph, draw, w, h)


def nothing(r, w, h, draw):
    """A picture that is no page."""
    im = None
    if draw:
        v, st = r.random(), store()
        im = st.photo(r, h, w) if r.random() < 0.65 else None
        if im is not None:
            pass
        elif v < 0.3:
            im = paper(r, h, w, 1.0, False)
        elif v < 0.75:
            im = scene(r, h, w)
            for _ in range(r.randint(2, 40)):
                c, s = r.uniform(0, 1), r.random()
                x, y, a, b = r.randrange(w), r.randrange(h), r.randint(2, w // 3), r.randint(2, h // 3)
                if s < 0.4:
                    cv2.ellipse(im, (x, y), (a, b), r.uniform(0, 180), 0, 360, c, -1, cv2.LINE_AA)
                elif s < 0.6:
                    cv2.line(im, (x, y), (x + a, y + b), c, r.randint(1, 9), cv2.LINE_AA)
                else:
                    cv2.fillPoly(im, [np.array([[r.randrange(w), r.randrange(h)] for _ in range(r.randint(3, 6))], np.int32)], c, cv2.LINE_AA)
            im = im + st.pick(r, st.soft[1], h, w) * r.uniform(0, 0.1)
            if r.random() < 0.5:
                im = cv2.GaussianBlur(im, (0, 0), r.uniform(0.5, 6))
        else:
            im = np.float32(0.5) + st.pick(r, r.choice([st.noise, *st.soft]), h, w) * r.uniform(0.01, 0.4)
        im = develop(r, im, 1.0)
    z2, z3 = np.zeros((0, 2), np.float32), np.zeros((0, 3), np.float32)
    cells = np.full((h // CELL, w // CELL), TYPE["none"], np.uint8)
    return Sample(im, [language.NONE, language.EOS], np.full((2, 2), -1, np.float32), z3, cells, z2, "")


def finish(g, r, pw, ph, draw, w, h):
    flat = g.print and r.random() < 0.6 or r.random() < 0.15
    H = view(r, pw, ph, w, h, flat)
    rs = np.random.default_rng(r.getrandbits(32))
    amount = 0.0 if flat else r.uniform(0, 1.1) ** 2
    im = None
    if draw:
        k, ink = g.k, g.ink
        if not g.print and r.random() < 0.3:                # dry or soft pens
            n = store().pick(r, store().soft[r.randrange(2)], min(TILE, ink.shape[0]), min(TILE, ink.shape[1]))
            m = ink[:n.shape[0], :n.shape[1]]
            np.multiply(m, np.clip(1.0 + n * r.uniform(0.1, 0.5), 0.25, 1), out=m, casting="unsafe")
        base = paper(r, ink.shape[0], ink.shape[1], k, g.print)
        dark = r.uniform(0.42, 0.98)
        canvas = base - ink * np.float32(dark / 255) * base
        if r.random() < 0.06:                               # chalk on slate, light on dark screens
            canvas = 1.05 - canvas
        inv = np.linalg.inv(H @ np.diag([1 / k, 1 / k, 1.0]))
        ys, xs = np.arange(0, h + 8, 8, dtype=np.float32), np.arange(0, w + 8, 8, dtype=np.float32)
        gx, gy = np.meshgrid(xs, ys)
        q = project(inv, np.stack([gx, gy], -1)).reshape(len(ys), len(xs), 2)
        grid = cv2.resize(q, ((len(xs) - 1) * 8 + 8, (len(ys) - 1) * 8 + 8), interpolation=cv2.INTER_LINEAR)
        # cv2.resize aligns pixel centres: undo the half step, so that grid[y, x] is the map at (x, y)
        grid = grid[3:3 + h, 3:3 + w] + (q[1, 1] - q[0, 0]) / 8 * -0.5
        mx, my = np.ascontiguousarray(grid[..., 0]), np.ascontiguousarray(grid[..., 1])
        if amount > 0.02:
            dx, dy = wobble(r, rs, h, w, amount * k)
            mx, my = mx + dx, my + dy
        if flat:
            im = cv2.remap(canvas, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        else:
            im = cv2.remap(canvas, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=-9)
            out = im < -0.5
            if out.any():
                im = np.where(out, scene(r, h, w), im)
        im = develop(r, im, 0.25 if flat else 1.0)
    at = project(H, g.at) if g.at else np.zeros((0, 2), np.float32)
    chars = np.zeros((0, 3), np.float32)
    g.chars = [c for c in g.chars if 0 <= c[1] < pw and 0 <= c[2] < ph]
    if g.chars:
        xy = project(H, [c[1:] for c in g.chars])
        chars = np.concatenate([xy, np.array([[ord(c[0]) - 31] for c in g.chars], np.float32)], 1)
        chars = chars[(xy[:, 0] >= 0) & (xy[:, 1] >= 0) & (xy[:, 0] < w) & (xy[:, 1] < h)]
    gx, gy = np.meshgrid(np.arange(w // CELL) * CELL + CELL / 2, np.arange(h // CELL) * CELL + CELL / 2)
    p = project(np.linalg.inv(H), np.stack([gx, gy], -1)).reshape(h // CELL, w // CELL, 2)
    cells = np.zeros((h // CELL, w // CELL), np.uint8)
    cells[(p[..., 0] < 0) | (p[..., 1] < 0) | (p[..., 0] > pw) | (p[..., 1] > ph)] = TYPE["outside"]
    for t, x0, y0, x1, y1 in g.boxes:
        cells[(p[..., 0] >= x0 - 2) & (p[..., 0] <= x1 + 2) & (p[..., 1] >= y0 - 2) & (p[..., 1] <= y1 + 2)] = t
    starts = project(H, g.starts) if g.starts else np.zeros((0, 2), np.float32)
    place = np.concatenate([at, np.full((1, 2), -1, np.float32)])
    return Sample(im, g.ids + [language.EOS], place, chars, cells, starts, g.hand.font["name"])


def mark(s):
    """The picture with its labels drawn in, to look at."""
    im = cv2.cvtColor(s.image, cv2.COLOR_GRAY2BGR)
    for x, y, _ in s.chars:
        cv2.circle(im, (int(x), int(y)), 1, (0, 0, 255), -1)
    for x, y in s.starts:
        cv2.circle(im, (int(x), int(y)), 3, (0, 200, 0), 1)
    return im


def main():
    import time
    if sys.argv[1] == "--time":
        for pool in (None, "soup"):
            for draw in (True, False):
                page(0, pool=pool)
                t = time.process_time()
                n = [page(i, pool=pool, draw=draw) for i in range(60)]
                print(pool, "drawn" if draw else "labels only", f"{(time.process_time() - t) / 60 * 1e3:.1f} ms", f"tokens {np.mean([len(s.ids) for s in n]):.0f}",
                      f"most {max(len(s.ids) for s in n)}", f"characters {np.mean([len(s.chars) for s in n]):.0f}")
        return
    first, n = int((sys.argv + ["0"] * 2)[2]), int((sys.argv + ["0"] * 2)[3]) or 6
    pool = sys.argv[4] if len(sys.argv) > 4 else None
    tiles = []
    for i in range(first, first + n):
        s = page(i, pool=pool)
        print(i, s.image.shape, s.hand, len(s.ids), language.show(s.ids))
        a = mark(s) if i % 2 else cv2.cvtColor(s.image, cv2.COLOR_GRAY2BGR)
        b = np.zeros((SIDE, SIDE, 3), np.uint8)
        b[:a.shape[0], :a.shape[1]] = a
        tiles.append(b)
    cols = 3
    while len(tiles) % cols:
        tiles.append(np.zeros_like(tiles[0]))
    cv2.imwrite(sys.argv[1], np.concatenate([np.concatenate(tiles[i:i + cols], 1) for i in range(0, len(tiles), cols)]))


if __name__ == "__main__":
    main()
