"""MFKD: cheap trainings say where to train fully (Trofimov et al. 2020, arXiv 2006.08341, and the authors' fork).

`mfkd1` trains random architectures at the lowest fidelity, fits a Gaussian process, and takes the architecture of
greatest mean - 0.5 standard deviations of the whole space to the highest. `mfkd2` runs Bayesian optimisation with
mean + 0.5 standard deviations at one fidelity after the other, of which each begins with the best architecture of the
one before. Low fidelities are meant to be distilled: `--low-fidelity-trainer distillation`.
"""

import warnings
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from config_file.quantity import quantity
from search.problem import Problem
from search.strategies.generation import Generational, Told
from search.strategies.whole_space import Features, Posterior, Smooth, most_promising
from supernet import Architecture

Floats = NDArray[np.float64]

CAUTION, CURIOSITY = -0.5, 0.5
"""Standard deviations that are added to the mean: by mfkd1, and by mfkd2."""

NUGGET = 1e-10  # scikit-learn's
RESTARTS = 3


@options("MFKD")
class Mfkd1Options:
    """The sample of mfkd1."""

    mfkd1_samples: int = option(
        30, "random architectures that mfkd1 trains at the lowest fidelity", at_least=2, at_most=10**4
    )


@options("MFKD")
class Mfkd2Options:
    """The trials of mfkd2."""

    mfkd2_samples: tuple[int, ...] = option(
        (10,), "architectures that mfkd2 trains at each fidelity, or at the lowest, the next one, ...", at_least=2,
        at_most=10**4,
    )  # fmt: skip
    mfkd2_start: int = option(
        5, "of these: the best one of the fidelity before and random ones, before the model is asked", at_least=1
    )

    def rules(self) -> None:
        """Raises UserError where there are no samples, or more begin than there are."""
        if not self.mfkd2_samples or self.mfkd2_start > min(self.mfkd2_samples):
            samples = ",".join(map(str, self.mfkd2_samples))
            raise UserError(f"--mfkd2-start {self.mfkd2_start} must be at most --mfkd2-samples {samples}")


class _Mfkd(Generational):
    """The two strategies' Gaussian process over the space."""

    def __init__(self, problem: Problem, seed: int) -> None:
        super().__init__(problem, seed)
        self.rung = 0
        self._last = problem.rungs - 1
        self._features = Features(self.space)
        self._known: dict[Architecture, float] = {}

    def learn(self, told: Told) -> None:
        self._known.update((architecture, score) for architecture, (score,) in told)

    def _best(self) -> list[Architecture]:
        return sorted(self._known, key=lambda architecture: -self._known[architecture])

    def _promising(self, weight: float, exclude: set[Architecture], normalised: bool) -> list[Architecture]:
        """The architecture of greatest mean + `weight` * deviation; a random one where nothing is known."""
        seed = self.rng.getrandbits(32)
        if not self._known:
            return self.limits.sample_distinct(self.rng, 1, exclude)
        scores = np.array(list(self._known.values()))
        posterior = fit(self._features(list(self._known)), scores, seed, normalised)
        found = most_promising(posterior, self._features, self.limits, weight, exclude, best=self._best(), rng=self.rng)
        return [] if found is None else [found]


class Mfkd1(_Mfkd):
    """A sample at the lowest fidelity, and what a Gaussian process makes of it at the highest.

    As published an architecture of the sample may be chosen, and the process expects 0 where nothing is known: that is
    cautious with an accuracy, a fraction. Of other objectives it expects the mean.
    """

    Options = Mfkd1Options
    random_start: ClassVar[str] = "mfkd1_samples"

    def __init__(self, problem: Problem, options: Mfkd1Options, seed: int) -> None:
        super().__init__(problem, seed)
        self._samples = options.mfkd1_samples
        self.size = self._samples + 1
        self._ended = False

    def propose(self) -> list[Architecture]:
        if not self.visited:
            return self.beginning(self._samples)
        if self._ended:
            return []
        self._ended = True
        self.rung = self._last
        (objective,) = self.objectives
        exclude = set() if self._last else self.visited
        return self._promising(CAUTION, exclude, normalised=not objective.maximise)


class Mfkd2(_Mfkd):
    """Bayesian optimisation at rising fidelities, one architecture at a time."""

    Options = Mfkd2Options
    random_start: ClassVar[str] = "mfkd2_start"

    def __init__(self, problem: Problem, options: Mfkd2Options, seed: int) -> None:
        super().__init__(problem, seed)
        given = options.mfkd2_samples
        if len(given) not in (1, problem.rungs):
            raise UserError(
                f"--mfkd2-samples has {len(given)} numbers for {quantity(problem.rungs, 'fidelity', 'fidelities')}"
            )
        self._samples = given if len(given) > 1 else given * problem.rungs
        self._start = options.mfkd2_start
        self.size = sum(self._samples)
        self._asked: set[Architecture] = set()  # at this fidelity

    def propose(self) -> list[Architecture]:
        while True:
            made: list[Architecture] = []
            if not self._asked:
                # 1. The best of the fidelity before, the only thing that is handed over, and random ones.
                made = self._best()[:1]
                self._known.clear()
                made += self._beginning(self._start - len(made), made)
            elif len(self._asked) < self._samples[self.rung]:
                # 2. One by one where mean + 0.5 deviations is greatest, of all that were not trained here.
                made = self._promising(CURIOSITY, self._asked, normalised=True)
            if made or self.rung == self._last:
                self._asked.update(made)
                return made
            # 3. The next fidelity.
            self.rung += 1
            self._asked.clear()

    def _beginning(self, count: int, taken: list[Architecture]) -> list[Architecture]:
        if self.rung == 0:
            return self.beginning(count)
        return self.limits.sample_distinct(self.rng, count, taken)


def fit(seen: Floats, scores: Floats, seed: int, normalised: bool) -> Posterior:
    """The process with kernel exp(-|x - y|^2 / 2l^2), its length by maximum likelihood.

    Args:
        seen: (n, F).
        scores: (n,).
        seed: of the starts from which the length is searched.
        normalised: whether scores are brought to mean 0 and variance 1 before.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # a length at its bound is fine here
        process = GaussianProcessRegressor(
            RBF(1.0), alpha=NUGGET, n_restarts_optimizer=RESTARTS, normalize_y=normalised, random_state=seed
        ).fit(seen, scores)
    smooth = Smooth(1.0, float(process.kernel_.length_scale))
    covariance = smooth(seen, seen) + NUGGET * np.eye(len(seen))
    offset, scale = (float(scores.mean()), float(scores.std()) or 1.0) if normalised else (0.0, 1.0)
    return Posterior.of(seen, [(smooth, np.ones(len(seen)))], covariance, scores, 1.0, offset, scale)
