"""MFASC: one model of a low and a high fidelity, asked in turns for what to train next (Vega; Trofimov et al. 2020).

Random architectures are trained at the highest fidelity, others at the lowest. Then every `--mfasc-ratio`th training is
one at the highest. Each is that of greatest mean + beta * deviation at its fidelity among random ones that were not
trained there. In between is the co-kriging of `search.strategies.cokriging`.

Unlike in Vega, whose code asks the model of the high fidelity at the low one and takes the smallest value, what is
promising is trained; where the fidelities go against each other (rho < 0), what is bad at the low one is promising.
"""

from typing import ClassVar

import numpy as np

from config_file.fields import option
from config_file.options import options
from search.problem import Problem
from search.strategies.cokriging import CoKriging, fit_cokriging
from search.strategies.generation import Generational, Told
from search.strategies.whole_space import Features
from supernet import Architecture

REFIT = 1.2  # the parameters are fitted again when there is this many times as much data
LOW, HIGH = 0, 1


@options("MFKD")
class MfascOptions:
    """Trainings at two fidelities in turns."""

    mfasc_high: int = option(3, "random architectures that mfasc trains first, at the highest fidelity", at_least=1)
    mfasc_low: int = option(10, "and then at the lowest", at_least=2)
    mfasc_ratio: int = option(2, "afterwards every so many-th training is one at the highest fidelity", at_least=1)
    mfasc_beta: float = option(1.0, "deviations that are added to the mean", at_least=0)
    mfasc_pool: int = option(1000, "random architectures that are looked at for each training", at_least=1,
                             at_most=10**6)  # fmt: skip


class Mfasc(Generational):
    """Co-kriging of the lowest and the highest fidelity, one training at a time."""

    Options = MfascOptions
    random_start: ClassVar[str] = "mfasc_high"

    def __init__(self, problem: Problem, options: MfascOptions, seed: int) -> None:
        super().__init__(problem, seed)
        self._options = options
        self._rungs = (0, problem.rungs - 1)
        self.rung = self._rungs[HIGH]
        self._features = Features(self.space)
        self._asked: tuple[set[Architecture], set[Architecture]] = set(), set()
        self._known: tuple[dict[Architecture, float], dict[Architecture, float]] = {}, {}
        self._side: int = HIGH
        self._model: CoKriging | None = None
        self._fitted_to = 0

    def learn(self, told: Told) -> None:
        self._known[self._side].update((architecture, score) for architecture, (score,) in told)

    def propose(self) -> list[Architecture]:
        high, low = len(self._asked[HIGH]), len(self._asked[LOW])
        if not high:
            made = self._take(HIGH, self.beginning(self._options.mfasc_high))
        elif not low and self._rungs[LOW] < self._rungs[HIGH]:
            made = self._take(LOW, self._random(LOW, self._options.mfasc_low))
        else:
            turn = (high + low + 1) % self._options.mfasc_ratio == 0
            sides: list[int] = [HIGH, LOW] if turn or self._rungs[LOW] == self._rungs[HIGH] else [LOW, HIGH]
            made = next((self._take(side, found) for side in sides if (found := self._promising(side))), [])
        return made

    def _take(self, side: int, made: list[Architecture]) -> list[Architecture]:
        self._side, self.rung = side, self._rungs[side]
        self._asked[side].update(made)
        return made

    def _random(self, side: int, count: int) -> list[Architecture]:
        return self.limits.sample_distinct(self.rng, count, self._asked[side])

    def _promising(self, side: int) -> list[Architecture]:
        """The most promising one of a pool at a fidelity; [] where everything was trained there."""
        if side == LOW and self._rungs[LOW] == self._rungs[HIGH]:
            return []
        drawn = dict.fromkeys(self.limits.draw(self.rng, self._options.mfasc_pool))
        pool = [architecture for architecture in drawn if architecture not in self._asked[side]]
        pool = pool or self._random(side, 1)
        if not pool or len(self._known[HIGH]) < 2:
            return pool[:1]
        model = self._fitted()
        mean, deviation = (model.high if side == HIGH else model.low).at(self._features(pool))
        worth = mean if side == HIGH or model.rho > 0 else -mean
        return [pool[int(np.argmax(worth + self._options.mfasc_beta * deviation))]]

    def _fitted(self) -> CoKriging:
        """The model of everything known, its parameters fitted anew where there is much more of that."""
        count = sum(map(len, self._known))
        refit = self._model is None or count >= REFIT * self._fitted_to
        self._fitted_to = count if refit else self._fitted_to
        low, high = (
            (self._features(list(known)), np.array(list(known.values()), dtype=float)) for known in self._known
        )
        theta = None if self._model is None else self._model.theta
        rng = np.random.default_rng(self.rng.getrandbits(64))
        self._model = fit_cokriging(low, high, rng, theta=theta, refit=refit)
        return self._model
