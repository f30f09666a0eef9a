"""A super-network on handwritten digits with so few weights that its Hessian fits, and its training."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amended_darts.extras import require
from amended_darts.fidelity.problems import Bilevel
from amended_darts_ext import MixedEdges

CANDIDATES = ("skip_connect", "avg_pool_3x3", "sep_conv_3x3")
SMOOTHING = 0.1  # of labels: gives the training loss a minimum at finite weights


class SmoothSepConv(nn.Sequential):
    """sep_conv_3x3 with softplus in place of ReLU."""

    def __init__(self, channels: int, stride: int) -> None:
        layers: list[nn.Module] = []
        for step in (stride, 1):
            depthwise = nn.Conv2d(channels, channels, 3, step, 1, groups=channels, bias=False)
            pointwise = nn.Conv2d(channels, channels, 1, bias=False)
            norm = nn.BatchNorm2d(channels, affine=False)
            layers += [nn.Softplus(beta=3), depthwise, pointwise, norm]
        super().__init__(*layers)


class Network(nn.Module):
    """Stem, three mixed edges between three states, average pool, linear; batch statistics throughout."""

    def __init__(self, smooth: bool, channels: int) -> None:
        super().__init__()
        candidates = (*CANDIDATES[:2], SmoothSepConv if smooth else CANDIDATES[2])
        self.stem = nn.Sequential(
            nn.Conv2d(1, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels, affine=False)
        )
        self.first = MixedEdges(channels, 2, candidates=candidates, implementation="reference")
        self.second = MixedEdges(channels, 1, candidates=candidates, implementation="reference")
        self.classifier = nn.Linear(2 * 2 * channels, 10)

    def forward(self, x: Tensor, alpha: Tensor) -> Tensor:
        weights = alpha.softmax(-1)
        x = self.stem(x)
        one, two = self.first(x, weights[:2])
        two = two + self.second(one, weights[2:])[0]
        return self.classifier(F.adaptive_avg_pool2d(torch.cat([one, two], 1), (2, 1)).flatten(1))


class Rounded(torch.autograd.Function):
    """Keeps so many explicit bits of the mantissa (TF32: 10, bfloat16: 7); the gradient passes through."""

    @staticmethod
    def forward(ctx: object, x: Tensor, bits: int) -> Tensor:
        mantissa, exponent = torch.frexp(x)
        return torch.ldexp((mantissa * 2 ** (bits + 1)).round() / 2 ** (bits + 1), exponent)

    @staticmethod
    def backward(ctx: object, grad: Tensor) -> tuple[Tensor, None]:
        return grad, None


def network_problem(
    seed: int,
    smooth: bool,
    images: int = 100,
    channels: int = 2,
    dtype: torch.dtype = torch.float64,
    bits: int | None = None,
) -> Bilevel:
    """The super-network at its initial weights, with ``images`` digits for each of the two losses.

    ``bits`` rounds every weight where it is used, as a product in TF32 or bfloat16 would.
    """
    loaded = require("sklearn.datasets", "the fidelity study").load_digits()
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(len(loaded.target), generator=generator)[: 2 * images]
    x = torch.tensor(loaded.images)[order].unsqueeze(1).sub(4.884).div(6.017).to(dtype)
    labels = torch.tensor(loaded.target)[order]
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Network(smooth, channels).double()  # drawn alike whatever the dtype
        alpha = nn.Parameter((0.5 * torch.randn(3, len(CANDIDATES), dtype=torch.float64)).to(dtype))
    network.to(dtype)
    names, weights = zip(*network.named_parameters(), strict=True)

    def loss(part: slice) -> Tensor:
        if bits is None:
            logits = network(x[part], alpha)
        else:
            values = [Rounded.apply(w, bits) for w in weights]
            logits = torch.func.functional_call(network, dict(zip(names, values, strict=True)), (x[part], alpha))
        return F.cross_entropy(logits, labels[part], label_smoothing=SMOOTHING)

    train, val = slice(None, images), slice(images, None)
    return Bilevel(lambda: loss(train), lambda: loss(val), list(weights), [alpha])


@torch.no_grad()
def set_weights(problem: Bilevel, values: Sequence[Tensor]) -> None:
    """Copies values in, into the problem's dtype."""
    for w, value in zip(problem.weights, values, strict=True):
        w.copy_(value)


def descend(problem: Bilevel, steps: int, lr: float, momentum: float = 0.9) -> None:
    """Gradient descent with momentum on w, all training images in each step."""
    optimizer = torch.optim.SGD(problem.weights, lr=lr, momentum=momentum)
    for _ in range(steps):
        problem.train_loss().backward(inputs=problem.weights)
        optimizer.step()
        optimizer.zero_grad()


def minimise(problem: Bilevel, evaluations: int, tolerance: float = 1e-7) -> float:
    """L-BFGS with line search on w until ‖∂L_train/∂w‖∞ ≤ tolerance or so many evaluations; returns ‖∂L_train/∂w‖₂."""
    optimizer = torch.optim.LBFGS(
        problem.weights,
        max_iter=evaluations,
        max_eval=evaluations,
        tolerance_grad=tolerance,
        tolerance_change=0,
        history_size=50,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        loss = problem.train_loss()
        for w, g in zip(problem.weights, torch.autograd.grad(loss, problem.weights), strict=True):
            w.grad = g
        return loss

    optimizer.step(closure)
    optimizer.zero_grad(set_to_none=True)
    gradients = torch.autograd.grad(problem.train_loss(), problem.weights)
    return math.sqrt(sum(float(g.square().sum()) for g in gradients))
