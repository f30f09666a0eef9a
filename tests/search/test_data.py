"""Sources are read as they are and refused in one sentence; streams depend on (seed, step) alone."""

from __future__ import annotations

import sys

import numpy
import pytest
import torch
from amended_darts.config import SearchConfig
from amended_darts.data import DataSet, Stream, heldout_batches, load_data, seeded_halves
from amended_darts.data.augment import Transform
from amended_darts.data.fractions import balanced_fraction
from amended_darts.data.generators import ALPHA_AUGMENT, ALPHA_ORDER, WEIGHT_AUGMENT, WEIGHT_ORDER
from amended_darts.data.images import MemoryImages, decode
from amended_darts.errors import InputError
from PIL import Image

CPU = torch.device("cpu")


def stream(data, count=None, batch=8, seed=0, order=WEIGHT_ORDER, augment=WEIGHT_AUGMENT):
    return Stream(data, torch.arange(count or len(data.train.labels)), batch, seed, order, augment, CPU)


def take(source, first, count):
    batches = source.batches(first)
    return [next(batches) for _ in range(count)]


def counting(pad=0, flip=False, size=6, count=20):
    """Image i has i as its label, and distinct pixels."""
    pixels = torch.arange(count * size * size).view(count, 1, size, size).remainder(251).to(torch.uint8)
    images = MemoryImages(pixels, torch.arange(count))
    return DataSet("counting", images, images, ("a", "b"), (0.0,), (1.0,), pad, flip)


def test_digits():
    data = load_data(SearchConfig())
    assert data.train.pixels.shape == (1437, 1, 8, 8)
    assert data.heldout.pixels.shape == (360, 1, 8, 8)
    assert len(data.classes) == 10
    assert not data.flip
    assert torch.equal(load_data(SearchConfig(seed=1)).heldout.labels, data.heldout.labels)  # the same for every seed
    everything = {image.numpy().tobytes() for image in data.train.pixels}
    assert sum(image.numpy().tobytes() in everything for image in data.heldout.pixels) == 0
    values = torch.cat([x for x, _ in take(stream(data, batch=100), 0, 14)])
    assert abs(values.mean()) < 0.05
    assert abs(values.std() - 1) < 0.05


def test_halves_are_seeded_and_share_nothing():
    one, other = seeded_halves(101, 0.5, seed=3)
    assert (len(one), len(other)) == (50, 51)
    assert sorted([*one.tolist(), *other.tolist()]) == list(range(101))
    assert torch.equal(seeded_halves(101, 0.5, seed=3)[0], one)
    assert not torch.equal(seeded_halves(101, 0.5, seed=4)[0], one)
    with pytest.raises(InputError, match="--train-portion: expected at least 2 images for w and 2 for α, got 1 and 9"):
        seeded_halves(10, 0.1, seed=0)


@pytest.mark.parametrize("first", [0, 1, 2, 3, 7])
def test_a_stream_taken_up_at_any_step_goes_on_as_it_was(first):
    data = counting(pad=2, flip=True)
    whole = take(stream(data), 0, 12)
    for (x, y), (again, labels) in zip(whole[first:], take(stream(data), first, 12 - first), strict=True):
        assert torch.equal(x, again)
        assert torch.equal(y, labels)


def test_every_pass_shows_each_image_once_in_a_new_order():
    data = counting()
    source = stream(data, batch=5)
    passes = [torch.cat([y for _, y in take(source, 4 * number, 4)]) for number in range(2)]
    assert [sorted(labels.tolist()) for labels in passes] == [list(range(20))] * 2
    assert not torch.equal(*passes)
    for labels in (stream(data, batch=5, seed=1), stream(data, batch=5, order=ALPHA_ORDER, augment=ALPHA_AUGMENT)):
        assert not torch.equal(torch.cat([y for _, y in take(labels, 0, 4)]), passes[0])


def test_augmentation_is_a_crop_of_the_padded_image_maybe_flipped():
    data = counting(pad=2, flip=True)
    seen = set()
    for step in range(10):
        for image, label in zip(*take(stream(data), step, 1)[0], strict=True):
            padded = torch.nn.functional.pad(data.train.pixels[label].float(), (2, 2, 2, 2))
            crops = {
                (top, left, flip): padded[:, top : top + 6, left : left + 6].flip(2)
                if flip
                else padded[:, top : top + 6, left : left + 6]
                for top in range(5)
                for left in range(5)
                for flip in (False, True)
            }
            found = [key for key, crop in crops.items() if torch.equal(crop, image)]
            assert found
            seen.add(found[0])
    assert len(seen) > 25  # of 50: all offsets and both directions occur
    assert {flip for *_, flip in seen} == {False, True}


def test_half_smaller_than_a_batch():
    source = stream(counting(), count=5, batch=64)
    assert source.steps_per_pass == 1
    assert take(source, 3, 1)[0][0].shape == (5, 1, 6, 6)


