"""The reader: convolutional stem, a few blocks of a ViT, soft symbols of the cells that show something, MLP adapter, a small Llama. README.md states the graph for C."""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
import language
from pages import CELL, SIDE, TYPES

N_CLASS = 96                  # 0 nothing, 1..95 the characters from ' ' on (' ' itself is never drawn)
FRAMES = 4                    # frames of 4 pixels across a cell
GRID = SIDE // CELL           # 50
KEEP = 0.3                    # a frame that shows less than this is no token
SURE = 0.5                    # one that shows as much is a token whatever stands beside it
GAP = 10                      # frames from a token to the next of its line, at most
CONFIG = dict(stem=160, fine=4, res=6, d=256, blocks=5, heads=4, hidden=512, dec=256, layers=6, dheads=4, kv=2, ff=704)


class Conv(nn.Module):
    """3 x 3 convolution, padding 1; batch norm is folded into weight and bias at export."""

    def __init__(self, a, b, stride=1):
        super().__init__()
        self.c, self.n = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b, momentum=0.02)
        nn.init.kaiming_normal_(self.c.weight, nonlinearity="relu")

    def forward(self, x):
        return self.n(self.c(x))


class Stem(nn.Module):
    """fine: residual pairs where a pixel is 4 of the picture's, res: where it is 8"""

    def __init__(self, c, d, fine, res):
        super().__init__()
        self.c1, self.c2, self.c3 = Conv(1, 32, 2), Conv(32, 64, 2), Conv(64, c, 2)
        self.fine, self.res = (nn.ModuleList([nn.ModuleList([Conv(w, w), Conv(w, w)]) for _ in range(n)]) for w, n in ((64, fine), (c, res)))
        for a, b in [*self.fine, *self.res]:
            nn.init.constant_(b.n.weight, 0.3)
        self.down = Conv(c, d, 2)

    def forward(self, im):
        """B x H x W, normalised -> B x d x H/16 x W/16"""
        x = im[:, None].contiguous(memory_format=torch.channels_last)
        x = F.relu(self.c2(F.relu(self.c1(x))))
        for a, b in self.fine:
            x = F.relu(x + b(F.relu(a(x))))
        x = F.relu(self.c3(x))
        for a, b in self.res:
            x = F.relu(x + b(F.relu(a(x))))
        return F.relu(self.down(x))


