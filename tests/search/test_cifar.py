"""CIFAR-10 and CIFAR-100, read by torchvision."""

import sys
import types
from dataclasses import replace

import numpy
import pytest
from amended_darts import SearchConfig
from amended_darts.data import load_data
from amended_darts.errors import InputError

from .test_data import stream, take


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_through_torchvision(tmp_path, monkeypatch, name):
    """With a stand-in for torchvision's reader, which hands out uint8 [n, 32, 32, 3] and lists of labels."""

    class Reader:
        base_folder = "cifar-batches-py"
        classes = ("a", "b")

        def __init__(self, root, train, download):
            assert not download
            if not (tmp_path / "data").exists():
                raise RuntimeError("Dataset not found or corrupted.")
            self.data = numpy.arange(6 * 32 * 32 * 3, dtype=numpy.uint8).reshape(6, 32, 32, 3)
            self.targets = [0, 1, 0, 1, 0, 1]

    module = types.ModuleType("torchvision.datasets")
    module.CIFAR10 = module.CIFAR100 = Reader
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.datasets", module)
    config = SearchConfig(data=name, root=str(tmp_path))
    with pytest.raises(InputError, match=r"--root: expected the folder that holds cifar-batches-py of .*, got /"):
        load_data(config)
    (tmp_path / "data").mkdir()
    data = load_data(config)
    assert data.train.pixels.shape == (6, 3, 32, 32)
    assert data.train.pixels[0, :, 0, 0].tolist() == [0, 1, 2]
    assert (data.pad, data.flip) == (4, True)
    assert take(stream(data, batch=3), 0, 1)[0][0].shape == (3, 3, 32, 32)
    small = load_data(replace(config, image_size=8))
    assert small.train.pixels.shape == (6, 3, 8, 8)
    squares = data.train.pixels.unfold(2, 4, 4).unfold(3, 4, 4).double().mean((4, 5))
    assert (small.train.pixels - squares).abs().max() <= 0.5
    assert small.pad == 1
    with pytest.raises(InputError, match=r"--image-size: expected 32, 16, 8 or 4 for CIFAR, .*, got 12"):
        load_data(replace(config, image_size=12))
