"""The result of one evaluation: a row of the archive, and all that a strategy is told."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import total_ordering
from typing import Any, Literal, get_args

from config_file.errors import UserError
from config_file.readers.form import check_form
from config_file.readers.numbers import number_in
from supernet import Architecture

State = Literal["ok", "failed", "stopped"]

_ROW = {
    "architecture": [int],
    "metrics": {...: (float, None)},
    "fidelity": {...: float},
    "spent": {...: float},
    "cost": {...: float},
    "interval": ([float], None),
    "state": str,
    "note?": str,
}
"""The form of a result as JSON."""


@total_ordering
class Fidelity(Mapping[str, float]):
    """The amounts an evaluation spends on an architecture: `Fidelity(images=500)`, `Fidelity(epochs=12, data=0.2)`.

    Fidelities of one evaluator name the same amounts in the same order and are compared by them, the first one first.
    One that names nothing is full: no other is above it.
    """

    def __init__(self, **amounts: float) -> None:
        self._amounts = amounts

    def __getitem__(self, name: str) -> float:
        return self._amounts[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._amounts)

    def __len__(self) -> int:
        return len(self._amounts)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Fidelity) and self._amounts == other._amounts

    def __hash__(self) -> int:
        return hash(frozenset(self._amounts.items()))

    def __lt__(self, other: Fidelity) -> bool:
        return self._rank < other._rank

    def __repr__(self) -> str:
        return f"Fidelity({', '.join(f'{name}={amount}' for name, amount in self._amounts.items())})"

    def __str__(self) -> str:
        return ", ".join(f"{amount:,} {name}" for name, amount in self._amounts.items()) or "full"

    @property
    def _rank(self) -> tuple[float, ...]:
        return tuple(self._amounts.values()) or (math.inf,)


FULL = Fidelity()
"""As much as there is to spend."""


@dataclass(frozen=True)
class Result:
    """One evaluation of one architecture.

    Attributes:
        metrics: {name: number} that was measured, such as accuracy (a fraction) and loss. With one that is not finite
            the evaluation failed.
        fidelity: what was spent on it, of what could be.
        spent: {"seconds": ..., "epochs": ..., "images": ...} that it took, as far as they are counted.
        cost: {metric: value} of the lookup tables in raw units (MACs, parameters).
        interval: the 95 % interval of the first metric; None where it is not known.
        state: "stopped" was broken off with metrics that count.
        note: for people, such as why it failed.
    """

    architecture: Architecture
    metrics: Mapping[str, float] = field(default_factory=dict)
    fidelity: Fidelity = FULL
    spent: Mapping[str, float] = field(default_factory=dict)
    cost: Mapping[str, float] = field(default_factory=dict)
    interval: tuple[float, float] | None = None
    state: State = "ok"
    note: str = ""

    def __post_init__(self) -> None:
        for value in self.metrics.values():
            if not math.isfinite(value):
                object.__setattr__(self, "state", "failed")

    @property
    def failed(self) -> bool:
        return self.state == "failed"

    @property
    def seconds(self) -> float:
        """Seconds of the evaluation, 0 where they were not counted."""
        return self.spent.get("seconds", 0.0)

    def value(self, metric: str) -> float:
        """A metric by its name; NaN where it was not measured."""
        return self.metrics.get(metric, math.nan)

    def to_row(self) -> dict[str, Any]:
        """A JSON object; a number that is not finite becomes null, which every JSON reader understands."""
        return {
            "architecture": list(self.architecture),
            "metrics": {name: number if math.isfinite(number) else None for name, number in self.metrics.items()},
            "fidelity": dict(self.fidelity),
            "spent": dict(self.spent),
            "cost": dict(self.cost),
            "interval": None if self.interval is None else list(self.interval),
            "state": self.state,
            **({"note": self.note} if self.note else {}),
        }

    @classmethod
    def from_row(cls, row: Mapping[str, Any], where: str = "a result") -> Result:
        """Raises UserError, which begins with `where`, if the row is not one that `to_row` wrote."""
        check_form(row, _ROW, where)
        for what in ("fidelity", "spent"):
            for name, amount in row[what].items():
                number_in(amount, f"{where}: {what}.{name}", at_least=0)
        accuracy, interval = row["metrics"].get("accuracy"), row["interval"]
        ends = [0, 1] if interval is None else interval
        if row["state"] not in get_args(State) or len(ends) != 2 or ends != sorted(ends):
            raise UserError(f"{where}: not a result: the state {row['state']!r:.60}, the interval {interval!r:.60}")
        if accuracy is not None and not 0 <= accuracy <= 1:
            raise UserError(f"{where}: an accuracy of {accuracy:g}; it is a fraction, from 0 to 1")
        return cls(
            architecture=tuple(row["architecture"]),
            metrics={name: math.nan if value is None else float(value) for name, value in row["metrics"].items()},
            fidelity=Fidelity(**row["fidelity"]),
            spent=row["spent"],
            cost=row["cost"],
            interval=None if interval is None else (float(interval[0]), float(interval[1])),
            state=row["state"],
            note=row.get("note", ""),
        )


def comparable(results: Iterable[Result]) -> list[Result]:
    """Those of the greatest fidelity there is: only they can be compared."""
    results = list(results)
    greatest = max((result.fidelity for result in results), default=FULL)
    return [result for result in results if result.fidelity == greatest]


def of_greatest_fidelity(results: Iterable[Result]) -> dict[Architecture, Result]:
    """Of every architecture the result of its greatest fidelity, of equals the last, in the order first made."""
    found: dict[Architecture, Result] = {}
    for result in results:
        known = found.get(result.architecture)
        if known is None or result.fidelity >= known.fidelity:
            found[result.architecture] = result
    return found