class Block(nn.Module):
    def __init__(self, d, heads):
        super().__init__()
        self.h = heads
        self.n1, self.qkv, self.o = nn.LayerNorm(d, eps=1e-6), nn.Linear(d, 3 * d), nn.Linear(d, d)
        self.n2, self.f1, self.f2 = nn.LayerNorm(d, eps=1e-6), nn.Linear(d, 4 * d), nn.Linear(4 * d, d)
        for m in (self.o, self.f2):
            nn.init.normal_(m.weight, 0, 0.01)
        for m in (self.qkv, self.o, self.f1, self.f2):
            nn.init.zeros_(m.bias)

    def forward(self, x):
        B, N, D = x.shape
        q, k, v = self.qkv(self.n1(x)).view(B, N, 3, self.h, D // self.h).permute(2, 0, 3, 1, 4)
        x = x + self.o(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(B, N, D))
        return x + self.f2(F.gelu(self.f1(self.n2(x))))


def sines(d):
    """Start of the position table: sines along each axis."""
    n = d // 4
    t = torch.arange(GRID).float()[:, None] * torch.logspace(math.log10(0.06), math.log10(2.2), n)
    e = torch.stack([t.sin(), t.cos()], 2).reshape(GRID, 2 * n)
    return torch.cat([e[None].expand(GRID, -1, -1), e[:, None].expand(-1, GRID, -1)], 2).contiguous()


def waves(n, d, slow, fast):
    """Sines of n places."""
    t = torch.arange(n).float()[:, None] * torch.logspace(math.log10(slow), math.log10(fast), d // 2)
    return torch.cat([t.sin(), t.cos()], 1)


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["d"]
        self.stem = Stem(c["stem"], d, c["fine"], c["res"])
        self.pos = nn.Parameter(sines(d) * 0.3)              # rows x columns x d; smaller pictures use the top left of it
        self.blocks = nn.ModuleList([Block(d, c["heads"]) for _ in range(c["blocks"])])
        self.norm0, self.char0 = nn.LayerNorm(d, eps=1e-6), nn.Linear(d, FRAMES * N_CLASS)
        self.norm = nn.LayerNorm(d, eps=1e-6)
        self.char, self.kind, self.start = nn.Linear(d, FRAMES * N_CLASS), nn.Linear(d, len(TYPES)), nn.Linear(d, 1)
        nn.init.zeros_(self.char.weight)
        nn.init.zeros_(self.char.bias)

    def forward(self, im, vit=True, at=(0, 0)):
        """-> what the stem sees and what the ViT makes of it, both B x gh*gw x d, in rows of cells. vit False: the stem alone; at: the picture's place in the table of
        positions"""
        x = self.stem(im).permute(0, 2, 3, 1)
        B, gh, gw, d = x.shape
        seen = self.norm0(x.reshape(B, gh * gw, d))
        if not vit:
            return seen, None
        x = (x + self.pos[at[0]:at[0] + gh, at[1]:at[1] + gw]).reshape(B, gh * gw, d)
        for b in self.blocks:
            x = b(x)
        return seen, self.norm(x)

    def letters(self, seen, x):
        """Logits of characters, B x gh*gw x 4 x 96: the stem's, and what their surroundings say"""
        c = self.char0(seen)
        return (c if x is None else c + self.char(x)).unflatten(-1, (FRAMES, N_CLASS))

    def heads(self, seen, x):
        return self.letters(seen, x), self.kind(x), self.start(x)


class Adapter(nn.Module):
    """What a frame says, as a vector: its characters and its neighbours', element type, start of an element, place, and free features. A frame that shows most among
    its neighbours is one token: mostly, a character."""

    def __init__(self, c):
        super().__init__()
        d, D = c["d"], c["dec"]
        self.char = nn.Linear(3 * N_CLASS, d, bias=False)
        self.kind = nn.Linear(len(TYPES) + 1, d, bias=False)
        self.free = nn.Linear(d, d)
        self.f1, self.f2 = nn.Linear(d, c["hidden"]), nn.Linear(c["hidden"], D)
        nn.init.normal_(self.char.weight, 0, 0.5)
        nn.init.normal_(self.kind.weight, 0, 0.4)
        self.row, self.col = nn.Parameter(waves(GRID, d, 0.06, 2.2) * 0.5), nn.Parameter(waves(GRID * FRAMES, d, 0.02, 2.2) * 0.5)
        nn.init.zeros_(self.free.weight)
        nn.init.zeros_(self.free.bias)

    def frames(self, char, kind, row, frame, x=None):
        """M frames. char: probabilities M x 288 of the frame on the left, the frame, the one on the right; kind: M x 19 (types, start) and x: features M x d of its
        cell; row, frame: M, where it stands -> M x dec"""
        s = self.char(char) + self.kind(kind)
        if x is not None:
            s = s + self.free(x)
        return self.f2(F.gelu(self.f1(s + self.row[row] + self.col[frame])))

    @staticmethod
    def gather(x, heads, gh, gw):
        """What is known of the frames that are tokens, picture by picture -> their pictures, and what frames() takes: characters, kinds, rows, frames, features"""
        c, k, s = heads
        B, N, d = x.shape
        c, s = c.float().softmax(-1), s.float().sigmoid()
        keep = chosen(1 - c[..., 0].reshape(B, gh, gw * FRAMES), s.view(B, gh, gw))
        b, row, frame = places(keep)
        cell = row * gw + frame // FRAMES
        c = F.pad(c.reshape(B, gh, gw * FRAMES, N_CLASS), (0, 0, 1, 1))
        char = torch.cat([c[b, row, frame + i] for i in range(3)], -1)
        kind = torch.cat([k.float().softmax(-1), s], -1)[b, cell]
        return b, (char.to(x.dtype), kind.to(x.dtype), row, frame, x[b, cell])


def chosen(mass, start):
    """Which frames are tokens. mass: B x gh x gw*4, that there is a character; start: B x gh x gw, that an element begins. Every frame where one is likely; where it is
    less so (the place of one character may be shared out among neighbours), one that shows more than all eight around it; and the first frame of a cell where an element
    begins but no frame is at its peak."""
    m = F.pad(mass, (1, 1, 1, 1))
    side = torch.maximum(m[:, 1:-1, :-2], m[:, 1:-1, 2:])
    wide = torch.maximum(torch.maximum(m[..., :-2], m[..., 2:]), m[..., 1:-1])
    over = torch.maximum(wide[:, :-2], wide[:, 2:])
    peak = (mass >= KEEP) & ((mass >= SURE) | (mass > side))
    keep = peak & ((mass >= SURE) | (mass > over))
    peak, keep = peak.unflatten(-1, (-1, FRAMES)), keep.unflatten(-1, (-1, FRAMES))
    alone = (start >= KEEP) & ~peak.any(-1)
    return torch.cat([(keep[..., :1] | alone[..., None]), keep[..., 1:]], -1).flatten(-2)


def reading_order(row, frame):
    """Tokens of one picture, as lists of rows and frames -> their numbers in the order they are read in: a token goes on with a line that ends up to GAP frames to its left,
    in its own row or the next, the nearest one; lines follow each other by their mean rows, then by where they begin."""
    lines, open_ = [], []
    for k in sorted(range(len(row)), key=lambda k: (frame[k], row[k])):
        y, f = row[k], frame[k]
        open_ = [l for l in open_ if f - frame[l[-1]] <= GAP]
        near = [(f - frame[l[-1]] + 6 * abs(y - row[l[-1]]), i) for i, l in enumerate(open_) if frame[l[-1]] < f and abs(y - row[l[-1]]) <= 1]
        if near:
            open_[min(near)[1]].append(k)
        else:
            lines.append([k])
            open_.append(lines[-1])
    lines.sort(key=lambda l: ((2 * sum(row[k] for k in l) + len(l)) // (2 * len(l)), frame[l[0]]))
    return [k for l in lines for k in l]


def places(keep):
    """B x gh x gw*4 -> pictures, rows, frames of the tokens, picture by picture in reading order"""
    out = []
    for b, k in enumerate(keep.cpu()):
        row, frame = (v.tolist() for v in k.nonzero(as_tuple=True))
        out += [(b, row[i], frame[i]) for i in reading_order(row, frame)]
    return torch.tensor(out, dtype=torch.long, device=keep.device).view(-1, 3).unbind(1)


def line_up(tokens, n):
    """Tokens M x dec, of which picture after picture has n, as sequences that end together: B x L x dec, and where there is one: B x L"""
    L = max(1, int(n.max()))
    valid = torch.arange(L, device=n.device)[None] >= L - n[:, None]
    out = tokens.new_zeros(len(n), L, tokens.shape[-1])
    out[valid] = tokens
    return out, valid


class RMS(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.w = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return (F.rms_norm(x.float(), (x.shape[-1],), None, 1e-5) * self.w).to(x.dtype)


def turn(x, cs, sn):
    """RoPE on the two halves of each head; export.py brings the rows into the order of neighbouring pairs, as GGUF's llama has them."""
    a, b = x.chunk(2, -1)
    return torch.cat([a * cs - b * sn, a * sn + b * cs], -1)


class Layer(nn.Module):
    def __init__(self, c):
        super().__init__()
        d, self.h, self.kv = c["dec"], c["dheads"], c["kv"]
        e = d // self.h

        def lin(a, b):
            m = nn.Linear(a, b, bias=False)
            nn.init.normal_(m.weight, 0, 0.03)
            return m
        self.n1, self.q, self.k, self.v, self.o = RMS(d), lin(d, d), lin(d, self.kv * e), lin(d, self.kv * e), lin(d, d)
        self.n2, self.gate, self.up, self.down = RMS(d), lin(d, c["ff"]), lin(d, c["ff"]), lin(c["ff"], d)

    def forward(self, x, cs, sn, mask, point=0, cache=None):
        B, N, D = x.shape
        y = self.n1(x)
        q = turn(self.q(y).view(B, N, self.h, -1).transpose(1, 2), cs, sn)
        k = turn(self.k(y).view(B, N, self.kv, -1).transpose(1, 2), cs, sn)
        v = self.v(y).view(B, N, self.kv, -1).transpose(1, 2)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        g, n, e = self.h // self.kv, q.shape[2], q.shape[3]
        a = (q.reshape(B, self.kv, g * n, e) @ k.transpose(2, 3)).view(B, self.h, n, -1) * e ** -0.5
        att = a[:, 0, point:, :point].float() if point else None    # head 0 of the written tokens over the picture's: it shall point at what it reads
        a = (a + mask).softmax(-1)
        z = (a.view(B, self.kv, g * n, -1) @ v).view(B, self.h, n, e)
        x = x + self.o(z.transpose(1, 2).reshape(B, N, D))
        y = self.n2(x)
        return x + self.down(F.silu(self.gate(y)) * self.up(y)), att


class Decoder(nn.Module):
    POINTERS = (1, 2)

    def __init__(self, c):
        super().__init__()
        self.c = c
        self.emb = nn.Embedding(language.N_VOCAB, c["dec"])
        nn.init.normal_(self.emb.weight, 0, 0.3)
        self.layers = nn.ModuleList([Layer(c) for _ in range(c["layers"])])
        self.norm, self.out = RMS(c["dec"]), nn.Linear(c["dec"], language.N_VOCAB, bias=False)
        nn.init.normal_(self.out.weight, 0, 0.03)

    def angles(self, a, n, like):
        e = self.c["dec"] // self.c["dheads"]
        t = torch.arange(a, a + n, device=like.device).float()[:, None] * 10000 ** (-torch.arange(e // 2, device=like.device).float() / (e // 2))
        return t.cos().to(like.dtype), t.sin().to(like.dtype)

    def mask(self, valid, n, m, like):
        """B x 1 x m x n, 0 where one of the last m places sees one of n; the padding in front of short ones is seen by itself alone"""
        see = F.pad(valid, (0, n - valid.shape[1]), value=True)[:, None] & torch.ones(n, n, dtype=torch.bool, device=valid.device).tril()
        return torch.where((see | torch.eye(n, dtype=torch.bool, device=valid.device))[:, None, n - m:], 0.0, -1e4).to(like.dtype)

    def forward(self, pic, valid, ids, point=False):
        """pic, valid: of line_up"""
        n = pic.shape[1]
        x = torch.cat([pic, self.emb(ids).to(pic.dtype)], 1)
        cs, sn = self.angles(0, x.shape[1], x)
        mask, atts = self.mask(valid, x.shape[1], x.shape[1], x), []
        for i, b in enumerate(self.layers):
            x, a = b(x, cs, sn, mask, n if point and i in self.POINTERS else 0)
            atts += [a.masked_fill(~valid[:, None], -1e4)] if a is not None else []
        return self.out(self.norm(x[:, n:])), atts

    @torch.no_grad()
    def write(self, pic, valid, most=400, grammar=False):
        """Greedy. -> list of token lists, without <bos>, with <eos> where it came"""
        B = pic.shape[0]
        caches = [[] for _ in self.layers]
        ids = [[language.BOS] for _ in range(B)]
        x, p = torch.cat([pic, self.emb(torch.full((B, 1), language.BOS, device=pic.device)).to(pic.dtype)], 1), 0
        done = [False] * B
        for _ in range(most):
            cs, sn = self.angles(p, x.shape[1], x)
            p += x.shape[1]
            mask = self.mask(valid, p, x.shape[1], x)
            for b, c in zip(self.layers, caches):
                x, _ = b(x, cs, sn, mask, 0, c)
            lg = self.out(self.norm(x[:, -1])).float()
            if grammar:
                for i in range(B):
                    if not done[i]:
                        ok = torch.full_like(lg[i], -1e9)
                        ok[list(language.allowed(ids[i]))] = 0
                        lg[i] += ok
            t = lg.argmax(-1)
            for i in range(B):
                if not done[i]:
                    ids[i].append(int(t[i]))
                    done[i] = ids[i][-1] == language.EOS
            if all(done):
                break
            x = self.emb(t)[:, None].to(pic.dtype)
        return [q[1:] for q in ids]


class Reader(nn.Module):
    def __init__(self, config=None):
        super().__init__()
        self.config = dict(CONFIG, **(config or {}))
        self.enc, self.ada, self.dec = Encoder(self.config), Adapter(self.config), Decoder(self.config)

    def see(self, im):
        """Normalised pictures B x H x W -> what the decoder reads (of line_up), head logits, and the encoder's output: B x gh*gw*4 x dec, the tokens, then zeros"""
        seen, x = self.enc(im)
        h = self.enc.heads(seen, x)
        gh, gw = im.shape[1] // CELL, im.shape[2] // CELL
        picture, known = self.ada.gather(x, h, gh, gw)
        t, n = self.ada.frames(*known), picture.bincount(minlength=len(im))
        out = t.new_zeros(len(n), gh * gw * FRAMES, t.shape[-1])
        out[torch.arange(out.shape[1], device=n.device)[None] < n[:, None]] = t
        return *line_up(t, n), h, out


def normalise(u):
    """uint8 B x H x W -> float, each picture with mean 0 and deviation 1 (a blank one stays near 0)"""
    x = u.float()
    m = x.mean((1, 2), keepdim=True)
    return (x - m) / (x - m).square().mean((1, 2), keepdim=True).add(16.0).sqrt()
