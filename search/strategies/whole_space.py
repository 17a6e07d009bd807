"""Gaussian processes over architectures, asked for every architecture of a space at once.

A kernel exp(-|x - y|^2 / 2l^2) is a product over decisions. So the kernel between all encodings and the observations is
made of two small tables, one over the first decisions and one over the others, and a chunk of it at a time gives the
posterior of as many encodings: 2,097,152 of them in seconds.
"""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from operator import mul
from random import Random

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, solve_triangular

from lookup_tables.limits import Limits, as_architecture
from supernet import Architecture
from supernet.decisions import DecisionSpace

Floats = NDArray[np.float64]

ENUMERABLE = 1 << 22  # encodings up to which a space is looked at as a whole
DRAWN = 1 << 14  # of a larger one
ELITE = 5  # best observed ones of a larger space, whose neighbours are looked at
CHUNK = 1 << 16  # encodings whose kernel is in memory at once
FIRST, GROWTH = 4096, 8  # encodings of greatest value that are looked at first, and how many more each time


class Features:
    """Architectures as vectors, as MFKD has them: a column for each decision, of mean 0 and variance 1 over the space.

    Options that are numbers count as such, two others as 0 and 1; of more each has a column.
    """

    def __init__(self, space: DecisionSpace) -> None:
        self.tables = [_scaled(decision.options) for decision in space.decisions]
        self.sizes = space.sizes

    def __call__(self, architectures: Sequence[Architecture] | NDArray[np.integer]) -> Floats:
        """(N,) architectures -> (N, columns)."""
        rows = np.asarray(architectures, dtype=np.int64).reshape(len(architectures), len(self.tables))
        columns = [table[rows[:, d]] for d, table in enumerate(self.tables)]
        return np.concatenate([np.empty((len(rows), 0)), *columns], axis=1)

    def halves(self) -> tuple["Features", "Features"]:
        """Of the first decisions and of the others, about as many encodings each."""
        before = [1, *accumulate(self.sizes, mul)]
        middle = next(d for d, size in enumerate(before) if size**2 >= before[-1])
        return self._of(slice(None, middle)), self._of(slice(middle, None))

    def all(self) -> Floats:
        """Those of every encoding, in lexicographic order."""
        return self(np.indices(self.sizes).reshape(len(self.sizes), -1).T if self.sizes else np.empty((1, 0), int))

    def _of(self, part: slice) -> "Features":
        features = object.__new__(Features)
        features.tables, features.sizes = self.tables[part], self.sizes[part]
        return features


def _scaled(options: Sequence[str]) -> Floats:
    """(options, columns)."""
    try:
        columns = np.array([[float(option)] for option in options])
    except ValueError:
        columns = np.array([[0.0], [1.0]]) if len(options) == 2 else np.eye(len(options))
    spread = columns.std(0)
    return np.asarray((columns - columns.mean(0)) / np.where(spread > 0, spread, 1), dtype=np.float64)


@dataclass(frozen=True)
class Smooth:
    """The kernel variance * exp(-|x - y|^2 / 2 length^2)."""

    variance: float
    length: float

    def __call__(self, first: Floats, second: Floats) -> Floats:
        """(N, F) and (M, F) -> (N, M)."""
        squared = ((first[:, None] - second[None]) ** 2).sum(2)
        return self.variance * np.asarray(np.exp(-squared / (2 * self.length**2)), dtype=np.float64)


JITTERS = (0.0, 1e-10, 1e-8, 1e-6, 1e-4)


def positive_root(covariance: Floats) -> Floats:
    """The lower triangle of Cholesky; where rounding has left the matrix indefinite, of one with a larger diagonal.

    Raises:
        LinAlgError: it is far from positive definite.
    """
    for jitter in JITTERS:
        try:
            root = np.linalg.cholesky(covariance + jitter * np.eye(len(covariance)))
        except np.linalg.LinAlgError:
            continue
        return np.asarray(root, dtype=np.float64)
    raise np.linalg.LinAlgError("the covariance of the observations is not positive definite")


