"""Scores to be ranked: what an evaluator or a file says of networks, and what `--score` makes of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from search.corrected import corrected
from search.objectives import Objective
from search.result import Result
from search.strategies.surrogate import Ridge, one_hot
from search.structure.selection import Selection, deviation_of, noise_share, select
from supernet import Architecture
from supernet.decisions import Decision, DecisionSpace

Floats = NDArray[np.float64]

CORRECTED, STRUCTURED = "corrected for cost", "structured"


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
        deviations: of the values, as far as their noise is known.
    """

    name: str
    networks: Sequence[Architecture]
    values: Mapping[Architecture, float]
    others: Mapping[str, Mapping[Architecture, float]] = field(default_factory=dict)
    effects: Mapping[str, Mapping[Architecture, float]] = field(default_factory=dict)
    metric: Objective | None = None
    method: str = ""
    deviations: Mapping[Architecture, float] = field(default_factory=dict)

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
    deviations = {result.architecture: deviation_of(result.interval) for result in results}
    networks = [result.architecture for result in results]
    return Scores(name, networks, by_metric[first], others, effects, first, method, deviations)


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
    first, *others = corrections_of(scores, cost, same).items()
    return replace(
        scores,
        name=first[0],
        values=first[1],
        others={**dict(others), scores.name: scores.values, **scores.others},
        metric=None,
    )


def corrections_of(
    scores: Scores, cost: Floats, same: NDArray[np.intp] | None
) -> dict[str, Mapping[Architecture, float]]:
    """The corrected ones of the scores and of the others, by name, in their order; arguments as `corrected_scores`."""

    def correct(values: Mapping[Architecture, float]) -> dict[Architecture, float]:
        found = corrected(np.array([values[a] for a in scores.networks]), cost, same)
        return dict(zip(scores.networks, found.tolist(), strict=True))

    known = {scores.name: scores.values, **scores.others}
    return {f"{name}, {CORRECTED}": correct(values) for name, values in known.items()}


def plain_space(networks: Sequence[Architecture]) -> DecisionSpace:
    """A space of as many options as the networks have, of which nothing else is known."""
    most = np.max(np.array(networks), axis=0)
    decisions = (Decision(f"d{d}", tuple(map(str, range(last + 1)))) for d, last in enumerate(most.tolist()))
    return DecisionSpace("the given scores", tuple(decisions))


def structured_scores(
    scores: Scores,
    space: DecisionSpace,
    same: NDArray[np.intp] | None,
    error: float,
    trained: Mapping[Architecture, float] | None = None,
) -> tuple[Scores, dict[str, Selection]]:
    """The scores with those by structures among them, first where that of the first ones is accepted, and all of these.

    Args:
        space: of the networks.
        same: (N,) numbers, the same for architectures that are the same network.
        error: share of the variance of ranks that is error which the deviations do not show.
        trained: accuracies of networks trained alone, which structures are fitted to as well.
    """
    found: dict[str, Selection] = {}
    fitted: dict[str, Mapping[Architecture, float]] = {}
    noise = np.array([scores.deviations.get(a, np.nan) for a in scores.networks])
    known = noise_share(np.array([scores.values[a] for a in scores.networks]), noise)
    for name, values in {scores.name: scores.values, **scores.others}.items():
        raw = np.array([values[a] for a in scores.networks])
        keys = None if same is None else same.tolist()
        selection = select(space, scores.networks, raw, known, keys, trained, shared=error)
        if selection is not None:
            found[name] = selection
            of_sum = selection.fit.structure(scores.networks).tolist()
            fitted[f"{name}, {STRUCTURED}"] = dict(zip(scores.networks, of_sum, strict=True))
    if scores.name not in found or not found[scores.name].accepted:
        return replace(scores, others={**fitted, **scores.others}), found
    first = f"{scores.name}, {STRUCTURED}"
    values = fitted.pop(first)
    others = {scores.name: scores.values, **fitted, **scores.others}
    return replace(scores, name=first, values=values, others=others, metric=None), found
