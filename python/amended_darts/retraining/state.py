"""Everything a re-training is made of and everything its checkpoint holds."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import torch

from amended_darts import randomness
from amended_darts.checkpoint import check_same_run, load_checkpoint, save_checkpoint
from amended_darts.data import DataSet, Stream
from amended_darts.derived import count_multiply_adds
from amended_darts.derived.network import default_depth, find_form
from amended_darts.derived.spec import NetworkSpec
from amended_darts.devices import find_device
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype
from amended_darts.precision import Precision
from amended_darts.retraining.config import FREE_ON_RESUME, RetrainConfig
from amended_darts.run_state import RunState

KIND = "retrain"
ORDER, AUGMENT = 100, 101  # purposes of random numbers, distinct from those of a search


class RetrainState(RunState):
    """Network, optimiser, the stream of images, and the position in the run.

    Args:
        config: a resolved configuration.
        genotype: what is trained.
        data: the data set that the configuration names.
    """

    def __init__(self, config: RetrainConfig, genotype: Genotype, data: DataSet) -> None:
        self.device = find_device(config.device)
        height, width = data.image_size
        large = config.recipe == "imagenet" and genotype.cells[0].inputs > 1
        form = find_form(genotype, "imagenet" if large else None)
        self.config = config.fitted(_depth(config, genotype, form), height, width)
        settings: Any = self.config  # nothing that is a number is None any more
        self.settings = settings
        self.data = data
        self.spec = NetworkSpec(
            genotype, form, settings.cells, settings.channels, data.classes, data.mean, data.std, (height, width)
        )
        randomness.seed_everything(config.seed)
        self.network = self.spec.build(auxiliary=settings.auxiliary > 0).to(self.device)
        self.optimizer = torch.optim.SGD(
            self.network.parameters(),
            settings.lr,
            momentum=settings.momentum,
            weight_decay=settings.weight_decay,
            nesterov=settings.nesterov,
        )
        self.precision = Precision(config.amp, self.device)
        every = torch.arange(len(data.train.labels))
        self.stream = Stream(
            data, every, settings.batch_size, config.seed, ORDER, AUGMENT, self.device, settings.cutout
        )
        super().__init__(Path(config.out), settings.epochs, self.stream.steps_per_pass)

    @property
    def learning_rate(self) -> float:
        """Of this epoch; a function of the epoch alone: no schedule state to lose."""
        low, high = self.settings.lr_min, self.settings.lr
        if self.settings.schedule == "exponential":
            return float(high * self.settings.lr_decay**self.epoch)
        return float(low + (high - low) * (1 + math.cos(math.pi * self.epoch / self.epochs)) / 2)

    @property
    def drop_path(self) -> float:
        """Probability of this epoch."""
        return float(self.settings.drop_path * self.epoch / self.epochs)

    def multiply_adds(self) -> int:
        """Of the network for one image."""
        return count_multiply_adds(self.network, (len(self.spec.mean), *self.spec.image))

    def save(self) -> None:
        """Writes the checkpoint."""
        state = {
            "config": self.config.to_dict(),
            "data": self._facts(),
            "genotype": self.spec.genotype.to_json(),
            "spec": self.spec.to_dict(),
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "precision": self.precision.state_dict(),
            "random": randomness.capture(),
            **self.position_dict(),
        }
        save_checkpoint(self.checkpoint, state, KIND)

    def load(self) -> None:
        """Continues from the checkpoint.

        Raises:
            InputError: it cannot be read, or belongs to another training.
        """
        state = load_checkpoint(self.checkpoint, KIND)
        try:
            check_same_run(self.checkpoint, state, self.config, self._facts(), FREE_ON_RESUME, "training")
            if state["genotype"] != self.spec.genotype.to_json():
                raise InputError(f"{self.checkpoint}: this training was started with another genotype")
            self.network.load_state_dict(state["network"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.precision.load_state_dict(state["precision"])
            self.load_position(state, self.device)
            randomness.restore(state["random"])
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise InputError(f"{self.checkpoint}: expected a complete checkpoint, it does not fit ({error})") from None

    def _facts(self) -> dict[str, Any]:
        return {
            "training images": len(self.data.train.labels),
            "held-out images": len(self.data.heldout.labels),
            "classes": len(self.data.classes),
            "image channels": len(self.data.mean),
        }


def _depth(config: RetrainConfig, genotype: Genotype, form: str) -> int:
    """Of the recipe's network, or the genotype's own."""
    return default_depth(genotype, form) if config.cells is None else config.cells
