"""Images that do not fit into memory: the same promises, kept by worker processes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from config_file.errors import UserError
from training.data import Data, ImageFiles, load_data
from training.data.streaming import FilePool, StreamedSplit

RESIZED = {"augmentation": "resized_crop"}
EPOCH = {"seed": 5, "epoch": 1, "shuffle": True, "augment": True}


@pytest.fixture
def streamed(settings, digit_folder) -> Data:
    root = digit_folder({"train": 8, "val": 3}, size=(48, 40))
    data = load_data(settings("imagefolder", root, memory_limit=0), 32)
    assert isinstance(data.train, StreamedSplit)
    return data


def with_workers(data: Data, workers: int) -> StreamedSplit:
    assert isinstance(data.train, StreamedSplit)
    data.train.workers = workers
    return data.train


def test_evaluation_sees_what_it_would_see_from_memory(settings, digit_folder) -> None:
    root = digit_folder({"train": 6, "val": 3}, size=(48, 40))
    memory, streamed = (load_data(settings("imagefolder", root, memory_limit=limit), 32) for limit in (1, 0))
    assert memory.crop_pct == streamed.crop_pct == 32 / 36
    assert memory.mean == streamed.mean
    assert memory.split_record["sha256"] == streamed.split_record["sha256"]
    assert torch.equal(memory.test.raw(range(9)), streamed.test.raw(range(9)))
    for (x, y), (x_streamed, y_streamed) in zip(memory.test.batches(4), streamed.test.batches(4), strict=True):
        assert torch.equal(x, x_streamed)
        assert torch.equal(y, y_streamed)
        assert x_streamed.is_contiguous(memory_format=torch.channels_last)


def test_batches_depend_on_neither_workers_nor_where_one_starts(streamed: Data) -> None:
    full = list(with_workers(streamed, 0).batches(4, **EPOCH))
    assert [len(y) for _, y in full] == [4] * 4 + [2]
    for workers, start in ((2, 0), (2, 3), (0, 2)):
        rest = list(with_workers(streamed, workers).batches(4, **EPOCH, start=start))
        for (x, y), (x_again, y_again) in zip(full[start:], rest, strict=True):
            assert torch.equal(x, x_again)
            assert torch.equal(y, y_again)


def test_augmentation_differs_between_epochs_and_images(streamed: Data) -> None:
    split = with_workers(streamed, 0)
    first, second = (next(split.batches(18, augment=True, epoch=epoch))[0] for epoch in (0, 1))
    assert not any(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    plain = next(split.batches(18))[0]
    assert not any(torch.equal(a, b) for a, b in zip(first, plain, strict=True))


def test_no_global_random_state_is_moved(streamed: Data) -> None:
    before = torch.get_rng_state()
    list(with_workers(streamed, 0).batches(4, **EPOCH))
    list(with_workers(streamed, 1).batches(4, **EPOCH))
    assert torch.equal(before, torch.get_rng_state())


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_file_is_named_in_one_line(settings, digit_folder, workers: int) -> None:
    root = digit_folder({"train": 4, "val": 2}, size=(48, 48))
    data = load_data(settings("imagefolder", root, memory_limit=0), 32)
    (root / "train" / "digit_2" / "1.png").write_bytes(b"\x89PNG")
    data.trainval.workers = workers
    with pytest.raises(UserError, match=r"^cannot read image .*train/digit_2/1\.png: not an image file$"):
        list(data.trainval.batches(4))


@pytest.mark.parametrize("flip", [True, False])
def test_images_are_mirrored_only_where_the_data_set_allows(tmp_path: Path, flip: bool) -> None:
    ramp = np.broadcast_to(np.arange(0, 240, 5, dtype=np.uint8)[None, :, None], (48, 48, 3))  # brighter to the right
    Image.fromarray(ramp).save(tmp_path / "ramp.png")
    pool = FilePool(ImageFiles(tmp_path, ("ramp.png",)), torch.zeros(1), 32, margin=2, horizontal_flip=flip)
    rising = {bool(image[0, 0, 0] < image[0, -1, 0]) for image in (pool.read(0, seed).int() for seed in range(20))}
    assert rising == ({True, False} if flip else {True})


def batches(data: Data) -> list[tuple[torch.Tensor, torch.Tensor]]:
    return list(data.train.batches(4, **EPOCH))


@pytest.mark.parametrize("flip", [True, False])
@pytest.mark.parametrize("size", [(48, 40), (20, 28)])
@pytest.mark.parametrize("augmentation", ["auto", "shift", "resized_crop", "off"])
def test_training_sees_the_same_pixels_whatever_the_memory_limit(
    settings, digit_folder, size, augmentation, flip
) -> None:
    """One command, one augmentation: larger images than the input and smaller ones."""
    root = digit_folder({"train": 8, "val": 3}, size=size)
    memory, streamed = (
        load_data(settings("imagefolder", root, memory_limit=limit, augmentation=augmentation, flip=flip), 32)
        for limit in (1, 0)
    )
    assert memory.split_record == streamed.split_record
    for (x, y), (x_streamed, y_streamed) in zip(batches(memory), batches(streamed), strict=True):
        assert torch.equal(x, x_streamed)
        assert torch.equal(y, y_streamed)


def test_crops_are_those_of_torchvision_by_the_share_that_is_asked_for(tmp_path: Path) -> None:
    from supernet.torchvision_compat import torchvision

    transforms = torchvision.transforms
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (60, 90, 3), dtype=np.uint8))
    image.save(tmp_path / "a.png")
    for scale in (0.08, 0.5):
        pool = FilePool(ImageFiles(tmp_path, ("a.png",)), torch.zeros(1), 32, margin=2, crop_scale=scale)
        for seed in range(5):
            with torch.random.fork_rng(devices=[]):
                torch.default_generator.manual_seed(seed)
                box = transforms.RandomResizedCrop.get_params(image, [scale, 1.0], [3 / 4, 4 / 3])
                mirrored = bool(torch.rand(1) < 0.5)
            assert box[2] * box[3] >= 0.9 * scale * 60 * 90
            crop = np.asarray(transforms.functional.resized_crop(image, *box, [32, 32], antialias=True))
            assert np.array_equal(pool.read(0, seed), crop[:, ::-1] if mirrored else crop)


@pytest.mark.parametrize(
    ("size", "given", "says"),
    [
        ((48, 40), RESIZED, "random resized crop of 8 to 100 % of the area, horizontal flip"),
        ((48, 40), RESIZED | {"crop_scale": 0.2}, "random resized crop of 20 to 100 % of the area, horizontal flip"),
        ((48, 40), {}, "random crop of 32 from 36 pixels inside the image, horizontal flip"),
        ((32, 32), {}, "random crop of 32 from 40 pixels with zero padding, horizontal flip"),
        ((48, 40), {"augmentation": "off"}, "none"),
        ((48, 40), {"augmentation": "off", "flip": True}, "horizontal flip"),
    ],
)
def test_what_training_does_is_recorded(settings, digit_folder, size, given, says) -> None:
    root = digit_folder({"train": 4, "val": 1}, size=size)
    for limit in (0, 1):
        data = load_data(settings("imagefolder", root, memory_limit=limit, **given), 32)
        assert data.split_record["augmentation"] == says


def test_a_share_of_the_area_without_such_crops_is_refused(settings, digit_folder) -> None:
    root = digit_folder({"train": 4, "val": 1}, size=(32, 32))
    with pytest.raises(UserError, match=r"--crop-scale is of --augmentation resized_crop; the images .* get: shift"):
        load_data(settings("imagefolder", root, crop_scale=0.3), 32)
