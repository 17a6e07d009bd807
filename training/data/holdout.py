"""The division of images into training, validation and test: drawn per class from a seed, and recorded."""

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.quantity import quantity
from training.data.seeds import seed_of

Indices = NDArray[np.int64]


def hold_out(
    indices: Indices, labels: Indices, share: float, seed: int, purpose: str, classes: Sequence[str]
) -> tuple[Indices, Indices]:
    """Split `indices` into (kept, held out), `share` of every class held out, at least one image of it on either side.

    Labels are those of all rows, (N,). `purpose`, as in "validation", also sets two splits of one seed apart.

    Raises:
        UserError: a class has a single image.
    """
    generator = np.random.default_rng(seed_of("hold out", purpose, seed))
    kept, held = [], []
    for label, name in enumerate(classes):
        rows = generator.permutation(np.sort(indices[labels[indices] == label]))
        if len(rows) < 2:
            raise UserError(
                f"class {name!r} has {quantity(len(rows), 'image')} to split: at least 2 are needed, "
                f"as one is held out for {purpose}"
            )
        count = min(max(round(len(rows) * share), 1), len(rows) - 1)
        held.append(rows[:count])
        kept.append(rows[count:])
    return np.sort(np.concatenate(kept)), np.sort(np.concatenate(held))


def fingerprint(indices: Indices) -> str:
    """SHA-256 of the indices in ascending order, as little-endian int64."""
    return hashlib.sha256(np.sort(indices).astype("<i8").tobytes()).hexdigest()
