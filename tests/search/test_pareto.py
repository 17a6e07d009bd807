from __future__ import annotations

import numpy as np
import pytest
from pymoo.indicators.hv import HV
from pymoo.operators.survival.rank_and_crowding.metrics import calc_crowding_distance
from pymoo.util.nds.non_dominated_sorting import NonDominatedSorting
from pymoo.util.ref_dirs import get_reference_directions

from search.pareto import (
    best_within,
    crowding_distance,
    hypervolume,
    knee_point,
    non_dominated,
    non_dominated_sort,
    reference_directions,
)


def points(seed: int, count: int = 60, objectives: int = 2, whole: bool = False) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return rng.integers(0, 12, (count, objectives)).astype(float) if whole else rng.random((count, objectives))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("whole", [False, True])
def test_fronts_are_pymoos(objectives: int, whole: bool) -> None:
    for seed in range(5):
        values = points(seed, objectives=objectives, whole=whole)
        fronts = non_dominated_sort(values)
        for number, front in enumerate(NonDominatedSorting().do(values)):
            assert sorted(front) == np.flatnonzero(fronts == number).tolist()
        assert non_dominated(values).tolist() == np.flatnonzero(fronts == 0).tolist()


@pytest.mark.parametrize("objectives", [2, 3])
def test_crowding_is_pymoos(objectives: int) -> None:
    for seed in range(5):
        values = points(seed, objectives=objectives)
        front = values[non_dominated_sort(values) == 0]
        assert crowding_distance(front) == pytest.approx(calc_crowding_distance(front))


@pytest.mark.parametrize("objectives", [1, 2, 3, 4])
@pytest.mark.parametrize("whole", [False, True])
def test_hypervolume_is_pymoos(objectives: int, whole: bool) -> None:
    for seed in range(4):
        values = points(seed, 25, objectives, whole)
        reference = [9.0 if whole else 0.9] * objectives
        assert hypervolume(values, reference) == pytest.approx(float(HV(np.array(reference))(values)))
    assert hypervolume(np.empty((0, objectives)), [1.0] * objectives) == 0


@pytest.mark.parametrize(("objectives", "partitions"), [(2, 9), (3, 5), (4, 3)])
def test_reference_directions_are_pymoos(objectives: int, partitions: int) -> None:
    expected = get_reference_directions("das-dennis", objectives, n_partitions=partitions)
    found = reference_directions(objectives, len(expected))
    assert sorted(map(tuple, found.round(9))) == sorted(map(tuple, expected.round(9)))
    assert len(reference_directions(objectives, len(expected) - 1)) < len(expected)


def test_the_knee_bends_most_and_is_never_dominated() -> None:
    curve = np.array([[0, 100], [1, 20], [2, 15], [5, 5], [10, 0], [9, 90]], dtype=float)
    assert knee_point(curve) == 1
    assert knee_point(curve * [1e6, 1e-3] + 5) == 1
    assert knee_point(np.array([[3.0, 3.0]])) == 0


def test_the_best_under_each_budget() -> None:
    loss, cost = np.array([0.5, 0.2, 0.2, 0.1]), np.array([1.0, 3.0, 2.0, 9.0])
    assert best_within(loss, cost, [0.5, 1, 2.5, 8, 9]) == [None, 0, 2, 2, 3]


def test_one_objective_has_one_direction() -> None:
    assert reference_directions(1, 10).tolist() == [[1.0]]
