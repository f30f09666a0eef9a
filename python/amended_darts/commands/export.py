"""``amended-darts export``: a trained network as files for elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from amended_darts.errors import InputError, RunError

HELP = "write a trained network as safetensors, torch.export and ONNX"

FORMATS = ("safetensors", "pt2", "onnx")
TOLERANCE = 1e-3  # of onnxruntime's logits; float32 sums in another order stay far below


def add_arguments(parser: Any) -> None:
    """The network, the folder and the formats."""
    parser.add_argument("network", type=str, metavar="FOLDER", help="the folder of a re-training")
    parser.add_argument(
        "--out", type=str | None, default=None, metavar="FOLDER",
        help="folder for the files (default: export, in the network's folder)",
    )  # fmt: skip
    parser.add_argument(
        "--formats", type=str, default=",".join(FORMATS), metavar="NAMES",
        help="what to write, separated by commas: safetensors (weights, with genotype.json: load_network builds the "
        "network from the two), pt2 (torch.export), onnx (default: all)",
    )  # fmt: skip
    parser.add_argument(
        "--opset", type=int | None, default=None, metavar="N",
        help="version of the ONNX operators (default: 25)",
    )  # fmt: skip


def run(options: Any) -> int:
    """Writes, checks what it wrote, and prints where it lies."""
    formats = [name for name in options.formats.split(",") if name]
    wrong = [name for name in formats if name not in FORMATS]
    if wrong or not formats:
        raise InputError(f"--formats: expected some of {','.join(FORMATS)}, got '{options.formats}'")
    from amended_darts.derived.files import GENOTYPE, WEIGHTS, load_network, save_network
    from amended_darts.derived.programs import OPSET, onnx_difference, save_onnx, save_program
    from amended_darts.files import prepare_folder
    from amended_darts.retraining.trained import load_trained

    trained = load_trained(options.network)
    source = Path(options.network)
    out = (source if source.is_dir() else source.parent) / "export" if options.out is None else Path(options.out)
    prepare_folder(out, "--out")
    network, spec = trained.network, trained.spec
    image = (len(spec.mean), *spec.image)
    if "safetensors" in formats:
        save_network(out, spec, network.state_dict())
        load_network(out)
        print(f"{out / WEIGHTS}\n{out / GENOTYPE}")
    if "pt2" in formats:
        save_program(network, image, out / "network.pt2")
        print(out / "network.pt2")
    if "onnx" in formats:
        path = out / "network.onnx"
        save_onnx(network, image, path, options.opset or OPSET)
        if any(edge.op == "noise" for cell in spec.genotype.cells for edge in cell.edges):
            print(f"{path} (not compared with onnxruntime: the network draws noise)")
            return 0
        difference = onnx_difference(network, image, path)
        if not difference < TOLERANCE:
            raise RunError(f"{path}: its logits in onnxruntime differ from the network's by {difference:.1e} of them")
        print(f"{path} (onnxruntime's logits differ by {difference:.0e} of the largest)")
    return 0
