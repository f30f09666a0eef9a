"""Gradient accumulation: the derivatives of a batch's loss, part by part, for any estimator."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from amended_darts.hypergradient import Gradient, Loss, gradient

Batch = tuple[Tensor, Tensor]  # images [N, C, H, W], labels [N]


class Parts:
    """A ``gradient`` function that goes through the parts of the batches and adds up.

    A loss that it is given has to evaluate ``of(batch)``, the part that it is the turn of, times its share of the
    batch. Batch normalisation sees the parts; memory is that of one part.

    Args:
        count: parts of every batch.
        inner: takes the gradient of one part.
    """

    def __init__(self, count: int = 1, inner: Gradient = gradient) -> None:
        self.count = count
        self.turn = 0
        self._inner = inner

    def __call__(self, scalar: Loss, inputs: Sequence[Tensor]) -> list[Tensor]:
        try:
            total = self._inner(scalar, inputs)
            for turn in range(1, self.count):
                self.turn = turn
                total = [a + b for a, b in zip(total, self._inner(scalar, inputs), strict=True)]
            return total
        finally:
            self.turn = 0

    def of(self, batch: Batch) -> tuple[Tensor, Tensor, float]:
        """Images and labels of the part that it is the turn of, and its share of the batch."""
        images, labels = batch
        if self.count == 1:
            return images, labels, 1.0
        part = labels.tensor_split(self.count)[self.turn]
        return images.tensor_split(self.count)[self.turn], part, len(part) / len(labels)
