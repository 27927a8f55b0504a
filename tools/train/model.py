"""The reader: convolutional stem, a few blocks of a ViT, soft symbols of the cells that show something, MLP adapter, a small Llama. README.md states the graph for C."""
import math
import torch
import torch.nn as nn
import torch.nn.functional as F
import language
from pages import CELL, SIDE, TYPES

N_CLASS = 96                  # 0 nothing, 1..95 the characters from ' ' on (' ' itself is never drawn)
FRAMES = 4                    # frames of 4 pixels across a cell
GRID = SIDE // CELL           # 40
KEEP = 0.2                    # a pair of cells that shows less than this is no token
CONFIG = dict(stem=128, res=5, d=256, blocks=4, heads=4, hidden=512, dec=256, layers=5, dheads=4, kv=2, ff=704)


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

    def forward(self, im):
        """B x H x W, normalised -> B x d x H/16 x W/16"""
        x = im[:, None].contiguous(memory_format=torch.channels_last)
        x = F.relu(self.c3(F.relu(self.c2(F.relu(self.c1(x))))))
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


class Encoder(nn.Module):
    def __init__(self, c):
        super().__init__()
        d = c["d"]
        self.stem = Stem(c["stem"], d, c["res"])
        self.pos = nn.Parameter(sines(d) * 0.3)              # rows x columns x d; smaller pictures use the top left of it
        self.blocks = nn.ModuleList([Block(d, c["heads"]) for _ in range(c["blocks"])])
        self.norm = nn.LayerNorm(d, eps=1e-6)
        self.char, self.kind, self.start = nn.Linear(d, FRAMES * N_CLASS), nn.Linear(d, len(TYPES)), nn.Linear(d, 1)

    def forward(self, im, vit=True, at=(0, 0)):
        """-> features B x gh*gw x d, in rows of cells. vit False: what the stem alone sees; at: the picture's place in the table of positions"""
        x = self.stem(im).permute(0, 2, 3, 1)
        B, gh, gw, d = x.shape
        if not vit:
            return self.norm(x.reshape(B, gh * gw, d))
        x = (x + self.pos[at[0]:at[0] + gh, at[1]:at[1] + gw]).reshape(B, gh * gw, d)
        for b in self.blocks:
            x = b(x)
        return self.norm(x)

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

    def cells(self, char, kind, row, pair, x=None):
        """M pairs of cells. char: probabilities M x 2 x 384; kind: M x 2 x 19 (types, start); row, pair: M, where they stand; x: features M x 2 x d -> M x dec"""
        s = self.char(char) + self.kind(kind)
        if x is not None:
            s = s + self.free(x)
        s = s + self.row[row][:, None] + self.col.view(GRID // 2, 2, -1)[pair]
        return self.f2(F.gelu(self.f1(s.flatten(1))))

    def forward(self, x, heads, gh, gw):
        """-> tokens M x dec of the pairs that show something, and which they are: B x gh*gw/2"""
        c, k, s = heads
        B, N, d = x.shape
        c, s = c.float().softmax(-1), s.float().sigmoid()
        keep = torch.maximum(1 - c[..., 0].amin(-1), s[..., 0]).view(B, N // 2, 2).amax(-1) >= KEEP
        i = keep.nonzero()[:, 1]
        two = lambda t: t.reshape(B, N // 2, 2, -1)[keep].to(x.dtype)
        return self.cells(two(c.flatten(2)), two(torch.cat([k.float().softmax(-1), s], -1)), i // (gw // 2), i % (gw // 2), two(x)), keep


def line_up(tokens, keep):
    """Tokens M x dec of the kept pairs, as sequences that end together: B x L x dec, and where there is one: B x L"""
    n = keep.sum(1)
    L = max(1, int(n.max()))
    valid = torch.arange(L, device=keep.device)[None] >= L - n[:, None]
    out = tokens.new_zeros(keep.shape[0], L, tokens.shape[-1])
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
        """Normalised pictures B x H x W -> what the decoder reads (of line_up), head logits, and the encoder's output: B x gh*gw/2 x dec, zero where nothing is"""
        x = self.enc(im)
        h = self.enc.heads(x)
        t, keep = self.ada(x, h, im.shape[1] // CELL, im.shape[2] // CELL)
        out = t.new_zeros(*keep.shape, t.shape[-1])
        out[keep] = t
        return *line_up(t, keep), h, out


def normalise(u):
    """uint8 B x H x W -> float, each picture with mean 0 and deviation 1 (a blank one stays near 0)"""
    x = u.float()
    m = x.mean((1, 2), keepdim=True)
    return (x - m) / (x - m).square().mean((1, 2), keepdim=True).add(16.0).sqrt()