def write_tree(root, held="test", count=5, size=(12, 9)):
    draw = numpy.random.default_rng(0)
    for part in ("train", held):
        for name in ("cat", "dog"):
            (root / part / name).mkdir(parents=True)
            for index in range(count):
                Image.fromarray(draw.integers(0, 256, (*size, 3), dtype=numpy.uint8)).save(
                    root / part / name / f"{index}.png"
                )


def folder(root, **settings):
    return load_data(SearchConfig(data="imagefolder", root=str(root), image_size=8, **settings))


@pytest.mark.parametrize("held", ["test", "val"])
@pytest.mark.parametrize("workers", [0, 2])
def test_imagefolder(tmp_path, held, workers):
    write_tree(tmp_path, held)
    data = folder(tmp_path, workers=workers)
    assert data.classes == ("cat", "dog")
    torch.manual_seed(0)
    before = torch.get_rng_state()
    whole = take(stream(data, batch=4), 0, 3)
    again = take(stream(data, batch=4), 1, 2)
    assert torch.equal(torch.get_rng_state(), before)
    assert whole[0][0].shape == (4, 3, 8, 8)
    assert all(torch.equal(x, z) for (x, _), (z, _) in zip(whole[1:], again, strict=True))
    assert [len(y) for _, y in heldout_batches(data, 4, CPU)] == [4, 4, 2]


