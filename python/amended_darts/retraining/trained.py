"""Trained networks where commands look for them: the folder of a re-training, or what export wrote."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amended_darts.checkpoint import load_checkpoint
from amended_darts.derived import DerivedNetwork
from amended_darts.derived.files import WEIGHTS, load_network
from amended_darts.derived.spec import NetworkSpec
from amended_darts.errors import InputError
from amended_darts.genotype import Genotype
from amended_darts.retraining.state import KIND
from amended_darts.run_state import CHECKPOINT


@dataclass(frozen=True)
class Trained:
    """A network in evaluation mode, on the CPU.

    Attributes:
        config: the training's options; empty where that is not known.
    """

    network: DerivedNetwork
    spec: NetworkSpec
    config: dict[str, Any]


def load_trained(path: str | Path) -> Trained:
    """The network of a re-training's folder or checkpoint, or of the files that export wrote.

    Raises:
        InputError: there is none, or its files are damaged.
    """
    path = Path(path)
    if path.is_dir():
        names = [name for name in (CHECKPOINT, WEIGHTS) if (path / name).exists()]
        if not names:
            raise InputError(f"network: expected {CHECKPOINT} or {WEIGHTS} in {path}, got neither")
        path /= names[0]
    elif not path.exists():
        raise InputError(f"network: expected the folder of a training or of an export, got {path}, which is not there")
    if path.suffix == Path(WEIGHTS).suffix:
        return Trained(*load_network(path), {})
    state = load_checkpoint(path, KIND)
    try:
        genotype = Genotype.from_json(state["genotype"], str(path))
        spec = NetworkSpec.from_dict(state["spec"], genotype, str(path))
        network = spec.build()
        weights = {name: value for name, value in state["network"].items() if not name.startswith("auxiliary.")}
        network.load_state_dict(weights)
        return Trained(network.eval(), spec, dict(state["config"]))
    except (KeyError, TypeError, AttributeError, RuntimeError) as error:
        raise InputError(f"{path}: expected a complete checkpoint, it does not fit ({error})") from None
