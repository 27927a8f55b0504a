#!/usr/bin/env python3
"""Trains the reader of drawn pages, stage after stage, from where the last run stopped.

  train.py all                       stem, decoder, encoder, joint, each to its end
  train.py STAGE [--steps N]         one of them
  train.py plot                      learning curves of all stages as PNG

Checkpoints, log.jsonl and plots lie in $SENSES_TRAIN_DIR (default ~/.cache/senses/train). SIGTERM and SIGINT write a
checkpoint and end; so does any crash but power loss, of which at most three minutes are lost. On a GPU batches are
larger and pages come from all cores; on a CPU one process draws, and two threads learn."""
import argparse, json, os, queue, random, signal, sys, time
import numpy as np
import torch
import torch.multiprocessing as mp
import torch.nn.functional as F
import language, pages
from model import FRAMES, N_CLASS, Reader, normalise

DIR = os.environ.get("SENSES_TRAIN_DIR") or os.path.expanduser("~/.cache/senses/train")
GPU = torch.cuda.is_available()
#        batch (CPU, GPU)   steps (CPU, GPU)       learning rate (CPU, GPU)
STAGES = {"stem": ((12, 192), (9000, 9000), (2e-3, 2e-3)),
          "decoder": ((8, 128), (8000, 16000), (1e-3, 1.2e-3)),
          "encoder": ((6, 96), (4000, 12000), (6e-4, 8e-4)),
          "joint": ((4, 64), (4000, 16000), (3e-4, 5e-4))}
SEED0 = {"stem": 10 ** 9, "decoder": 2 * 10 ** 9, "encoder": 3 * 10 ** 9, "joint": 4 * 10 ** 9}
CONFUSED = ["il1I|!j/", "oO0QDa", "uvyn", "rnmhv", "ceoa", "s5S8", "z2Z7", "g9qyj", "b6h", "t+f", ".,'`", "A4R", "B8E3", "UVY", "PpF", "Wwv", "Kkx", "Cc(", "-_~", "Tt7"]
MOST = 230                    # tokens a page may have in training


def confusions():
    t = np.tile(np.arange(N_CLASS)[:, None], (1, 8))
    r = np.random.default_rng(1)
    for i in range(1, N_CLASS):
        ch = chr(i + 31)
        like = [c for g in CONFUSED if ch in g for c in g if c != ch] + ([ch.swapcase()] * 2 if ch.isalpha() else []) + [chr(r.integers(33, 127))]
        t[i] = [ord(like[k % len(like)]) - 31 for k in range(8)]
    return torch.from_numpy(t)


