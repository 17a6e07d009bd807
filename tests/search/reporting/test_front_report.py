from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest

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
