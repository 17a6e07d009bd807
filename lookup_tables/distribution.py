"""The distribution of cost over a whole space, and architectures drawn uniformly from a cost band.

Costs are rounded to multiples of one unit, and the architectures at every rounded cost are counted by dynamic
programming over the factors (for a chain, layer by layer). Read backwards, the counts say how many of the remaining
architectures take each option: drawing accordingly gives each architecture the same probability, however rare the
band is. Rounding is undone by costing every draw: what lies outside the band is rejected, a sliver at its ends. These
are the steps of Dyer (2003, "Approximate counting by dynamic programming"), who counts the solutions of a knapsack:
round, count, draw from the counts, reject.

With N(o, s) the number of ways to choose the decisions met so far that leave the open decisions at the options o and
cost s steps, a factor that costs c(o) steps and a decision d that no later factor reads are taken in by

    cost:    N'(o, s) = N(o, s - c(o))                     close:   N'(o, s) = sum_d N((o, d), s)

and, read backwards, d is drawn with P(d | o, s) = N((o, d), s) / N'(o, s).
"""

from collections.abc import Callable, Sequence
from math import gcd, inf, prod
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from supernet.elimination import Factor, Scope, align, grouped, summed, sweep

MOST_BINS = 1 << 14  # rounded costs that are told apart, where memory allows
LEAST_BINS = 1 << 8
MOST_ENTRIES = 1 << 24  # numbers kept for drawing (128 MiB); spaces whose factors overlap widely get fewer bins for it
CHUNK = 1 << 12  # architectures that are drawn at once: their indices stay in the cache
# Draws without a hit after which a band counts as empty: it is narrower than rounding can resolve.
MOST_REJECTED = 1 << 20
PROBES = 1 << 11

CostFunction = Callable[[NDArray[np.integer]], NDArray[np.float64]]


class _Cost(NamedTuple):
    """A factor in multiples of the unit: what its decisions' options add to the rounded cost."""

    scope: Scope
    steps: NDArray[np.intp]


class _Choice(NamedTuple):
    """A decision that is drawn, given the rounded cost so far and the decisions still open.

    Thresholds are, per option but the last, its cumulative probability over (options of `given`..., bins), flat.
    """

    decision: int
    given: Scope
    thresholds: tuple[NDArray[np.float64], ...]


