"""How good a network is on held-out images: loss, top-1 and top-5 accuracy."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from amended_darts.data import DataSet, heldout_batches
from amended_darts.metrics import finite
from amended_darts.precision import Precision


@torch.no_grad()
def evaluate(
    network: nn.Module,
    data: DataSet,
    batch_size: int,
    device: torch.device,
    precision: Precision | None = None,
    after_batch: Callable[[], None] | None = None,
) -> dict[str, float | int | None]:
    """Measures in evaluation mode; the network is left in it.

    Args:
        network: maps [N, C, H, W] to logits [N, classes]; on ``device``.
        data: its held-out images are used, all of them.
        precision: the number format, float32 by default.
        after_batch: called after each batch; may raise to stop.

    Returns:
        loss (cross-entropy, None if it is not finite), top1 and top5 (shares; top5 among all classes where these are
        fewer), images.
    """
    network.eval()
    precision = precision or Precision("off", device)
    loss = top1 = top5 = torch.zeros((), dtype=torch.float64, device=device)
    for images, labels in heldout_batches(data, batch_size, device):
        with precision.autocast():
            logits = network(images)
        logits = logits.float()
        loss = loss + F.cross_entropy(logits, labels, reduction="sum").double()
        hits = _hits(logits, labels)
        top1, top5 = top1 + hits[:, :1].sum(), top5 + hits.sum()
        if after_batch is not None:
            after_batch()
    count = len(data.heldout.labels)
    return {
        "loss": finite(float(loss) / count),
        "top1": float(top1) / count,
        "top5": float(top5) / count,
        "images": count,
    }


def _hits(logits: Tensor, labels: Tensor) -> Tensor:
    """Whether the label is the k-th guess, [N, up to 5]."""
    return logits.topk(min(5, logits.shape[1]), dim=1).indices == labels.unsqueeze(1)
