"""Parity: an engine computes what PyTorch computes, on real images, with its optimisations off and on."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config_file.errors import UserError
from deployment.engines import ENGINES, run_batches
from deployment.engines.engine import Floats
from tasks import CLASSIFICATION, Task


def check_parity(
    path: str | Path,
    images: Floats,
    reference: Floats,
    *,
    tolerance: float = 1e-4,
    batch_sizes: Sequence[int] = (1,),
    task: Task = CLASSIFICATION,
    engine: str = "onnxruntime",
) -> dict[str, Any]:
    """Run an ONNX file, read from disk, on ``images`` and hold its outputs against PyTorch's.

    Args:
        path: the ONNX file.
        images: (N, C, H, W), as the graph expects them.
        reference: (N, O), PyTorch's outputs for them.
        tolerance: allowed |difference| per logit, relative to max(1, |logit|).
        batch_sizes: batches to feed the images in; other than 1 only where the graph leaves the batch open.
        task: says whether outputs that are close mean the same.
        engine: a name in `deployment.engines.ENGINES`.

    Returns:
        As JSON, what was compared, and how far apart the two were: ``max_difference``, the largest |difference| of a
        logit, and ``max_relative``, the same relative to max(1, |logit|).

    Raises:
        UserError: an output differs by more, an image gets another answer, or the engine cannot run the file.
    """
    largest = largest_relative = 0.0
    optimisations = {"off": False, "on": True}
    for name, optimise in optimisations.items():
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
    return {
        "images": len(images),
        "batch_sizes": list(batch_sizes),
        "tolerance": tolerance,
        "max_difference": largest,
        "max_relative": largest_relative,
        "engine": ENGINES[engine].version(),
        "optimisations": list(optimisations),
        task.agreed: True,
    }
