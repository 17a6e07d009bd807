"""Scores to be ranked: what an evaluator or a file says of networks, corrected for cost if that is asked for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from search.corrected import corrected
from search.objectives import Objective
from search.result import Result
from search.strategies.surrogate import Ridge, one_hot
from supernet import Architecture
from supernet.decisions import DecisionSpace

Floats = NDArray[np.float64]

CORRECTED = "corrected for cost"


@dataclass(frozen=True)
class Scores:
    """Scores of networks: greater is better, and what else is compared with the same truth.

    Attributes:
        name: of the scores.
        networks: in the order in which they are listed.
        values: of every network.
        others: further scores by name.
        effects: the part of either that single options explain, by name.
        metric: what the values are, None of scores from a file.
        method: what they were measured with, for people.
    """

    name: str
    networks: Sequence[Architecture]
    values: Mapping[Architecture, float]
    others: Mapping[str, Mapping[Architecture, float]] = field(default_factory=dict)
    effects: Mapping[str, Mapping[Architecture, float]] = field(default_factory=dict)
    metric: Objective | None = None
    method: str = ""

    def by_name(self) -> dict[str, Floats]:
        """(N,) of all of them, in the order of the networks, the first one first."""
        known = {self.name: self.values, **self.others, **self.effects}
        return {name: np.array([values[a] for a in self.networks]) for name, values in known.items()}


def scores_of(
    name: str, method: str, space: DecisionSpace, measures: Mapping[str, bool], results: Sequence[Result]
) -> Scores:
    """The scores in results that did not fail: every metric, and what each says of single options."""
    objectives = [Objective(metric, maximise, measured=True) for metric, maximise in measures.items()]
    by_metric = {o: {result.architecture: o.score(result) for result in results} for o in objectives}
    first, *more = objectives
    others = {f"{name}, by its {o.name}": by_metric[o] for o in more}
    effects = {f"{name}, main effects": main_effects(space, by_metric[first])}
    effects |= {f"{name}, main effects of its {o.name}": main_effects(space, by_metric[o]) for o in more}
    return Scores(name, [result.architecture for result in results], by_metric[first], others, effects, first, method)


def main_effects(space: DecisionSpace, scores: Mapping[Architecture, float]) -> dict[Architecture, float]:
    """The part of scores that single options explain: ridge regression on the one-hot encoding, as `predictor` fits.

    How options work together, which a supernet may get more wrong than what each one does, is left out.
    """
    features = one_hot(space, list(scores))
    fitted = Ridge().fit(features, np.array(list(scores.values()))).predict(features)
    return dict(zip(scores, fitted.tolist(), strict=True))


def corrected_scores(scores: Scores, cost: Floats, same: NDArray[np.intp] | None) -> Scores:
    """The scores corrected for cost, with what they were before among the others; of main effects there is no other.

    Args:
        cost: (N,) of the networks, in their order.
        same: (N,) numbers, the same for architectures that are the same network.
    """

    def correct(values: Mapping[Architecture, float]) -> dict[Architecture, float]:
        found = corrected(np.array([values[a] for a in scores.networks]), cost, same)
        return dict(zip(scores.networks, found.tolist(), strict=True))

    others: dict[str, Mapping[Architecture, float]]
    others = {f"{name}, {CORRECTED}": correct(values) for name, values in scores.others.items()}
    others |= {scores.name: scores.values, **scores.others}
    return replace(
        scores, name=f"{scores.name}, {CORRECTED}", values=correct(scores.values), others=others, metric=None
    )
