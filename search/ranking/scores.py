"""Scores of networks, to be compared with what the networks reach when they are trained alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from search.objectives import Objective
from search.result import Result
from search.strategies.surrogate import Ridge, one_hot
from supernet import Architecture
from supernet.decisions import DecisionSpace


@dataclass(frozen=True)
class Scores:
    """One kind of score, greater being better, and what else is compared with the same truth.

    Attributes:
        name: of the scores.
        networks: in the order in which they are listed.
        values: of every network.
        others: further scores by name.
        metric: what the values are, None of scores from a file.
        method: what they were measured with, for people.
    """

    name: str
    networks: Sequence[Architecture]
    values: Mapping[Architecture, float]
    others: Mapping[str, Mapping[Architecture, float]] = field(default_factory=dict)
    metric: Objective | None = None
    method: str = ""


def scores_of(
    name: str, method: str, space: DecisionSpace, measures: Mapping[str, bool], results: Sequence[Result]
) -> Scores:
    """The scores in results that did not fail: every metric, and what each says of single options."""
    objectives = [Objective(metric, maximise, measured=True) for metric, maximise in measures.items()]
    by_metric = {o: {result.architecture: o.score(result) for result in results} for o in objectives}
    effects = {o: main_effects(space, values) for o, values in by_metric.items()}
    first, *more = objectives
    others = {f"{name}, by its {o.name}": by_metric[o] for o in more}
    others[f"{name}, main effects"] = effects[first]
    others |= {f"{name}, main effects of its {o.name}": effects[o] for o in more}
    return Scores(name, [result.architecture for result in results], by_metric[first], others, first, method)


def main_effects(space: DecisionSpace, scores: Mapping[Architecture, float]) -> dict[Architecture, float]:
    """The part of scores that single options explain: ridge regression on the one-hot encoding, as `predictor` fits.

    How options work together, which a supernet may get more wrong than what each one does, is left out.
    """
    features = one_hot(space, list(scores))
    fitted = Ridge().fit(features, np.array(list(scores.values()))).predict(features)
    return dict(zip(scores, fitted.tolist(), strict=True))
