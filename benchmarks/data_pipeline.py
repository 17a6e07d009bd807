"""Training batches from memory against a torchvision DataLoader with two workers, on 10,000 CIFAR-like images.

    python -m benchmarks.data_pipeline [--rounds 15]

Both crop (padding 4), mirror and normalise every image by itself and give float32 batches of 64. They take turns: one
thread against two worker processes that live on between epochs. The last line is JSON; the exit status is 1 below the
target.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from supernet.torchvision_compat import torchvision
from training.data import ImageArrays, Split, load_data
from training.options import TrainSupernetOptions

IMAGES, BATCH_SIZE, WORKERS = 10_000, 64, 2
MEAN, STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
TARGET = 15.0
# An epoch from memory is over too soon to be timed alone.
EPOCHS_PER_ROUND = 5


class PillowImages(Dataset[tuple[Tensor, int]]):
    """The work of torchvision.datasets.CIFAR10: an array turned into a Pillow image, then the usual transforms."""

    def __init__(self, pixels: NDArray[np.uint8], labels: NDArray[np.int64]) -> None:
        transforms = torchvision.transforms
        self.pixels = pixels
        self.labels = labels.tolist()
        self.transform = transforms.Compose(
            [
                transforms.RandomCrop(32, padding=4),
                transforms.RandomHorizontalFlip(),
                transforms.ToTensor(),
                transforms.Normalize(MEAN, STD),
            ]
        )

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.transform(Image.fromarray(self.pixels[index])), self.labels[index]


def own_images(_: object) -> ImageArrays:
    """As many images as the DataLoader gets are left for training after test and validation are held out."""
    pixels, labels = random_images(IMAGES * 100 // 64)
    return ImageArrays(
        train_images=pixels, train_labels=labels, classes=[str(i) for i in range(10)], mean=MEAN, std=STD
    )


def random_images(count: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    generator = np.random.default_rng(0)
    return generator.integers(0, 256, (count, 32, 32, 3), dtype=np.uint8), np.arange(count) % 10


def from_memory(split: Split, epoch: int) -> Iterable[tuple[Tensor, Tensor]]:
    return split.batches(BATCH_SIZE, epoch=epoch, shuffle=True, augment=True, drop_last=True)


def images_per_second(epochs: Sequence[Iterable[tuple[Tensor, Tensor]]]) -> float:
    images = 0
    start = time.perf_counter()
    for batches in epochs:
        for _, labels in batches:
            images += len(labels)
    return images / (time.perf_counter() - start)


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each (default: 15)")
    rounds = parser.parse_args(argv).rounds
    torch.set_num_threads(1)
    options = TrainSupernetOptions(title="benchmark", dataset="benchmarks.data_pipeline:own_images")
    split = load_data(options).train
    loader = DataLoader(
        PillowImages(*random_images(IMAGES)),
        batch_size=BATCH_SIZE,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )
    ours, theirs = [], []
    for turn in range(rounds + 1):
        speed = images_per_second([from_memory(split, turn * EPOCHS_PER_ROUND + i) for i in range(EPOCHS_PER_ROUND)])
        peer = images_per_second([loader])
        if turn:  # the first turn warms caches and starts the workers
            ours.append(speed)
            theirs.append(peer)
    ratios = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    result = {
        "benchmark": "data_pipeline",
        "ratio": round(statistics.median(ratios), 2),
        "ratio_quartiles": [round(q, 2) for q in (ratios[len(ratios) // 4], ratios[-1 - len(ratios) // 4])],
        "memory_images_per_second": round(statistics.median(ours)),
        "dataloader_images_per_second": round(statistics.median(theirs)),
        "images": len(split),
        "batch_size": BATCH_SIZE,
        "workers": WORKERS,
        "rounds": rounds,
        "target": TARGET,
        "passed": statistics.median(ratios) >= TARGET,
    }
    print(f"from memory {result['memory_images_per_second']:,} images/s, one thread")
    print(f"DataLoader  {result['dataloader_images_per_second']:,} images/s, {WORKERS} workers")
    print(f"ratio       {result['ratio']} (target: at least {TARGET:g})")
    print(json.dumps(result))
    return 0 if result["passed"] else 1


if __name__ == "__main__":
    sys.exit(main())
