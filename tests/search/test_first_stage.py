"""A first stage on zero-cost scores, and the search proper that begins with its best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.archive import Archive
from search.cli import main
from search.first_stage import JOINT, candidates_of, joined
from search.objectives import Objective
from search.problem import Problem
from search.result import Result
from search.strategies.evolution import Evolution, EvolutionOptions
from search.strategies.random_search import RandomOptions, RandomSearch
from search.strategies.walk import Role
from search.testing.toy import toy_space
from supernet import Architecture

# A generated table: 4^5 letters, learning curves whose order by accuracy is nearly that of a score.
OWN = """
from random import Random
from search.evaluators import TableEvaluator
from search.result import Fidelity, Result
from supernet.decisions import Decision, DecisionSpace

SPACE = DecisionSpace("letters", tuple(Decision(f"d{i}", ("a", "b", "c", "d")) for i in range(5)))
RUNGS = tuple(Fidelity(epochs=epochs) for epochs in (12, 25, 50, 100, 200))


def score(a):
    return float(sum((i + 1) * option for i, option in enumerate(a)))


class Curves:
    measures = {"accuracy": True}
    space = SPACE
    fidelities = RUNGS
    cumulative = True

    def __init__(self, context):
        pass

    def price(self, a, fidelity):
        return {"epochs": fidelity["epochs"], "seconds": 2.0 * fidelity["epochs"]}

    def evaluate(self, architectures, fidelity=None):
        fidelity = fidelity or RUNGS[-1]
        for a in architectures:
            noise = Random(f"{a} {fidelity}").gauss(0, 0.02)
            yield Result(a, {"accuracy": 0.3 + score(a) / 100 + noise}, fidelity, self.price(a, fidelity))

    def scorer(self, names):
        if not set(names) <= {"synflow", "params"}:
            return None
        rows = {a: {"synflow": score(a), "params": float(-a[0])} for a in SPACE.enumerate()}
        rows = {a: {name: row[name] for name in names} for a, row in rows.items()}
        return TableEvaluator(rows, measures=dict.fromkeys(names, True), name="letters", spent={"seconds": 0.5})

    def test(self, a):
        return 0.5 + score(a) / 100
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letters_curves.py").write_text(OWN)
    return tmp_path


def arguments(*more: str) -> list[str]:
    base = ["--title", "t", "--evaluator", "letters_curves:Curves", "--threads", "1", "--no-tensorboard"]
    return [*base, "--search-strategy", "random", "--random-iteration", "32", *more]


FIRST = ["--first-stage", "synflow", "--first-evaluations", "300"]


def score(architecture: Architecture) -> float:
    return float(sum((position + 1) * option for position, option in enumerate(architecture)))


def best(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "runs/t/search/best.json").read_text())
    return found


def test_the_best_by_score_are_halved(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments(*FIRST)) == 0
    out = capsys.readouterr().out
    assert "first      local_search on synflow, at most 300 evaluations; the best 32 go on" in out
    folder = here / "runs/t/search"
    first = [json.loads(line) for line in (folder / "first.jsonl").read_text().splitlines()[1:]]
    assert len(first) == 300
    scored = {tuple(row["architecture"]): row["metrics"]["synflow"] for row in first}
    results = list(Archive(folder / "archive.jsonl", {"evaluator": "letters_curves:Curves"}))
    began = [result.architecture for result in results[:32]]
    assert sorted(scored[a] for a in began) == sorted(scored.values())[-32:]  # the best of what was met
    account = json.loads((folder / "spent.json").read_text())
    assert account["spent"] == {"seconds": 300 * 0.5 + 2.0 * 1192, "epochs": 1192}
    assert account["first_stage"] == {"seconds": 150}
    assert (account["evaluations"], account["results"], account["repeats"]) == (32, 32 + 16 + 8 + 4 + 2, 0)
    assert best(here)["search"]["first_stage"] == {
        "scores": ["synflow"], "strategy": "local_search", "choice": "best", "evaluations": 300, "candidates": 32,
    }  # fmt: skip
    assert best(here)["test_accuracy"] == 0.5 + score(tuple(best(here)["architecture"])) / 100
    assert "1,192 epochs of training, 2,534 s of evaluation (150.0 of them of the first stage)" in out


@pytest.mark.parametrize("kept", [(1, 0), (150, 0), (301, 1), (301, 20), (301, 40)])
def test_killed_and_resumed_it_ends_the_same(kept: tuple[int, int], here: Path) -> None:
    assert main(arguments(*FIRST)) == 0
    folder = here / "runs/t/search"
    whole = {
        name: (folder / name).read_bytes()
        for name in ("first.jsonl", "archive.jsonl", "results.csv", "spent.json", "best.json")
    }
    for name, lines in zip(whole, kept, strict=False):
        (folder / name).write_bytes(b"".join(whole[name].splitlines(keepends=True)[:lines]))
        if not lines:
            (folder / name).unlink()
    (folder / "best.json").unlink()
    assert main([*arguments(*FIRST), "--resume"]) == 0
    assert {name: (folder / name).read_bytes() for name in whole} == whole


