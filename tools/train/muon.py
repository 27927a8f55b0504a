"""Muon: momentum whose singular values are made one (Jordan et al. 2024, https://kellerjordan.github.io/posts/muon/), with the scale that lets it share AdamW's learning rate
(Liu et al. 2025, https://arxiv.org/abs/2502.16982, eq. 4). Matrices and convolutions learn by it; vectors, tables and what names classes by AdamW."""
import torch


def orthogonal(x):
    """n matrices of one shape -> the nearest (semi-)orthogonal ones, about: five steps of the quintic Newton-Schulz iteration"""
    x = x.bfloat16()
    tall = x.shape[1] > x.shape[2]
    x = x.transpose(1, 2) if tall else x
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    for _ in range(5):
        a = x @ x.transpose(1, 2)
        x = torch.baddbmm(x, torch.baddbmm(a, a, a, beta=-4.775, alpha=2.0315), x, beta=3.4445)
    return (x.transpose(1, 2) if tall else x).float()


class Muon(torch.optim.Optimizer):
    """groups: dicts with params; muon True or False, lr, and what else AdamW has"""

    def __init__(self, groups, lr, betas=(0.9, 0.98), momentum=0.95, weight_decay=0.02):
        super().__init__(groups, dict(lr=lr, betas=betas, momentum=momentum, weight_decay=weight_decay, muon=False))

    @torch.no_grad()
    def step(self):
        for g in self.param_groups:
            with_grad = [p for p in g["params"] if p.grad is not None]
            for p in with_grad:
                p.mul_(1 - g["lr"] * g["weight_decay"])
            if g["muon"]:
                self.matrices(with_grad, g)
            else:
                for p in with_grad:
                    self.adam(p, g, self.state[p])

    def matrices(self, params, g):
        alike = {}
        for p in params:
            alike.setdefault(p.flatten(1).shape, []).append(p)
        for shape, ps in alike.items():
            steps = []
            for p in ps:
                m = self.state[p].setdefault("momentum", torch.zeros_like(p)).lerp_(p.grad, 1 - g["momentum"])
                steps.append(p.grad.lerp(m, g["momentum"]).flatten(1))
            for p, u in zip(ps, orthogonal(torch.stack(steps))):
                p.add_(u.reshape(p.shape), alpha=-g["lr"] * 0.2 * max(shape) ** 0.5)

    def adam(self, p, g, s):
        if not s:
            s["step"], s["mean"], s["square"] = torch.zeros(()), torch.zeros_like(p), torch.zeros_like(p)
        b, c = g["betas"]
        s["step"] += 1
        n = s["step"].item()
        s["mean"].lerp_(p.grad, 1 - b)
        s["square"].mul_(c).addcmul_(p.grad, p.grad, value=1 - c)
        p.addcdiv_(s["mean"], (s["square"] / (1 - c ** n)).sqrt_().add_(1e-8), value=-g["lr"] / (1 - b ** n))


def groups(named):
    """Named parameters -> two groups"""

    def matrix(n, p):
        return p.ndim > 1 and min(p.flatten(1).shape) >= 32 and not any(x in n for x in ("pos", "row", "col", "emb", "out", "char", "kind", "start"))
    return [dict(params=[p for n, p in named if matrix(n, p) == on], muon=on) for on in (True, False)]