class CostDistribution:
    """Counts of architectures by cost, and uniform draws from a band.

    Args:
        sizes: number of options of each decision.
        factors: cost as a sum of tables.
        cost: (N, D) option indices -> (N,) exact costs.
        bins: rounded costs to tell apart, at most. Whole-numbered costs whose range and common divisor allow it are
            not rounded at all, and every answer is exact.

    Raises:
        UserError: so many decisions depend on each other that the counts do not fit into memory.
    """

    def __init__(
        self, sizes: Sequence[int], factors: Sequence[Factor], cost: CostFunction, bins: int = MOST_BINS
    ) -> None:
        self._sizes = tuple(sizes)
        self._cost = cost
        factors = summed(grouped(factors))
        # 1. Round: as many bins as the memory for drawing allows, each factor's cost above its least in whole bins.
        per_bin = sum(prod(sizes[decision] for decision in visit.front) for visit in sweep(sizes, factors))
        bins = min(bins, MOST_ENTRIES // per_bin)
        if bins < LEAST_BINS:
            raise UserError("too many decisions of this space depend on each other to count architectures by cost")
        self.unit = _unit(factors, bins)
        rounded = [(scope, *_rounded(table, self.unit)) for scope, table in factors]
        self._base = sum(float(table.min()) for _, table in factors)
        self.rounding = sum(low for *_, low, _ in rounded), sum(high for *_, high in rounded)
        """Greatest distances of the cost of an architecture below and above that of its bin."""
        self._bins = sum(int(steps.max()) for _, steps, *_ in rounded) + 1
        # 2. Count, and keep what drawing needs, in the order of the count; drawing reads it from the end.
        self._stack: list[_Cost | _Choice] = []
        self.counts = self._counted([(scope, steps) for scope, steps, *_ in rounded])
        """(bins,) encodings at each rounded cost, in float64: exact below 2^53, to 1e-15 of the number above."""
        self._narrow = np.min_scalar_type(max(sizes, default=1) - 1)

    @property
    def costs(self) -> NDArray[np.float64]:
        """(bins,) the costs that `counts` belongs to."""
        return self._base + self.unit * np.arange(self._bins, dtype=np.float64)

    def quantile(self, share: float) -> float:
        """The rounded cost that this share of all encodings does not exceed."""
        cumulative = self.counts.cumsum()
        return float(self.costs[min(np.searchsorted(cumulative, share * cumulative[-1]), self._bins - 1)])

    def count(self, lower: float = -inf, upper: float = inf) -> tuple[float, float]:
        """The number of encodings with lower <= cost <= upper, at least and at most; equal where nothing is rounded."""
        low, high = self._ends()
        # A bin is surely inside where all that may be in it is, and possibly where anything may be.
        surely = (low >= lower) & (high <= upper)
        return float(self.counts[surely].sum()), float(self.counts[self._possible(lower, upper)].sum())

    def share(self, lower: float = -inf, upper: float = inf) -> float:
        """The share of all encodings that is within a band; an estimate at its ends where costs are rounded."""
        surely, possibly = self.count(lower, upper)
        if surely == possibly:
            return surely / float(self.counts.sum())
        # Of the possible ones a fixed sample says how many are inside.
        drawn = self._draw(self._cumulative(lower, upper), PROBES, np.random.default_rng(0))
        return possibly / float(self.counts.sum()) * float(self._inside(drawn, lower, upper).mean())

    def around(self, lower: float, upper: float) -> tuple[float, float]:
        """The greatest cost below a band and the least above it, infinite where there is none.

        Where costs are rounded, of `PROBES` draws near the ends of the band.
        """
        low, high = self._ends()
        below = np.flatnonzero((self.counts > 0) & (low < lower))[::-1]
        above = np.flatnonzero((self.counts > 0) & (high > upper))
        return (
            self._nearest(below, lambda costs: float(costs[costs < lower].max(initial=-inf))),
            self._nearest(above, lambda costs: float(costs[costs > upper].min(initial=inf))),
        )

    def _nearest(self, bins: NDArray[np.intp], pick: Callable[[NDArray[np.float64]], float]) -> float:
        # As far as rounding moves a cost, the bins after the first may hold a nearer one.
        taken = 1 + int((self.rounding[1] - self.rounding[0]) / self.unit)
        while True:
            counts = np.zeros(self._bins)
            counts[bins[:taken]] = self.counts[bins[:taken]]
            drawn = self._draw(counts.cumsum(), PROBES if len(bins) else 0, np.random.default_rng(0))
            best = pick(self._cost(drawn))
            if np.isfinite(best) or taken >= len(bins):
                return best
            taken *= 2

    def sample(self, lower: float, upper: float, n: int, rng: np.random.Generator) -> NDArray[np.unsignedinteger]:
        """Independent, uniformly drawn encodings with lower <= cost <= upper.

        Returns:
            (n, D) option indices, column-major and in the smallest unsigned type: what costs are looked up fastest for.

        Raises:
            UserError: nothing lies within the band, or so little that it cannot be found.
        """
        drawn = np.empty((n, len(self._sizes)), dtype=self._narrow, order="F")
        cumulative = self._cumulative(lower, upper)
        found = tried = 0
        while found < n:
            if not cumulative[-1] or tried - found * MOST_REJECTED > MOST_REJECTED:
                raise UserError(f"no architecture with a cost from {lower:.6g} to {upper:.6g} was found")
            # As many candidates as are needed at the rate of hits so far, and a tenth more.
            likely = max(found, 1) / max(tried, 1)
            candidates = self._draw(cumulative, min(CHUNK, int((n - found) / likely * 1.1) + 1), rng)
            tried += len(candidates)
            # 4. Reject: exact costs decide, so that rounding leaves no trace.
            inside = self._inside(candidates, lower, upper)
            kept = (candidates if inside.all() else candidates[inside])[: n - found]
            drawn[found : found + len(kept)] = kept
            found += len(kept)
        return drawn

    def _counted(self, factors: Sequence[tuple[Scope, NDArray[np.intp]]]) -> NDArray[np.float64]:
        """Forward: encodings per (options of open decisions..., rounded cost so far). Fills the stack for drawing."""
        message = np.zeros(self._bins)  # N(o, s): one axis per open decision, then the steps
        message[0] = 1  # nothing chosen, nothing spent: one way
        for scope, table, front, closing in sweep(self._sizes, factors):
            steps = np.zeros(self._sizes[scope[0]], dtype=np.intp) if table is None else table
            shape = [self._sizes[decision] for decision in front]
            # Decisions that open here multiply the ways by their options: N is repeated along their new axes.
            before = message.reshape(*message.shape[:-1], *(1,) * (len(front) - message.ndim + 1), self._bins)
            before = np.broadcast_to(before, (*shape, self._bins))
            # N'(o, s) = N(o, s - c(o)): for each o a shift along the steps.
            message = np.zeros((*shape, self._bins))
            shifts = np.broadcast_to(align(scope, steps, front), shape)
            for at in np.ndindex(*shape):
                shift = int(shifts[at])
                message[at][shift:] = before[at][: self._bins - shift]
            self._stack.append(_Cost(scope, steps))
            remaining = list(front)
            for decision in closing:
                axis = remaining.index(decision)
                remaining.remove(decision)
                # N'(o, s) = sum_d N((o, d), s): the last of the cumulative sums, which over it give the chance that
                # an option up to each one is drawn, P(d <= j | o, s).
                summed = message.cumsum(axis)
                message = summed.take(-1, axis)
                share = np.ones_like(summed)
                np.divide(summed, np.expand_dims(message, axis), out=share, where=summed > 0)
                # Where nothing has been counted up to an option yet, it has no share; where nothing is, none is asked.
                share[(summed == 0) & (np.expand_dims(message, axis) > 0)] = 0
                options = range(self._sizes[decision] - 1)
                thresholds = tuple(np.ascontiguousarray(share.take(option, axis)).ravel() for option in options)
                self._stack.append(_Choice(decision, tuple(remaining), thresholds))
        return message

    def _ends(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The least and the greatest cost of what is in each bin."""
        return self.costs + self.rounding[0], self.costs + self.rounding[1]

    def _possible(self, lower: float, upper: float) -> NDArray[np.bool_]:
        low, high = self._ends()
        sums = 1e-12 * max(abs(low[0]), abs(high[-1]))  # the order of additions changes the last bits
        return (high >= lower - sums) & (low <= upper + sums)

    def _cumulative(self, lower: float, upper: float) -> NDArray[np.float64]:
        return np.where(self._possible(lower, upper), self.counts, 0).cumsum()

    def _inside(self, architectures: NDArray[np.integer], lower: float, upper: float) -> NDArray[np.bool_]:
        cost = self._cost(architectures)
        return (cost >= lower) & (cost <= upper)

    def _draw(self, cumulative: NDArray[np.float64], n: int, rng: np.random.Generator) -> NDArray[np.unsignedinteger]:
        """(n, D) encodings whose bins have the cumulative counts (bins,)."""
        drawn = np.empty((n, len(self._sizes)), dtype=self._narrow, order="F")
        # 3. Draw: a bin by its count, that is the number of steps that the decisions together cost, ...
        left = np.searchsorted(cumulative, rng.random(n) * cumulative[-1], "right")
        for entry in reversed(self._stack):
            if isinstance(entry, _Cost):
                # ... before a factor, whose decisions are all drawn by now, its steps were not spent yet: s - c(o) ...
                if entry.scope:
                    left -= entry.steps.ravel().take(self._position(entry.scope, drawn))
                continue
            # ... and a closed decision is drawn from P(d | o, s): the number of thresholds that a uniform number
            # passes.
            where = left
            if entry.given:
                where = self._position(entry.given, drawn) * self._bins + left
            uniform = rng.random(n)
            option = np.zeros(n, dtype=self._narrow)
            for threshold in entry.thresholds:
                option += threshold.take(where) <= uniform
            drawn[:, entry.decision] = option
        return drawn

    def _position(self, scope: Scope, drawn: NDArray[np.unsignedinteger]) -> NDArray[np.intp]:
        position = drawn[:, scope[0]].astype(np.intp)
        for decision in scope[1:]:
            position *= self._sizes[decision]
            position += drawn[:, decision]
        return position


def _unit(factors: Sequence[Factor], bins: int) -> float:
    """The width of a bin: a common divisor of all differences in cost where that suffices, else by the range."""
    span = sum(float(table.max() - table.min()) for _, table in factors)
    if span == 0:
        return 1.0
    above = np.concatenate([np.ravel(table - table.min()) for _, table in factors])
    # Whole numbers: all costs are multiples of the greatest common divisor, and steps of it round nothing.
    if (above == np.rint(above)).all() and above.max() < 2**53:
        common = gcd(*map(int, above))
        if span / common < bins:
            return float(common)
    # One bin less per factor, as each may round up by half a step, and there is a bin at 0.
    return span / (bins - len(factors))


def _rounded(table: NDArray[np.float64], unit: float) -> tuple[NDArray[np.intp], float, float]:
    """A factor above its minimum in multiples of the unit, and the least and the greatest error of that."""
    above = table - table.min()
    steps = np.rint(above / unit).astype(np.intp)
    error = above - unit * steps
    return steps, float(error.min()), float(error.max())