def fine_labels(s):
    """H/8 x W/8 x 2: the stem's classes; and the weight of each"""
    h, w = s.image.shape if s.image is not None else (s.cells.shape[0] * 16, s.cells.shape[1] * 16)
    y = np.zeros((h // 8, w // 4), np.uint8)
    near = np.zeros((h // 8 + 2, w // 4 + 2), bool)
    for cx, cy, c in s.chars:
        u, v = int(cx // 4), int(cy // 8)
        y[v, u] = c
        near[v:v + 3, u:u + 3] = True
    return y, near[1:-1, 1:-1]


def cell_labels(s, rs=None):
    """gh x gw x 4 classes, gh x gw starts; rs: jitters the places"""
    gh, gw = s.cells.shape
    y, st = np.zeros((gh, gw, FRAMES), np.uint8), np.zeros((gh, gw), np.uint8)
    ch = s.chars
    if rs is not None and len(ch):
        ch = ch.copy()
        ch[:, :2] += rs.normal(0, 1.0, (len(ch), 2)) + rs.normal(0, 1.0, (1, 2))
        ch[:, 0], ch[:, 1] = ch[:, 0].clip(0, gw * 16 - 1), ch[:, 1].clip(0, gh * 16 - 1)
    for cx, cy, c in ch:
        y[int(cy // 16), int(cx // 16), int(cx % 16 // 4)] = c
    for cx, cy in s.starts:
        st[min(gh - 1, max(0, int(cy // 16))), min(gw - 1, max(0, int(cx // 16)))] = 1
    return y, st


def sequences(batch):
    """Inputs, targets (0 = none), places as picture token (-1 = none)"""
    n = max(len(s.ids) for s in batch)
    i, o, p = np.zeros((len(batch), n), "i8"), np.zeros((len(batch), n), "i8"), np.full((len(batch), n), -1, "i8")
    for k, s in enumerate(batch):
        gh, gw = s.cells.shape
        m = len(s.ids)
        i[k, 0], i[k, 1:m], o[k, :m] = language.BOS, s.ids[:-1], s.ids
        x, y = np.clip(s.place[:, 0] // 32, 0, gw // 2 - 1), np.clip(s.place[:, 1] // 16, 0, gh - 1)
        p[k, :m] = np.where(s.place[:, 0] < 0, -1, y * (gw // 2) + x)
    return i, o, p


def make(stage, size, seed, kinds=None):
    """One batch as numpy arrays; the seed decides everything. kinds: of hands, else the usual mixture"""
    r = random.Random(seed)
    if stage == "stem":
        got = [pages.page(seed * 512 + k, kinds, pool="soup", size=256) for k in range(size)]
        f = [fine_labels(s) for s in got]
        return [np.stack([s.image for s in got]), np.stack([a for a, _ in f]), np.stack([b for _, b in f])]
    shape, out, k = r.choice(pages.SHAPES), [], 0
    rs = np.random.default_rng(seed)
    if stage == "decoder" and r.random() < 0.7:              # smaller pages cost less
        shape = r.choice([(448, 320), (320, 448), (448, 256), (512, 384)])
    while len(out) < size:
        s = pages.page(seed * 512 + k, kinds, draw=stage != "decoder", shape=shape, pool="page" if k % 5 and r.random() < 0.3 else None)
        k += 1
        if len(s.ids) <= MOST:
            out.append(s)
    lab = [cell_labels(s, rs if stage == "decoder" else None) for s in out]
    cells = [np.stack([a for a, _ in lab]), np.stack([s.cells for s in out]), np.stack([b for _, b in lab])]
    if stage == "decoder":
        return [*cells, *sequences(out)]
    f = [fine_labels(s) for s in out]
    return [np.stack([s.image for s in out]), np.stack([a for a, _ in f]), np.stack([b for _, b in f]), *cells, *sequences(out)]


def worker(q, stage, size, first, step):
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    torch.set_num_threads(1)
    parent, seed = os.getppid(), first
    while True:
        b = make(stage, size, seed)
        seed += step
        while True:
            try:
                q.put(b, timeout=5)
                break
            except queue.Full:
                if os.getppid() != parent:                   # nobody reads any more
                    os._exit(0)


class Source:
    """Batches from worker processes; each is used up to `again` times where learning is faster than drawing."""

    def __init__(self, stage, size, step, workers, again):
        self.q, self.pool, self.again, self.r = mp.Queue(4 * workers), [], again, random.Random(step)
        first = SEED0[stage] // 512 + step * 64
        self.p = [mp.Process(target=worker, args=(self.q, stage, size, first + k, workers), daemon=True) for k in range(workers)]
        for p in self.p:
            p.start()

    def get(self):
        while True:
            try:
                self.pool.append([self.q.get(block=not self.pool, timeout=None if not self.pool else 0), 0])
            except queue.Empty:
                break
            if len(self.pool) >= 48:
                break
        fresh = [b for b in self.pool if b[1] == 0]
        b = fresh[0] if fresh else self.r.choice(self.pool)
        b[1] += 1
        if b[1] >= self.again or len(self.pool) >= 48:
            self.pool = [p for p in self.pool if p is not b]
        return b[0]

    def close(self):
        for p in self.p:
            p.terminate()


def vary(u, gen):
    """The same picture taken again: other noise."""
    x = u.float()
    b = x.shape[0]
    a = torch.rand(b, 1, 1, generator=gen, device=x.device)
    x = x + torch.randn(x.shape, generator=gen, device=x.device) * (a * 6)
    return x


def char_loss(lg, y, w):
    l = F.cross_entropy(lg.flatten(0, -2).float(), y.flatten().long(), reduction="none")
    return (l * w.flatten()).sum() / w.sum()


def stem_loss(m, f, y, near):
    lg = m.enc.stem.head(f)                                  # B, 2 * 96, H/8, W/8
    B, _, h, w = lg.shape
    lg = lg.view(B, 2, N_CLASS, h, w).permute(0, 3, 4, 1, 2)  # B, h, w, 2, 96
    y = y.view(B, h, w, 2)
    wt = torch.where(y > 0, 1.0, torch.where(near.view(B, h, w, 2), 0.05, 0.25))
    return char_loss(lg, y, wt), lg


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


class Noise:
    """Label cells made as unsure as an encoder's reading is."""

    def __init__(self, dev, gen):
        self.t, self.g, self.dev = confusions().to(dev), gen, dev

    def __call__(self, y, kinds, starts):
        B, gh, gw, _ = y.shape
        r = lambda *s: torch.rand(*s, generator=self.g, device=self.dev)
        y = y.view(B, gh, gw * FRAMES).long()
        sh = r(y.shape) < 0.06 * r(B, 1, 1)                  # to a free neighbouring frame
        left = torch.roll(y, -1, 2)
        move = sh & (y == 0) & (left > 0)
        y2 = torch.where(move, left, y)
        y2 = torch.where(torch.roll(move, 1, 2), torch.zeros_like(y2), y2)
        alt = self.t[y2, torch.randint(0, 8, y2.shape, generator=self.g, device=self.dev)]
        level = r(B, 1, 1) ** 2 * 0.5
        w = 1 - r(y2.shape) * level                          # certainty of the right one
        wrong = (r(y2.shape) < level * 0.35) & (y2 > 0)
        w = torch.where(wrong, 1 - w, w)
        lost = (r(y2.shape) < level * 0.06) & (y2 > 0)
        w = torch.where(lost, torch.zeros_like(w), w)
        alt = torch.where(lost, torch.zeros_like(alt), alt)
        ghost = (y2 == 0) & (r(y2.shape) < 0.004 * level)
        alt = torch.where(ghost, torch.randint(1, N_CLASS, y2.shape, generator=self.g, device=self.dev), alt)
        p = torch.zeros(*y2.shape, N_CLASS, device=self.dev)
        p.scatter_add_(-1, y2[..., None], w[..., None])
        p.scatter_add_(-1, alt[..., None], (1 - w)[..., None])
        k = F.one_hot(torch.where(r(kinds.shape) < 0.03 * r(B, 1, 1), torch.randint(0, len(pages.TYPES), kinds.shape, generator=self.g, device=self.dev), kinds.long()), len(pages.TYPES)).float()
        s = (starts.float() * 0.9 + 0.05 + (r(starts.shape) - 0.5) * 0.1) * (r(starts.shape) > 0.03)
        return p.view(B, gh * gw, FRAMES * N_CLASS), torch.cat([k, s[..., None]], -1).view(B, gh * gw, -1)


def parameters(m, stage, lr):
    if stage == "stem":
        return [dict(params=[*m.enc.stem.parameters()], k=1.0)]
    if stage == "decoder":
        return [dict(params=[p for n, p in m.ada.named_parameters() if not n.startswith("free")], k=1.0), dict(params=[*m.dec.parameters()], k=1.0)]
    stem, rest = [*m.enc.stem.parameters()], [p for n, p in m.enc.named_parameters() if not n.startswith("stem")]
    if stage == "encoder":
        return [dict(params=stem, k=0.5), dict(params=rest, k=1.0)]
    return [dict(params=stem, k=0.3), dict(params=rest, k=0.7), dict(params=[*m.ada.parameters(), *m.dec.parameters()], k=1.0)]


def step_loss(m, stage, b, noise, gen):
    """Loss and figures of one batch (tensors)."""
    if stage == "stem":
        u, y, near = b
        loss, lg = stem_loss(m, m.enc.stem.fine(normalise(vary(u, gen))), y, near)
        B, h, w = lg.shape[:3]
        read, _ = read_rate(lg.reshape(B, h, w * 2, N_CLASS), y)
        return loss, dict(loss=loss.item(), read=read)
    if stage == "decoder":
        y, kinds, starts, i, o, p = b
        gh, gw = kinds.shape[1:]
        c, k = noise(y, kinds, starts)
        lg, atts = m.dec(m.ada.cells(c, k, gh, gw), i, True)
        return seq_loss(lg, atts, o, p, 1.0)
    u, fy, near, y, kinds, starts, i, o, p = b
    gh, gw = kinds.shape[1:]
    x, f = m.enc(normalise(vary(u, gen)))
    sl, _ = stem_loss(m, f, fy, near)
    h = m.enc.heads(x)
    B = u.shape[0]
    cl = char_loss(h[0], y, torch.where(y > 0, 1.0, 0.25))
    kl = F.cross_entropy(h[1].flatten(0, 1).float(), kinds.flatten().long())
    tl = F.binary_cross_entropy_with_logits(h[2].flatten().float(), starts.flatten().float(), pos_weight=torch.tensor(4.0, device=u.device))
    read, _ = read_rate(h[0].view(B, gh, gw * FRAMES, N_CLASS), y.view(B, gh, gw * FRAMES))
    inside = kinds.flatten() > 0
    fig = dict(char=cl.item(), read=read, kind=(h[1].flatten(0, 1).argmax(-1) == kinds.flatten())[inside].float().mean().item(), start=tl.item())
    loss = cl + 0.5 * kl + 0.3 * tl + 0.3 * sl
    if stage == "joint":
        lg, atts = m.dec(m.ada(x, h, gh, gw), i, True)
        ql, g = seq_loss(lg, atts, o, p, 0.3)
        loss, fig = ql + 0.3 * loss, dict(fig, **g)
    return loss, fig


def mode(m, stage):
    """Training mode; the stem's batch norms keep what they know where batches are small and the model is nearly done."""
    m.train()
    if stage == "joint":
        for x in m.modules():
            if isinstance(x, torch.nn.BatchNorm2d):
                x.eval()


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
    m = Reader().to(dev)
    path, log = os.path.join(DIR, "reader.pt"), open(os.path.join(DIR, "log.jsonl"), "a", buffering=1)
    state = torch.load(path, map_location=dev, weights_only=True) if os.path.exists(path) else dict(done={}, opt={}, minutes={})
    if "model" in state:
        m.load_state_dict(state["model"])
    state.setdefault("opt", {})                              # the copies of finished stages carry none
    step = state["done"].get(stage, 0)
    if step >= steps:
        return True
    groups = parameters(m, stage, lr)
    for p in m.parameters():
        p.requires_grad_(False)
    for g in groups:
        for p in g["params"]:
            p.requires_grad_(True)
    opt = torch.optim.AdamW([dict(params=g["params"], k=g["k"]) for g in groups], lr=lr, betas=(0.9, 0.98), weight_decay=0.02)
    if stage in state["opt"]:
        opt.load_state_dict(state["opt"][stage])
    gen = torch.Generator(device=dev).manual_seed(step + 5)
    noise = Noise(dev, gen)
    src = Source(stage, size, step, a.workers, a.again)
    held = [batch_to(make(stage, min(size, 32), 9 * 10 ** 9 // 512 + k, {"held": 1.0}), dev) for k in range(1 if not GPU else 4)]
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
            f = [step_loss(m, stage, b, noise, gen)[1] for b in held]
        mode(m, stage)
        return {k + "_held": round(float(np.mean([x[k] for x in f])), 4) for k in ("read", "kind", "acc", "point") if k in f[0]}

    print(f"{stage}: from step {step} of {steps}, batch {size}, {dev}, {a.workers} drawing", flush=True)
    mode(m, stage)
    try:
        while step < steps and not stop:
            b = batch_to(src.get(), dev)
            warm, left = min(1, (step + 1) / 200), (steps - step) / steps
            if limit:                                        # the schedule follows the clock
                left = 1 - (spent + (time.time() - t0) / 60) / limit
                if left <= 0:
                    break
            for g in opt.param_groups:
                g["lr"] = lr * g["k"] * warm * min(1, left / 0.35 + 0.02)
            with torch.autocast(dev.type, torch.bfloat16, enabled=half):
                loss, fig = step_loss(m, stage, b, noise, gen)
            opt.zero_grad(set_to_none=True)
            loss.backward()
            torch.nn.utils.clip_grad_norm_([p for g in opt.param_groups for p in g["params"]], 1.0)
            opt.step()
            step += 1
            figs.append(fig)
            if step % a.every == 0 or stop:
                mean = {k: float(np.mean([f[k] for f in figs])) for k in figs[0]}
                line = dict(stage=stage, step=step, seen=step * size, minutes=round(spent + (time.time() - t0) / 60, 2), **{k: round(v, 4) for k, v in mean.items()})
                figs = []
                if step % (a.every * 8) == 0:
                    line.update(unknown())
                log.write(json.dumps(line) + "\n")
                print(json.dumps(line), flush=True)
            if time.time() - saved > 180:
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
        for k in ("read", "kind", "acc", "point", "read_held", "acc_held"):
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
    ap.add_argument("--steps", type=int)
    ap.add_argument("--minutes", type=lambda s: [float(x) for x in s.split(",")],
                    help="end each stage after so many minutes in all instead, learning rate included; one number, or four: stem,decoder,encoder,joint")
    ap.add_argument("--batch", type=int)
    ap.add_argument("--lr", type=float)
    ap.add_argument("--every", type=int, default=50)
    ap.add_argument("--threads", type=int, default=2)
    ap.add_argument("--workers", type=int, default=max(1, (os.cpu_count() or 2) - 2) if GPU else 1)
    ap.add_argument("--again", type=int, default=3, help="how often a drawn batch is used at most")
    ap.add_argument("--bf16", action="store_true", help="bfloat16 on the CPU, too")
    a = ap.parse_args()
    os.makedirs(DIR, exist_ok=True)
    if a.what == "plot":
        return plot()
    if not GPU:
        torch.set_num_threads(a.threads)
    torch.set_flush_denormal(True)
    if GPU:
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = torch.backends.cudnn.benchmark = True
    for s in (STAGES if a.what == "all" else [a.what]):
        if not train(s, a):
            sys.exit(3)


if __name__ == "__main__":
    mp.set_start_method("fork")
    main()
