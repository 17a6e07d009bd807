"""Batches on a GPU, pretended or real: the pixels of the CPU to the bit, in a few bytes that nobody waits for."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from tests.training.pretended_gpu import NEEDS_GPU, OnGpu, PretendedGpu
from training.data import Split, load_data

EPOCH = {"seed": 5, "epoch": 1, "shuffle": True, "augment": True, "limit": 50}
PRETENDED, REAL = "pretended", pytest.param("cuda", marks=NEEDS_GPU)

AUGMENTATIONS: Mapping[str, dict[str, Any]] = {
    "shifted": {},
    "shifted and mirrored": {"flip": True},
    "erased": {"cutout": 3},
    "as they are": {"augmentation": "off"},
    "in blue, green, red": {"preprocessing": "bgr255"},
    "larger than memory": {"memory_limit": 0.0, "cutout": 2, "flip": True},
    "cropped": {"augmentation": "resized_crop"},
}


def on_both(split: Split, device: str, **options: Any) -> list[tuple[Tensor, Tensor, Tensor, Tensor, list[str]]]:
    """(x, y) of every batch on the CPU and on a device, and where the host waited for it since the batch before."""
    waits: list[str] = []
    found = []
    here = list(split.batches(16, **options))
    with PretendedGpu() if device == PRETENDED else nullcontext() as gpu:
        for (x, y), (there, labels) in zip(here, split.batches(16, **options, device="cuda:0"), strict=True):
            assert there.is_cuda
            assert labels.is_cuda
            waits = [] if gpu is None else list(gpu.waits)
            found.append((x, y, there.cpu(), labels.cpu(), waits))
            if gpu is not None:
                gpu.waits.clear()
    return found


@pytest.mark.parametrize(
    ("name", "device"),
    [
        *((name, PRETENDED) for name in AUGMENTATIONS if name != "cropped"),  # as files, by torchvision on the CPU
        *(pytest.param(name, "cuda", marks=NEEDS_GPU) for name in AUGMENTATIONS),
    ],
)
def test_pixels_are_those_of_the_cpu(name: str, device: str, settings) -> None:
    data = load_data(settings(**AUGMENTATIONS[name]), 8 if "memory" not in name else 12)
    for split, options in ((data.train, EPOCH), (data.val, {"limit": 40})):
        for number, (x, y, there, labels, waits) in enumerate(on_both(split, device, **options)):
            assert torch.equal(x, there)
            assert x.stride() == there.stride()
            assert torch.equal(y, labels)
            assert not (number and waits), waits


@pytest.mark.filterwarnings("ignore:.*pin_memory")
@pytest.mark.parametrize("device", [PRETENDED, REAL])
def test_files_too(device: str, settings, digit_folder) -> None:
    root = digit_folder({"train": 7, "val": 3}, size=(20, 16))
    data = load_data(settings("imagefolder", root, memory_limit=0, cutout=3, augmentation="shift"), 12)
    for x, y, there, labels, _ in on_both(data.train, device, **EPOCH):
        assert torch.equal(x, there)
        assert torch.equal(y, labels)


def test_images_lie_on_the_device_once_as_bytes(settings) -> None:
    data = load_data(settings(), 8)
    with PretendedGpu():
        for split in (data.train, data.val, data.trainval):
            next(split.batches(16, device="cuda:0"))
        ((images, labels),) = data.train.store._on_device.values()
        assert isinstance(images, OnGpu)
        assert images.dtype == torch.uint8
        assert len(images) == len(labels) == len(data.train.store.images)
