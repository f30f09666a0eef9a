"""``amended-darts evaluate``: top-1 and top-5 of a trained network on held-out images."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from amended_darts.errors import InputError
from amended_darts.options import flag

HELP = "measure a trained network on held-out images"

DATA = ("data", "root", "image_size", "heldout_fraction", "workers")


def add_arguments(parser: Any) -> None:
    """The network, and the images if they are not those of its training."""
    parser.add_argument(
        "network", type=str, metavar="FOLDER", help="the folder of a re-training, or of what export wrote"
    )
    own = "(default: as in the training)"
    for name, kind, text in (
        ("data", str, f"data set: digits, cifar10, cifar100 or imagefolder {own}"),
        ("root", str, f"folder of the data set {own}"),
        ("image_size", int, f"imagefolder: images are scaled and cropped to this square [pixels] {own}"),
        ("heldout_fraction", float, f"share of the held-out images, the same of every class [0..1] {own}"),
        ("workers", int, "imagefolder: processes that decode images (default: 0)"),
    ):
        parser.add_argument(flag(name), type=kind | None, default=None, help=text)
    parser.add_argument("--batch-size", type=int, default=256, help="images at a time [images] (default: 256)")
    parser.add_argument(
        "--device", type=str, default="auto", help="auto (cuda where there is a GPU), cpu, cuda, ... (default: auto)"
    )
    parser.add_argument(
        "--amp", type=str, default="off", metavar="FORMAT", help="autocast: off, bf16 or fp16 (default: off)"
    )
    parser.add_argument("--out", type=str | None, default=None, help="JSON file for the result (default: none)")


def run(options: Any) -> int:
    """Measures and prints."""
    if options.amp not in ("off", "bf16", "fp16"):
        raise InputError(f"--amp: expected one of off, bf16, fp16, got '{options.amp}'")
    if options.batch_size < 1:
        raise InputError(f"--batch-size: expected at least 1 image, got {options.batch_size}")
    from amended_darts.data import load_data
    from amended_darts.devices import find_device
    from amended_darts.files import write_text
    from amended_darts.precision import Precision
    from amended_darts.retraining.config import RetrainConfig
    from amended_darts.retraining.evaluation import evaluate
    from amended_darts.retraining.trained import load_trained

    device = find_device(options.device)
    trained = load_trained(options.network)
    known = {name: trained.config[name] for name in DATA if name in trained.config}
    said = {name: options[name] for name in DATA if options[name] is not None}
    if not known and "data" not in said:
        raise InputError("--data: expected the data set to measure on, got nothing")
    if not known:
        known["image_size"] = min(trained.spec.image)
    settings: Any = RetrainConfig(**{**known, "workers": 0, "augment": "none", **said}).resolved()
    data = load_data(settings)
    if len(data.classes) != len(trained.spec.classes) or len(data.mean) != len(trained.spec.mean):
        raise InputError(
            f"--data: expected {len(trained.spec.classes)} classes of images with {len(trained.spec.mean)} channels, "
            f"as the network was trained on, got {len(data.classes)} and {len(data.mean)}"
        )
    found = evaluate(trained.network.to(device), data, options.batch_size, device, Precision(options.amp, device))
    loss = "-" if found["loss"] is None else f"{found['loss']:.4f}"
    print(
        f"{found['images']} held-out images of {data.name}: loss {loss}, top-1 {found['top1']:.4f}, "
        f"top-5 {found['top5']:.4f}"
    )
    if options.out is not None:
        write_text(Path(options.out), json.dumps(found, indent=2) + "\n")
        print(options.out)
    return 0
