"""Bilevel gradients for any torch model: d L_val / dα where the weights w follow L_train.

    min_α L_val(w*(α), α)   with   w*(α) = argmin_w L_train(w, α)
    dL_val/dα = g1 + g2,  g1 = ∂L_val/∂α,  g2 = −A H⁻¹ v,
    v = ∂L_val/∂w,  H = ∂²_w L_train,  A = ∂²_{α,w} L_train

Every estimator has one signature and differs in what it puts in place of g2::

    estimator(train_loss, val_loss, weights, alphas, *, gradient=gradient, report=None, **settings) -> list[Tensor]

``train_loss`` and ``val_loss`` are functions of no arguments that evaluate their loss at the current values of
``weights`` and ``alphas``, two lists of leaf tensors that require grad. The result has one gradient for each alpha.
Weights and ``requires_grad`` flags come back bit for bit, also after an exception; ``.grad`` is neither read nor
written. Nothing in here knows about networks or cells. ``alpha_eigenvalue`` is no estimator: it measures how sharply
L_val bends along α.
"""

from ._buffers import frozen_buffers
from ._gradient import Gradient, Loss, gradient
from .alpha_eigenvalue import alpha_eigenvalue
from .amended import amended
from .conjugate_gradient import conjugate_gradient
from .exact import exact
from .first_order import first_order
from .neumann import neumann
from .two_moment import two_moment
from .unrolled import unrolled

__all__ = [
    "Gradient",
    "Loss",
    "alpha_eigenvalue",
    "amended",
    "conjugate_gradient",
    "exact",
    "first_order",
    "frozen_buffers",
    "gradient",
    "neumann",
    "two_moment",
    "unrolled",
]
