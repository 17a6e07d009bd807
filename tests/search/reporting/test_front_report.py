from __future__ import annotations

import csv
import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from pymoo.indicators.hv import HV

from lookup_tables.limits import Limit, Limits
from search.engine import allowed, with_costs
from search.objectives import parse_objectives
from search.pareto import joined, non_dominated
from search.reporting.front_report import front_among, values_of, write_front
from search.result import Result
from search.testing.toy import results_of, toy_space, toy_tables

OBJECTIVES = parse_objectives("accuracy,flops")


def test_the_file_lists_what_nothing_dominates_and_the_text_says_what_to_pick(tmp_path: Path) -> None:
    space = toy_space()
    tables = toy_tables(space)
    results = [with_costs(result, tables) for result in results_of(list(space.enumerate()))]
    results.append(Result((0, 0, 0, 0, 0), {"accuracy": np.nan}, cost={"flops": 0, "params": 0}))
    constraint = Limits(space, [Limit(tables["flops"], upper=tables["flops"].maximum()[0] * 0.8)])
    front = front_among(allowed(results, constraint), OBJECTIVES)
    write_front(tmp_path / "front.csv", front, constraint)
    lines = [" ".join(line) for line in front.in_words(space)]
    with (tmp_path / "front.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    within = allowed(results, constraint)
    assert len(rows) == len(non_dominated(values_of(within, OBJECTIVES)))
    accuracy, flops = ([float(row[name]) for row in rows] for name in ("accuracy", "flops"))
    assert accuracy == sorted(accuracy, reverse=True)
    assert max(flops) <= constraint.limits[0].upper
    assert sum(int(row["knee"]) for row in rows) == 1
    text = "\n".join(lines)
    assert f"front {len(rows)} of {len(within)} networks" in text
    assert "hypervol." in text
    assert "knee" in text
    assert text.count("within ") >= 2
    assert f"{100 * max(accuracy):.2f} %" in lines[-1]


def test_without_a_success_there_is_no_front() -> None:
    with pytest.raises(ValueError, match="no evaluation"):
        front_among(allowed([Result((0,), {"accuracy": np.nan})], Limits(toy_space())), OBJECTIVES)


def test_a_front_that_grows_is_as_large_as_that_of_all(tmp_path: Path) -> None:
    space = toy_space()
    results = [with_costs(result, toy_tables(space)) for result in results_of(list(space.enumerate()))]
    random.Random(0).shuffle(results)
    front = values_of([], OBJECTIVES)
    for number, result in enumerate(results, start=1):
        front = joined(front, values_of([result], OBJECTIVES))
        if number in (1, 10, len(results)):
            values = values_of(results[:number], OBJECTIVES)
            assert len(front) == len(np.unique(values[non_dominated(values)], axis=0))


def test_the_hypervolume_is_a_share_of_a_named_box_and_the_knee_has_names() -> None:
    space = toy_space()
    tables = toy_tables(space)
    results = [with_costs(result, tables) for result in results_of(list(space.enumerate()))]
    front = front_among(results, OBJECTIVES)
    values = values_of(results, OBJECTIVES)
    low, high = values.min(0), values.max(0)
    within = HV(ref_point=[1.0, 1.0])((values - low) / (high - low))  # normalised, by another code
    assert front.volume == pytest.approx(within)
    text = dict(front.in_words(space)[:3])
    accuracy, flops = 100 * max(r.value("accuracy") for r in results), int(min(r.cost["flops"] for r in results))
    assert f"{within:.3f} of the box from the best of each objective (accuracy {accuracy:.2f} %" in text["hypervol."]
    assert f"{flops:,}" in text["hypervol."]
    assert text["knee"].endswith(" ".join(space.names(results[front.knee].architecture)))


def test_budgets_with_the_same_best_network_are_one_line() -> None:
    space = toy_space()
    two = [with_costs(result, toy_tables(space)) for result in results_of([(0, 0, 0, 0, 0), (1, 2, 1, 2, 1)])]
    cheap, dear = sorted(two, key=lambda result: result.cost["flops"])
    cheap, dear = replace(cheap, metrics={"accuracy": 0.5}), replace(dear, metrics={"accuracy": 0.6})
    front = front_among([cheap, dear], OBJECTIVES)
    assert [position for *_, position in front.within] == [0, 1]  # of five budgets
    assert [least == greatest for _, least, greatest, _ in front.within] == [False, True]
    words = [text for what, text in front.in_words(space) if what == "within"]
    assert len(words) == 2
    assert " to " in words[0].split(":")[0]


def test_a_flat_box_has_no_hypervolume() -> None:
    space = toy_space()
    (result,) = (with_costs(result, toy_tables(space)) for result in results_of([(0, 0, 0, 0, 0)]))
    front = front_among([result], OBJECTIVES)
    assert np.isnan(front.volume)
    assert dict(front.in_words(space))["hypervol."].startswith("none")
    assert "1 of 1 network," in dict(front.in_words(space))["front"]
