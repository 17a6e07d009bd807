from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lookup_tables.limits import Limit, Limits
from search.engine import best_of, with_costs
from search.objectives import ACCURACY
from search.pareto import front_over_cost
from search.reporting.picture import draw_search
from search.reporting.results_file import on_front, write_best, write_results
from search.result import Fidelity, Result
from search.testing.toy import toy_accuracy, toy_space, toy_tables
from supernet import SearchSpace
from tasks import wilson_interval


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return toy_space()


def evaluations(space: SearchSpace, failed: int = 0) -> list[Result]:
    tables = toy_tables(space)
    results = []
    for number, architecture in enumerate(dict.fromkeys(map(space.canonical, space.enumerate()))):
        accuracy = math.nan if number < failed else toy_accuracy(architecture)
        interval = None if number < failed else wilson_interval(round(50 * accuracy), 50)
        metrics = {"accuracy": accuracy, "loss": 1 - accuracy}
        result = Result(architecture, metrics, Fidelity(images=50), {"seconds": 0.5}, {}, interval)
        results.append(with_costs(result, tables))
    return results


@pytest.mark.usefixtures("rendered")
@pytest.mark.parametrize(
    ("metric", "count", "failed", "band"),
    [("flops", 1, 0, (0, 1)), ("flops", 100, 3, (0, 0.5)), ("params", 100, 0, (0.3, 0.6)), ("flops", 2, 1, (0, 9))],
    ids=["one", "above the target", "a band", "one of two failed, and nothing binds"],
)
def test_the_picture_is_drawn(
    metric: str, count: int, failed: int, band: tuple[float, float], space: SearchSpace, tmp_path: Path
) -> None:
    table = toy_tables(space)[metric]
    low, high = table.minimum()[0], table.maximum()[0]
    lower, upper = (low + share * (high - low) for share in band)
    constraint = Limits(space, [Limit(table, upper=upper, lower=lower if band[0] else -math.inf)])
    results = evaluations(space, failed)[:count]
    best = best_of(results, constraint)
    assert best is not None
    draw_search(tmp_path / "picture.png", results, best, constraint, "a search")
    with Image.open(tmp_path / "picture.png") as image:
        assert image.size == (1725, 810)
        assert len(np.unique(np.asarray(image.convert("L")))) > 20
    assert [path.name for path in tmp_path.iterdir()] == ["picture.png"]


def test_the_front_holds_what_no_cheaper_point_beats() -> None:
    cost = np.array([3.0, 1.0, 2.0, 2.0, 4.0])
    accuracy = np.array([0.5, 0.3, 0.6, 0.2, 0.7])
    front = front_over_cost(cost, -accuracy)
    assert [(cost[at], accuracy[at]) for at in front] == [(1.0, 0.3), (2.0, 0.6), (4.0, 0.7)]


def test_every_evaluation_is_a_row(space: SearchSpace, tmp_path: Path) -> None:
    table = toy_tables(space)["flops"]
    constraint = Limits(space, [Limit(table, upper=0.5 * table.maximum()[0])])
    results = evaluations(space, failed=2)
    write_results(tmp_path / "results.csv", results, constraint)
    with (tmp_path / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(results)
    assert rows[0]["accuracy"] == rows[0]["best_so_far"] == ""
    for row, result in zip(rows, results, strict=True):
        assert int(row["flops"]) == result.cost["flops"] == space.decode(result.architecture).macs(space.input_shape)
        assert space.parse(row["architecture"].split()) == result.architecture
        assert row["within_limits"] == str(int(constraint.allows(result.architecture)))
    best = best_of(results, constraint)
    assert best is not None
    assert float(rows[-1]["best_so_far"]) == pytest.approx(best.value("accuracy"), abs=1e-6)


def test_best_json_is_whole_and_builds_the_network(space: SearchSpace, tmp_path: Path) -> None:
    best = evaluations(space)[5]
    write_best(tmp_path / "best.json", best, space, 8, {"dataset": "toy"})
    content = json.loads((tmp_path / "best.json").read_text())
    assert tuple(content["architecture"]) == space.parse(content["names"]) == best.architecture
    assert content["cost"] == best.cost
    assert all(isinstance(cost, int) for cost in content["cost"].values())
    assert {"search_space", "space_options", "accuracy", "decisions_fingerprint", "resolution"} <= set(content)


def test_the_pareto_front_has_the_rows_that_none_of_as_little_cost_beats(space: SearchSpace, tmp_path: Path) -> None:
    """By brute force over all pairs; what is of a lower fidelity or failed is no part of it."""
    table = toy_tables(space)["flops"]
    constraint = Limits(space, [Limit(table)])
    results = evaluations(space, failed=5)
    cheap = [replace(result, fidelity=Fidelity(images=5), metrics={"accuracy": 1.0}) for result in results[:9]]
    rows = [*cheap, *results]
    write_results(tmp_path / "front.csv", rows, constraint, only=on_front(rows, constraint, ACCURACY))
    with (tmp_path / "front.csv").open(newline="") as file:
        found = list(csv.DictReader(file))
    pairs = {number: (r.metrics["accuracy"], r.cost["flops"]) for number, r in enumerate(rows, 1) if number > 14}
    beaten = {
        n for n, (a, c) in pairs.items()
        if any(b >= a and d <= c and (b, d) != (a, c) for b, d in pairs.values())
    }  # fmt: skip
    expected = {pairs[n] for n in pairs if n not in beaten}
    assert {(round(float(row["accuracy"]), 6), int(row["flops"])) for row in found} == {
        (round(a, 6), c) for a, c in expected
    }
    assert all(pairs[int(row["evaluation"])][1] == int(row["flops"]) for row in found)
    assert [int(row["flops"]) for row in found] == sorted(c for _, c in expected)
