"""Cutout: the squares that training erases, against a loop over pixels, and what must not change by it."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from training.data import load_data
from training.data.augmentation import cut_out
from training.data.seeds import generator_of
from training.data.split import divide

EPOCH = {"seed": 5, "epoch": 1, "shuffle": True, "augment": True}


@pytest.mark.parametrize("side", [1, 4, 5, 16])
def test_it_erases_what_the_published_code_erases(side: int) -> None:
    """DeVries and Taylor's loop: a centre among all pixels, the square clipped by the image."""
    images, height, width = 9, 6, 8
    both = generator_of(3)
    centres = [torch.randint(size, (images, 1), generator=both).flatten().tolist() for size in (height, width)]
    expected = np.ones((images, 2, height, width), np.float32)
    for image, (y, x) in enumerate(zip(*centres, strict=True)):
        top, left = (max(0, centre - side // 2) for centre in (y, x))
        expected[image, :, top : y - side // 2 + side, left : x - side // 2 + side] = 0
    erased = cut_out(torch.ones(images, 2, height, width), side, generator_of(3))
    assert np.array_equal(erased.numpy(), expected)


def test_a_batch_is_the_same_from_memory_from_files_and_after_a_start_in_the_middle(settings, digit_folder) -> None:
    root = digit_folder({"train": 6, "val": 3}, size=(20, 16))
    memory, streamed, plain = (
        load_data(settings("imagefolder", root, memory_limit=limit, cutout=cutout), 16)
        for limit, cutout in ((1, 7), (0, 7), (1, 0))
    )
    full = list(memory.train.batches(4, **EPOCH))
    for other, start in ((streamed.train, 0), (memory.train, 2)):
        for (x, _), (again, _) in zip(full[start:], other.batches(4, **EPOCH, start=start), strict=True):
            assert torch.equal(x, again)
    for (x, y), (whole, labels) in zip(full, plain.train.batches(4, **EPOCH), strict=True):
        assert torch.equal(y, labels)
        kept = x != 0
        assert torch.equal(x[kept], whole[kept])
        assert all(not image.all() for image in kept)


def test_only_training_erases_and_parts_of_a_split_do_too(settings, digit_folder) -> None:
    root = digit_folder({"train": 6, "val": 3}, size=(20, 16))
    data, plain = (load_data(settings("imagefolder", root, cutout=cutout), 16) for cutout in (16, 0))
    for (x, _), (whole, _) in zip(data.val.batches(4), plain.val.batches(4), strict=True):
        assert torch.equal(x, whole)
    part, _ = divide(data.train, 0.5, 0)
    x, _ = next(part.batches(4, augment=True))
    assert (x == 0).flatten(1).any(1).all()
    assert data.split_record["augmentation"].endswith("cutout of 16 pixels")
    with pytest.raises(UserError, match="--cutout 17 erases more than an image of 16 px"):
        load_data(settings("imagefolder", root, cutout=17), 16)
