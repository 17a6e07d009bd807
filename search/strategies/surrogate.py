"""Predictors of a score from an encoding: ridge regression and support vectors, the better one by cross-validation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray
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


def fit_predictor(
    features: NDArray[np.float64], targets: NDArray[np.float64], seed: int
) -> tuple[Ridge | SupportVectors, float]:
    """The predictor with the least squared error on held-out fifths, fitted to everything.

    Args:
        features: (N, F).
        targets: (N,).
        seed: of the folds.

    Returns:
        The predictor, and its root mean squared error in cross-validation.
    """
    kinds: list[Callable[[], Ridge | SupportVectors]] = [Ridge, *(partial(SupportVectors, cost) for cost in COSTS)]
    if len(targets) < 2 * FOLDS:
        return Ridge().fit(features, targets), float(targets.std())
    errors = np.zeros(len(kinds))
    for train, test in KFold(FOLDS, shuffle=True, random_state=seed).split(features):
        for number, kind in enumerate(kinds):
            predicted = kind().fit(features[train], targets[train]).predict(features[test])
            errors[number] += float(((predicted - targets[test]) ** 2).sum())
    best = int(errors.argmin())
    return kinds[best]().fit(features, targets), float(np.sqrt(errors[best] / len(targets)))
