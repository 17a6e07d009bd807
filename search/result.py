"""What one evaluation gives: a row of the archive, and all that a strategy is told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from supernet import Architecture
from tasks import wilson_interval

__all__ = ["Result", "wilson_interval"]


@dataclass(frozen=True)
class Result:
    """The validation score of one architecture.

    accuracy: top-1 as a fraction of `n_images`, of a classification; nme: normalised mean error, of landmarks; both NaN
    when the evaluation failed; interval: its 95 % interval; loss: mean cross-entropy or squared distance (of a head
    fitted anew always the latter); seconds: what the evaluation took; cost: {metric: value} in raw units (MACs,
    parameters).
    """

    architecture: Architecture
    accuracy: float = math.nan
    loss: float = math.nan
    n_images: int = 0
    interval: tuple[float, float] = (0.0, 1.0)
    seconds: float = 0.0
    cost: Mapping[str, float] = field(default_factory=dict)
    nme: float = math.nan

    @property
    def value(self) -> float:
        """The metric of whichever task it was evaluated on."""
        return self.nme if math.isnan(self.accuracy) else self.accuracy

    @property
    def failed(self) -> bool:
        return not math.isfinite(self.value)

    def to_row(self) -> dict[str, Any]:
        """A JSON object; a number that is not finite becomes null, which every JSON reader understands."""
        measured = {"accuracy": _finite(self.accuracy)} if math.isnan(self.nme) else {"nme": _finite(self.nme)}
        return {
            "architecture": list(self.architecture),
            **measured,
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
            accuracy=_number(None if "nme" in row else row["accuracy"]),
            nme=_number(row.get("nme")),
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


def _finite(number: float) -> float | None:
    return number if math.isfinite(number) else None


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)
