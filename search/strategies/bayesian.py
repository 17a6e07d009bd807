"""Bayesian optimisation: a Gaussian process over the masked encoding, asked over a pool of candidates.

The kernel is a Matern 5/2 on the indicators of the options that matter. The pool holds random architectures and
neighbours of the best ones, because that is where an acquisition function has its maxima.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from math import isnan
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from config_file.errors import choose
from config_file.fields import option
from config_file.options import options
from lookup_tables.limits import Limits
from search.objectives import ACCURACY, Objective
from search.result import Result
from search.strategies.generation import Generation, Told, known_from_json, known_to_json
from search.strategies.random_state import rng_from_json, rng_to_json
from search.strategies.surrogate import one_hot
from supernet import Architecture

ELITE = 5  # best architectures whose neighbours are candidates
MOST_FITTED = 200  # points that the kernel is fitted to; the process itself knows all
REFIT = 1.2  # the kernel is fitted again when there is this many times as much data


def upper_confidence_bound(
    mean: NDArray[np.float64], deviation: NDArray[np.float64], _best: float, kappa: float
) -> NDArray[np.float64]:
    """Mean and `kappa` standard deviations (Srinivas et al. 2010)."""
    return mean + kappa * deviation


def expected_improvement(
    mean: NDArray[np.float64], deviation: NDArray[np.float64], best: float, _kappa: float
) -> NDArray[np.float64]:
    """Over the best known (Jones et al. 1998)."""
    deviation = np.maximum(deviation, 1e-12)
    gain = (mean - best) / deviation
    return np.asarray(deviation * (gain * norm.cdf(gain) + norm.pdf(gain)))


ACQUISITIONS = {"ucb": upper_confidence_bound, "ei": expected_improvement}


@options("Bayesian")
class BayesianOptions:
    """Bayesian optimisation and TPE."""

    startup: int = option(20, "random architectures before tpe and bayesian begin", at_least=2)
    bo_pool: int = option(200, "bayesian: random candidates per step; neighbours of the best come on top", at_least=1)
    bo_acquisition: str = option("ei", "expected improvement or upper confidence bound", choices=("ei", "ucb"))
    bo_kappa: float = option(2.576, "ucb: standard deviations above the mean", at_least=0)


class BayesianOptimization:
    """Gaussian process and acquisition function, one architecture at a time after random ones.

    Args:
        constraint: the space and its cost limits; every proposal is within them.
        evaluations: proposals in all.
        startup: random architectures at the beginning, proposed at once.
        pool: random candidates of each step; neighbours of the best come on top.
        acquisition: a name in ACQUISITIONS.
        kappa: standard deviations that ucb adds to the mean.
        proposals: architectures proposed at once: the best ones of the pool.
        objective: what is optimised.
        seed: of every random draw.
    """

    def __init__(
        self,
        constraint: Limits,
        *,
        evaluations: int = 1000,
        startup: int = 20,
        pool: int = 200,
        acquisition: str = "ei",
        kappa: float = 2.576,
        proposals: int = 1,
        objective: Objective = ACCURACY,
        seed: int = 0,
    ) -> None:
        self.constraint = constraint
        self.budget = evaluations
        self.startup = startup
        self.pool = pool
        self.acquisition = choose("acquisition", acquisition, ACQUISITIONS)
        self.kappa = kappa
        self.proposals = proposals
        self.objective = objective
        self._rng = Random(seed)
        self._generation = Generation()
        self._known: dict[Architecture, float] = {}
        self._kernel: list[float] | None = None  # logarithms of its parameters
        self._fitted_to = 0

    def ask(self, n: int) -> list[Architecture]:
        """At most n of the proposals that are out; the next ones follow when these were told."""
        return self._generation.ask(n, self._learn, self._propose)

    def tell(self, results: Sequence[Result]) -> None:
        for result in results:
            self._generation.tell(result.architecture, (self.objective.score(result),))

    def state_dict(self) -> dict[str, Any]:
        return {
            "rng": rng_to_json(self._rng),
            "generation": self._generation.state_dict(),
            "known": known_to_json(self._known),
            "kernel": self._kernel,
            "fitted_to": self._fitted_to,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self._rng = rng_from_json(state["rng"])
        self._generation.load_state_dict(state["generation"])
        self._known = known_from_json(state["known"])
        self._kernel = state["kernel"]
        self._fitted_to = state["fitted_to"]

    def _learn(self, told: Told) -> None:
        self._known.update((architecture, score) for architecture, (score,) in told)

    def _propose(self) -> list[Architecture]:
        left = self.budget - len(self._known)
        if left <= 0:
            return []
        data = [(architecture, score) for architecture, score in self._known.items() if not isnan(score)]
        if len(self._known) < self.startup or len(data) < 2:
            missing = max(self.startup - len(self._known), 1)
            return self.constraint.sample_distinct(self._rng, min(missing, left), self._known)
        candidates = self._candidates(data) or self.constraint.sample_distinct(self._rng, 1, self._known)
        if not candidates:
            return []
        mean, deviation, best = self._predict(data, candidates)
        value = self.acquisition(mean, deviation, best, self.kappa)
        order = np.argsort(-value, kind="stable")[: min(self.proposals, left)]
        return [candidates[position] for position in order]

    def _candidates(self, data: list[tuple[Architecture, float]]) -> list[Architecture]:
        """Not evaluated and within the limits."""
        space = self.constraint.space
        found: dict[Architecture, None] = {}
        for architecture, _ in sorted(data, key=lambda entry: -entry[1])[:ELITE]:
            for neighbour in map(space.canonical, space.neighbours(architecture)):
                if neighbour not in self._known and neighbour not in found and self.constraint.allows(neighbour):
                    found[neighbour] = None
        drawn = self.constraint.draw(self._rng, self.pool)
        return list(found | dict.fromkeys(architecture for architecture in drawn if architecture not in self._known))

    def _predict(
        self, data: list[tuple[Architecture, float]], candidates: list[Architecture]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Mean and deviation of each candidate, and the best known, all in standardised scores."""
        space = self.constraint.space
        features = one_hot(space, [architecture for architecture, _ in data])
        scores = np.array([score for _, score in data])
        scores = (scores - scores.mean()) / (scores.std() or 1.0)
        kernel = ConstantKernel(1.0, (1e-2, 1e2)) * Matern(2.0, (1e-1, 1e2), nu=2.5) + WhiteKernel(1e-2, (1e-6, 1.0))
        if self._kernel is None or len(data) >= REFIT * self._fitted_to:
            recent = slice(max(0, len(data) - MOST_FITTED), None)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", ConvergenceWarning)  # a parameter at its bound is fine here
                fitted = GaussianProcessRegressor(kernel).fit(features[recent], scores[recent])
            self._kernel = [float(value) for value in fitted.kernel_.theta]
            self._fitted_to = len(data)
        process = GaussianProcessRegressor(kernel.clone_with_theta(np.array(self._kernel)), optimizer=None)
        process.fit(features, scores)
        mean, deviation = process.predict(one_hot(space, candidates), return_std=True)
        return mean, deviation, float(scores.max())
