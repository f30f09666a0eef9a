"""A derived network as a program: ``torch.export`` and ONNX, both for any number of images of one size."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from amended_darts.derived.files import EXTRA
from amended_darts.errors import InputError, RunError
from amended_darts.extras import require
from amended_darts.files import replacing

OPSET = 25  # the newest that PyTorch's exporter writes by itself


def save_program(network: nn.Module, image: tuple[int, int, int], path: Path) -> None:
    """Writes a ``torch.export`` program (.pt2): ``torch.export.load(path).module()(images)`` gives logits.

    Args:
        network: on the CPU; it is exported in evaluation mode.
        image: [C, H, W] of one image.

    Raises:
        RunError: the file could not be written.
    """
    batch = torch.export.Dim("batch")
    with _evaluating(network), _quiet():
        program = torch.export.export(network, (torch.zeros(2, *image),), dynamic_shapes=({0: batch},))
        buffer = io.BytesIO()
        torch.export.save(program, buffer)
    with replacing(path) as file:
        file.write(buffer.getbuffer())


def save_onnx(network: nn.Module, image: tuple[int, int, int], path: Path, opset: int = OPSET) -> None:
    """Writes an ONNX model with the input ``images`` [batch, C, H, W] and the output ``logits`` [batch, classes].

    Args:
        network: on the CPU; it is exported in evaluation mode.
        image: [C, H, W] of one image.
        opset: of the ONNX operators.

    Raises:
        InputError: a package is not installed, or the opset cannot be written.
        RunError: the file could not be written.
    """
    for package in ("onnx", "onnxscript"):
        require(package, "exporting to ONNX", EXTRA)
    import onnx

    newest = onnx.defs.onnx_opset_version()
    if not 18 <= opset <= newest:
        raise InputError(f"--opset: expected one from 18 to {newest}, the newest of the installed onnx, got {opset}")
    with _evaluating(network), _quiet():
        program = torch.onnx.export(
            network,
            (torch.zeros(2, *image),),
            dynamo=True,
            opset_version=opset,
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            verbose=False,
        )
    assert program is not None
    model = program.model_proto
    onnx.checker.check_model(model)
    with replacing(path) as file:
        file.write(model.SerializeToString())


def onnx_difference(network: nn.Module, image: tuple[int, int, int], path: Path) -> float:
    """Largest difference of a logit between the network and its ONNX model in onnxruntime, on 3 random images, as a
    share of the largest logit.

    Raises:
        InputError: onnxruntime is not installed.
        RunError: onnxruntime does not run the model.
    """
    onnxruntime = require("onnxruntime", "checking the ONNX model", EXTRA)
    images = torch.randn(3, *image, generator=torch.Generator().manual_seed(0))
    try:
        session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        logits = torch.from_numpy(session.run(["logits"], {"images": images.numpy()})[0])
    except Exception as error:  # onnxruntime's errors have no common base
        raise RunError(f"{path}: onnxruntime does not run it ({error})") from None
    with _evaluating(network), torch.no_grad():
        truth = network(images)
    return float((logits - truth).abs().max() / truth.abs().max().clamp_min(1e-12))


@contextlib.contextmanager
def _evaluating(network: nn.Module) -> Iterator[None]:
    """In evaluation mode, and afterwards as it was."""
    training = network.training
    network.eval()
    try:
        yield
    finally:
        network.train(training)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporters' remarks on their own code and on packages that these networks do not use."""
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
