"""Everything a search is made of and everything its checkpoint holds: two lists that are kept next to each other."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from amended_darts import randomness
from amended_darts.accumulation import Parts
from amended_darts.architecture import Architecture
from amended_darts.capturable import load_optimizer, make_capturable, optimizer_state, tensors_of
from amended_darts.checkpoint import (
    check_same_run,
    earlier_checkpoints,
    forget_earlier,
    keep_previous,
    load_checkpoint,
    save_checkpoint,
)
from amended_darts.config import SearchConfig
from amended_darts.consistency import warning
from amended_darts.data import DataSet, Stream, seeded_halves
from amended_darts.data.generators import (
    ALPHA_AUGMENT,
    ALPHA_ORDER,
    OTHER_RANKS,
    WEIGHT_AUGMENT,
    WEIGHT_ORDER,
    generator,
)
from amended_darts.errors import InputError
from amended_darts.genotype import Topology
from amended_darts.graphs import StepGraphs, check_graphs
from amended_darts.hypergradient import Gradient
from amended_darts.interrupt import StopRequest
from amended_darts.memory import choose_recompute, supernet_bytes
from amended_darts.precision import Precision
from amended_darts.ranks import Ranks
from amended_darts.run_state import RunState
from amended_darts.search_network import follow, given_topology, network_settings
from amended_darts.spaces import SPACES, Space, find_space, space_to_json
from amended_darts.supernet import SuperNet
from amended_darts.topology import topology_of


class SearchState(RunState):
    """Network, α, their optimisers, the two streams of images, and the position in the run.

    Args:
        config: a resolved configuration.
        data: the data set it names.
        ranks: the processes that compute it; this one alone by default.

    Attributes:
        ranks: as given. Callbacks run in every process: one that writes or prints looks at ``ranks.first``.
        model: the network, compiled if so configured; for the forward passes of steps.
        parts, alpha_parts: of the batches for w and for α, for the accumulation of gradients.
        gradient, alpha_gradient: take every derivative of a step; those parts, or something around them.
        precision: of weight steps.
        graphs: of the steps, if so configured.
        notes: sentences about choices that were made, for people.
        alphas: α at the end of every epoch so far, on the CPU.
        stopped: why the search ended before its last epoch; None if it did not.
        chosen: the epoch (from 1) whose architecture counts; None for the last.
    """

    def __init__(self, config: SearchConfig, data: DataSet, ranks: Ranks | None = None) -> None:
        self.config = config
        self.data = data
        self.ranks = ranks = ranks or Ranks()
        self.device = ranks.device(config.device)
        self.alphas: list[list[Tensor]] = []
        self.stopped: str | None = None
        self.chosen: int | None = None
        self.notes: list[str] = []
        self._saved: int | None = None  # step of the checkpoint on disk
        self.parts = Parts(config.accumulate)
        self.gradient: Gradient = ranks.averaged(self.parts)
        self.alpha_parts = Parts(config.accumulate * (config.alpha_every or 1))
        self.alpha_gradient: Gradient = ranks.averaged(self.alpha_parts)
        self.precision = Precision(config.amp, self.device)

        halves = seeded_halves(len(data.train.labels), config.train_portion, config.seed)
        purposes = (WEIGHT_ORDER, WEIGHT_AUGMENT), (ALPHA_ORDER, ALPHA_AUGMENT)
        self.weight_stream, self.alpha_stream = (
            Stream(data, half, config.batch_size, config.seed, order, augment, self.device, cutout, ranks.shard)
            for half, (order, augment), cutout in zip(halves, purposes, (config.cutout or 0, 0), strict=True)
        )
        ranks.check_shares(config, self.weight_stream, self.alpha_stream)
        # An epoch is a pass over the images that w learns from.
        super().__init__(Path(config.out), config.epochs, self.weight_stream.steps_per_pass)
        self.history.writes = ranks.first
        space = find_space(config.space)
        if config.cuda_graph:
            check_graphs(config, space, self.device, ranks)
        topology = given_topology(config, space)
        self.config = config = self._choose_recompute(space, topology)
        if config.compare and (told := warning(config)):
            self.notes.append(told)
        randomness.seed_everything(config.seed)
        self.network = SuperNet(
            space,
            classes=len(data.classes),
            in_channels=len(data.mean),
            implementation=config.implementation,
            recompute=config.recompute == "always",
            **network_settings(config),
        ).to(self.device)
        self.model: nn.Module = torch.compile(self.network) if config.compile else self.network  # type: ignore[assignment]
        self.architecture = Architecture(space, config.cells).to(self.device)
        self.weight_optimizer = torch.optim.SGD(
            self.network.parameters(), config.lr, momentum=config.momentum, weight_decay=config.weight_decay
        )
        self.alpha_optimizer = torch.optim.Adam(
            self.architecture.parameters(),
            config.alpha_lr or 0.0,
            betas=(config.alpha_beta1, config.alpha_beta2),
            weight_decay=config.alpha_weight_decay,
        )
        self.graphs: StepGraphs | None = None
        if config.cuda_graph:
            make_capturable(self.weight_optimizer, self.alpha_optimizer)
            self.graphs = StepGraphs(self.tensors, self.device)
        if topology is not None:
            self.keep_edges(topology)
        with torch.no_grad():
            ranks.copy_first_([*self.network.parameters(), *self.network.buffers(), *self.architecture.parameters()])
        if not ranks.first:  # candidates that draw random numbers draw others in each process
            torch.manual_seed(generator(config.seed, OTHER_RANKS, ranks.rank).initial_seed())

    def keep_edges(self, topology: Topology) -> None:
        """Goes on with those edges alone: one set of (node, input) per group of cells."""
        follow(self.weight_optimizer, self.network, self.network.keep_edges(topology))
        self.architecture.keep_edges(topology)
        if self.graphs is not None:
            self.graphs.forget()

    def tensors(self) -> Iterator[Tensor]:
        """All that the steps read and change, batches aside."""
        return tensors_of((self.network, self.architecture), (self.weight_optimizer, self.alpha_optimizer))

    def enter_epoch(self) -> None:
        """What changes from epoch to epoch: edges where they are pruned in this one, how often paths are dropped."""
        config = self.config
        due = config.edges == "pruned" and self.epoch >= (config.prune_epoch or 0)
        if due and self.architecture.topology is None:
            self.keep_edges(topology_of(self.architecture.genotype()))
        if self.network.drop_path is not None:
            self.network.set_drop_path((config.drop_path or 0.0) * self.epoch / config.epochs)

    def _choose_recompute(self, space: Space, topology: Topology | None) -> SearchConfig:
        """The configuration with ``recompute`` decided."""
        config = self.config
        if config.recompute != "auto":
            return config
        if config.implementation != "fused":  # plain PyTorch keeps what it keeps
            return replace(config, recompute="never")
        images = math.ceil(self.weight_stream.batch_size / self.ranks.count / config.accumulate)
        shape = (images, len(self.data.mean), *self.data.image_size)
        settings = network_settings(config)

        def saved(recompute: bool) -> int:
            classes = len(self.data.classes)
            return supernet_bytes(
                space, classes, shape, self.device, recompute=recompute, topology=topology, **settings
            )

        recompute, why = choose_recompute(saved, self.device)
        self.notes.append(why)
        return replace(config, recompute="always" if recompute else "never")

    @property
    def learning_rate(self) -> float:
        """Of w in this epoch: cosine from lr to lr_min. A function of the epoch alone: no schedule state to lose."""
        low, high = self.config.lr_min, self.config.lr
        return low + (high - low) * (1 + math.cos(math.pi * self.epoch / self.config.epochs)) / 2

    @property
    def finished(self) -> bool:
        """No epoch is left to do."""
        return self.stopped is not None or self.epoch >= self.config.epochs

    def stop(self, reason: str, epoch: int | None = None) -> None:
        """Makes the epoch that is ending the last one; a checkpoint keeps that.

        Args:
            reason: for the result and for people.
            epoch: whose architecture counts, from 1; the last one's by default.

        Raises:
            InputError: no such epoch so far.
        """
        if epoch is not None and not 1 <= epoch <= self.epoch + 1:
            raise InputError(f"epoch: expected one from 1 to {self.epoch + 1}, got {epoch}")
        self.stopped, self.chosen = reason, epoch

    def asked(self, stop: StopRequest) -> bool:
        """Whether any process is asked to stop: not every one hears a signal at the same step."""
        return self.ranks.any(super().asked(stop))

    def save(self) -> None:
        """Writes the checkpoint, and keeps as many earlier ones as configured.

        Raises:
            RunError: it cannot be written, or the processes of the search hold different α or weights.
        """
        self.ranks.check_equal("α", self.architecture.parameters())
        self.ranks.check_equal("weights", self.network.parameters())
        random = self.ranks.gather(randomness.capture())
        self.ranks.by_first(lambda: self._write(random))
        self._saved = self.total_step

    def _write(self, random: list[randomness.State]) -> None:
        if self.config.keep > 1 and self._saved is not None and self._saved != self.total_step:
            keep_previous(self.checkpoint, self._saved)
        topology = self.architecture.topology
        save_checkpoint(
            self.checkpoint,
            {
                "config": self.config.to_dict(),
                "data": self._facts(),
                **self.position_dict(),
                "alphas": self.alphas,
                "stopped": self.stopped,
                "chosen": self.chosen,
                "topology": topology and [sorted(map(list, edges)) for edges in topology],
                "network": self.network.state_dict(),
                "architecture": self.architecture.state_dict(),
                "weight_optimizer": optimizer_state(self.weight_optimizer),
                "alpha_optimizer": optimizer_state(self.alpha_optimizer),
                "precision": self.precision.state_dict(),
                "random": random[0],
                "random_of_other_ranks": random[1:],
            },
        )
        forget_earlier(self.checkpoint, self.config.keep - 1)

    def load(self) -> None:
        """Continues from the checkpoint.

        Raises:
            InputError: it cannot be read, or belongs to another search.
        """
        state = self.ranks.by_first(self._read)
        try:
            check_same_run(self.checkpoint, state, self.config, self._facts())
            self._restore(state)
        except (KeyError, TypeError, AttributeError, RuntimeError) as error:
            raise InputError(f"{self.checkpoint}: expected a complete checkpoint, it does not fit ({error})") from None

    def _read(self) -> dict[str, Any]:
        try:
            return load_checkpoint(self.checkpoint)
        except InputError as error:
            earlier = earlier_checkpoints(self.checkpoint)
            if not earlier:
                raise
            raise InputError(
                f"{error}; {earlier[-1].name} beside it is an earlier one: renamed to {self.checkpoint.name} it resumes"
            ) from None

    def _restore(self, state: dict[str, Any]) -> None:
        topology = state.get("topology")
        if topology is not None and self.architecture.topology is None:
            self.keep_edges([frozenset((node, source) for node, source in edges) for edges in topology])
        self.network.load_state_dict(state["network"])
        self.architecture.load_state_dict(state["architecture"])
        load_optimizer(self.weight_optimizer, state["weight_optimizer"])
        load_optimizer(self.alpha_optimizer, state["alpha_optimizer"])
        self.precision.load_state_dict(state["precision"])
        self.load_position(state, self.device)
        self.alphas = [list(group) for group in state["alphas"]]
        self.stopped, self.chosen = state["stopped"], state["chosen"]
        own = [state["random"], *state.get("random_of_other_ranks", [])][self.ranks.rank :]
        if own:  # a start with more processes than before has new ones
            randomness.restore(own[0])
        self._saved = self.total_step

    def _facts(self) -> dict[str, Any]:
        own = {}
        if self.architecture.space.name not in SPACES:  # its file may have changed since
            digest = hashlib.sha256(space_to_json(self.architecture.space).encode()).hexdigest()[:12]
            own["as the fingerprint of the space's file"] = digest
        return own | {
            "training images": len(self.data.train.labels),
            "held-out images": len(self.data.heldout.labels),
            "classes": len(self.data.classes),
            "image channels": len(self.data.mean),
        }
