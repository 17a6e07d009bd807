from __future__ import annotations

import math

import pytest

from config_file.errors import UserError
from search.objectives import ACCURACY, Objective, parse_objectives, single
from search.result import Result

RESULT = Result((0,), {"accuracy": 0.9, "loss": 0.3}, cost={"flops": 5, "latency": 1.5})


def test_objectives_are_parsed_with_their_usual_directions() -> None:
    assert parse_objectives(None) == (ACCURACY,)
    parsed = parse_objectives("accuracy, loss,macs,latency:max")
    assert [(objective.name, objective.maximise) for objective in parsed] == [
        ("accuracy", True),
        ("loss", False),
        ("flops", False),
        ("latency", True),
    ]
    assert [objective.measured for objective in parsed] == [True, True, False, False]


@pytest.mark.parametrize("text", [":max", "flops:up", "flops:", "flops,params,macs", " , "])
def test_what_is_no_objective_is_refused(text: str) -> None:
    with pytest.raises(UserError, match="--objective"):
        parse_objectives(text)


def test_greater_scores_are_better() -> None:
    scores = [objective.score(RESULT) for objective in parse_objectives("accuracy,loss,flops,latency:max")]
    assert scores == [0.9, -0.3, -5, 1.5]
    assert math.isnan(Objective("flops").score(Result((0,), {"accuracy": math.nan}, cost={"flops": 5})))


def test_a_strategy_of_one_objective_refuses_several() -> None:
    assert single(parse_objectives("loss"), "random").name == "loss"
    with pytest.raises(UserError, match="random has one objective, not 2"):
        single(parse_objectives("loss,flops"), "random")
