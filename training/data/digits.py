"""Handwritten digits that come with scikit-learn: real images, 8x8 pixels, no download."""

from functools import cache
from typing import Any

import numpy as np

from training.data.source import ImageArrays, Source


def load_digits(options: Any) -> Source:  # noqa: ARG001 - every loader is called alike
    """1,797 digits of 43 writers (UCI Optical Recognition of Handwritten Digits, Alpaydin and Kaynak 1998).

    8x8 pixels of 17 grey levels, used at 32x32 and in three equal channels. Training shifts by up to one original pixel
    at half steps and never mirrors.
    """
    images, labels = _embedded()
    return ImageArrays(
        train_images=images.copy(),
        train_labels=labels.copy(),
        classes=[str(label) for label in range(10)],
        resolution=32,
        horizontal_flip=False,
        crop_margin=1 / 16,
    ).source("digits")


@cache
def _embedded() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits as load_embedded  # noqa: PLC0415 - takes a second to import

    digits = load_embedded()
    return np.rint(digits.images * (255 / 16)).astype(np.uint8), digits.target
