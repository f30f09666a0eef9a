"""Search spaces as JSON files; ``docs/spaces.md`` documents the keys."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from amended_darts.files import parse_json, read_json
from amended_darts.json_reader import JsonReader, show
from amended_darts.spaces.depth import DEEPEST, least_cells
from amended_darts.spaces.space import INPUTS, SKELETONS, Candidates, Edges, Space, operators

MOST_NODES = 64
MOST_CHANNELS = 65536  # of the last cells, which are doubled at each reduction
KINDS = ("normal", "reduction")

Choice = dict[str, Candidates]  # by cell type


class SpaceReader(JsonReader):
    """Turns parsed JSON into a ``Space``.

    Args:
        source: what errors call the document.
        root: JSON path of the space within it.
        taken: names that the space may not have.
    """

    def __init__(self, source: str, root: str = "$", taken: tuple[str, ...] = ()) -> None:
        super().__init__(source)
        self.root = root
        self.taken = taken
        self.kinds: tuple[str, ...] = KINDS

    def space(self, value: Any) -> Space:
        """Checks everything and builds the space."""
        optional = ("candidates", "edges", "skeleton", "alpha", "kept", "none", "pool_norm", "reductions")
        needed = ("name", "nodes", "cells", "channels")
        found = self.keys(value, self.root, needed, optional, listed=needed + optional)
        at = self.root + "."
        name = self.text(found["name"], f"{at}name", "the name of the space")
        if name in self.taken or len(name) > 100 or not name.isprintable():
            taken = "printable text of 100 characters at most that is no space of the package's"
            raise self.fail(f"{at}name", taken, show(name))
        skeleton = self.one_of(found.get("skeleton", "darts"), f"{at}skeleton", tuple(SKELETONS))
        inputs = SKELETONS[skeleton]
        nodes = self.integer(found["nodes"], f"{at}nodes", 1, MOST_NODES, "the computed states of a cell")
        reductions = self.reductions(found.get("reductions", [[1, 3], [2, 3]]), f"{at}reductions")
        self.kinds = KINDS if skeleton == "darts" and reductions else KINDS[:1]
        channels = self.integer(
            found["channels"], f"{at}channels", 1, MOST_CHANNELS >> len(reductions), "the width of the first cell"
        )
        cells = self.integer(found["cells"], f"{at}cells", 1, DEEPEST, "the depth")
        general = self.candidates(found["candidates"], f"{at}candidates") if "candidates" in found else None
        edges, own = self.edges(found.get("edges"), f"{at}edges", inputs, nodes, general)
        space = Space(
            name,
            nodes,
            normal=tuple(choice["normal"] for choice in own),
            reduction=tuple(choice["reduction"] for choice in own) if "reduction" in self.kinds else (),
            shared=self.one_of(found.get("alpha", "shared"), f"{at}alpha", ("shared", "per-cell")) == "shared",
            cells=cells,
            channels=channels,
            kept=self.kept(found.get("kept", 2), f"{at}kept"),
            reductions=reductions,
            edges=edges,
            skeleton=skeleton,
            keep_none=self.boolean(found.get("none", False), f"{at}none"),
            pool_norm=self.boolean(found.get("pool_norm", True), f"{at}pool_norm"),
        )
        least = least_cells(space)
        if least is None:
            fractions = [list(fraction) for fraction in reductions]
            raise self.fail(f"{at}reductions", "fractions that leave each type of cell a place", show(fractions))
        if cells < least:
            raise self.fail(f"{at}cells", f"at least {least}, so that each type of cell or stage occurs", f"{cells}")
        return space

    def kept(self, value: Any, path: str) -> int | None:
        """A number of edges, or all."""
        if value == "all":
            return None
        if type(value) is not int:
            raise self.fail(path, '"all" or the number of edges that a node keeps', show(value))
        return self.integer(value, path, 1, MOST_NODES + INPUTS, "the number of edges that a node keeps")

    def reductions(self, value: Any, path: str) -> tuple[tuple[int, int], ...]:
        """Fractions of the depth, each below 1, each once."""
        if not isinstance(value, list) or len(value) > 8:
            raise self.fail(path, "a list of up to 8 fractions such as [1, 3]", show(value))
        fractions = []
        for index, item in enumerate(value):
            at = f"{path}[{index}]"
            if not isinstance(item, list) or len(item) != 2:
                raise self.fail(at, "a fraction of the depth such as [1, 3]", show(item))
            whole = self.integer(item[1], f"{at}[1]", 1, DEEPEST, "a denominator")
            fractions.append((self.integer(item[0], f"{at}[0]", 0, whole - 1, "a numerator"), whole))
            if any(part * whole == fractions[-1][0] * other for part, other in fractions[:-1]):
                raise self.fail(at, "each fraction once", show(item))
        return tuple(fractions)

    def candidates(self, value: Any, path: str) -> Choice:
        """The same list for every type of cell, or one for each type."""
        if not isinstance(value, dict):
            names = self.operators(value, path)
            return dict.fromkeys(self.kinds, names)
        found = self.keys(value, path, self.kinds)
        return {kind: self.operators(found[kind], f"{path}.{kind}") for kind in self.kinds}

    def operators(self, value: Any, path: str) -> Candidates:
        """Distinct operators, one of which does something."""
        names: list[str] = []
        for index, item in enumerate(self.items(value, path, "operators")):
            names.append(self.one_of(item, f"{path}[{index}]", operators()))
            if names[-1] in names[:-1]:
                raise self.fail(f"{path}[{index}]", "each operator once", f"{names[-1]} again")
        if names == ["none"]:
            raise self.fail(path, "an operator other than none", show(value))
        return tuple(names)

    def edges(
        self, value: Any, path: str, inputs: int, nodes: int, general: Choice | None
    ) -> tuple[Edges, list[Choice]]:
        """The edges in order, and the candidates of each."""
        states = range(inputs, inputs + nodes)
        own: dict[tuple[int, int], Choice] = {}
        if value is None:
            if general is None:
                raise self.fail(self.root, 'the key "candidates" or "edges" with candidates', "an object without them")
            own = {(node, source): general for node in states for source in range(node)}
        else:
            for index, item in enumerate(self.items(value, path, "edges")):
                at = f"{path}[{index}]"
                found = self.keys(item, at, ("node", "input"), ("candidates",), ("node", "input", "candidates"))
                node = self.integer(found["node"], f"{at}.node", states[0], states[-1], "a node")
                source = self.integer(found["input"], f"{at}.input", 0, node - 1, "an earlier state")
                if (node, source) in own:
                    raise self.fail(at, "each pair of states once", f"a second edge from {source} to {node}")
                if "candidates" in found:
                    own[node, source] = self.candidates(found["candidates"], f"{at}.candidates")
                elif general is None:
                    raise self.fail(at, 'the key "candidates", here or at the top', "an object without it")
                else:
                    own[node, source] = general
        for node in states:
            if not any(target == node for target, _ in own):
                raise self.fail(path, f"an edge into every node from {states[0]} to {states[-1]}", f"none into {node}")
        edges = tuple(sorted(own))
        return edges, [own[edge] for edge in edges]


def read_space(path: Path, taken: tuple[str, ...] = ()) -> Space:
    """A space from its JSON file.

    Raises:
        InputError: one sentence with the file, the JSON path of the fault, what was expected and what came.
    """
    return SpaceReader(str(path), taken=taken).space(read_json(path, "--space"))


def parse_space(text: str, source: str = "space") -> Space:
    """``read_space`` for text in hand."""
    return SpaceReader(source).space(parse_json(text, source))


def space_to_dict(space: Space) -> dict[str, Any]:
    """The space as its file says it, every key written out."""
    rows: list[dict[str, Any]] = []
    for index, (node, source) in enumerate(space.edges):
        choice: Any = list(space.normal[index])
        if space.reduction:
            choice = {"normal": choice, "reduction": list(space.reduction[index])}
        rows.append({"node": node, "input": source, "candidates": choice})
    return {
        "name": space.name,
        "skeleton": space.skeleton,
        "nodes": space.nodes,
        "cells": space.cells,
        "channels": space.channels,
        "alpha": "shared" if space.shared else "per-cell",
        "kept": "all" if space.kept is None else space.kept,
        "none": space.keep_none,
        "pool_norm": space.pool_norm,
        "reductions": [list(fraction) for fraction in space.reductions],
        "edges": rows,
    }


def space_to_json(space: Space) -> str:
    """The file's text."""
    plain = space_to_dict(space)
    edges = plain.pop("edges")
    lines = [f"  {json.dumps(key)}: {json.dumps(value)}" for key, value in plain.items()]
    lines.append('  "edges": [\n' + ",\n".join("    " + json.dumps(edge) for edge in edges) + "\n  ]")
    return "{\n" + ",\n".join(lines) + "\n}\n"
