"""torch.export and ONNX programs give the network's own logits, for any number of images."""

from __future__ import annotations

import onnx
import onnxruntime
import pytest
import torch
from amended_darts.derived import DerivedNetwork
from amended_darts.derived.programs import OPSET, onnx_difference, save_onnx, save_program
from amended_darts.errors import InputError, RunError
from amended_darts.published import find_genotype

IMAGE = (2, 9, 7)


@pytest.fixture(
    params=["PC_DARTS_CIFAR", "|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|"]
)
def network(request):
    network = DerivedNetwork(find_genotype(request.param), 5, 2, cells=3, channels=3, auxiliary=True)
    for _ in range(3):
        network(torch.randn(8, *IMAGE))  # running statistics that are not the initial ones
    return network


def test_export(network, tmp_path):
    save_program(network, IMAGE, tmp_path / "network.pt2")
    assert network.training  # as it was
    program = torch.export.load(tmp_path / "network.pt2").module()
    for count in (1, 2, 5):
        images = torch.randn(count, *IMAGE)
        assert torch.allclose(program(images), network.eval()(images), atol=1e-5)


def test_onnx(network, tmp_path):
    path = tmp_path / "network.onnx"
    save_onnx(network, IMAGE, path)
    model = onnx.load(path)
    assert [(entry.domain, entry.version) for entry in model.opset_import] == [("", OPSET)]
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert ([entry.name for entry in session.get_inputs()], [entry.name for entry in session.get_outputs()]) == (
        ["images"], ["logits"],
    )  # fmt: skip
    for count in (1, 2, 5):
        images = torch.randn(count, *IMAGE)
        logits = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
        assert torch.allclose(logits, network.eval()(images), atol=1e-5)
    assert onnx_difference(network, IMAGE, path) < 1e-5
    network.classifier.bias.data += 1
    assert onnx_difference(network, IMAGE, path) > 1e-2  # it does notice


def test_what_cannot_be_written_or_run(tmp_path):
    network = DerivedNetwork(find_genotype("DARTS_V1"), 5, cells=3, channels=2)
    with pytest.raises(InputError, match=r"--opset: expected one from 18 to \d+, the newest .*, got 9"):
        save_onnx(network, (3, 8, 8), tmp_path / "network.onnx", 9)
    (tmp_path / "network.onnx").write_bytes(b"no model")
    with pytest.raises(RunError, match="onnxruntime does not run it"):
        onnx_difference(network, (3, 8, 8), tmp_path / "network.onnx")
