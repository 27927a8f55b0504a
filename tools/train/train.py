#!/usr/bin/env python3
"""Trains the reader of drawn pages, stage after stage, from where the last run stopped.

  train.py all                       stem, decoder, encoder, adapt, each to its end
  train.py STAGE [--steps N]         one of them
  train.py plot                      learning curves of all stages as PNG

Checkpoints, log.jsonl and plots lie in $SENSES_TRAIN_DIR (default ~/.cache/senses/train). SIGTERM and SIGINT write a
checkpoint and end; so does any crash but power loss, of which at most three minutes are lost. On a GPU batches are
larger and pages come from all cores; on a CPU one process draws, and two threads learn."""
import argparse, json, math, os, queue, random, signal, sys, threading, time
import cv2
import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
import language, muon, pages
from model import FRAMES, GRID, N_CLASS, Reader, chosen, line_up, normalise, reading_order

DIR = os.environ.get("SENSES_TRAIN_DIR") or os.path.expanduser("~/.cache/senses/train")
GPU = torch.cuda.is_available()
#        batch (CPU, GPU)   steps (CPU, GPU)       learning rate (CPU, GPU)
STAGES = {"stem": ((16, 96), (9000, 20000), (2e-3, 2.5e-3)),
          "decoder": ((48, 128), (8000, 16000), (1e-3, 1.2e-3)),
          "encoder": ((8, 24), (12000, 30000), (8e-4, 1e-3)),
          "adapt": ((48, 128), (8000, 12000), (1e-3, 1e-3))}
CROP = 320                    # pixels of a side of the crops full of text
SEED0 = {"stem": 10 ** 9, "decoder": 2 * 10 ** 9, "encoder": 3 * 10 ** 9, "adapt": 4 * 10 ** 9}
CONFUSED = ["il1I|!j/", "oO0QDa", "uvyn", "rnmhv", "ceoa", "s5S8", "z2Z7", "g9qyj", "b6h", "t+f", ".,'`", "A4R", "B8E3", "UVY", "PpF", "Wwv", "Kkx", "Cc(", "-_~", "Tt7"]
MOST = 230                    # tokens a page may have in training
N_KIND = len(pages.TYPES)


def confusions():
    t = np.tile(np.arange(N_CLASS)[:, None], (1, 8))
    r = np.random.default_rng(1)
    for i in range(1, N_CLASS):
        ch = chr(i + 31)
        like = [c for g in CONFUSED if ch in g for c in g if c != ch] + ([ch.swapcase()] * 2 if ch.isalpha() else []) + [chr(r.integers(33, 127))]
        t[i] = [ord(like[k % len(like)]) - 31 for k in range(8)]
    return t


