"""Parity: an engine computes what PyTorch computes, on real images, with its optimisations off and on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from config_file.errors import UserError
from deployment.engines import ENGINES, run_batches
from deployment.engines.engine import Floats
from tasks import CLASSIFICATION, Task

_OPTIMISATIONS = {"off": False, "on": True}


@dataclass(frozen=True)
class Parity:
    """The images that were compared, and how far apart the two were at most.

    Attributes:
        images: number of images.
        batch_sizes: in which batches the engine got them.
        tolerance: allowed |difference| per logit, relative to max(1, |logit|).
        max_difference: largest |difference| seen.
        max_relative: the same, each relative to max(1, |logit|); at most ``tolerance``.
        engine: its version, in words.
        task: what the outputs are for.
    """

    images: int
    batch_sizes: tuple[int, ...]
    tolerance: float
    max_difference: float
    max_relative: float
    engine: str
    task: Task = CLASSIFICATION

    def to_dict(self) -> dict[str, Any]:
        """Plain data, with what holds for every parity that was reached."""
        plain = asdict(self) | {"batch_sizes": list(self.batch_sizes), "optimisations": list(_OPTIMISATIONS)}
        del plain["task"]
        return plain | {self.task.agreed: True}


def check_parity(
    path: str | Path,
    images: Floats,
    reference: Floats,
    *,
    tolerance: float = 1e-4,
    batch_sizes: Sequence[int] = (1,),
    task: Task = CLASSIFICATION,
    engine: str = "onnxruntime",
) -> Parity:
    """Run an ONNX file, read from disk, on ``images`` and hold its outputs against PyTorch's.

    Args:
        path: the ONNX file.
        images: (N, C, H, W), as the graph expects them.
        reference: (N, O), PyTorch's outputs for them.
        tolerance: allowed |difference| per logit, relative to max(1, |logit|).
        batch_sizes: batches to feed the images in; other than 1 only where the graph leaves the batch open.
        task: says whether outputs that are close mean the same.
        engine: a name in `deployment.engines.ENGINES`.

    Raises:
        UserError: an output differs by more, an image gets another answer, or the engine cannot run the file.
    """
    largest = largest_relative = 0.0
    for name, optimise in _OPTIMISATIONS.items():
        session = ENGINES[engine].load(Path(path), optimise=optimise)
        for size in batch_sizes:
            logits = run_batches(session, images, size)
            where = f"({engine}'s optimisations {name}, batch {size})"
            if logits.shape != reference.shape:
                raise UserError(f"parity: logits of shape {logits.shape}, PyTorch's {reference.shape} {where}")
            difference = np.abs(logits.astype(np.float64) - reference)
            relative = difference / np.maximum(1, np.abs(reference))
            worst = int(relative.max(1).argmax())
            if not relative.max() <= tolerance:  # NaN must fail too
                raise UserError(
                    f"parity: image {worst} differs from PyTorch by {difference[worst].max():.2e} in a logit, "
                    f"allowed are {tolerance:g} * max(1, |logit|) {where}"
                )
            other = task.disagreement(logits, reference)
            if other is not None:
                raise UserError(f"parity: image {other[0]} {other[1]} {where}")
            largest = max(largest, float(difference.max()))
            largest_relative = max(largest_relative, float(relative.max()))
    version = ENGINES[engine].version()
    return Parity(len(images), tuple(batch_sizes), tolerance, largest, largest_relative, version, task)