@dataclass(frozen=True)
class Posterior:
    """A Gaussian process that has seen observations at `seen` (n, F).

    The covariance with observation i is the sum over `parts` of smooth(x, seen_i) * factor_i.

    Attributes:
        weights: (n,), the inverse of the observations' covariance by their values.
        root: (n, n), the lower triangle of Cholesky of that covariance.
        prior: variance where nothing is known.
        offset, scale: of the values, which were brought to mean 0 and variance 1.
    """

    seen: Floats
    parts: Sequence[tuple[Smooth, Floats]]
    weights: Floats
    root: Floats
    prior: float
    offset: float = 0.0
    scale: float = 1.0

    @classmethod
    def of(
        cls, seen: Floats, parts: Sequence[tuple[Smooth, Floats]], covariance: Floats, values: Floats, prior: float,
        offset: float = 0.0, scale: float = 1.0,
    ) -> "Posterior":  # fmt: skip
        """The process with this covariance (n, n) of its observed values (n,), which have that offset and scale."""
        root = positive_root(covariance)
        weights = cho_solve((root, True), (values - offset) / scale)
        return cls(seen, parts, weights, root, prior, offset, scale)

    def moved(self, offset: float, scale: float) -> "Posterior":
        """The same process of values offset + scale * value."""
        return replace(self, offset=offset + scale * self.offset, scale=scale * self.scale)

    def at(self, x: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation (N,) at x (N, F)."""
        covariance: Floats = sum(smooth(x, self.seen) * factor for smooth, factor in self.parts)  # type: ignore[assignment]
        return self._of(covariance, self._inverse())

    def everywhere(self, features: Features) -> tuple[Floats, Floats]:
        """Mean and standard deviation of every encoding of a space, in lexicographic order."""
        inverse = self._inverse()
        found = [self._of(covariance, inverse) for covariance in self._covariances(features)]
        means, deviations = zip(*found, strict=True)
        return np.concatenate(means), np.concatenate(deviations)

    def _covariances(self, features: Features) -> Iterator[Floats]:
        """(chunk, n) of encodings after each other."""
        first, second = features.halves()
        split = first.all().shape[1]
        left, right = first.all(), second.all()
        tables = [
            (smooth(left, self.seen[:, :split]) * factor, Smooth(1.0, smooth.length)(right, self.seen[:, split:]))
            for smooth, factor in self.parts
        ]
        step = max(1, CHUNK // len(right))
        for start in range(0, len(left), step):
            part = slice(start, start + step)
            yield sum(a[part, None] * b[None] for a, b in tables).reshape(-1, len(self.seen))  # type: ignore[union-attr]

    def _inverse(self) -> Floats:
        """(n, n), the transposed inverse of `root`: one product instead of a substitution for every chunk."""
        return np.ascontiguousarray(solve_triangular(self.root, np.eye(len(self.root)), lower=True).T)

    def _of(self, covariance: Floats, inverse: Floats) -> tuple[Floats, Floats]:
        explained = covariance @ inverse
        variance = self.prior - np.einsum("ij,ij->i", explained, explained)
        mean = self.offset + self.scale * (covariance @ self.weights)
        return mean, self.scale * np.sqrt(np.maximum(variance, 0))


def most_promising(
    posterior: Posterior,
    features: Features,
    limits: Limits,
    weight: float,
    exclude: Collection[Architecture],
    best: Sequence[Architecture],
    rng: Random,
) -> Architecture | None:
    """The architecture of greatest mean + `weight` * deviation within the limits; None where none is left.

    Every one of the space is looked at, or of a space too large for that random ones and the neighbours of `best`.
    Among equals one is drawn.
    """
    space = limits.space
    generator = np.random.default_rng(rng.getrandbits(64))
    if space.size > ENUMERABLE:
        near = [space.canonical(a) for architecture in best[:ELITE] for a in space.neighbours(architecture)]
        rows = np.asarray(list(dict.fromkeys([*limits.draw(rng, DRAWN), *near])), dtype=np.int64)
        mean, deviation = posterior.at(features(rows))
    else:
        rows = None
        mean, deviation = posterior.everywhere(features)
    values = mean + weight * deviation
    excluded = set(exclude)
    for positions in _descending(values, generator):
        found = np.stack(np.unravel_index(positions, space.sizes), axis=1) if rows is None else rows[positions]
        for row in found[limits.inside(found)]:
            architecture = as_architecture(row)
            if architecture not in excluded and space.canonical(architecture) == architecture:
                return architecture
    return None


def _descending(values: Floats, generator: np.random.Generator) -> Iterator[NDArray[np.intp]]:
    """Positions of the greatest values, then of the next ones, and so on; equal ones in random order."""
    left, count = values.copy(), FIRST
    for _ in range(len(values)):
        if not len(left) or (greatest := left.max()) == -np.inf:
            return
        count = min(count, len(left))
        chosen = np.argpartition(-left, count - 1)[:count]
        if left[chosen].min() == greatest:  # more equals than are looked at
            chosen = generator.permutation(np.flatnonzero(left == greatest))[:count]
        chosen = chosen[left[chosen] > -np.inf]
        yield chosen[np.lexsort((generator.random(len(chosen)), -left[chosen]))]
        left[chosen] = -np.inf
        count *= GROWTH
