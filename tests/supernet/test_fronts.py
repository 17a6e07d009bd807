"""Exact fronts against enumeration, and against the exact optimum within single budgets."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from supernet import fronts
from supernet.elimination import Factor
from supernet.fronts import TooManyLabelsError, exact_front, undominated
from supernet.label_setting import Bound, constrained_optimum


def sums(rng: np.random.Generator, sizes: list[int], whole: bool, pairs: bool) -> list[Factor]:
    """A constant, a table for each decision, and with `pairs` for neighbours and for two that lie apart."""
    draw = (lambda shape: rng.integers(0, 5, size=shape).astype(float)) if whole else (lambda s: rng.normal(size=s))
    found: list[Factor] = [((), np.array(1.5)), *(((d,), draw((size,))) for d, size in enumerate(sizes))]
    if pairs:
        scopes = [(0, len(sizes) - 2), *((d, d + 1) for d in range(len(sizes) - 1))]
        found += [((a, b), draw((sizes[a], sizes[b]))) for a, b in scopes]
    return found


def enumerated(sizes: list[int], value: list[Factor], costs: list[list[Factor]]) -> np.ndarray:
    """The distinct rows (loss, *costs) that no other one dominates, in lexicographic order."""
    every = np.array(list(product(*map(range, sizes))))
    columns = [sum(table[tuple(every[:, d] for d in scope)] for scope, table in of) for of in (value, *costs)]
    rows = np.unique(np.round(np.stack([-columns[0], *columns[1:]], axis=1), 9), axis=0)
    return np.array([row for row in rows if not ((rows <= row).all(1) & (rows < row).any(1)).any()])


@pytest.mark.parametrize("costs", [1, 2])
@pytest.mark.parametrize("pairs", [False, True])
@pytest.mark.parametrize("whole", [False, True])
def test_it_is_the_front_of_enumeration(costs: int, pairs: bool, whole: bool) -> None:
    rng = np.random.default_rng(costs)
    for _ in range(6):
        sizes = rng.integers(1, 4, size=6).tolist()
        value = sums(rng, sizes, whole, pairs)
        over = [sums(rng, sizes, whole, pairs and number == 0) for number in range(costs)]
        front = exact_front(sizes, value, over)
        found = np.concatenate([-front.values[:, None], front.costs], axis=1)
        order = np.lexsort(np.round(found, 9).T[::-1])
        np.testing.assert_allclose(found[order], enumerated(sizes, value, over), atol=1e-8)
        assert (np.diff(front.costs[:, 0]) >= 0).all()
        for choice, best, paid in zip(front.choices.tolist(), front.values, front.costs, strict=True):
            for of, total in ((value, best), *zip(over, paid, strict=True)):
                assert sum(float(t[tuple(choice[d] for d in scope)]) for scope, t in of) == pytest.approx(total)


def test_it_holds_the_exact_optimum_within_every_budget() -> None:
    """Of 21 layers with 7 options, whose 5.6 x 10^17 networks nobody lists."""
    rng = np.random.default_rng(0)
    sizes = [7] * 21
    cost: list[Factor] = [((d,), rng.uniform(size=7)) for d in range(21)]
    value = sums(rng, sizes, whole=False, pairs=True)
    front = exact_front(sizes, value, [cost])
    for budget in rng.uniform(front.costs.min(), front.costs.max(), size=5):
        choice = constrained_optimum(sizes, value, [Bound("cost", cost, budget)])
        assert choice is not None
        expected = sum(float(table[tuple(choice[d] for d in scope)]) for scope, table in value)
        assert front.values[front.costs[:, 0] <= budget].max() == pytest.approx(expected)


def test_what_dominates_must_be_of_the_same_group() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 3, size=200)
    rows = rng.integers(0, 6, size=(200, 3)).astype(float)
    kept = undominated(group, rows[:, 0], rows[:, 1:])
    expected = 0
    for number in range(3):
        unique = np.unique(rows[group == number], axis=0)
        expected += sum(not ((unique <= row).all(1) & (unique < row).any(1)).any() for row in unique)
    assert len(kept) == len(set(kept.tolist())) == expected


def test_fronts_that_are_too_large_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    sizes = [3] * 6
    parts = [sums(rng, sizes, False, False) for _ in range(4)]
    with pytest.raises(ValueError, match="one cost or two, not 3"):
        exact_front(sizes, parts[0], parts[1:])
    monkeypatch.setattr(fronts, "MOST_LABELS", 10)
    with pytest.raises(TooManyLabelsError):
        exact_front(sizes, parts[0], parts[1:3])
