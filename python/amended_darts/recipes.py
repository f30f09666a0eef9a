"""How found architectures are re-trained: the published settings, as constants that search and re-training share.

CIFAR and ImageNet as in DARTS (arXiv 1806.09055, appendix A and its public code of 2018); NAS-Bench-201 as in arXiv
2001.00326, table 1.
"""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.errors import InputError


@dataclass(frozen=True)
class Recipe:
    """Settings of a re-training.

    Attributes:
        cells, channels: depth, and width of the first cell.
        affine: BN with learnable weight and bias.
        pool_norm: BN after pools.
        drop_path: probability at the end of dropping an operator's output for a sample; rises linearly from 0.
        auxiliary: weight of the auxiliary head's loss; 0 for no such head.
        cutout: side of the square that is blanked in each image, pixels; 0 for none.
        epochs, batch_size: of the training.
        lr, lr_min: learning rate at the start and, with the cosine schedule, at the end.
        lr_decay: factor of the learning rate per epoch in place of the cosine schedule; None for cosine.
        momentum, nesterov, weight_decay, clip: of SGD; ``clip`` is the largest gradient norm, None for any.
        label_smoothing: of the main loss.
    """

    cells: int
    channels: int
    affine: bool = True
    pool_norm: bool = False
    drop_path: float = 0.0
    auxiliary: float = 0.0
    cutout: int = 0
    epochs: int = 600
    batch_size: int = 96
    lr: float = 0.025
    lr_min: float = 0.0
    lr_decay: float | None = None
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 3e-4
    clip: float | None = 5.0
    label_smoothing: float = 0.0


RECIPES = {
    "cifar": Recipe(cells=20, channels=36, drop_path=0.2, auxiliary=0.4, cutout=16),
    "imagenet": Recipe(
        cells=14,
        channels=48,
        auxiliary=0.4,
        epochs=250,
        batch_size=128,
        lr=0.1,
        lr_decay=0.97,
        weight_decay=3e-5,
        label_smoothing=0.1,
    ),
    "nasbench201": Recipe(
        cells=15,
        channels=16,
        epochs=200,
        batch_size=256,
        lr=0.1,
        nesterov=True,
        weight_decay=5e-4,
        clip=None,
    ),
}
"""By the name that ``--recipe`` takes."""


def find_recipe(name: str) -> Recipe:
    """The recipe of that name.

    Raises:
        InputError: there is none; lists those there are.
    """
    if name not in RECIPES:
        raise InputError(f"--recipe: expected one of {', '.join(RECIPES)}, got '{name}'")
    return RECIPES[name]
