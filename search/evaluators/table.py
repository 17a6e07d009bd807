"""A table as evaluator: architectures whose metrics are known, such as the networks of a published benchmark."""

import hashlib
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from search.result import FULL, Fidelity, Result
from search.schedules import Schedule
from supernet import Architecture

ACCURACY = {"accuracy": True}

Rows = Mapping[Architecture, Mapping[str, float]]
"""The metrics of every architecture by name."""


class TableEvaluator:
    """Looks architectures up; one that the table lacks is a failed evaluation.

    Args:
        rows: the table (`Columns` of arrays is one).
        measures: {metric: whether more is better}, the one that networks are picked by first.
        name: of the table, for people, and of the data that its networks were trained on where nothing else is known.
        spent: what each evaluation would have taken, as {"seconds": ..., "epochs": ...}.
        fingerprint: of the content; none: its hash.
    """

    def __init__(
        self,
        rows: Rows,
        *,
        measures: Mapping[str, bool] = ACCURACY,
        name: str = "table",
        spent: Mapping[str, float] | None = None,
        fingerprint: str | None = None,
    ) -> None:
        self.rows = rows
        self.measures = measures
        self.method = self.dataset = name
        self.fidelities: tuple[Fidelity, ...] = (FULL,)
        self.record: Mapping[str, Any] = {}
        self._spent = spent or {}
        self._fingerprint = fingerprint

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        for architecture in dict.fromkeys(architectures):
            try:
                yield Result(architecture, self.rows[architecture], spent=self._spent)
            except KeyError:
                missing = dict.fromkeys(self.measures, math.nan)
                yield Result(architecture, missing, note=f"not in {self.method}")

    @cached_property
    def fingerprints(self) -> Mapping[str, Any]:
        if self._fingerprint:
            return {"table": self._fingerprint}
        content = hashlib.sha256()
        for architecture in sorted(self.rows):
            content.update(json.dumps([architecture, sorted(self.rows[architecture].items())]).encode())
        return {"table": content.hexdigest()}

    confirms = ""

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Result]:
        """Nothing: what a table says is no sample of something else."""
        return iter(())

    def describe(self, schedule: Schedule) -> str:
        return f"looked up in {self.method}: {', '.join(self.measures)}"

    def spell(self, fidelity: Fidelity) -> str:
        return f"in a table of {len(self.rows):,}"

    def estimate(self, evaluations: int) -> list[str]:
        return []

    def close(self) -> None:
        """Nothing is open."""


class Columns(Mapping[Architecture, Mapping[str, float]]):
    """A table of arrays, read as rows.

    Args:
        architectures: (N, D) indices of options.
        columns: {metric: (N,)}.
    """

    def __init__(self, architectures: NDArray[np.integer], columns: Mapping[str, NDArray[np.floating]]) -> None:
        self._row = {tuple(row): number for number, row in enumerate(np.asarray(architectures).tolist())}
        self._columns = {name: np.asarray(column) for name, column in columns.items()}

    def __getitem__(self, architecture: Architecture) -> Mapping[str, float]:
        row = self._row[architecture]
        return {name: float(column[row]) for name, column in self._columns.items()}

    def __iter__(self) -> Iterator[Architecture]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)
