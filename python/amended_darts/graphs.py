"""Steps of a search as CUDA graphs: one call launches all kernels of a step, whatever Python would have done for them.

A graph replays what it was captured with: kernels, addresses and every number that came from Python. So the batches are
copied to where it reads them, the optimisers keep their numbers on the device (``capturable.py``), nothing in a step is
read back, and a step is captured anew when tensors of the search have moved or a setting has changed. Not yet run on a
GPU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from amended_darts.accumulation import Batch
from amended_darts.errors import InputError, RunError, one_line

if TYPE_CHECKING:
    from amended_darts.config import SearchConfig
    from amended_darts.ranks import Ranks
    from amended_darts.spaces import Space

Measured = dict[str, Tensor]
WARM_UP = 3


class Graph(Protocol):
    """What a recorder makes of a step."""

    def replay(self) -> None: ...


class Recorder(Protocol):
    """How steps are captured on one type of device."""

    def __init__(self, device: torch.device) -> None: ...

    def warm_up(self, step: Callable[[], Measured]) -> Measured:
        """Runs a step in the way that capturing will."""

    def record(self, step: Callable[[], Measured], beside: Graph | None) -> tuple[Graph, Measured]:
        """The step as a graph, not run, and the tensors that a replay fills; ``beside``: one to share memory with."""


class CudaRecorder:
    """Captures on a stream of its own; all graphs of a search share one pool of memory."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)

    def warm_up(self, step: Callable[[], Measured]) -> Measured:
        here = torch.cuda.current_stream(self._device)
        self._stream.wait_stream(here)
        with torch.cuda.stream(self._stream):
            measured = step()
        here.wait_stream(self._stream)
        return measured

    def record(self, step: Callable[[], Measured], beside: Graph | None) -> tuple[Graph, Measured]:
        graph = torch.cuda.CUDAGraph()
        # The steps run one after the other, and what they measure is copied at once: memory of one serves the other.
        pool = beside.pool() if isinstance(beside, torch.cuda.CUDAGraph) else None
        try:
            # The thread that makes batches ahead goes on allocating and copying meanwhile, on streams of its own.
            with (
                torch.cuda.device(self._device),
                torch.cuda.graph(graph, pool=pool, stream=self._stream, capture_error_mode="thread_local"),
            ):
                measured = step()
        except RuntimeError as error:
            raise RunError(f"--cuda-graph: a step could not be captured ({one_line(error)})") from error
        return graph, measured


RECORDERS: dict[str, type[Recorder]] = {"cuda": CudaRecorder}
"""By type of device."""


@dataclass
class _Captured:
    """One kind of step: what its graph depends on, and the graph once it has run often enough."""

    fixed: object
    batches: list[Batch]  # where it reads them
    left: int  # runs before it is captured
    graph: Graph | None = None
    measured: Measured | None = None

    def takes(self, batches: Sequence[Batch]) -> bool:
        return _shapes(batches) == _shapes(self.batches)

    def fill(self, batches: Sequence[Batch]) -> None:
        for to, values in zip(self.batches, batches, strict=True):
            for place, value in zip(to, values, strict=True):
                place.copy_(value, non_blocking=True)


