"""Settings of a re-training: one dataclass, from which the command line, its help and ``config.json`` follow."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from amended_darts.augmentations import AUGMENTATIONS
from amended_darts.errors import InputError
from amended_darts.options import Check, at_least, check_options, not_negative, option, positive, rate
from amended_darts.recipes import RECIPES, Recipe, find_recipe
from amended_darts.settings import ImageOptions, ResumeOptions

SHARE: Check = (lambda value: 0 <= value < 1, "a share from 0 to below 1")


def by_recipe(help: str, unit: str = "", group: str = "training", **settings: Any) -> Any:
    """An option whose default is the recipe's value."""
    return option(None, help, unit, group, **{"unset": "the recipe's", **settings})


@dataclass(frozen=True)
class RetrainConfig(ResumeOptions, ImageOptions):  # fields stand in the order from last to first
    """Everything that a re-training depends on. Settings that are None take the recipe's value.

    Raises:
        InputError: on ``resolved()``: a value out of range, or settings that contradict each other.
    """

    genotype: str = option(
        "runs/search",
        "what to train: a search's folder, a genotype.json, a text file with the published form, or a name of the "
        "literature (DARTS_V2, PC_DARTS_CIFAR, ...)",
        group="network",
        free=True,
    )
    recipe: str | None = option(
        None,
        "settings to start from: " + ", ".join(RECIPES),
        group="network",
        choices=tuple(RECIPES),
        unset="nasbench201 for its cells, cifar for others",
    )
    cells: int | None = by_recipe(
        "depth", "cells", "network", check=at_least(1, "cell"), unset="the recipe's, or the genotype's own number"
    )
    channels: int | None = by_recipe("width of the first cell", "channels", "network", check=at_least(1, "channel"))

    augment: str | None = by_recipe(
        "changes to training images: " + "; ".join(f"{name}, {about}" for name, about in AUGMENTATIONS.items()),
        group="data",
        choices=tuple(AUGMENTATIONS),
        unset="imagenet for that recipe, standard for others",
    )
    batch_size: int | None = by_recipe(
        "images per step", "images", "data", check=at_least(2, "images (batch normalisation needs two)")
    )
    cutout: int | None = by_recipe(
        "side of the square that is erased in each training image",
        "pixels",
        "data",
        check=not_negative("a number of pixels, 0 or more"),
        unset="the recipe's, at most half the image",
    )

    epochs: int | None = by_recipe("passes over the training images", "epochs", check=at_least(1, "epoch"))
    lr: float | None = by_recipe("learning rate at the start", check=positive("a positive learning rate"))
    schedule: str | None = by_recipe(
        "learning rate: cosine, from --lr to --lr-min, or exponential, times --lr-decay each epoch",
        choices=("cosine", "exponential"),
    )
    lr_min: float | None = by_recipe(
        "learning rate at the end of the cosine", check=not_negative("a learning rate, 0 or more")
    )
    lr_decay: float | None = by_recipe(
        "exponential: factor from epoch to epoch",
        check=(lambda value: 0 < value <= 1, "a factor above 0, at most 1"),
        unset="the recipe's, or 0.97",
    )
    momentum: float | None = by_recipe("momentum of SGD", check=rate())
    nesterov: bool | None = by_recipe("Nesterov's momentum", metavar="true|false")
    weight_decay: float | None = by_recipe("weight decay (L2)", check=not_negative("0 or more"))
    clip: float | None = by_recipe(
        "largest norm of the gradient; longer ones are shortened to it; 0 for any", "L2 norm",
        check=not_negative("a norm, 0 or more"),
    )  # fmt: skip
    label_smoothing: float | None = by_recipe("share of a label that goes to all classes", "0..1", check=SHARE)
    drop_path: float | None = by_recipe(
        "probability at the end of dropping an operator's output for a sample; grows linearly from 0", "0..1",
        check=SHARE,
    )  # fmt: skip
    auxiliary: float | None = by_recipe(
        "weight of the auxiliary head's loss; 0 for no head", "times the loss", check=not_negative("0 or more")
    )
    amp: str = option(
        "off",
        "autocast: off, bf16 or fp16 (with a scaled loss); weights stay in float32",
        group="training",
        choices=("off", "bf16", "fp16"),
        metavar="FORMAT",
    )

    out: str = option(
        "runs/retrain", "folder for everything the training writes", group="run", metavar="FOLDER", free=True
    )
    seed: int = option(
        0,
        "seed of the order of the images, the augmentation and all initial values",
        "",
        "run",
        check=(lambda value: 0 <= value < 2**63, "an integer from 0 to below 2^63"),
    )
    overwrite: bool = option(False, "start anew in an --out that already holds a training", group="run", free=True)

    def resolved(self, one_input: bool = False) -> RetrainConfig:
        """The checked configuration with the recipe's values filled in: depth and ``cutout`` aside, which depend on
        the genotype and on the images.

        Args:
            one_input: the cells have one input, as in NAS-Bench-201.
        """
        check_options(self)
        name = self.recipe or ("nasbench201" if one_input else "cifar")
        values = _values(name, find_recipe(name))
        config = replace(
            self, recipe=name, **{name: value for name, value in values.items() if getattr(self, name) is None}
        )
        if config.nesterov and not config.momentum:
            raise InputError("--nesterov: expected a positive --momentum with it, got 0")
        if config.resume and config.overwrite:
            raise InputError("--resume, --overwrite: expected one of the two, got both")
        return config

    def fitted(self, depth: int, height: int, width: int) -> RetrainConfig:
        """A resolved configuration with depth and ``cutout`` settled.

        Args:
            depth: the genotype's default.
            height, width: of the images, pixels.
        """
        side = min(height, width)
        recipe = find_recipe(self.recipe or "")
        cutout = min(recipe.cutout, side // 2) if self.cutout is None else self.cutout
        if cutout > side // 2:
            raise InputError(f"--cutout: expected at most half the image's {side} pixels, got {cutout}")
        return replace(self, cutout=cutout, cells=depth if self.cells is None else self.cells)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as written to ``config.json``."""
        return asdict(self)


def _values(name: str, recipe: Recipe) -> dict[str, Any]:
    """A recipe in the words of the options."""
    names = {entry.name for entry in fields(RetrainConfig)} - {"cells", "cutout"}
    values = {entry: value for entry, value in asdict(recipe).items() if entry in names}
    return values | {
        "augment": "imagenet" if name == "imagenet" else "standard",
        "schedule": "cosine" if recipe.lr_decay is None else "exponential",
        "lr_decay": 0.97 if recipe.lr_decay is None else recipe.lr_decay,
        "clip": recipe.clip or 0.0,
    }


FREE_ON_RESUME = frozenset(entry.name for entry in fields(RetrainConfig) if entry.metadata["free"])
"""Settings that say where and how a training is computed, not what it computes: a resumed one may change them."""
