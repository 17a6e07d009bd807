"""Predictors of a score from an encoding: ridge regression and support vectors, the better one by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray
from scipy.stats import kendalltau
from sklearn.linear_model import RidgeCV
from sklearn.model_selection import KFold
from sklearn.svm import SVR

from supernet import Architecture
from supernet.decisions import DecisionSpace

ALPHAS = tuple(10.0**power for power in range(-3, 3))
COSTS = (1.0, 10.0)
FOLDS = 5


def one_hot(space: DecisionSpace, architectures: Sequence[Architecture]) -> NDArray[np.float64]:
    """(N, sum of options) indicators; those of a decision that does not matter are all 0."""
    codes = space.encode(architectures)
    return np.concatenate([codes[:, [d]] == np.arange(size) for d, size in enumerate(space.sizes)], axis=1).astype(
        float
    )


class Ridge:
    """A sum of the effects of single options, shrunk as much as leave-one-out prefers."""

    def __init__(self) -> None:
        self._model = RidgeCV(alphas=ALPHAS)

    def fit(self, features: NDArray[np.float64], targets: NDArray[np.float64]) -> Ridge:
        self._model.fit(features, targets)
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._model.predict(features))


class SupportVectors:
    """Support vector regression with a Gaussian kernel on standardised targets."""

    def __init__(self, cost: float) -> None:
        self._model = SVR(C=cost, gamma="scale", epsilon=0.05)
        self._mean, self._scale = 0.0, 1.0

    def fit(self, features: NDArray[np.float64], targets: NDArray[np.float64]) -> SupportVectors:
        self._mean, self._scale = float(targets.mean()), float(targets.std()) or 1.0
        self._model.fit(features, (targets - self._mean) / self._scale)
        return self

    def predict(self, features: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(self._model.predict(features)) * self._scale + self._mean


KINDS: Mapping[str, Callable[[], Ridge | SupportVectors]] = {
    "ridge": Ridge,
    **{f"support vectors, C={cost:g}": partial(SupportVectors, cost) for cost in COSTS},
}
"""What a predictor may be, by name."""


@dataclass(frozen=True)
class Predictor:
    """A predictor and what cross-validation says of it: networks that it was not fitted to.

    Attributes:
        model: fitted to all rows.
        kind: its name in `KINDS`.
        rows: networks that it was fitted to.
        error: the root mean squared error, of the better of the kinds, so a little optimistic.
        spread: the standard deviation of the targets: the error of predicting their mean.
        tau: Kendall's tau-b of predicted and true; NaN where there are too few rows or they are all alike.
    """

    model: Ridge | SupportVectors
    kind: str
    rows: int
    error: float
    spread: float
    tau: float


def fit_predictor(features: NDArray[np.float64], targets: NDArray[np.float64], seed: int) -> Predictor:
    """The predictor with the least squared error on held-out fifths, fitted to everything.

    Args:
        features: (N, F).
        targets: (N,).
        seed: of the folds.
    """
    count, spread = len(targets), float(targets.std())
    if count < 2 * FOLDS:
        return Predictor(Ridge().fit(features, targets), "ridge", count, spread, spread, np.nan)
    held_out = {kind: np.empty(count) for kind in KINDS}
    for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(features):
        for kind, make in KINDS.items():
            held_out[kind][test] = make().fit(features[train], targets[train]).predict(features[test])
    errors = {kind: float(np.sqrt(((predicted - targets) ** 2).mean())) for kind, predicted in held_out.items()}
    best = min(errors, key=lambda kind: errors[kind])
    tau = float(kendalltau(held_out[best], targets).statistic)
    return Predictor(KINDS[best]().fit(features, targets), best, count, errors[best], spread, tau)
