"""The reader: convolutional stem, a few blocks of a ViT, soft symbols, MLP adapter, a small Llama. README.md states the graph for C."""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
import language
from pages import CELL, SIDE, TYPES

N_CLASS = 96                  # 0 nothing, 1..95 the characters from ' ' on (' ' itself is never drawn)
FRAMES = 4                    # frames of 4 pixels across a cell
GRID = SIDE // CELL           # 40
CONFIG = dict(stem=128, res=2, d=256, blocks=4, heads=4, hidden=512, dec=256, layers=5, dheads=4, kv=2, ff=704)


class Conv(nn.Module):
    """3 x 3 convolution, padding 1; batch norm is folded into weight and bias at export."""

    def __init__(self, a, b, stride=1):
        super().__init__()
        self.c, self.n = nn.Conv2d(a, b, 3, stride, 1, bias=False), nn.BatchNorm2d(b, momentum=0.02)
        nn.init.kaiming_normal_(self.c.weight, nonlinearity="relu")

    def forward(self, x):
        return self.n(self.c(x))


class Stem(nn.Module):
    def __init__(self, c, d, res):
        super().__init__()
        self.c1, self.c2, self.c3 = Conv(1, 32, 2), Conv(32, 64, 2), Conv(64, c, 2)
        self.res = nn.ModuleList([nn.ModuleList([Conv(c, c), Conv(c, c)]) for _ in range(res)])
        for a, b in self.res:
            nn.init.constant_(b.n.weight, 0.3)
        self.down = Conv(c, d, 2)
        self.head = nn.Conv2d(c, 2 * N_CLASS, 1)             # training only: characters of the two frames of an 8 x 8 square

    def fine(self, im):
        """B x H x W, normalised -> B x c x H/8 x W/8"""
        x = im[:, None].contiguous(memory_format=torch.channels_last)
        x = F.relu(self.c3(F.relu(self.c2(F.relu(self.c1(x))))))
        for a, b in self.res:
            x = F.relu(x + b(F.relu(a(x))))
        return x


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


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["d"]
        self.stem = Stem(c["stem"], d, c["res"])
        self.pos = nn.Parameter(sines(d) * 0.3)              # rows x columns x d; smaller pictures use the top left of it
        self.blocks = nn.ModuleList([Block(d, c["heads"]) for _ in range(c["blocks"])])
        self.norm = nn.LayerNorm(d, eps=1e-6)
        self.char, self.kind, self.start = nn.Linear(d, FRAMES * N_CLASS), nn.Linear(d, len(TYPES)), nn.Linear(d, 1)

    def forward(self, im):
        """-> features B x gh*gw x d, in rows of cells; and the stem's own reading, for its loss"""
        f = self.stem.fine(im)
        x = F.relu(self.stem.down(f)).permute(0, 2, 3, 1)
        B, gh, gw, d = x.shape
        x = (x + self.pos[:gh, :gw]).reshape(B, gh * gw, d)
        for b in self.blocks:
            x = b(x)
        return self.norm(x), f

    def heads(self, x):
        return self.char(x).unflatten(-1, (FRAMES, N_CLASS)), self.kind(x), self.start(x)


