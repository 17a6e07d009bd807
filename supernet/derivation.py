"""The best architecture within cost limits, exactly; with words about the limits that nothing is within.

The objective and every cost are sums of factors over decisions (`supernet.elimination`), and `supernet.label_setting`
finds the exact optimum.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from supernet.elimination import Factor, optimum
from supernet.label_setting import Bound, constrained_optimum

FIRST_TILT, LAST_TILT, TILT_HALVINGS = 1e-2, 1e5, 6  # log probabilities per whole limit


def derive_within(sizes: Sequence[int], objective: Sequence[Factor], limits: Sequence[Bound]) -> tuple[int, ...]:
    """The architecture with the greatest objective, a sum of tables, among those within all limits.

    With the log probabilities of each decision's options as tables it is the most probable one.

    Raises:
        UserError: nothing is within the limits; the message says which one binds, and the exact minimum.
    """
    best = constrained_optimum(sizes, objective, limits)
    if best is None:
        raise UserError(_what_binds(sizes, limits))
    return best


def derive_filling(
    sizes: Sequence[int], objective: Sequence[Factor], limits: Sequence[Bound], share: float = 0.98
) -> tuple[int, ...]:
    """As `derive_within`, but using at least `share` of the limit nearest to being used, where that can be had.

    Where the best architecture within the limits leaves more of them unused, the objective is tilted towards that cost,
    objective + tilt * cost, with about the least tilt that fills the limit; each tilted optimum is exact. Which cost is
    tilted towards is decided by the untilted optimum, whose limits must be positive.

    Raises:
        UserError: as `derive_within`.
    """
    plain_choice = derive_within(sizes, objective, limits)
    used = [_total(limit.factors, plain_choice) / limit.upper for limit in limits]
    if not limits or max(used) >= share:
        return plain_choice
    nearest = limits[int(np.argmax(used))]
    if optimum(sizes, nearest.factors, largest=True)[0] < share * nearest.upper:
        return plain_choice  # a limit that nothing can fill

    def tilted(tilt: float) -> tuple[int, ...]:
        costs: list[Factor] = [(scope, tilt / nearest.upper * table) for scope, table in nearest.factors]
        choice = constrained_optimum(sizes, [*objective, *costs], limits)
        assert choice is not None, "the limits were met before"
        return choice

    def use(choice: tuple[int, ...]) -> float:
        return _total(nearest.factors, choice) / nearest.upper

    # Bracket: the tilt grows fourfold until the limit is filled. The use of a limit never falls as its tilt grows.
    low, high, best = 0.0, FIRST_TILT, plain_choice
    while use(choice := tilted(high)) < share and high < LAST_TILT:
        best = max(best, choice, key=use)
        low, high = high, 4 * high
    best = max(best, choice, key=use)
    # Bisect: the least tilt that fills it costs the least objective.
    for _ in range(TILT_HALVINGS if use(best) >= share else 0):
        middle = 0.5 * (low + high)
        if use(choice := tilted(middle)) >= share:
            high, best = middle, choice
        else:
            low = middle
    return best


def check_feasible(sizes: Sequence[int], limits: Sequence[Bound]) -> None:
    """Raises UserError, saying which limit binds and the exact minimum, where nothing is within all limits."""
    if constrained_optimum(sizes, [], limits) is None:
        raise UserError(_what_binds(sizes, limits))


def _what_binds(sizes: Sequence[int], limits: Sequence[Bound]) -> str:
    for limit in limits:
        minimum = optimum(sizes, limit.factors, largest=False)[0]
        if not minimum <= limit.upper:
            return (
                f"no architecture has {limit.name} of {limit.show(limit.upper)} or less: "
                f"the smallest of the space is {limit.show(minimum)}"
            )
    least_costs = []
    for binding in limits:
        others = [limit for limit in limits if limit is not binding]
        negated: list[Factor] = [(scope, -table) for scope, table in binding.factors]
        cheapest = constrained_optimum(sizes, negated, others)
        if cheapest is not None:
            within = " and ".join(f"{other.name} <= {other.show(other.upper)}" for other in others)
            least = _total(binding.factors, cheapest)
            least_costs.append(f"with {within} the smallest {binding.name} is {binding.show(least)}")
    together = " and ".join(f"{limit.name} <= {limit.show(limit.upper)}" for limit in limits)
    return f"no architecture has {together} at once: " + (
        "; ".join(least_costs) or "no two of these limits go together"
    )


def independent(scores: Sequence[NDArray[np.floating]]) -> list[Factor]:
    """The tables of scores, one row per decision with a number per option."""
    return [((decision,), np.asarray(row, dtype=np.float64)) for decision, row in enumerate(scores)]


def _total(factors: Sequence[Factor], choice: Sequence[int]) -> float:
    return float(sum(float(table[tuple(choice[d] for d in scope)]) for scope, table in factors))
