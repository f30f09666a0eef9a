"""From a super-network to a sub-network: the same weights in a derived network, the same function as one-hot weights.

Useful to ask how good a sub-network is with the weights of the search, and to start a re-training from them.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from amended_darts.derived.network import DerivedNetwork
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype
from amended_darts.spaces import Space


def one_hot_weights(space: Space, genotype: Genotype) -> list[Tensor]:
    """The weights, group by group, [E, K], that make a super-network compute the genotype: one for the operator of each
    kept edge, zero for everything else. The padding of shorter rows is zero too."""
    found = []
    for cell, group in zip(genotype.cells, space.groups(len(genotype.cells)), strict=True):
        weights = torch.zeros(len(space.edges), max(map(len, group.candidates)))
        for edge in cell.edges:
            row = space.edges.index((edge.node, edge.input))
            weights[row, group.candidates[row].index(edge.op)] = 1.0
        found.append(weights)
    return found


@torch.no_grad()
def inherit_weights(network: DerivedNetwork, supernet: nn.Module) -> None:
    """Copies into ``network`` the weights and running statistics that its genotype has in a ``SuperNet``.

    ``network(x)`` then equals ``supernet(x, one_hot_weights(space, genotype))`` if both have the same depth, width and
    settings: ``DerivedNetwork(..., affine=False, pool_norm=True)`` fits a super-network as it is searched. Affine BN
    that the super-network does not have is set to the identity; an auxiliary head that it does not have stays as it is.

    Raises:
        InputError: names the part of the two networks that does not fit.
    """
    source: Any = supernet
    if len(network.cells) != len(source.cells):
        raise InputError(f"supernet: expected {len(network.cells)} cells as in network, got {len(source.cells)}")
    _copy("stem", *_parts(network.stem), *_parts(source.stem))
    _copy("classifier", *_parts(network.classifier), *_parts(source.classifier))
    for name in ("stem1", "auxiliary"):
        target, given = getattr(network, name), getattr(source, name)
        if target is not None and given is not None:
            _copy(name, *_parts(target), *_parts(given))
    for name, block in network.between.items():
        _copy(f"between[{name}]", *_parts(block), *_parts(source.between[name]))
    if network.norm is not None:
        _copy("norm", *_parts(network.norm), *_parts(source.norm))
    for index, (cell, other) in enumerate(zip(network.cells, source.cells, strict=True)):
        for name in ("preprocess0", "preprocess1"):
            target = getattr(cell, name, None)
            if target is not None:
                _copy(f"cells[{index}].{name}", *_parts(target), *_parts(other.get_submodule(name)))
        calls = {
            (node, state): (call, position)
            for state, group in enumerate(other.states)
            for call in group
            for position, node in enumerate(call.nodes)
        }
        operators: Any = cell.get_submodule("edges")
        for edge in network.plan.cells[index].edges:
            place = f"cells[{index}].edges.{edge.node}_{edge.input}"
            call, position = calls.get((edge.node, edge.input), (None, 0))
            if call is None or edge.op not in call.candidates:
                raise InputError(f"supernet: expected {edge.op} among the candidates at {place}, it is not there")
            weights, norms = _parts(operators[f"{edge.node}_{edge.input}"])
            if not weights and not norms:
                continue
            _copy(place, weights, norms, *_branch(call.mixed.branch(edge.op, position)))


Norm = tuple[Tensor | None, ...]  # running mean, running variance, weight, bias


def _parts(module: nn.Module) -> tuple[list[Tensor], list[Norm]]:
    """Weights of convolutions and linear layers, and the BN of a module, both in forward order."""
    weights: list[Tensor] = []
    norms: list[Norm] = []
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            norms.append((part.running_mean, part.running_var, part.weight, part.bias))
        elif isinstance(part, nn.Conv2d | nn.Linear):
            weights += [weight for weight in (part.weight, part.bias) if weight is not None and weight.numel()]
        elif hasattr(part, "branch"):  # the mixed operation of a SingleOperator
            mixed: Any = part
            more_weights, more_norms = _branch(mixed.branch(mixed.candidates[0]))
            weights += more_weights
            norms += more_norms
    return weights, norms


def _branch(branch: Any) -> tuple[list[Tensor], list[Norm]]:
    """The same of a candidate of a mixed operation, as its ``branch`` gives it."""
    mean, var, gain, bias = branch.norms()
    rows: list[Norm] = [
        (mean[row], var[row], None if gain is None else gain[row], None if bias is None else bias[row])
        for row in range(len(mean))
    ]
    return [weight for weight in branch.params if weight.numel()], rows


def _copy(place: str, weights: list[Tensor], norms: list[Norm], given: list[Tensor], given_norms: list[Norm]) -> None:
    shapes, given_shapes = ([tuple(weight.shape) for weight in side] for side in (weights, given))
    if shapes != given_shapes:
        raise InputError(f"supernet: expected weights of shapes {shapes} at {place}, got {given_shapes}")
    if len(norms) != len(given_norms):
        raise InputError(
            f"supernet: expected {len(norms)} BN at {place}, got {len(given_norms)} (pool_norm is not the same in both)"
        )
    for target, source in zip(weights, given, strict=True):
        target.copy_(source)
    for norm, other in zip(norms, given_norms, strict=True):
        for into, value, neutral in zip(norm, other, (0.0, 1.0, 1.0, 0.0), strict=True):
            if into is not None:
                into.copy_(torch.full_like(into, neutral) if value is None else value)
            elif value is not None:
                raise InputError(f"supernet: expected BN without affine at {place}, got one with (set affine=True)")
