"""Random numbers of the data: a generator for each purpose, from the run's seed and nothing else."""

from __future__ import annotations

import torch

# Purposes: each gets its own generator.
HALVES, WEIGHT_ORDER, ALPHA_ORDER, WEIGHT_AUGMENT, ALPHA_AUGMENT = range(5)
FRACTION = 5
OTHER_RANKS = 6  # the global generators of all processes but the first


def generator(*key: int) -> torch.Generator:
    """A generator on the CPU seeded by all the numbers of the key."""
    import numpy

    seed = int(numpy.random.SeedSequence(list(key)).generate_state(1, numpy.uint64)[0])
    return torch.Generator().manual_seed(seed)
