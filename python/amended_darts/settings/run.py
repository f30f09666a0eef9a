"""Where a run computes, what it writes, and how it goes on."""

from __future__ import annotations

from dataclasses import dataclass

from amended_darts.options import at_least, not_negative, option


@dataclass(frozen=True)
class ResumeOptions:
    """Where a search or a re-training computes, and how it goes on."""

    device: str = option(
        "auto",
        "where to compute: auto (cuda where there is a GPU), cpu, cuda, cuda:1, ...",
        group="run",
        metavar="DEVICE",
        free=True,
    )
    checkpoint_every: int = option(
        0,
        "save a checkpoint every so many steps, besides the one after each epoch; 0 for none",
        "steps",
        "run",
        check=not_negative("a number of steps, 0 or more"),
        free=True,
    )
    resume: bool = option(
        False,
        "continue from the checkpoint in --out; starts at the beginning where there is none",
        group="run",
        free=True,
    )


@dataclass(frozen=True)
class RunOptions(ResumeOptions):
    """Where a search runs, what it writes, and how it goes on."""

    out: str = option(
        "runs/search", "folder for everything the search writes", group="run", metavar="FOLDER", free=True
    )
    seed: int = option(
        0,
        "seed of the data halves, their order, the augmentation and all initial values",
        "",
        "run",
        check=(lambda value: 0 <= value < 2**63, "an integer from 0 to below 2^63"),
    )
    keep: int = option(
        1,
        "checkpoints to keep: checkpoint.pt, the last, and before it checkpoint-STEP.pt",
        "checkpoints",
        "run",
        check=at_least(1, "checkpoint"),
        free=True,
    )
    tensorboard: bool = option(
        False, "write events for TensorBoard to the folder tensorboard in --out", group="run", free=True
    )
    overwrite: bool = option(False, "start anew in an --out that already holds a search", group="run", free=True)
