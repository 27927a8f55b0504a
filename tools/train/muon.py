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
            if not with_grad:
                continue
            torch._foreach_mul_(with_grad, 1 - g["lr"] * g["weight_decay"])
            (self.matrices if g["muon"] else self.adam)(with_grad, g)

    def kept(self, params, name):
        """A tensor of each parameter's state, at first zeros"""
        for p in params:
            if name not in self.state[p]:
                self.state[p][name] = torch.zeros_like(p)
        return [self.state[p][name] for p in params]

    def matrices(self, params, g):
        alike = {}
        for p in params:
            alike.setdefault(p.flatten(1).shape, []).append(p)
        for shape, ps in alike.items():
            grads, m = [p.grad for p in ps], self.kept(ps, "momentum")
            torch._foreach_lerp_(m, grads, 1 - g["momentum"])
            steps = torch._foreach_lerp(grads, m, g["momentum"])
            turned = orthogonal(torch.stack([s.flatten(1) for s in steps]))
            torch._foreach_add_(ps, [u.reshape(p.shape) for p, u in zip(ps, turned)], alpha=-g["lr"] * 0.2 * max(shape) ** 0.5)

    def adam(self, params, g):
        g["steps"] = n = g.get("steps", 0) + 1
        b, c = g["betas"]
        grads, mean, square = [p.grad for p in params], self.kept(params, "mean"), self.kept(params, "square")
        torch._foreach_lerp_(mean, grads, 1 - b)
        torch._foreach_mul_(square, c)
        torch._foreach_addcmul_(square, grads, grads, 1 - c)
        root = torch._foreach_sqrt(square)
        torch._foreach_div_(root, (1 - c ** n) ** 0.5)
        torch._foreach_add_(root, 1e-8)
        torch._foreach_addcdiv_(params, mean, root, -g["lr"] / (1 - b ** n))


def groups(named):
    """Named parameters -> two groups"""

    def matrix(n, p):
        return p.ndim > 1 and min(p.flatten(1).shape) >= 32 and not any(x in n for x in ("pos", "row", "col", "emb", "out", "char", "kind", "start"))
    return [dict(params=[p for n, p in named if matrix(n, p) == on], muon=on) for on in (True, False)]
