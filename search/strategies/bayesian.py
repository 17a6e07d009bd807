"""Bayesian optimisation: a Gaussian process over the masked encoding, asked over a pool of candidates.

The kernel is a Matern 5/2 on the indicators of the options that matter. The pool holds random architectures and
neighbours of the best ones, because that is where an acquisition function has its maxima.
"""

import warnings
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.generation import Generational, Scores, Told
from search.strategies.shared_options import ProposalsOptions, StartupOptions
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
    gain = (mean - best) / deviation  # EI = s (z cdf(z) + pdf(z)), z = (m - best) / s
    return np.asarray(deviation * (gain * norm.cdf(gain) + norm.pdf(gain)))


ACQUISITIONS = {"ucb": upper_confidence_bound, "ei": expected_improvement}


@options("Bayesian")
class BayesianOptions(StartupOptions, ProposalsOptions):
    """Bayesian optimisation."""

    bo_pool: int = option(
        200, "bayesian: random candidates per step; neighbours of the best come on top", at_least=1, at_most=10**6
    )
    bo_acquisition: str = option("ei", "expected improvement or upper confidence bound", choices=("ei", "ucb"))
    bo_kappa: float = option(
        2.576, "ucb: standard deviations above the mean", at_least=0, only={"bo_acquisition": ("ucb",)}
    )


class BayesianOptimization(Generational):
    """Gaussian process and acquisition function, one architecture at a time (or `proposals`) after random ones."""

    Options = BayesianOptions
    random_start: ClassVar[str] = "startup"

    def __init__(self, problem: Problem, options: BayesianOptions, seed: int) -> None:
        super().__init__(problem, seed)
        self._options = options
        self._acquisition = ACQUISITIONS[options.bo_acquisition]
        self._scores: dict[Architecture, float] = {}
        self._kernel: list[float] | None = None  # logarithms of its parameters
        self._fitted_to = 0

    def learn(self, told: Told) -> None:
        self._scores.update((architecture, score) for architecture, (score,) in told)

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        self._scores.update((member, scores[member][0]) for member in self._scores if member in scores)

    def propose(self) -> list[Architecture]:
        data = list(self._scores.items())
        if len(self.visited) < self._options.startup or len(data) < 2:
            missing = max(self._options.startup - len(self.visited), 1)
            return self.beginning(missing)
        candidates = self._candidates(data) or self.limits.sample_distinct(self.rng, 1, self.visited)
        if not candidates:
            return []
        mean, deviation, best = self._predict(data, candidates)
        value = self._acquisition(mean, deviation, best, self._options.bo_kappa)
        order = np.argsort(-value, kind="stable")[: self._options.proposals]
        return [candidates[position] for position in order]

    def _candidates(self, data: list[tuple[Architecture, float]]) -> list[Architecture]:
        """Not evaluated and within the limits."""
        space = self.space
        found: dict[Architecture, None] = {}
        for architecture, _ in sorted(data, key=lambda entry: -entry[1])[:ELITE]:
            for neighbour in map(space.canonical, space.neighbours(architecture)):
                if neighbour not in self.visited and neighbour not in found and self.limits.allows(neighbour):
                    found[neighbour] = None
        drawn = self.limits.draw(self.rng, self._options.bo_pool)
        return list(found | dict.fromkeys(architecture for architecture in drawn if architecture not in self.visited))

    def _predict(
        self, data: list[tuple[Architecture, float]], candidates: list[Architecture]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], float]:
        """Mean and deviation of each candidate, and the best known, all in standardised scores."""
        space = self.space
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
