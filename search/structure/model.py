"""Scores of architectures as sums of terms: one for the option of each decision, and one for each pair of neighbours.

    score(a) = offset + sum_d w_d[a_d] (+ sum_d w_d,d+1[a_d, a_d+1])

fitted by ridge regression to the ranks of scores, from 0 to 1. Accuracies have a long tail of bad networks whose
squared errors would decide: of the truth of NAS-Bench-Macro sums fitted to ranks keep more order (tau 0.887) than
sums fitted to accuracies (0.866). A decision that does not matter in an architecture has no term there. Such sums are
factors over few decisions, of which variable elimination and label setting give exact optima (`supernet.elimination`).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from supernet import Architecture
from supernet.canonical import Influence
from supernet.decisions import DecisionSpace
from supernet.elimination import Factor, Scope, align

Floats = NDArray[np.float64]

FORMS = {"additive": 1, "adjacent pairs": 2}
"""The most neighbouring decisions that a term reads, by the name of the form."""


def ranks(scores: Floats) -> Floats:
    """(N,) -> (N,) ranks as shares of all, above 0 and below 1, the greatest being the best; ties have their mean."""
    return (rankdata(scores) - 0.5) / len(scores)


def terms(decisions: int, form: str) -> list[Scope]:
    """The decisions that each term reads: single ones, and as many neighbours as the form says."""
    lengths = range(1, FORMS[form] + 1)
    return [tuple(range(first, first + length)) for length in lengths for first in range(decisions - length + 1)]


def features(codes: Floats, sizes: Sequence[int], scopes: Sequence[Scope]) -> Floats:
    """(N, D) `DecisionSpace.encode` -> (N, F) columns of all terms.

    Indicators of options, less their mean, so that pairs are what single options do not say, and a penalty shrinks
    either on its own; 0 where a decision does not matter.
    """
    single = []
    for decision, size in enumerate(sizes):
        code = codes[:, [decision]]
        single.append(np.where(code < 0, 0.0, (code == np.arange(size)) - 1 / size))
    columns = [np.empty((len(codes), 0))]
    for scope in scopes:
        joint = single[scope[0]]
        for decision in scope[1:]:
            joint = (joint[:, :, None] * single[decision][:, None, :]).reshape(len(codes), -1)
        columns.append(joint)
    return np.concatenate(columns, axis=1)


class Ridge:
    """Ridge regression on fixed columns: one decomposition for every penalty and every target.

    Args:
        columns: (N, F).
        weights: (N,) of the rows, greater where a target is more certain; none: all equal.
    """

    def __init__(self, columns: Floats, weights: Floats | None = None) -> None:
        self.weights = np.ones(len(columns)) if weights is None else weights
        self.mean: Floats = np.average(columns, axis=0, weights=self.weights)
        self._root = np.sqrt(self.weights)
        self._rows = self._root[:, None] * (columns - self.mean)
        # The smaller of X'X (F, F) and XX' (N, N) has what is needed: (X'X + p I)^-1 X' = X' (XX' + p I)^-1.
        self._tall = columns.shape[1] <= len(columns)
        gram = self._rows.T @ self._rows if self._tall else self._rows @ self._rows.T
        values, self._vectors = np.linalg.eigh(gram)
        self._values = np.maximum(values, 0.0)

    def fitted(self, targets: Floats) -> Floats:
        """(N,) targets less their mean -> what `solve` is given."""
        return targets - np.average(targets, weights=self.weights)

    def solve(self, targets: Floats, penalties: Floats) -> Floats:
        """(N,) centred targets and (P,) penalties -> (P, F): argmin |sqrt(w) (t - X b)|^2 + p |b|^2 of each p."""
        weighted = self._root * targets
        projected = self._vectors.T @ (self._rows.T @ weighted if self._tall else weighted)
        shrunk = (projected / (self._values + penalties[:, None])) @ self._vectors.T
        return shrunk if self._tall else shrunk @ self._rows

    def predict(self, weights: Floats) -> Floats:
        """(N,) X b at the rows themselves."""
        return np.asarray(self._rows @ weights / self._root, dtype=np.float64)


@dataclass(frozen=True, eq=False)
class Structure:
    """A sum of terms over the decisions of a space.

    Attributes:
        scopes: the decisions of each term.
        mean: (F,) of the columns it was fitted to, at which its value is `offset`.
        weights: (F,) of the columns.
    """

    space: DecisionSpace
    scopes: Sequence[Scope]
    mean: Floats
    offset: float
    weights: Floats

    def __call__(self, architectures: Sequence[Architecture]) -> Floats:
        """(N,) architectures -> (N,) scores, about from 0 to 1."""
        columns = features(self.space.encode(architectures), self.space.sizes, self.scopes)
        return self.offset + (columns - self.mean) @ self.weights

    def factors(self) -> list[Factor]:
        """The same sum as tables over decisions, each with those that say where its own matter."""
        sizes, conditional = self.space.sizes, self.space.conditional
        found: list[Factor] = [((), np.array(self.offset - float(self.mean @ self.weights)))]
        start = 0
        for scope in self.scopes:
            shape = tuple(sizes[decision] for decision in scope)
            count = int(np.prod(shape))
            table = self.weights[start : start + count].reshape(shape)
            start += count
            # A column is an indicator less 1 / size in every decision: the same of the table along each of its axes.
            for axis in range(len(scope)):
                table = table - table.mean(axis, keepdims=True)
            found.append(_gated(scope, table, [conditional[d] for d in scope if d in conditional], sizes))
        return found


def _gated(scope: Scope, table: Floats, influences: Sequence[Influence], sizes: Sequence[int]) -> Factor:
    """A term over its decisions and those that decide whether they matter: 0 where one of them does not."""
    wide = tuple(dict.fromkeys([*scope, *(d for gates in influences for _, (given, _) in gates for d in given)]))
    shape = tuple(sizes[decision] for decision in wide)
    values = np.broadcast_to(align(scope, table, wide), shape).copy()
    for gates in influences:
        acts = np.zeros(shape, dtype=bool)
        for _, (given, where) in gates:
            acts |= align(given, where, wide)
        values *= acts
    return wide, values


@dataclass(frozen=True, eq=False)
class Fit:
    """A structure as fitted, and what it is uncertain of.

    Attributes:
        structure: with the weights of the greatest posterior density.
        deviation: of a score from the sum, in ranks.
    """

    structure: Structure
    ridge: Ridge
    targets: Floats
    penalty: float
    deviation: float

    @classmethod
    def of(
        cls,
        space: DecisionSpace,
        codes: Floats,
        targets: Floats,
        form: str,
        penalty: float,
        deviation: float,
        weights: Floats | None = None,
    ) -> "Fit":
        """The fit to (N,) targets of (N, D) encoded architectures, (N,) weights of which say how certain each is."""
        scopes = terms(len(space.sizes), form)
        ridge = Ridge(features(codes, space.sizes, scopes), weights)
        found = ridge.solve(ridge.fitted(targets), np.array([penalty]))[0]
        offset = float(np.average(targets, weights=ridge.weights))
        return cls(Structure(space, scopes, ridge.mean, offset, found), ridge, targets, penalty, deviation)

    def draw(self, rng: np.random.Generator, spread: float = 1.0) -> Structure:
        """A draw from the posterior of the structure, given Gaussian errors and weights; `spread` widens it.

        Exact, and without a covariance: weights drawn from the prior, moved by the ridge solution of what targets with
        errors of their own leave of them (Hoffman and Ribak 1991).
        """
        deviation = spread * self.deviation
        prior = rng.normal(size=len(self.structure.weights)) * deviation / np.sqrt(self.penalty)
        errors = rng.normal(size=len(self.targets)) * deviation / np.sqrt(self.ridge.weights)
        left = self.ridge.fitted(self.targets + errors) - self.ridge.predict(prior)
        moved = self.ridge.solve(left, np.array([self.penalty]))[0]
        return replace(self.structure, weights=prior + moved)
