"""Several processes as one search, started by torchrun: gradients averaged, images dealt out, files written by one.

Every process (rank) holds the whole super-network and its share of each batch. Batch normalisation uses the statistics
of that share, as with DistributedDataParallel; the running statistics that count are those of rank 0.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from amended_darts.config import SearchConfig
from amended_darts.data import Stream
from amended_darts.devices import find_device
from amended_darts.errors import AmendedDartsError, InputError, RunError, one_line
from amended_darts.hypergradient import Gradient, Loss

T = TypeVar("T")


class Ranks:
    """The processes of one run, this one being number ``rank`` of ``count``. Alone, every method gives back what it is
    given.

    Raises:
        RunError: in every method, where another process has ended or cannot be reached.
    """

    def __init__(self, rank: int = 0, count: int = 1) -> None:
        self.rank = rank
        self.count = count

    @property
    def first(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    @property
    def shard(self) -> tuple[int, int]:
        """Its number and how many there are: which images are this process's."""
        return self.rank, self.count

    def device(self, name: str) -> torch.device:
        """The device that --device names; with several processes on one machine each its own GPU.

        Raises:
            InputError: not a device, one that is not here, or one GPU for several processes.
        """
        device = find_device(name)
        if self.count == 1 or device.type == "cpu":
            return device
        if device.index is not None:
            raise InputError(f"--device: expected auto, cpu or cuda with {self.count} processes, got '{name}'")
        device = find_device(f"cuda:{os.environ.get('LOCAL_RANK', self.rank)}")
        torch.cuda.set_device(device)
        return device

    def check_shares(self, config: SearchConfig, *streams: Stream) -> None:
        """Equal shares, and two images at least in every part of each: batch normalisation needs them.

        Raises:
            InputError: --batch-size is too small or no multiple of the processes.
        """
        if self.count > 1 and config.batch_size % self.count:
            raise InputError(
                f"--batch-size: expected a multiple of the {self.count} processes, got {config.batch_size}"
            )
        for stream in streams if self.count > 1 else ():
            if stream.batch_size // self.count // config.accumulate < 2:
                raise InputError(
                    f"--batch-size: expected at least {2 * self.count * config.accumulate} images for {self.count} "
                    f"processes and {config.accumulate} parts, got {stream.batch_size}"
                )

    def averaged(self, gradient: Gradient) -> Gradient:
        """``gradient`` with its result averaged over the processes: the gradient of the mean of their losses."""
        if self.count == 1:
            return gradient

        def mean_gradient(scalar: Loss, inputs: Sequence[Tensor]) -> list[Tensor]:
            own = gradient(scalar, inputs)
            result = list(own)
            for dtype in {part.dtype for part in own}:  # one message for each, not one for each tensor
                places = [place for place, part in enumerate(own) if part.dtype == dtype]
                flat = torch.cat([own[place].reshape(-1) for place in places])
                with _reaching():
                    dist.all_reduce(flat)
                flat /= self.count
                for place, part in zip(places, flat.split([own[place].numel() for place in places]), strict=True):
                    result[place] = part.reshape(own[place].shape)
            return result

        return mean_gradient

    def mean(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Means over the processes of 0-d tensors by name, the same names in each."""
        if self.count == 1 or not values:
            return dict(values)
        flat = torch.stack([value.detach().double() for value in values.values()])
        with _reaching():
            dist.all_reduce(flat)
        return dict(zip(values, (flat / self.count).unbind(), strict=True))

    def sum(self, value: Tensor) -> Tensor:
        """The sum over the processes."""
        if self.count > 1:
            value = value.clone()
            with _reaching():
                dist.all_reduce(value)
        return value

    def largest(self, value: int) -> int:
        """The largest of the processes' integers."""
        if self.count == 1:
            return value
        flat = torch.tensor([value], dtype=torch.int64)
        with _reaching():
            dist.all_reduce(flat, dist.ReduceOp.MAX)
        return int(flat)

    def any(self, flag: bool) -> bool:
        """Whether it holds in one of the processes at least."""
        return self.largest(int(flag)) > 0

    @torch.no_grad()
    def copy_first_(self, tensors: Iterable[Tensor]) -> None:
        """Gives the tensors the values they have in rank 0."""
        if self.count > 1:
            for tensor in tensors:
                value = tensor.detach().contiguous()
                with _reaching():
                    dist.broadcast(value, 0)
                tensor.copy_(value)

    def check_equal(self, what: str, tensors: Iterable[Tensor]) -> None:
        """Makes sure that the tensors have the same bits in every process.

        Raises:
            RunError: they differ; in every process.
        """
        if self.count == 1:
            return
        own = torch.cat([tensor.detach().contiguous().reshape(-1).view(torch.uint8) for tensor in tensors])
        firsts = own.clone()
        with _reaching():
            dist.broadcast(firsts, 0)
        if self.any(not torch.equal(own, firsts)):
            raise RunError(f"the {self.count} processes of this search hold different {what}; nothing was saved")

    def gather(self, value: T) -> list[T]:
        """The values of all processes, in their order."""
        if self.count == 1:
            return [value]
        values: list[Any] = [None] * self.count
        with _reaching():
            dist.all_gather_object(values, value)
        return values

    def by_first(self, work: Callable[[], T]) -> T:
        """What ``work()`` returns in rank 0, which alone calls it; what it raises is raised in every process.

        Raises:
            AmendedDartsError: of ``work``.
        """
        if self.count == 1:
            return work()
        outcome: list[Any] = [None, None]
        try:
            if self.first:
                outcome[0] = work()
        except AmendedDartsError as error:
            outcome[1] = error
        with _reaching():
            dist.broadcast_object_list(outcome, 0)
        if outcome[1] is not None:
            raise outcome[1]
        result: T = outcome[0]
        return result


@contextmanager
def joined_ranks(device: str) -> Iterator[Ranks]:
    """The processes that torchrun started (RANK and WORLD_SIZE in the environment), or those of the process group that
    the caller has set up; otherwise this process alone.

    Args:
        device: as for --device; on GPUs they talk through NCCL, on the CPU through gloo.
    """
    if dist.is_available() and dist.is_initialized():
        yield Ranks(dist.get_rank(), dist.get_world_size())
        return
    count = int(os.environ.get("WORLD_SIZE", "1")) if "RANK" in os.environ else 1
    if count == 1:
        yield Ranks()
        return
    if not dist.is_available():
        raise InputError(f"torchrun started {count} processes, but this build of PyTorch has no torch.distributed")
    on_gpu = device != "cpu" and torch.cuda.is_available()
    with _reaching():
        dist.init_process_group("cpu:gloo,cuda:nccl" if on_gpu else "gloo")
    try:
        yield Ranks(dist.get_rank(), count)
    finally:
        dist.destroy_process_group()


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except AmendedDartsError:
        raise
    except RuntimeError as error:  # of gloo, and DistBackendError of NCCL
        told = one_line(error).split("] ", 1)[-1][:160]
        raise RunError(
            f"another process of this search ended or cannot be reached ({told}); "
            "the last checkpoint is whole, --resume continues from it"
        ) from None
