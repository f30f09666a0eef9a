"""Recipes and options: the published settings, overridden one by one, refused in one sentence."""

from __future__ import annotations

import pytest
from amended_darts.errors import InputError
from amended_darts.retraining import RetrainConfig


def test_cifar_recipe_is_that_of_darts():
    config = RetrainConfig().resolved().fitted(20, 32, 32)
    assert (config.recipe, config.cells, config.channels, config.epochs, config.batch_size) == (
        "cifar",
        20,
        36,
        600,
        96,
    )
    assert (config.lr, config.schedule, config.lr_min, config.momentum, config.weight_decay) == (
        0.025, "cosine", 0.0, 0.9, 3e-4,
    )  # fmt: skip
    assert (config.drop_path, config.auxiliary, config.cutout, config.label_smoothing, config.clip) == (
        0.2, 0.4, 16, 0.0, 5.0,
    )  # fmt: skip


def test_imagenet_recipe_is_that_of_darts():
    config = RetrainConfig(recipe="imagenet").resolved().fitted(14, 224, 224)
    assert (config.channels, config.epochs, config.batch_size, config.lr, config.schedule, config.lr_decay) == (
        48, 250, 128, 0.1, "exponential", 0.97,
    )  # fmt: skip
    assert (config.weight_decay, config.label_smoothing, config.auxiliary, config.drop_path, config.cutout) == (
        3e-5, 0.1, 0.4, 0.0, 0,
    )  # fmt: skip


def test_nasbench201_is_the_default_for_its_cells():
    config = RetrainConfig().resolved(one_input=True).fitted(15, 32, 32)
    assert (config.recipe, config.cells, config.channels, config.epochs, config.batch_size) == (
        "nasbench201", 15, 16, 200, 256,
    )  # fmt: skip
    assert (config.lr, config.nesterov, config.weight_decay, config.clip, config.auxiliary) == (0.1, True, 5e-4, 0, 0)


def test_augmentation_follows_the_recipe():
    assert RetrainConfig().resolved().augment == "standard"
    assert RetrainConfig(recipe="imagenet").resolved().augment == "imagenet"
    assert RetrainConfig(recipe="imagenet", augment="none").resolved().augment == "none"


def test_options_win_over_the_recipe():
    config = RetrainConfig(recipe="imagenet", schedule="cosine", drop_path=0.3, clip=0.0, nesterov=True).resolved()
    assert (config.schedule, config.drop_path, config.clip, config.nesterov) == ("cosine", 0.3, 0.0, True)
    assert config.resolved() == config


def test_cutout_fits_the_image():
    assert RetrainConfig().resolved().fitted(20, 8, 8).cutout == 4
    assert RetrainConfig(cutout=3).resolved().fitted(20, 8, 8).cutout == 3
    with pytest.raises(InputError, match="--cutout: expected at most half the image's 8 pixels, got 5"):
        RetrainConfig(cutout=5).resolved().fitted(20, 8, 8)


@pytest.mark.parametrize(
    ("told", "settings"),
    [
        ("--recipe: expected one of cifar, imagenet, nasbench201, got 'svhn'", {"recipe": "svhn"}),
        ("--schedule: expected one of cosine, exponential, got 'step'", {"schedule": "step"}),
        ("--epochs: expected at least 1 epoch, got 0", {"epochs": 0}),
        ("--drop-path: expected a share from 0 to below 1, got 1.0", {"drop_path": 1.0}),
        ("--lr: expected a positive learning rate, got nan", {"lr": float("nan")}),
        ("--lr-decay: expected a factor above 0, at most 1, got 0.0", {"lr_decay": 0.0}),
        ("--batch-size: expected at least 2 images", {"batch_size": 1}),
        ("--cells: expected int or nothing, got 'many'", {"cells": "many"}),
        ("--nesterov: expected a positive --momentum with it, got 0", {"nesterov": True, "momentum": 0.0}),
        ("--resume, --overwrite: expected one of the two, got both", {"resume": True, "overwrite": True}),
    ],
)
def test_wrong_settings(told, settings):
    with pytest.raises(InputError, match=told):
        RetrainConfig(**settings).resolved()
