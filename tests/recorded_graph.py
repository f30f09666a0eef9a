"""What a CUDA graph does, on CPU tensors: a step is recorded operator by operator and replayed without Python.

A replay calls the same operators on the same memory with the same numbers, whatever has changed in Python since. What a
capture would not allow is an error of the recording: a value read back, a result whose size depends on values, a tensor
made from Python's numbers, random numbers. As with a capture, recording a step changes nothing: what the step wrote
over gets its values back.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

FORBIDDEN = {
    "_local_scalar_dense": "reads a value back",
    "equal": "reads a value back",
    "is_nonzero": "reads a value back",
    "nonzero": "has a result whose size depends on values",
    "masked_select": "has a result whose size depends on values",
    "repeat_interleave": "has a result whose size depends on values",
    "_unique2": "has a result whose size depends on values",
    "unique_consecutive": "has a result whose size depends on values",
    "bincount": "has a result whose size depends on values",
    "lift_fresh": "copies a tensor made from Python's numbers to the device",
}


class CaptureError(RuntimeError):
    """What a capture would have refused."""


def tensors_in(value: Any) -> Iterator[Tensor]:
    """The tensors in nested lists, tuples and mappings, in order."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for each in value.values():
            yield from tensors_in(each)
    elif isinstance(value, list | tuple):
        for each in value:
            yield from tensors_in(each)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage().data_ptr()


class Tape(TorchDispatchMode):
    """Records the operators that run inside."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[tuple[Any, Sequence[Any], Mapping[str, Any], Any]] = []
        self._own: set[int] = set()  # storages of the recording
        self._before: dict[int, tuple[torch.UntypedStorage, torch.UntypedStorage]] = {}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func._schema.name.split("::")[1]
        if name in FORBIDDEN:
            raise CaptureError(f"{name} {FORBIDDEN[name]}")
        if torch.Tag.nondeterministic_seeded in func.tags:
            raise CaptureError(f"{name} draws random numbers")
        given = list(tensors_in((args, kwargs)))
        if func._schema.is_mutable or name == "native_batch_norm":  # whose schema is silent on running statistics
            for tensor in given:
                place = _storage(tensor)
                if place not in self._own and place not in self._before:
                    storage = tensor.untyped_storage()
                    self._before[place] = storage, storage.clone()
        result = func(*args, **kwargs)
        places = {_storage(tensor) for tensor in given}
        made = [tensor for tensor in tensors_in(result) if _storage(tensor) not in places]
        self._own.update(map(_storage, made))
        if func._schema.is_mutable or made:  # not a view
            self.calls.append((func, args, kwargs, result))
        return result

    def undo(self) -> None:
        """What was there before the recording has its values again."""
        for storage, values in self._before.values():
            storage.copy_(values)


class RecordedGraph:
    """The operators of a step."""

    def __init__(self, tape: Tape) -> None:
        self._calls = tape.calls

    @torch.no_grad()
    def replay(self) -> None:
        """Runs them, into the tensors of the recording."""
        for func, args, kwargs, recorded in self._calls:
            given = {_storage(tensor) for tensor in tensors_in((args, kwargs))}
            for place, value in zip(tensors_in(recorded), tensors_in(func(*args, **kwargs)), strict=True):
                if _storage(place) not in given:
                    place.copy_(value)


class CpuRecorder:
    """``amended_darts.graphs.Recorder`` for CPU tensors."""

    def __init__(self, device: torch.device) -> None:
        pass

    def warm_up(self, step: Callable[[], dict[str, Tensor]]) -> dict[str, Tensor]:
        return step()

    def record(
        self, step: Callable[[], dict[str, Tensor]], beside: object = None
    ) -> tuple[RecordedGraph, dict[str, Tensor]]:
        with Tape() as tape:
            measured = step()
        tape.undo()
        return RecordedGraph(tape), measured
