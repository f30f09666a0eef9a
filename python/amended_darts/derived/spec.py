"""Everything that is needed to build a derived network again and to feed it images, as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from amended_darts.derived.network import FORMS, DerivedNetwork
from amended_darts.genotype import Genotype
from amended_darts.json_reader import JsonReader, show

LARGEST = 100_000  # classes, channels, pixels: a file that asks for more is damaged


@dataclass(frozen=True)
class NetworkSpec:
    """A network and the images it is made for.

    Attributes:
        genotype: its architecture.
        form: one of ``FORMS``.
        cells, channels: depth, and width of the first cell.
        classes: class names, in the order of the logits.
        mean, std: per channel, in units of a pixel: the network is given (pixel - mean) / std.
        image: height and width of the images it was trained on, pixels.
    """

    genotype: Genotype
    form: str
    cells: int
    channels: int
    classes: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    image: tuple[int, int]

    def build(self, auxiliary: bool = False) -> DerivedNetwork:
        """The network with initial weights."""
        return DerivedNetwork(
            self.genotype,
            len(self.classes),
            len(self.mean),
            cells=self.cells,
            channels=self.channels,
            form=self.form,
            auxiliary=auxiliary,
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain values for JSON; the genotype is kept in a file of its own."""
        return {
            "form": self.form,
            "cells": self.cells,
            "channels": self.channels,
            "classes": list(self.classes),
            "mean": list(self.mean),
            "std": list(self.std),
            "image": list(self.image),
        }

    @classmethod
    def from_dict(cls, values: Any, genotype: Genotype, source: str) -> NetworkSpec:
        """Reads and checks what ``to_dict`` gave.

        Raises:
            InputError: one sentence with ``source``, the JSON path of the fault, what was expected and what came.
        """
        read = _Reader(source)
        found = read.keys(values, "$", ("form", "cells", "channels", "classes", "mean", "std", "image"))
        cells, channels = (read.integer(found[name], f"$.{name}", 1, LARGEST, "a number") for name in _COUNTS)
        classes = read.items(found["classes"], "$.classes", "class names")
        mean, std = (read.numbers(found[name], f"$.{name}") for name in ("mean", "std"))
        if len(std) != len(mean) or not all(std):
            raise read.fail("$.std", f"{len(mean)} numbers other than 0, as many as in mean", show(found["std"]))
        image = read.items(found["image"], "$.image", "height and width")
        if len(image) != 2:
            raise read.fail("$.image", "height and width", show(image))
        return cls(
            genotype,
            read.one_of(found["form"], "$.form", FORMS),
            cells,
            channels,
            tuple(read.text(name, f"$.classes[{index}]", "a class name") for index, name in enumerate(classes)),
            mean,
            std,
            tuple(read.integer(side, f"$.image[{at}]", 1, LARGEST, "a size") for at, side in enumerate(image)),  # type: ignore[arg-type]
        )


_COUNTS = ("cells", "channels")


class _Reader(JsonReader):
    def numbers(self, value: Any, path: str) -> tuple[float, ...]:
        """A list of numbers."""
        items = self.items(value, path, "numbers")
        for index, item in enumerate(items):
            if type(item) not in (int, float):
                raise self.fail(f"{path}[{index}]", "a number", show(item))
        return tuple(map(float, items))
