"""A data set of one's own: squares and crosses, with an option of its own."""

from typing import Any

import numpy as np

from config_file.fields import option
from config_file.options import options, part_of
from training.data.load import DATASETS
from training.data.source import ImageArrays, Source


@options("Shapes")
class ShapeOptions:
    shape_images: int = option(200, "images to draw", at_least=40, inherit=True)


def load_shapes(settings: Any) -> Source:
    count = part_of(settings, ShapeOptions).shape_images
    rng = np.random.default_rng(0)
    images = rng.integers(0, 80, (count, 16, 16, 3), dtype=np.uint8)
    labels = np.arange(count) % 2
    for image, label in zip(images, labels, strict=True):
        y, x = rng.integers(4, 12, 2)
        if label:
            image[y - 3 : y + 4, x] = image[y, x - 3 : x + 4] = 255
        else:
            image[y - 3 : y + 3, x - 3 : x + 3] = 255
    return ImageArrays(train_images=images, train_labels=labels, classes=["square", "cross"]).source("shapes")


load_shapes.Options = ShapeOptions  # type: ignore[attr-defined]
DATASETS["shapes"] = load_shapes