def test_several_scores_are_joined_by_ranks(here: Path) -> None:
    assert main(arguments("--first-stage", "synflow,params", "--first-evaluations", "64", "--first-best", "4")) == 0
    first = [json.loads(line) for line in (here / "runs/t/search/first.jsonl").read_text().splitlines()[1:]]
    assert all(set(row["metrics"]) == {"synflow", "params"} for row in first)
    assert best(here)["search"]["first_stage"]["candidates"] == 4


def test_scores_are_joined_as_az_nas_does() -> None:
    rows = [(1.0, 5.0), (2.0, 4.0), (3.0, 6.0), (float("nan"), 9.0)]
    results = [Result((number,), {"synflow": a, "nwot": b}) for number, (a, b) in enumerate(rows)]
    # ranks from 1, the worst: (1, 2), (2, 1), (3, 3) of 3
    values = [round(9 * 2.718281828459045 ** result.value(JOINT.name), 6) for result in joined(results)[:3]]
    assert values == [2, 2, 9]
    assert joined(results)[3].failed


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--first-stage", "sinflow"], "unknown zero-cost score 'sinflow'; did you mean 'synflow'"),
        (["--first-stage", "accuracy"], "--first-stage accuracy is measured by an evaluation: it takes scores"),
        (["--first-best", "8"], "--first-best is not read here: there is no first stage without --first-stage"),
        ([*FIRST, "--budget-seconds", "10"], "--budget-seconds 10: the first stage took all of them"),
        ([*FIRST, "--budget-seconds", "170"], "170 is too small for one evaluation, which takes 24 seconds after 150"),
        ([*FIRST, "--search-strategy", "grid"], "--first-stage: --search-strategy grid does not begin with candidates"),
        ([*FIRST, "--first-strategy", "random", "--first-choice", "spread"], "spread is for local searches: random"),
    ],
)
def test_what_does_not_fit_is_one_line(more: Sequence[str], message: str, here: Path) -> None:
    asked = arguments(*more)
    if "grid" in more:
        asked = [word for word in asked if word not in ("random", "--random-iteration", "32")]
        del asked[asked.index("--search-strategy")]
    with pytest.raises(UserError, match=message) as error:
        main(asked)
    assert "\n" not in str(error.value)


def test_a_random_start_takes_the_candidates_first() -> None:
    space = toy_space(layers=4)
    candidates = list(dict.fromkeys(map(space.canonical, product((3,), (0, 1), (0, 2), (1,), (0,)))))
    problem = Problem(Limits(space), candidates=candidates)
    random = RandomSearch(problem, RandomOptions(random_iteration=10), 3)
    asked = random.ask(10)
    assert asked[:4] == candidates
    assert len(set(asked)) == 10
    evolution = Evolution(problem, EvolutionOptions(population=6, parent_num=2), 3)
    assert evolution.ask(6)[:4] == candidates


def test_what_is_handed_over() -> None:
    results = [Result((number,), {"synflow": float(number) if number % 7 else float("nan")}) for number in range(60)]
    by = Objective("synflow", maximise=True, measured=True)
    best = [(number,) for number in range(59, -1, -1) if number % 7]
    assert candidates_of(results, {}, 32, "best", by, 1) == tuple(best[:32])
    roles: dict[Architecture, Role] = {(number,): ("start", "middle", "optimum")[number % 3] for number in range(60)}  # type: ignore[misc]
    chosen = candidates_of(results, roles, 32, "spread", by, 1)
    assert chosen[:11] == tuple(best[:11])  # 11 the best, 10 starts, 11 from between, as R-MF-NAS of 32
    assert [roles[a] for a in chosen[11:]] == ["start"] * 10 + ["middle"] * 11
    assert set(chosen) <= set(best)  # nothing that failed
    assert (
        candidates_of(results, roles, 32, "spread", by, 1)
        == chosen
        != candidates_of(results, roles, 32, "spread", by, 2)
    )


WRONG = {
    "price": ("def price(self, a, fidelity): return 12", r"price\(\) gave 12, not {what: amount}"),
    "test": ("def test(self, a): return 'good'", r"test\(\) gave 'good', not a number"),
    "scorer": ("def scorer(self, names): return 3", "made a int without a method evaluate"),
    "spent": (
        """def evaluate(self, architectures, fidelity=None):
        yield Result(architectures[0], {'accuracy': 0.5}, fidelity, {'epochs': -1.0})""",
        r"evaluate\(\) spent {'epochs': -1.0}",
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_mistakes_of_ones_own_evaluator_are_one_line(what: str, here: Path) -> None:
    code, message = WRONG[what]
    (here / f"wrong_{what}.py").write_text(f"{OWN}\n\nclass Wrong(Curves):\n    {code}\n")
    asked = [word.replace("letters_curves:Curves", f"wrong_{what}:Wrong") for word in arguments(*FIRST)]
    with pytest.raises(UserError, match=message):
        main([*asked, "--budget-epochs", "3000"])