@pytest.mark.parametrize("workers", [0, 1])
def test_unreadable_images_are_named(tmp_path, workers):
    """Another file, an empty one, one that ends in the middle, one that is gone."""
    write_tree(tmp_path)
    path = tmp_path / "train" / "dog" / "3.png"
    whole = path.read_bytes()
    data = folder(tmp_path, workers=workers)

    def told():
        with pytest.raises(InputError) as caught:
            take(stream(data, batch=5), 0, 2)
        return str(caught.value)

    path.write_bytes(b"not an image")
    assert f"{path}: expected an image, cannot decode it (UnidentifiedImageError" in told()
    path.write_bytes(b"")
    assert told() == f"{path}: expected an image, the file is empty"
    path.write_bytes(whole[: len(whole) // 2])
    assert told().startswith(f"{path}: expected an image, cannot decode it (OSError: ")
    path.unlink()
    assert told().startswith(f"{path}: expected an image, cannot decode it (FileNotFoundError: ")


def test_small_images_are_decoded_once(tmp_path, monkeypatch):
    """Their files may go afterwards; what does not fit into the limit is decoded each time."""
    write_tree(tmp_path)
    kept, large = folder(tmp_path).train, folder(tmp_path).train
    first = next(kept.batches([torch.arange(4)]))[0]
    monkeypatch.setattr("amended_darts.data.images._KEPT_BYTES", 4 * 3 * 8 * 8)
    large = large.subset(torch.arange(5))
    next(large.batches([torch.arange(5)]))
    for path in kept.paths:
        path.unlink()
    assert torch.equal(next(kept.batches([torch.arange(4)]))[0], first)
    with pytest.raises(InputError, match="FileNotFoundError"):
        next(large.batches([torch.arange(5)]))


def test_fractions_have_the_same_share_of_every_class():
    labels = torch.tensor([0] * 40 + [1] * 20 + [2] * 3)[torch.randperm(63)]
    small, large = (balanced_fraction(labels, fraction, seed=3) for fraction in (0.25, 0.5))
    assert labels[small].bincount().tolist() == [10, 5, 1]
    assert labels[large].bincount().tolist() == [20, 10, 2]
    assert set(small.tolist()) < set(large.tolist())
    assert torch.equal(small, balanced_fraction(labels, 0.25, seed=3))
    assert not torch.equal(small, balanced_fraction(labels, 0.25, seed=4))
    assert labels[balanced_fraction(labels, 1e-9, seed=0)].tolist().count(2) == 1  # one of each at least
    assert balanced_fraction(labels, 1.0, seed=0).tolist() == list(range(63))


def test_a_fraction_of_each_source(tmp_path):
    write_tree(tmp_path)
    data = folder(tmp_path, fraction=0.4, heldout_fraction=0.2)
    assert data.train.labels.tolist() == [0, 0, 1, 1]
    assert [path.parent.name for path in data.train.paths] == ["cat", "cat", "dog", "dog"]
    assert len(data.heldout.labels) == 2
    digits = [load_data(SearchConfig(fraction=0.1, heldout_fraction=0.5, seed=seed)) for seed in (0, 1)]
    assert [len(data.train.labels) for data in digits] == [142, 142]
    assert not torch.equal(*(data.train.pixels for data in digits))
    assert torch.equal(*(data.heldout.pixels for data in digits))


def test_cutout_of_a_stream():
    """A square of zeros in every image, at most half the image, the same when taken up at a later step."""
    pixels = torch.full((20, 1, 8, 8), 200, dtype=torch.uint8)
    images = MemoryImages(pixels, torch.arange(20))
    data = DataSet("white", images, images, ("a", "b"), (0.0,), (1.0,))
    whole = take(Stream(data, torch.arange(20), 8, 0, WEIGHT_ORDER, WEIGHT_AUGMENT, CPU, cutout=16), 0, 4)
    again = take(Stream(data, torch.arange(20), 8, 0, WEIGHT_ORDER, WEIGHT_AUGMENT, CPU, cutout=16), 2, 2)
    for (x, _), (z, _) in zip(whole[2:], again, strict=True):
        assert torch.equal(x, z)
    erased = torch.cat([(x == 0).flatten(1).sum(1) for x, _ in whole])
    assert erased.min() >= 4
    assert erased.max() == 16
    assert len(erased.unique()) > 3


def shift(image):
    """A stand-in for a transform of torchvision: adds a number drawn from the global generator."""
    return image // 2 + torch.randint(100, ()).to(torch.uint8)


def test_transforms_are_a_function_of_seed_and_step(tmp_path):
    """Whatever the workers; each image on its own; the global generator stays; held-out images are left alone."""
    write_tree(tmp_path)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    plain = folder(tmp_path, augment="none")
    results = []
    for workers in (0, 2):
        images = folder(tmp_path, workers=workers, augment="none").train.transformed(Transform(shift, whole=False))
        assert not images.thread_safe
        data = DataSet("shifted", images, images, ("a", "b"), (0.0,) * 3, (1.0,) * 3)
        results.append(take(stream(data, batch=4), 0, 3))
        later = take(stream(data, batch=4), 2, 1)
        assert torch.equal(later[0][0], results[-1][2][0])
        assert torch.equal(
            next(heldout_batches(data, 4, CPU))[0], torch.stack([decode(path, 8).float() for path in images.paths[:4]])
        )
    for (x, y), (z, _) in zip(*results, strict=True):
        assert torch.equal(x, z)
        for image, label in zip(x, y, strict=True):
            assert not any(torch.equal(image, decode(path, 8).float()) for path in plain.train.paths), label
    assert torch.equal(torch.get_rng_state(), before)
    shifts = [(results[0][0][0][i] - results[0][0][0][0]).mean() for i in range(4)]
    assert len({round(float(shift), 3) for shift in shifts}) == 4


@pytest.mark.parametrize("name", ["imagenet", "trivial", "randaugment"])
def test_augmentations_of_torchvision(tmp_path, name):
    try:
        import torchvision.transforms.v2  # noqa: F401
    except Exception as error:  # absent, or made for another torch
        pytest.skip(f"torchvision does not import: {error}")
    write_tree(tmp_path, size=(24, 17))
    data = folder(tmp_path, augment=name)
    assert (data.pad, data.flip) == ((0, False) if name == "imagenet" else (1, True))
    whole, again = take(stream(data, batch=4), 0, 2), take(stream(data, batch=4), 1, 1)
    assert whole[0][0].shape == (4, 3, 8, 8)
    assert torch.equal(whole[1][0], again[0][0])
    digits = load_data(SearchConfig(augment=name))
    assert take(stream(digits, batch=4), 0, 1)[0][0].shape == (4, 1, 8, 8)


def test_augmentations_by_name(tmp_path, monkeypatch):
    write_tree(tmp_path)
    assert (folder(tmp_path).pad, folder(tmp_path).flip) == (1, True)
    assert (folder(tmp_path, augment="none").pad, folder(tmp_path, augment="none").flip) == (0, False)
    with pytest.raises(InputError, match=r"--augment: expected one of standard, none, imagenet, .*, got 'mixup'"):
        folder(tmp_path, augment="mixup")
    monkeypatch.setitem(sys.modules, "torchvision.transforms.v2", None)
    monkeypatch.setitem(sys.modules, "torchvision.transforms", None)
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(InputError, match="--augment trivial needs torchvision, which is not installed: pip install"):
        folder(tmp_path, augment="trivial")


def test_wrong_folders(tmp_path):
    with pytest.raises(InputError, match="--root: expected the folder of the data set imagefolder, got nothing"):
        load_data(SearchConfig(data="imagefolder"))
    with pytest.raises(InputError, match=r"--root: expected an existing folder, got .*/absent"):
        folder(tmp_path / "absent")
    with pytest.raises(InputError, match=r"expected a folder with train/ and test/ \(or val/\) in it"):
        folder(tmp_path)
    write_tree(tmp_path)
    (tmp_path / "train" / "eel").mkdir()
    with pytest.raises(InputError, match="the same classes in train/ and test/, they differ in eel"):
        folder(tmp_path)
    (tmp_path / "test" / "eel").mkdir()
    with pytest.raises(InputError, match=r"expected images in .*/train/eel, got none"):
        folder(tmp_path)


def test_unknown_data_set():
    with pytest.raises(InputError, match="--data: expected one of digits, cifar10, cifar100, imagefolder, got 'mnist'"):
        load_data(SearchConfig(data="mnist"))
