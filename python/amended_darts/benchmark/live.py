"""Bytes that are alive from one operator to the next, as functions of the batch size, from one pass on fake tensors.

The pass runs with a batch of ``BATCH`` images, a prime that no other size of a network is a multiple of: a storage
whose number of bytes it divides is proportional to the batch, every other one does not depend on it.

PyTorch's own MemTracker (torch.distributed._tools) counts one forward and backward of a module by categories, for one
batch size; an α step has five passes, and the largest batch that fits needs every batch size.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

BATCH = 10_007


class Bytes(NamedTuple):
    """``fixed + per_image · images`` bytes."""

    fixed: int
    per_image: int

    def at(self, images: int) -> int:
        """Bytes with a batch of so many images."""
        return self.fixed + self.per_image * images

    def plus(self, other: Bytes) -> Bytes:
        """The sum of two."""
        return Bytes(self.fixed + other.fixed, self.per_image + other.per_image)

    def less(self, other: Bytes) -> Bytes:
        """The difference of two."""
        return Bytes(self.fixed - other.fixed, self.per_image - other.per_image)


def bytes_of(count: int) -> Bytes:
    """A storage's bytes in a pass of ``BATCH`` images, by what they depend on."""
    return Bytes(0, count // BATCH) if count % BATCH == 0 else Bytes(count, 0)


def upper(found: Iterable[Bytes]) -> list[Bytes]:
    """Those of which one is the largest at some batch size: everything else is below them everywhere."""
    best: list[Bytes] = []
    for each in sorted(set(found), key=lambda b: (-b.per_image, -b.fixed)):
        if not best or each.fixed > best[-1].fixed:
            best.append(each)
    return best


Temporary = Callable[[Any, tuple[Any, ...]], Bytes]
"""From an operator and its arguments: bytes that it takes while it runs, unseen from outside."""


class LiveBytes(TorchDispatchMode):
    """Counts the storages that operators make until they die. Reading a number gives one: fake tensors have no values.

    Args:
        temporary: what operators take while they run.

    Attributes:
        now: bytes that are alive.
        highest: the candidates for the peak, see ``upper``.
    """

    def __init__(self, temporary: Temporary) -> None:
        super().__init__()
        self.now = Bytes(0, 0)
        self.highest: list[Bytes] = []
        self._temporary = temporary
        self._known: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        self._seen: set[Bytes] = set()

    def count(self, tensors: Iterable[Tensor]) -> None:
        """Adds what was there before."""
        for tensor in tensors:
            self._add(tensor.untyped_storage())
        self._seen.add(self.now)

    @contextlib.contextmanager
    def recorded(self) -> Iterator[list[Bytes]]:
        """A list that holds, once the block has ended, how far the bytes rose in it: candidates, as in ``upper``."""
        before, self._seen = self._seen, {self.now}
        start, risen = self.now, list[Bytes]()
        yield risen
        risen += upper(each.less(start) for each in self._seen)
        self._seen |= before

    def rise(self, risen: Iterable[Bytes]) -> None:
        """As if what was ``recorded`` ran again."""
        self._seen.update(self.now.plus(each) for each in risen)

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if func is torch.ops.aten._local_scalar_dense.default:
            return {torch.bool: True}.get(args[0].dtype, 1.0 if args[0].is_floating_point() else 1)
        output = func(*args, **(kwargs or {}))
        for leaf in (output,) if isinstance(output, Tensor) else tree_leaves(output):
            if isinstance(leaf, Tensor):
                self._add(leaf.untyped_storage())
        self._seen.add(self.now.plus(self._temporary(func, args)))
        return output

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self.highest = upper(self._seen)

    def _add(self, storage: torch.UntypedStorage) -> None:
        key = storage._cdata
        if key in self._known:
            return
        size = bytes_of(storage.nbytes())

        def gone(_: object) -> None:
            self.now = self.now.less(size)
            del self._known[key]

        self._known[key] = weakref.ref(storage, gone)
        self.now = self.now.plus(size)