class StepGraphs:
    """Runs steps by their graphs. The first ``warm_up`` runs of each kind of step are steps as they are; then it is
    captured, which computes nothing, and replayed from there on.

    Args:
        owned: every tensor that steps read or change, batches aside: w, buffers, α, the optimisers' state.
        device: where they are.
        warm_up: runs before a capture.

    Attributes:
        captures: how often a step was captured.
    """

    def __init__(self, owned: Callable[[], Iterable[Tensor]], device: torch.device, warm_up: int = WARM_UP) -> None:
        self.captures = 0
        self._owned = owned
        self._device = device
        self._warm_up = warm_up
        self._recorder = RECORDERS[device.type](device)
        self._steps: dict[str, _Captured] = {}

    def __call__(
        self,
        name: str,
        step: Callable[..., Measured],
        batches: Sequence[Batch],
        settings: object = None,
    ) -> Measured:
        """What ``step(*batches)`` measures.

        Args:
            name: of this kind of step.
            step: takes batches; what else it depends on stays the same, or stands in ``settings``.
            batches: of another shape than the first ones they make a step that runs as it is.
            settings: numbers and tensors that the step was made with, in lists and mappings.

        Raises:
            InputError: a step that draws random numbers.
            RunError: a step that cannot be captured.
        """
        fixed = [tensor.data_ptr() for tensor in self._owned()], _value(settings)
        captured = self._steps.get(name)
        if captured is None or captured.fixed != fixed:
            places = [(images.clone(), labels.clone()) for images, labels in batches]
            captured = self._steps[name] = _Captured(fixed, places, self._warm_up)
        if not captured.takes(batches):
            return step(*batches)
        captured.fill(batches)
        if captured.graph is None and captured.left > 0:
            captured.left -= 1
            return self._run(lambda: step(*captured.batches))
        if captured.graph is None or captured.measured is None:
            beside = next((other.graph for other in self._steps.values() if other.graph is not None), None)
            captured.graph, captured.measured = self._recorder.record(lambda: step(*captured.batches), beside)
            self.captures += 1
        captured.graph.replay()
        return {name: value.clone() for name, value in captured.measured.items()}  # the next replay overwrites them

    def forget(self) -> None:
        """Every step is captured anew: the network is another one."""
        self._steps.clear()

    def _run(self, step: Callable[[], Measured]) -> Measured:
        before = self._generators()
        measured = self._recorder.warm_up(step)
        if not all(map(torch.equal, before, self._generators())):
            raise InputError(
                "--cuda-graph: expected candidates that draw no random numbers, got a step that does: both sides of a "
                "finite difference need the same ones, which a graph cannot replay"
            )
        return measured

    def _generators(self) -> list[Tensor]:
        own = [torch.cuda.get_rng_state(self._device)] if self._device.type == "cuda" else []
        return [torch.get_rng_state(), *own]


def plainly(name: str, step: Callable[..., Measured], batches: Sequence[Batch], settings: object = None) -> Measured:
    """As :class:`StepGraphs` without graphs."""
    return step(*batches)


def check_graphs(config: SearchConfig, space: Space, device: torch.device, ranks: Ranks) -> None:
    """Refuses --cuda-graph where it cannot be.

    Raises:
        InputError: names what it does not go with.
    """
    if device.type not in RECORDERS:
        raise InputError(f"--cuda-graph: expected --device cuda, got {device.type}")
    if ranks.count > 1:
        raise InputError(f"--cuda-graph: expected one process, got {ranks.count}")
    if config.amp == "fp16":
        raise InputError(
            "--cuda-graph: expected --amp off or bf16, got fp16, whose scale of the loss is read after every step"
        )
    if config.compile:
        raise InputError("--cuda-graph, --compile: expected one of the two, got both")
    if config.drop_path:
        raise InputError(f"--cuda-graph: expected --drop-path 0, as a graph draws no masks, got {config.drop_path}")
    names = {name for group in space.groups(config.cells or space.cells) for row in group.candidates for name in row}
    if "noise" in names:
        raise InputError(f"--cuda-graph: expected a space without the candidate noise, got {space.name}")


def _shapes(batches: Sequence[Batch]) -> list[tuple[Any, ...]]:
    return [(t.shape, t.stride(), t.dtype) for batch in batches for t in batch]


def _value(setting: Any) -> Any:
    """Equal where a graph need not be captured anew: numbers by value, tensors by where they are."""
    if isinstance(setting, Tensor):
        return setting.data_ptr()
    if isinstance(setting, Mapping):
        return {name: _value(value) for name, value in setting.items()}
    return [_value(value) for value in setting] if isinstance(setting, list | tuple) else setting
