"""Small real data sets: scikit-learn's digits as folders of PNG files, and the options that name them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image
from sklearn.datasets import load_digits

from tests.training import toy

SettingsFactory = Callable[..., SimpleNamespace]
FolderFactory = Callable[..., Path]


@pytest.fixture(autouse=True)
def _nothing_spoils_a_training() -> None:
    """No event of `toy.noisy_loss` that another test has asked for."""
    toy.reset()


@pytest.fixture(scope="session")
def digit_images() -> Mapping[int, np.ndarray]:
    """class -> uint8 (n, 8, 8)."""
    digits = load_digits()
    pixels = np.rint(digits.images * (255 / 16)).astype(np.uint8)
    return {label: pixels[digits.target == label] for label in range(10)}


@pytest.fixture
def digit_folder(tmp_path: Path, digit_images: Mapping[int, np.ndarray]) -> FolderFactory:
    """Write digits as root/[split/]class/number.png: ``digit_folder({"train": 6, "val": 3}, size=(20, 16))``."""

    def write(
        counts: Mapping[str, int], classes: int = 3, size: tuple[int, int] = (8, 8), root: Path = tmp_path / "digits"
    ) -> Path:
        used = 0
        for split, count in counts.items():
            for label in range(classes):
                folder = root / split / f"digit_{label}"
                folder.mkdir(parents=True)
                for number, pixels in enumerate(digit_images[label][used : used + count]):
                    Image.fromarray(pixels).resize(size).save(folder / f"{number}.png")
            used += count
        return root

    return write


@pytest.fixture
def settings() -> SettingsFactory:
    """The options that a data set is loaded by."""

    def make(dataset: str = "digits", data_path: Path | str = "./data", **others: object) -> SimpleNamespace:
        defaults = {"download": False, "train_portion": 0.8, "split_seed": 42, "num_workers": 0}
        defaults |= {"flip": None, "memory_limit": 2.0}
        return SimpleNamespace(dataset=dataset, data_path=str(data_path), **(defaults | others))

    return make
