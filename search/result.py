"""What one evaluation gives: a row of the archive, and all that a strategy is told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from supernet import Architecture


@dataclass(frozen=True)
class Result:
    """The validation score of one architecture.

    accuracy: top-1 as a fraction of `n_images`, NaN when the evaluation failed; interval: its 95 % Wilson interval;
    loss: mean cross-entropy; seconds: what the evaluation took; cost: {metric: value} in raw units (MACs, parameters).
    """

    architecture: Architecture
    accuracy: float
    loss: float = math.nan
    n_images: int = 0
    interval: tuple[float, float] = (0.0, 1.0)
    seconds: float = 0.0
    cost: Mapping[str, float] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        return not math.isfinite(self.accuracy)

    def to_row(self) -> dict[str, Any]:
        """A JSON object; a number that is not finite becomes null, which every JSON reader understands."""
        return {
            "architecture": list(self.architecture),
            "accuracy": _finite(self.accuracy),
            "loss": _finite(self.loss),
            "n_images": self.n_images,
            "interval": list(self.interval),
            "seconds": round(self.seconds, 4),
            "cost": dict(self.cost),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Result:
        """Raises KeyError, TypeError or ValueError if the row is not one that `to_row` wrote."""
        low, high = row["interval"]
        return cls(
            architecture=tuple(int(option) for option in row["architecture"]),
            accuracy=_number(row["accuracy"]),
            loss=_number(row["loss"]),
            n_images=int(row["n_images"]),
            interval=(float(low), float(high)),
            seconds=float(row["seconds"]),
            cost={str(metric): value + 0 for metric, value in row["cost"].items()},
        )


def most_images(results: Iterable[Result]) -> list[Result]:
    """Those on the greatest number of images there is: only they can be compared."""
    results = list(results)
    most = max((result.n_images for result in results), default=0)
    return [result for result in results if result.n_images == most]


def wilson_interval(correct: int, total: int, z: float = 1.96) -> tuple[float, float]:
    """Score interval of a proportion (Wilson 1927); unlike ±z·s it stays inside [0, 1] and is right near its ends."""
    if total <= 0:
        return 0.0, 1.0
    p = correct / total
    scale = 1 + z * z / total
    centre = (p + z * z / (2 * total)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / total + z * z / (4 * total * total))
    return max(0.0, centre - half), min(1.0, centre + half)


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
