"""A benchmark in memory: what every network of a space reached after so many epochs, and what that took."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from search.tabular.benchmarks import BENCHMARKS, Key, Kind
from supernet import Architecture
from supernet.decisions import DecisionSpace

Vector = NDArray[np.float64]


@dataclass(frozen=True, eq=False, repr=False)
class Benchmark:
    """The table of one benchmark on one data set; N rows, F numbers of epochs.

    Attributes:
        name: in `BENCHMARKS`.
        dataset: one of its data sets.
        keys: (N, D) architectures, or (N,) what else a row is known by.
        keying: which kind of keys they are, of `Kind.keys`.
        epochs: F, rising: those after which the networks were judged.
        validation: (N, F) fractions that a search selects by; NaN where there is none.
        test: (N,) fractions after the last epoch: no search sees them before its end.
        seconds: (N, F) of training from scratch; zeros where they are not known.
        params, flops: (N,).
        scores: {zero-cost score: ((N,) values, (N,) seconds)}. Greater is better, -inf where there is no number, and
            no seconds where they are not known. Parameters and FLOPs are among them.
        notes: for people.

    Raises:
        ValueError: arrays that do not belong together, or numbers that cannot be what they are said to be.
    """

    name: str
    dataset: str
    keys: NDArray[Any]
    epochs: tuple[int, ...]
    validation: Vector
    test: Vector
    seconds: Vector
    params: Vector
    flops: Vector
    scores: Mapping[str, tuple[Vector, Vector]] = field(default_factory=dict)
    keying: str = "architecture"
    notes: Sequence[str] = ()

    def __post_init__(self) -> None:
        counted = {name: (self._costs[name], np.zeros(len(self))) for name in self._costs if name not in self.scores}
        found = {
            name: (np.where(np.isfinite(value), value, -np.inf), took)
            for name, (value, took) in (counted | dict(self.scores)).items()
        }
        object.__setattr__(self, "scores", found)
        self._check()

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def _costs(self) -> dict[str, Vector]:
        return {"params": self.params, "flops": self.flops}

    def _check(self) -> None:
        shape = len(self), len(self.epochs)
        if not self.epochs or self.epochs[0] < 1 or list(self.epochs) != sorted(set(self.epochs)):
            raise ValueError(f"epochs must rise from at least 1, not {self.epochs}")
        arrays = {"validation": self.validation, "seconds": self.seconds}
        columns = {"test": self.test, **self._costs}
        for name, (value, took) in self.scores.items():
            columns |= {name: value, f"seconds of {name}": took}
        for name, array in (arrays | columns).items():
            if array.shape != (shape if name in arrays else shape[:1]):
                raise ValueError(f"{name} has the shape {array.shape} in a table of {shape[0]:,} rows")
        for name in ("validation", "test"):
            known = getattr(self, name)[np.isfinite(getattr(self, name))]
            if ((known < 0) | (known > 1)).any():
                raise ValueError(f"{name} must be fractions, from 0 to 1")
        if not (np.diff(self.seconds, prepend=0) >= 0).all():
            raise ValueError("seconds must rise with the epochs")
        if self.keying not in self.kind.keys:
            raise ValueError(f"its rows are known by {self.keying!r}")
        if len(self._rows) < len(self):
            raise ValueError("a network is there twice")

    # ---- what it is

    @property
    def kind(self) -> Kind:
        return BENCHMARKS[self.name]

    @property
    def metric(self) -> str:
        return self.kind.metric

    @property
    def title(self) -> str:
        """The benchmark and the data set, for people."""
        return f"{self.kind.title}, {self.dataset}"

    @cached_property
    def space(self) -> DecisionSpace:
        return self.kind.space(*self.kind.datasets[self.dataset])

    @cached_property
    def timed(self) -> bool:
        """True where it is known what trainings took."""
        return bool(self.seconds.any())

    @cached_property
    def fingerprint(self) -> str:
        """The SHA-256 of all that a search may see."""
        content = hashlib.sha256(
            repr((self.name, self.dataset, self.epochs, self.keying, sorted(self.scores))).encode()
        )
        columns = [array for name in sorted(self.scores) for array in self.scores[name]]
        for array in (self.keys, self.validation, self.test, self.seconds, *columns):
            content.update(np.ascontiguousarray(array).tobytes())
        return content.hexdigest()

    # ---- look-ups

    @cached_property
    def _rows(self) -> dict[Any, int]:
        keys = map(tuple, self.keys.tolist()) if self.keys.ndim == 2 else self.keys.tolist()
        return {key: row for row, key in enumerate(keys)}

    @cached_property
    def key(self) -> Key:
        """The function from an architecture to what its row is known by."""
        return self.kind.keys[self.keying]

    def row(self, architecture: Architecture) -> int:
        """The row of an architecture; isomorphic ones share it where the benchmark says so. Raises KeyError."""
        return self._rows[self.key(architecture)]

    def rung(self, epochs: float) -> int:
        """The position of a number of epochs. Raises UserError where the networks were not judged after it."""
        if epochs not in self.epochs:
            some = ", ".join(map(str, self.epochs[:8])) + (f", ... {self.epochs[-1]}" if len(self.epochs) > 8 else "")
            raise UserError(f"{self.title} has no results after {epochs:g} epochs (there are: {some})")
        return self.epochs.index(int(epochs))

    def spent(self, row: int, rung: int) -> dict[str, float]:
        """{"epochs": ..., "seconds": ...} of a training from scratch, the seconds where they are known."""
        seconds = {"seconds": float(self.seconds[row, rung])} if self.timed else {}
        return {"epochs": float(self.epochs[rung]), **seconds}