def cell_labels(chars, starts, gh, gw):
    """gh x gw x 4 classes, gh x gw starts"""
    y, st = np.zeros((gh, gw, FRAMES), np.uint8), np.zeros((gh, gw), np.uint8)
    for cx, cy, c in chars:
        y[int(cy // 16), int(cx // 16), int(cx % 16 // 4)] = c
    for cx, cy in starts:
        st[min(gh - 1, max(0, int(cy // 16))), min(gw - 1, max(0, int(cx // 16)))] = 1
    return y, st


def light(r, im):
    """The same picture under another light: uint8 -> uint8."""
    lo, hi = np.percentile(im[::8, ::8], (2, 98))
    g, c = r.uniform(0.7, 1.4), r.uniform(0.75, 1.2)
    t = (np.arange(256) - lo) / max(30.0, hi - lo)
    t = np.sign(t) * np.abs(t) ** g
    t = ((1 - t if r.random() < 0.06 else t) - 0.5) * c + 0.5
    return np.clip(lo + t * max(30.0, hi - lo), 0, 255).astype(np.uint8)[im]


def crop(r, s):
    """A window of a picture full of text, turned, stretched and lit anew -> picture, labels"""
    h, w = s.image.shape
    k, a, q = r.uniform(0.8, 1.2), math.radians(r.gauss(0, 1.5)), r.uniform(0.93, 1.07)
    m = np.array([[k * q * math.cos(a), -k * math.sin(a)], [k * q * math.sin(a), k * math.cos(a)]])
    c = np.array([r.uniform(CROP / 2 / k - 8, w - CROP / 2 / k + 8) if w * k > CROP else w / 2, r.uniform(CROP / 2 / k - 8, h - CROP / 2 / k + 8) if h * k > CROP else h / 2])
    t = CROP / 2 - m @ c
    im = cv2.warpAffine(s.image, np.concatenate([m, t[:, None]], 1), (CROP, CROP), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)
    inside = cv2.warpAffine(np.full_like(s.image, 255), np.concatenate([m, t[:, None]], 1), (CROP, CROP), flags=cv2.INTER_NEAREST)
    im[inside == 0] = int(im.mean())
    xy = s.chars[:, :2] @ m.T + t
    on = ((xy >= 0) & (xy < CROP)).all(1)
    y, _ = cell_labels(np.concatenate([xy, s.chars[:, 2:]], 1)[on], [], CROP // 16, CROP // 16)
    return light(r, im), y


CONFUSIONS = confusions()


def unsure(s, rs):
    """What an encoder may see of a page whose truth is known: the frames that become tokens, with soft characters, types and starts.
    -> their rows and frames, M; characters M x 288; types and start M x 19"""
    gh, gw = s.cells.shape
    ch = s.chars.copy()
    n, level = len(ch), rs.random() ** 2 * 0.5
    ch[:, :2] += rs.normal(0, (1.0, 1.3), (n, 2)) + rs.normal(0, 1.0, (1, 2))
    ch[:, 0], ch[:, 1] = ch[:, 0].clip(0, gw * 16 - 1), ch[:, 1].clip(0, gh * 16 - 1)
    c = ch[:, 2].astype(int)
    sure = 1 - rs.random(n) * level
    sure = np.where(rs.random(n) < level * 0.35, 1 - sure, sure)
    alive = np.where(rs.random(n) < level * 0.06, rs.random(n) * 0.25, rs.uniform(1 - 0.4 * level, 1 + 0.8 * level, n))
    alt = CONFUSIONS[c, rs.integers(0, 8, n)] if n else c

    def split(v, edge, soft):
        """The place and its neighbour, and the neighbour's share"""
        i = np.floor(v)
        f = v - i - 0.5
        return i.astype(int), np.where(f > 0, 1, -1), 0.5 / (1 + np.exp(-(np.abs(f) - edge) / soft)) * rs.uniform(0, 1.2, n).clip(0, 1)
    fx, dx, wx = split(ch[:, 0] / 4, 0.35, 0.08)
    fy, dy, wy = split(ch[:, 1] / 16, 0.38, 0.05)
    ghosts = rs.poisson(0.004 * level * gh * gw)
    at, cls, wgt = [rs.integers(0, gh * gw * FRAMES, ghosts)], [rs.integers(1, N_CLASS, ghosts)], [rs.random(ghosts) * 0.6]
    for x, y, w in ((fx, fy, (1 - wx) * (1 - wy)), (fx + dx, fy, wx * (1 - wy)), (fx, fy + dy, (1 - wx) * wy), (fx + dx, fy + dy, wx * wy)):
        ok = (x >= 0) & (x < gw * FRAMES) & (y >= 0) & (y < gh) & (w > 0.01)
        for k, u in ((c, sure), (alt, 1 - sure)):
            at.append((y * gw * FRAMES + x)[ok]), cls.append(k[ok]), wgt.append((w * u * alive)[ok])
    at, cls, wgt = np.concatenate(at), np.concatenate(cls), np.concatenate(wgt)
    mass = np.zeros(gh * gw * FRAMES)
    np.add.at(mass, at, wgt)
    p = np.zeros((gh * gw * FRAMES + 2, N_CLASS), np.float32)
    np.add.at(p, (at + 1, cls), wgt / np.maximum(1, mass[at]))
    p[:, 0] = np.maximum(0, 1 - p.sum(1))
    p[0] = p[-1] = 0
    _, on = cell_labels([], s.starts + rs.normal(0, 1.5, s.starts.shape), gh, gw)
    st = np.where((on > 0) & (rs.random((gh, gw)) > 0.03 * level), rs.beta(9, 1, (gh, gw)), rs.beta(0.15, 12, (gh, gw)))
    st = np.where(rs.random((gh, gw)) < 0.002 * level, rs.random((gh, gw)), st).astype(np.float32)
    keep = chosen(torch.from_numpy(1 - p[1:-1, 0]).view(1, gh, gw * FRAMES), torch.from_numpy(st)[None])[0].numpy()
    row, frame = np.nonzero(keep)
    order = reading_order(row.tolist(), frame.tolist())
    row, frame = row[order], frame[order]
    k, cell = row * gw * FRAMES + frame, row * gw + frame // FRAMES
    char = np.concatenate([np.where(frame[:, None] > 0, p[k], 0), p[k + 1], np.where(frame[:, None] < gw * FRAMES - 1, p[k + 2], 0)], 1)
    kind = np.eye(N_KIND, dtype=np.float32)[s.cells.reshape(-1)[cell]]
    other = np.eye(N_KIND, dtype=np.float32)[rs.integers(0, N_KIND, len(k))]
    part = (rs.random((len(k), 1)) * (rs.random((len(k), 1)) < 0.25) * level * 2).clip(0, 1).astype("f4")
    return row, frame, char.astype("f4"), np.concatenate([kind * (1 - part) + other * part, st.reshape(-1)[cell][:, None]], 1)


NEAR = sorted(((dx, dy) for dx in range(-4, 5) for dy in (-1, 0, 1)), key=lambda v: abs(v[0]) + 2.5 * abs(v[1]))


def targets(xy, row, frame, end):
    """Which of the tokens (rows and frames, in order) each place stands at, in a sequence whose last has the number end - 1; -1: at none"""
    number = np.full((GRID + 2, GRID * FRAMES + 8), -1)
    number[row + 1, frame + 4] = np.arange(end - len(row), end)
    x, y = (xy[:, 0] / 4).astype(int).clip(0, GRID * FRAMES - 1) + 4, (xy[:, 1] / 16).astype(int).clip(0, GRID - 1) + 1
    out = np.full(len(xy), -1)
    for dx, dy in NEAR:
        out = np.where(out < 0, number[y + dy, x + dx], out)
    return np.where(xy[:, 0] < 0, -1, out)


def sequences(batch):
    """Inputs, targets (0 = none), places (-1 = nowhere)"""
    n = max(len(s.ids) for s in batch)
    i, o, xy = np.zeros((len(batch), n), "i8"), np.zeros((len(batch), n), "i8"), np.full((len(batch), n, 2), -1, "f4")
    for k, s in enumerate(batch):
        m = len(s.ids)
        i[k, 0], i[k, 1:m], o[k, :m] = language.BOS, s.ids[:-1], s.ids
        xy[k, :m] = s.place
    return i, o, xy


def make_crops(size, seed, kinds, fresh=None, again=10):
    """Crops full of text; fresh: a list of drawn pictures, kept from call to call, each of which serves `again` times"""
    r, out = random.Random(seed), []
    fresh = [] if fresh is None else fresh
    while len(out) < size:
        if len(fresh) < 2 * size or r.random() * again < 1:
            fresh.append(pages.page(seed * 512 + len(out), kinds, pool="soup", size=320))
            if len(fresh) > 8 * size:
                fresh.pop(r.randrange(len(fresh)))
        out.append(crop(r, fresh[-1] if len(fresh) < 2 * size else r.choice(fresh)))
    return [np.stack([i for i, _ in out]), np.stack([y for _, y in out])]


def make_labels(size, seed, kinds, batches=1):
    """Batches for the decoder alone, each of pages of like length: no picture is drawn. -> a list of them"""
    r, rs, out, k = random.Random(seed), np.random.default_rng(seed), [], 0
    while len(out) < size * batches:
        s = pages.page(seed * 512 + k, kinds, draw=False, pool="page" if r.random() < 0.3 else None)
        k += 1
        if len(s.ids) <= MOST:
            out.append((s, unsure(s, rs)))
    out.sort(key=lambda v: len(v[0].ids) + len(v[1][0]))
    got = [label_batch(out[k * size:k * size + size]) for k in range(batches)]
    r.shuffle(got)
    return got


def label_batch(out):
    """tokens of each: B; row, frame, characters, types of all; inputs, targets, places as tokens"""
    n = np.array([len(u[0]) for _, u in out])
    i, o, xy = sequences([s for s, _ in out])
    p = np.stack([targets(v, u[0], u[1], max(1, n.max())) for v, (_, u) in zip(xy, out)])
    return [n, *(np.concatenate([u[k] for _, u in out]) for k in range(4)), i, o, p]


def make(stage, size, seed, kinds=None, fresh=None):
    """One batch as numpy arrays; the seed decides everything (but for crops of pictures in `fresh`). kinds: of hands, else the usual mixture"""
    r = random.Random(seed)
    if stage == "stem":
        return make_crops(size, seed, kinds, fresh)
    if stage == "decoder":
        return make_labels(size, seed, kinds)[0]
    shape, out, k = r.choice(pages.SHAPES), [], 0
    while len(out) < size:
        s = pages.page(seed * 512 + k, kinds, shape=shape, pool="page" if k % 5 and r.random() < 0.3 else None)
        k += 1
        if len(s.ids) <= MOST:
            out.append(s)
    lab = [cell_labels(s.chars, s.starts, *s.cells.shape) for s in out]
    return [np.stack([s.image for s in out]), np.stack([a for a, _ in lab]), np.stack([s.cells for s in out]), np.stack([b for _, b in lab]), *sequences(out)]


def worker(q, stage, size, first, step):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    parent, seed, fresh, n = os.getppid(), first, [], 0
    while True:
        # whole pages come with crops in between, which keep the letters in mind
        if stage == "decoder":
            made = make_labels(size, seed, None, 4)
        elif stage == "stem" or stage == "encoder" and n % 2 == 0:
            made = [make_crops(size * (1 if stage == "stem" else 2), seed, None, fresh)]
        else:
            made = [make(stage, size, seed)]
        n, seed = n + 1, seed + step
        while made:
            try:
                q.put(made[-1], timeout=5)
                made.pop()
            except queue.Full:
                if os.getppid() != parent:                   # nobody reads any more
                    os._exit(0)


class Source:
    """Batches from worker processes, on the device; each is used up to `again` times where learning is faster than drawing."""

    def __init__(self, stage, size, step, workers, again, dev):
        self.q, self.ready = mp.Queue(2 * workers), queue.Queue(4 if GPU else 1)
        self.pool, self.again, self.r, self.dev = [], again, random.Random(step), dev
        first = SEED0[stage] // 512 + step * 64
        self.p = [mp.Process(target=worker, args=(self.q, stage, size, first + k, workers), daemon=True) for k in range(workers)]
        for p in self.p:
            p.start()
        threading.Thread(target=self.fetch, daemon=True).start()

    def fetch(self):
        while True:
            self.ready.put(batch_to(self.q.get(), self.dev))

    def get(self):
        while len(self.pool) < 8:                            # no more than needed: who draws and who learns share the cores
            try:
                self.pool.append([self.ready.get(block=not self.pool), 0])
            except queue.Empty:
                break
        k = self.r.randrange(len(self.pool))
        b = self.pool[k]
        b[1] += 1
        if b[1] >= self.again:
            self.pool.pop(k)
        return b[0]

    def close(self):
        for p in self.p:
            p.terminate()


def vary(u, gen):
    """The same picture taken again: other noise."""
    x = u.float()
    a = torch.rand(x.shape[0], 1, 1, generator=gen, device=x.device)
    return x + torch.randn(x.shape, generator=gen, device=x.device) * (a * 6)


def char_loss(lg, y):
    """lg: B x N x 4 x 96, y: B x gh x gw x 4 -> per character. Every empty frame counts as well: how surely a frame is empty is what tells the two halves of one character from
    two characters."""
    y = y.flatten().long()
    return F.cross_entropy(lg.reshape(-1, N_CLASS).float(), y, reduction="sum") / (y > 0).sum().clamp(min=1)


def read_rate(p, y):
    """Share of characters whose class is the best one in their own frame or a neighbouring frame of the row. p: B, h, frames, 96; y: B, h, frames"""
    p = p.float()
    best = p[..., 1:].max(-1)
    v, c = F.pad(best.values, (1, 1), value=-1e9), F.pad(best.indices + 1, (1, 1))
    n = y.shape[-1]
    near = torch.stack([v[..., k:k + n] for k in range(3)], -1).argmax(-1, keepdim=True)
    got = torch.stack([c[..., k:k + n] for k in range(3)], -1).gather(-1, near)[..., 0]
    on = y > 0
    exact = torch.stack([c[..., k:k + n] == y for k in range(3)], -1).any(-1)
    return ((got == y) & on).sum().item() / max(1, on.sum().item()), (exact & on).sum().item() / max(1, on.sum().item())


def seq_loss(lg, atts, o, p, weight):
    on = o > 0
    ce = F.cross_entropy(lg[on].float(), o[on])
    acc = (lg.argmax(-1) == o)[on].float().mean()
    k = p >= 0
    pl = sum(F.cross_entropy(a[k], p[k]) for a in atts) / len(atts)
    pa = (atts[-1].argmax(-1) == p)[k].float().mean()
    return ce + weight * pl, dict(ce=ce.item(), acc=acc.item(), point=pa.item())


def parameters(m, stage):
    """What learns in a stage, as groups for Muon"""
    def named(learns):
        return muon.groups([(n, p) for n, p in m.named_parameters() if learns(n)])
    if stage == "stem":
        return named(lambda n: n.startswith(("enc.stem", "enc.norm0", "enc.char0")))
    if stage == "encoder":
        return named(lambda n: n.startswith("enc"))
    if stage == "decoder":
        return named(lambda n: not n.startswith(("enc", "ada.free")))
    return named(lambda n: not n.startswith("enc"))


def crop_loss(m, b, vit, gen, figures):
    """Characters of crops."""
    u, y = b
    gh, gw = y.shape[1:3]
    seen, x = m.enc(normalise(vary(u, gen)), vit, [random.randrange(GRID + 1 - gh) for _ in range(2)])
    h = m.enc.letters(seen, x)
    loss = 0.25 * char_loss(h, y)
    if vit:                                                  # what the stem knows by itself shall not fade
        loss = loss + 0.25 * char_loss(m.enc.letters(seen, None), y)
    return loss, {"crop" if vit else "read": read_rate(h.detach().view(-1, gh, gw * FRAMES, N_CLASS), y.view(-1, gh, gw * FRAMES))[0], "loss": loss.item()} if figures else {}


def label_tokens(m, b):
    """What the decoder reads of soft labels."""
    n, row, frame, char, kind = b[:5]
    return line_up(m.ada.frames(char, kind, row, frame), n)


def label_loss(m, b):
    lg, atts = m.dec(*label_tokens(m, b), b[5], True)
    return seq_loss(lg, atts, b[6], b[7], 1.0)


def page_loss(m, b, gen, figures):
    u, y, kinds, starts = b[:4]
    B, gh, gw = kinds.shape
    seen, x = m.enc(normalise(vary(u, gen)))
    h = m.enc.heads(seen, x)
    cl, sl = char_loss(h[0], y), char_loss(m.enc.letters(seen, None), y)
    kl = F.cross_entropy(h[1].flatten(0, 1).float(), kinds.flatten().long())
    tl = F.binary_cross_entropy_with_logits(h[2].flatten().float(), starts.flatten().float(), pos_weight=torch.tensor(4.0, device=u.device))
    loss, fig = 0.25 * (cl + sl) + 0.5 * kl + 0.5 * tl, {}
    if figures:
        inside = kinds.flatten() > 0
        fig = dict(char=cl.item(), read=read_rate(h[0].detach().view(B, gh, gw * FRAMES, N_CLASS), y.view(B, gh, gw * FRAMES))[0],
                   kind=(h[1].flatten(0, 1).argmax(-1) == kinds.flatten())[inside].float().mean().item(), start=tl.item())
    return loss, fig


class Seen:
    """What the finished encoder saw of the last pages: each serves several times for the decoder."""

    def __init__(self, most, r):
        self.pages, self.most, self.r = [], most, r

    @torch.no_grad()
    def add(self, m, b, gen):
        u, _, kinds, _, i, o, xy = b
        seen, x = m.enc(normalise(vary(u, gen)))
        picture, known = m.ada.gather(x, m.enc.heads(seen, x), *kinds.shape[1:])
        self.pages += [([v[picture == k] for v in known], i[k], o[k], xy[k].cpu().numpy()) for k in range(len(u))]
        del self.pages[:-self.most]

    def take(self, size):
        """Pages of like length -> tokens known, how many of each page, inputs, targets, places as tokens"""
        got = sorted(self.pages, key=lambda s: len(s[0][0]) + int((s[2] > 0).sum()))
        at = self.r.randrange(max(1, len(got) - size + 1))
        got = got[at:at + size]
        n = torch.stack([torch.tensor(len(s[0][0])) for s in got])
        most = max(int((s[2] > 0).sum()) for s in got)
        i, o = (torch.nn.utils.rnn.pad_sequence([s[k][:most] for s in got], batch_first=True) for k in (1, 2))
        p = np.full((len(got), most), -1)
        for k, s in enumerate(got):
            p[k, :len(s[3])] = targets(s[3], s[0][2].cpu().numpy(), s[0][3].cpu().numpy(), max(1, int(n.max())))[:most]
        return [torch.cat([s[0][k] for s in got]) for k in range(5)], n.to(i.device), i, o, torch.from_numpy(p).to(i.device)


def seen_loss(m, known, n, i, o, p):
    lg, atts = m.dec(*line_up(m.ada.frames(*known), n), i, True)
    return seq_loss(lg, atts, o, p, 0.3)


def step_loss(m, stage, b, gen, figures=True, seen=None):
    """Loss and figures of one batch (tensors)."""
    if stage == "adapt":
        seen = seen or Seen(len(b[0]), random.Random(1))
        seen.add(m, b, gen)
        return seen_loss(m, *seen.take(STAGES[stage][0][GPU]))
    if len(b) == 2:
        return crop_loss(m, b, stage != "stem", gen, figures)
    return label_loss(m, b) if stage == "decoder" else page_loss(m, b, gen, figures)


def mode(m, stage):
    """Training mode of what learns."""
    m.train()
    if stage == "adapt":
        m.enc.eval()


def fuse(m, stage):
    """The parts that are more memory than arithmetic, compiled: needs a C++ compiler, and half a minute."""
    m.enc.stem.forward = torch.compile(m.enc.stem.forward, dynamic=stage != "stem")
    if stage != "stem" and not GPU:
        for b in [*m.enc.blocks, *m.dec.layers]:
            b.forward = torch.compile(b.forward, dynamic=True)


def save(path, obj):
    torch.save(obj, path + ".part")
    os.replace(path + ".part", path)


def batch_to(b, dev):
    return [torch.from_numpy(x).to(dev, non_blocking=True) for x in b]


def train(stage, a):
    (bc, bg), (sc, sg), (lc, lg_) = STAGES[stage]
    size, steps, lr = (a.batch or (bg if GPU else bc)), (a.steps or (sg if GPU else sc)), (a.lr or (lg_ if GPU else lc))
    dev = torch.device("cuda" if GPU else "cpu")
    torch.manual_seed(1)
    random.seed(1)
    m = Reader().to(dev)
    path, log = os.path.join(DIR, "reader.pt"), open(os.path.join(DIR, "log.jsonl"), "a", buffering=1)
    state = torch.load(path, map_location=dev, weights_only=True) if os.path.exists(path) else dict(done={}, opt={}, minutes={})
    if "model" not in state and a.start:                     # what is stored has learned its letters and its language
        import export
        m = export.read(a.start).to(dev)
        state["done"] = {s: STAGES[s][1][GPU] for s in ("stem", "decoder")}
    if "model" in state:
        m.load_state_dict(state["model"])
    state.setdefault("opt", {})                              # the copies of finished stages carry none
    step = state["done"].get(stage, 0)
    if step >= steps:
        return True
    groups = parameters(m, stage)
    for p in m.parameters():
        p.requires_grad_(False)
    for g in groups:
        for p in g["params"]:
            p.requires_grad_(True)
    opt = muon.Muon(groups, lr)
    if stage in state["opt"]:
        opt.load_state_dict(state["opt"][stage])
    if a.fuse:
        fuse(m, stage)
    gen = torch.Generator(device=dev).manual_seed(step + 5)
    drawn = size // 6 if stage == "adapt" else size          # the encoder sees few pages a step, the decoder each of them six times
    seen = Seen(6 * size, random.Random(step)) if stage == "adapt" else None
    src = Source(stage, drawn, step, a.workers, dict(stem=min(2, a.again), adapt=1).get(stage, a.again), dev)
    held = [batch_to(make(stage, min(size, 16), 9 * 10 ** 9 // 512 + k, {"held": 1.0}), dev) for k in range(2 if GPU else 1)]
    limit = dict(zip(STAGES, a.minutes + a.minutes[-1:] * 3)).get(stage) if a.minutes else None
    stop, t0, spent, saved, figs = [], time.time(), state["minutes"].get(stage, 0.0), time.time(), []
    for s in (signal.SIGTERM, signal.SIGINT):
        signal.signal(s, lambda *_: stop.append(1))
    half = GPU or a.bf16

    def keep():
        state.update(model=m.state_dict(), config=m.config, opt={stage: opt.state_dict()})
        state["done"][stage], state["minutes"][stage] = step, spent + (time.time() - t0) / 60
        save(path, state)

    def unknown():
        """The same figures on fonts that are kept out of training."""
        m.eval()
        with torch.no_grad(), torch.autocast(dev.type, torch.bfloat16, enabled=half):
            f = [step_loss(m, stage, b, gen)[1] for b in held]
        mode(m, stage)
        return {k + "_held": round(float(np.mean([x[k] for x in f])), 4) for k in ("read", "kind", "acc", "point") if k in f[0]}

    print(f"{stage}: from step {step} of {steps}, batch {size}, {dev}, {a.workers} drawing", flush=True)
    mode(m, stage)
    try:
        while step < steps and not stop:
            b = src.get()
            warm, left = min(1, (step + 1) / 200), (steps - step) / steps
            if limit:                                        # the schedule follows the clock
                left = 1 - (spent + (time.time() - t0) / 60) / limit
                if left <= 0:
                    break
            for g in opt.param_groups:
                g["lr"] = lr * warm * min(1, left / 0.5 + 0.01)
            with torch.autocast(dev.type, torch.bfloat16, enabled=half):
                loss, fig = step_loss(m, stage, b, gen, step % (50 if GPU else 10) < 2, seen)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for g in opt.param_groups for p in g["params"]], 1.0)
            opt.step()
            step += 1
            figs += [fig] if fig else []
            if step % a.every == 0 or stop:
                mean = {k: float(np.mean([f[k] for f in figs if k in f])) for k in dict.fromkeys(k for f in figs for k in f)}
                line = dict(stage=stage, step=step, seen=step * size, minutes=round(spent + (time.time() - t0) / 60, 2), **{k: round(v, 4) for k, v in mean.items()})
                figs = []
                if step % (a.every * 8) == 0:
                    line.update(unknown())
                log.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)
            if time.time() - saved > (60 if GPU else 180):
                keep()
                saved = time.time()
    finally:
        src.close()
    if not stop:
        step = steps                                         # done, be it by the clock
    keep()
    if not stop:
        save(os.path.join(DIR, f"reader-{stage}.pt"), dict(model=m.state_dict(), config=m.config, done=state["done"], minutes=state["minutes"]))
    print(f"{stage}: {'stopped' if stop else 'done'} at step {step}", flush=True)
    return not stop


def plot():
    import matplotlib
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    rows = [json.loads(x) for x in open(os.path.join(DIR, "log.jsonl"))]
    stages = [s for s in STAGES if any(r["stage"] == s for r in rows)]
    fig, ax = plt.subplots(1, len(stages), figsize=(6 * len(stages), 4), squeeze=False)
    for s, x in zip(stages, ax[0]):
        mine = [r for r in rows if r["stage"] == s]
        for k in ("read", "crop", "kind", "acc", "point", "read_held", "acc_held"):
            if any(k in r for r in mine):
                x.plot([r["seen"] for r in mine if k in r], [r[k] for r in mine if k in r], label=k, marker="." if k.endswith("held") else None)
        x.set_title(s)
        x.set_xlabel("samples")
        x.set_ylim(0, 1)
        x.grid(True, alpha=0.3)
        x.legend()
    fig.tight_layout()
    fig.savefig(os.path.join(DIR, "curves.png"), dpi=110)
    print(os.path.join(DIR, "curves.png"))


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("what", choices=[*STAGES, "all", "plot"])
    ap.add_argument("--start", metavar="FOLDER", help="without a checkpoint: from the GGUF files in this folder, at the stage of whole pages")
    ap.add_argument("--steps", type=int)
    ap.add_argument("--minutes", type=lambda s: [float(x) for x in s.split(",")],
                    help="end each stage after so many minutes in all instead, learning rate included; one number, or four: stem,decoder,encoder,adapt")
    ap.add_argument("--batch", type=int)
    ap.add_argument("--lr", type=float)
    ap.add_argument("--every", type=int, default=50)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2) if GPU else 1)
    ap.add_argument("--again", type=int, default=3, help="how often a drawn batch is used at most")
    ap.add_argument("--fuse", action="store_true", help="compile parts of the model")
    ap.add_argument("--bf16", action="store_true", help="bfloat16 on the CPU, too")
    a = ap.parse_args()
    os.makedirs(DIR, exist_ok=True)
    if a.what == "plot":
        return plot()
    if not GPU:
        torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    if GPU:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = True
        torch.backends.cudnn.benchmark = a.what == "stem"     # the one stage whose pictures have one size
    if a.what != "decoder":
        pages.store()                                        # once, before the workers are forked
    for s in (STAGES if a.what == "all" else [a.what]):
        if not train(s, a):
            sys.exit(3)


if __name__ == "__main__":
    mp.set_start_method("fork")
    main()
