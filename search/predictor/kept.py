"""A predictor as a file: the space, the metric, what it was fitted to, and what cross-validation says of it.

The file holds no code and no weights: the rows that it was fitted to and its kind, from which it is fitted again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError, choose
from config_file.files import write_sealed
from config_file.readers.door import reading
from config_file.readers.form import check_form
from config_file.readers.json_text import read_sealed
from config_file.readers.numbers import number_in
from search.objectives import Objective
from search.reporting.predictors import FORM as PREDICTOR
from search.reporting.predictors import as_rows
from search.result import Result
from search.strategies.surrogate import KINDS, Predictor, fit_predictor, one_hot
from supernet import Architecture, NetworkSpace
from supernet.decisions import DecisionSpace
from supernet.saved import space_of

FORMAT = "oneshot-nas predictor 1"
SUFFIX = ".json"
_FORM = {
    **PREDICTOR,
    "maximise": bool,
    "search_space": str,
    "space_options": dict,
    "decisions_fingerprint": str,
    "networks": [{"architecture": [int], "value": float}],
}


@dataclass(frozen=True)
class KeptPredictor:
    """A predictor of one metric of the networks of a space.

    Attributes:
        known: {architecture: value} that it was fitted to, as reported: accuracies are fractions.
    """

    space: NetworkSpace
    objective: Objective
    known: dict[Architecture, float]
    fitted: Predictor

    def predict(self, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
        """(N,) values, as reported."""
        return self.fitted.model.predict(one_hot(self.space, architectures))

    @property
    def row(self) -> dict[str, Any]:
        """The verdict of cross-validation, for `search.reporting.predictors.in_words`."""
        return as_rows([{self.objective.name: self.fitted}])[0]

    def save(self, path: Path) -> None:
        """Write the file."""
        write_sealed(
            path,
            {
                "format": FORMAT,
                **self.row,
                "maximise": self.objective.maximise,
                "search_space": self.space.name,
                "space_options": self.space.describe(),
                "decisions_fingerprint": self.space.decisions_fingerprint,
                "networks": [{"architecture": list(a), "value": value} for a, value in self.known.items()],
            },
        )


def train(space: NetworkSpace, objective: Objective, results: Sequence[Result], seed: int) -> KeptPredictor:
    """A predictor of an objective, fitted to results.

    Raises:
        UserError: fewer than two of them have it.
    """
    values = {space.canonical(result.architecture): float(objective.value(result)) for result in results}
    known = {architecture: value for architecture, value in values.items() if isfinite(value)}
    if len(known) < 2:
        raise UserError(f"{len(known)} networks have a value of {objective.name}: a predictor needs two at least")
    fitted = fit_predictor(one_hot(space, list(known)), np.array(list(known.values())), seed)
    return KeptPredictor(space, replace(objective, measured=True), known, fitted)


def load(path: Path, trusted: str | None = None, only: DecisionSpace | None = None) -> KeptPredictor:
    """A predictor from its file.

    Args:
        trusted: the space that the command at hand names, see `supernet.saved`.
        only: the space whose networks it must predict; None: any.

    Raises:
        UserError: no such file, damaged, of another kind or space, or its networks are not of its space.
    """
    record = _read(path, only)
    space = space_of(record, path, trusted)
    known = _known(record, space, path)
    make = choose(f"{path}: kind", record["kind"], KINDS)
    with reading(path, "holds networks that nothing can be fitted to"):
        model = make().fit(one_hot(space, list(known)), np.array(list(known.values())))
    objective = Objective(record["objective"], record["maximise"], measured=True)
    error, spread, tau = (
        np.nan if record[name] is None else float(record[name]) for name in ("error", "spread", "tau")
    )
    return KeptPredictor(space, objective, known, Predictor(model, record["kind"], len(known), error, spread, tau))


def known_to(path: Path, space: DecisionSpace) -> list[Result]:
    """The networks that a predictor was fitted to, with its metric, as results to learn from.

    Raises UserError as `load`, or where it is of another space.
    """
    record = _read(path, space)
    return [Result(a, {record["objective"]: value}) for a, value in _known(record, space, path).items()]


def expectation(path: Path, space: NetworkSpace) -> Callable[[Sequence[Architecture]], NDArray[np.float64]]:
    """The predictions of a kept predictor for networks of a space, (N,) architectures -> (N,) scores, more is better.

    Raises UserError as `known_to`.
    """
    kept = load(path, space.name, only=space)
    sign = 1 if kept.objective.maximise else -1
    return lambda architectures: sign * kept.predict(architectures)


def _read(path: Path, space: DecisionSpace | None = None) -> dict[str, Any]:
    record = read_sealed(path, FORMAT)
    check_form(record, _FORM, path)
    if space is not None and record["decisions_fingerprint"] != space.decisions_fingerprint:
        raise UserError(f"{path}: it predicts networks of {record['search_space']:.60}, not of {space.name}")
    return record


def _known(record: dict[str, Any], space: DecisionSpace, path: Path) -> dict[Architecture, float]:
    known: dict[Architecture, float] = {}
    for number, row in enumerate(record["networks"], 1):
        architecture = tuple(row["architecture"])
        if not space.is_valid(architecture):
            raise UserError(f"{path}, network {number}: {list(architecture)} is no architecture of {space.name}")
        known[space.canonical(architecture)] = number_in(row["value"], f"{path}, network {number}: its value")
    if len(known) < 2:
        raise UserError(f"{path} holds fewer than two networks")
    return known