class Adapter(nn.Module):
    """What a cell says, as a vector: characters, element type, start of an element, place, and free features. Two cells side by side are one token."""

    def __init__(self, c):
        super().__init__()
        d, D = c["d"], c["dec"]
        self.char = nn.Linear(FRAMES * N_CLASS, d, bias=False)
        self.kind = nn.Linear(len(TYPES) + 1, d, bias=False)
        self.free = nn.Linear(d, d)
        self.row, self.col = nn.Parameter(torch.empty(GRID, d)), nn.Parameter(torch.empty(GRID, d))
        self.f1, self.f2 = nn.Linear(2 * d, c["hidden"]), nn.Linear(c["hidden"], D)
        nn.init.normal_(self.char.weight, 0, 0.5)
        nn.init.normal_(self.kind.weight, 0, 0.4)
        s = sines(d)
        self.row.data, self.col.data = torch.cat([s[:, 0, d // 2:], s[:, 0, d // 2:].flip(1)], 1) * 0.3, torch.cat([s[0, :, :d // 2], s[0, :, :d // 2].flip(1)], 1) * 0.3
        nn.init.zeros_(self.free.weight)
        nn.init.zeros_(self.free.bias)

    def cells(self, char, kind, gh, gw, x=None):
        """char: probabilities B x N x 384; kind: B x N x 19 (types, start); x: features or None -> B x N/2 x dec"""
        s = self.char(char) + self.kind(kind)
        if x is not None:
            s = s + self.free(x)
        B, N, d = s.shape
        s = s.view(B, gh, gw, d) + self.row[:gh, None] + self.col[:gw]
        return self.f2(F.gelu(self.f1(s.reshape(B, gh * gw // 2, 2 * d))))

    def forward(self, x, heads, gh, gw):
        c, k, s = heads
        return self.cells(c.float().softmax(-1).flatten(2).to(x.dtype), torch.cat([k.float().softmax(-1), s.float().sigmoid()], -1).to(x.dtype), gh, gw, x)


class RMS(nn.Module):
    def __init__(self, d):
        super().__init__()
        self.w = nn.Parameter(torch.ones(d))

    def forward(self, x):
        return (F.rms_norm(x.float(), (x.shape[-1],), None, 1e-5) * self.w).to(x.dtype)


def turn(x, cs, sn):
    """RoPE on neighbouring pairs, as GGUF's llama has it."""
    a, b = x[..., 0::2], x[..., 1::2]
    return torch.stack([a * cs - b * sn, a * sn + b * cs], -1).flatten(-2)


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

    def forward(self, x, cs, sn, point=0, cache=None):
        B, N, D = x.shape
        y = self.n1(x)
        q = turn(self.q(y).view(B, N, self.h, -1).transpose(1, 2), cs, sn)
        k = turn(self.k(y).view(B, N, self.kv, -1).transpose(1, 2), cs, sn)
        v = self.v(y).view(B, N, self.kv, -1).transpose(1, 2)
        if cache is not None:
            if cache:
                k, v = torch.cat([cache[0], k], 2), torch.cat([cache[1], v], 2)
            cache[:] = [k, v]
        att = None
        if point:                                            # head 0 of the written tokens over the picture's: it shall point at what it reads
            att = (q[:, 0, point:] @ k[:, 0, :point].transpose(1, 2)).float() / math.sqrt(q.shape[-1])
        g = self.h // self.kv
        z = F.scaled_dot_product_attention(q, k.repeat_interleave(g, 1), v.repeat_interleave(g, 1), is_causal=q.shape[2] == k.shape[2])
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

    def forward(self, pic, ids, point=False):
        n = pic.shape[1]
        x = torch.cat([pic, self.emb(ids).to(pic.dtype)], 1)
        cs, sn = self.angles(0, x.shape[1], x)
        atts = []
        for i, b in enumerate(self.layers):
            x, a = b(x, cs, sn, n if point and i in self.POINTERS else 0)
            atts += [a] if a is not None else []
        return self.out(self.norm(x[:, n:])), atts

    @torch.no_grad()
    def write(self, pic, most=256, grammar=False):
        """Greedy. -> list of token lists, without <bos>, with <eos> where it came"""
        B = pic.shape[0]
        caches = [[] for _ in self.layers]
        ids = [[language.BOS] for _ in range(B)]
        x, p = torch.cat([pic, self.emb(torch.full((B, 1), language.BOS, device=pic.device)).to(pic.dtype)], 1), 0
        done = [False] * B
        for _ in range(most):
            cs, sn = self.angles(p, x.shape[1], x)
            p += x.shape[1]
            for b, c in zip(self.layers, caches):
                x, _ = b(x, cs, sn, 0, c)
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
        """Normalised pictures B x H x W -> the tokens the decoder reads, head logits"""
        x, f = self.enc(im)
        h = self.enc.heads(x)
        return self.ada(x, h, im.shape[1] // CELL, im.shape[2] // CELL), h, f


def normalise(u):
    """uint8 B x H x W -> float, each picture with mean 0 and deviation 1 (a blank one stays near 0)"""
    x = u.float()
    m = x.mean((1, 2), keepdim=True)
    return (x - m) / (x - m).square().mean((1, 2), keepdim=True).add(16.0).sqrt()
