"""Does onnxruntime compute what PyTorch computes? Asked on real images, with its optimisations off and on."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime as ort

from config_file.errors import UserError
from tasks import CLASSIFICATION, Task

Floats = npt.NDArray[np.float32]

_LEVELS = {"off": ort.GraphOptimizationLevel.ORT_DISABLE_ALL, "on": ort.GraphOptimizationLevel.ORT_ENABLE_ALL}


@dataclass(frozen=True)
class Parity:
    """What was compared, and how far apart the two were at most.

    Attributes:
        images: number of images.
        batch_sizes: in which batches onnxruntime got them.
        tolerance: allowed |difference| per logit, relative to max(1, |logit|).
        max_difference: largest |difference| seen.
        max_relative: the same, each relative to max(1, |logit|); at most ``tolerance``.
        engine: onnxruntime and its version.
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
        plain = asdict(self) | {"batch_sizes": list(self.batch_sizes), "optimisations": list(_LEVELS)}
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
) -> Parity:
    """Run an ONNX file, read from disk, on ``images`` and hold its outputs against PyTorch's.

    Args:
        path: the ONNX file.
        images: (N, C, H, W), as the graph expects them.
        reference: (N, O), PyTorch's outputs for them.
        tolerance: allowed |difference| per logit, relative to max(1, |logit|).
        batch_sizes: batches to feed the images in; other than 1 only where the graph leaves the batch open.
        task: says whether outputs that are close mean the same.

    Raises:
        UserError: an output differs by more, an image gets another answer, or onnxruntime cannot run the file.
    """
    largest = largest_relative = 0.0
    for name, level in _LEVELS.items():
        session = open_session(path, level=level)
        for size in batch_sizes:
            logits = run_batches(session, images, size)
            where = f"(onnxruntime's optimisations {name}, batch {size})"
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
    engine = f"onnxruntime {ort.__version__}"
    return Parity(len(images), tuple(batch_sizes), tolerance, largest, largest_relative, engine, task)


def open_session(
    path: str | Path, *, level: Any = ort.GraphOptimizationLevel.ORT_ENABLE_ALL, threads: int = 1
) -> ort.InferenceSession:
    """An onnxruntime session on the CPU.

    Raises:
        UserError: onnxruntime does not accept the file.
    """
    options = ort.SessionOptions()
    options.graph_optimization_level = level
    options.intra_op_num_threads = threads
    options.log_severity_level = 3  # errors only
    try:
        return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # its exceptions have no common base
        raise UserError(f"onnxruntime does not accept {Path(path).name}: {' '.join(str(error).split())}") from error


def run_batches(session: ort.InferenceSession, images: Floats, batch_size: int = 1) -> Floats:
    """Logits (N, classes) of images (N, C, H, W), computed ``batch_size`` at a time; the last batch may be smaller."""
    name = session.get_inputs()[0].name
    starts = range(0, len(images), batch_size)
    return np.concatenate([session.run(None, {name: images[i : i + batch_size]})[0] for i in starts])
