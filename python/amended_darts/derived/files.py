"""A derived network as two files that anyone may open: weights in safetensors, the architecture in JSON.

Neither is ever unpickled or evaluated. The header of the weights carries what else is needed to build the network and
to feed it (``NetworkSpec``), and a checksum of the genotype it belongs to.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from amended_darts.derived.network import DerivedNetwork
from amended_darts.derived.spec import NetworkSpec
from amended_darts.errors import InputError, one_line
from amended_darts.extras import require
from amended_darts.files import parse_json, replacing
from amended_darts.genotype import Genotype

FORMAT = "amended-darts network"
VERSION = "1"
WEIGHTS, GENOTYPE = "network.safetensors", "genotype.json"
EXTRA = '"amended-darts[export]"'


def save_network(folder: Path, spec: NetworkSpec, weights: dict[str, Tensor]) -> None:
    """Writes ``network.safetensors`` and ``genotype.json``.

    Args:
        folder: an existing one.
        spec: how the network is built.
        weights: its state dict; an auxiliary head in it, which only training needs, is left out.

    Raises:
        InputError: safetensors is not installed.
        RunError: a file could not be written.
    """
    safetensors = require("safetensors.torch", "saving weights", EXTRA)
    kept = {
        name: value.detach().cpu().contiguous() for name, value in weights.items() if not name.startswith("auxiliary.")
    }
    facts = {
        "format": FORMAT,
        "version": VERSION,
        "genotype_sha256": _checksum(spec.genotype),
        "network": json.dumps(spec.to_dict()),
    }
    spec.genotype.save(folder / GENOTYPE)
    with replacing(folder / WEIGHTS) as file:
        file.write(safetensors.save(kept, facts))


def load_network(path: str | Path, genotype: str | Path | None = None) -> tuple[DerivedNetwork, NetworkSpec]:
    """Builds the network of a pair of files again, in evaluation mode, on the CPU.

    The network is given (pixel - ``spec.mean``) / ``spec.std``, [N, C, H, W]; its logits follow ``spec.classes``.

    Args:
        path: the weights, or the folder with both files.
        genotype: the genotype.json; by default the one beside the weights.

    Raises:
        InputError: a file is missing, damaged, of another kind, or does not belong to the other.
    """
    path = Path(path)
    if path.is_dir():
        path /= WEIGHTS
    found = Genotype.load(path.with_name(GENOTYPE) if genotype is None else Path(genotype))
    facts, weights = _read(path)
    if facts.get("format") != FORMAT:
        raise InputError(f"{path}: expected a network saved by amended-darts export, got other tensors")
    if facts.get("version") != VERSION:
        raise InputError(f"{path}: expected a network of version {VERSION}, got version {facts.get('version')}")
    if facts.get("genotype_sha256") != _checksum(found):
        raise InputError(f"{path}: expected the genotype that it was saved with, got another one")
    spec = NetworkSpec.from_dict(parse_json(facts.get("network", ""), f"{path}: header"), found, f"{path}: header")
    with torch.device("meta"):  # the file's own tensors become the weights: sizes that it only claims cost nothing
        network = spec.build()
    try:
        network.load_state_dict(weights, assign=True)
    except RuntimeError as error:
        told = one_line(error).rpartition("DerivedNetwork: ")[2]
        raise InputError(f"{path}: expected the weights of its network, they do not fit: {told[:200]}") from None
    return network.eval().requires_grad_(False), spec


def _read(path: Path) -> tuple[dict[str, str], dict[str, Any]]:
    """Header and tensors."""
    safetensors = require("safetensors", "reading weights", EXTRA)
    try:
        with safetensors.safe_open(str(path), framework="pt", device="cpu") as file:
            return file.metadata() or {}, {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except OSError as error:
        raise InputError(f"network: expected a .safetensors file, cannot read {path} ({error})") from None
    except safetensors.SafetensorError as error:
        raise InputError(f"{path}: expected a whole safetensors file, got a damaged or foreign one ({error})") from None


def _checksum(genotype: Genotype) -> str:
    return hashlib.sha256(genotype.to_json().encode()).hexdigest()
