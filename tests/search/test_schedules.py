from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.archive import Archive
from search.cli import main
from search.engine import best_of, run
from search.evaluators.supernet import fidelities_of
from search.ledger import Ledger, Stop
from search.objectives import ACCURACY, Objective
from search.problem import Problem
from search.reporting.finished_search import read_search
from search.result import Fidelity, Result
from search.schedules import AllAlike, Halving, make_schedule
from search.strategies import Strategy
from search.strategies.evolution import Evolution, EvolutionOptions
from search.strategies.local_search import LocalSearch, LocalSearchOptions
from search.testing.toy import toy_accuracy, toy_space, toy_tables
from supernet import Architecture, SearchSpace
from tests.search.test_cli import EVOLUTION, here, trained  # noqa: F401 - fixtures

HALVING = Halving(tuple(Fidelity(images=images) for images in (100, 400, 1600)))


class NoisyEvaluator:
    """The toy's accuracy with the noise of so many images; dies after `lives` evaluations."""

    def __init__(self, lives: int = 10**9) -> None:
        self.lives = lives
        self.made: list[tuple[Architecture, int]] = []

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        assert fidelity is not None
        for architecture in architectures:
            if len(self.made) == self.lives:
                raise KeyboardInterrupt
            images = int(fidelity["images"])
            self.made.append((architecture, images))
            noise = random.Random(f"{architecture} {images}").gauss(0, images**-0.5)
            accuracy = min(1.0, max(0.0, toy_accuracy(architecture) + noise))
            yield Result(architecture, {"accuracy": accuracy}, fidelity, {"seconds": 0.25})


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return toy_space(layers=6)


def strategy(name: str, space: SearchSpace) -> Strategy:
    if name == "local search":
        return LocalSearch(Problem(Limits(space)), LocalSearchOptions(), 1)
    options = EvolutionOptions(population=20, parent_num=5, generation_num=3, dedup=name == "evolution")
    return Evolution(Problem(Limits(space)), options, 5)


def best(results: Sequence[Result]) -> list[Result]:
    return [max(results, key=ACCURACY.score)]


NAMES = ("evolution", "evolution with duplicates", "local search")


def test_the_better_half_goes_on_and_what_is_chosen_is_judged_on_all(space: SearchSpace, tmp_path: Path) -> None:
    evaluator = NoisyEvaluator()
    archive = Archive(tmp_path / "archive.jsonl", {})
    told = run(strategy("evolution", space), evaluator, archive, toy_tables(space), schedule=HALVING, pick=best)
    first = [architecture for architecture, images in evaluator.made[:20]]
    assert {images for _, images in evaluator.made[:20]} == {100}
    scores = {a: archive.find(a, Fidelity(images=100)).value("accuracy") for a in first}  # type: ignore[union-attr]
    better = sorted(first, key=lambda a: -scores[a])[:10]
    assert evaluator.made[20:30] == [(a, 400) for a in better]
    assert [images for _, images in evaluator.made[30:35]] == [1600] * 5
    assert len(set(evaluator.made)) == len(evaluator.made) == len(archive)
    assert max(told, key=ACCURACY.score).fidelity == Fidelity(images=1600)
    chosen = best_of(list(archive), Limits(space))
    assert chosen is not None
    assert chosen.fidelity == Fidelity(images=1600)
    assert chosen.value("accuracy") >= max(result.value("accuracy") for result in told)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("lives", [0, 7, 20, 27, 31, 44, 52])
def test_killed_and_resumed_it_ends_the_same(name: str, lives: int, space: SearchSpace, tmp_path: Path) -> None:
    most = 60 if name == "local search" else None

    def search(file: str, evaluator: NoisyEvaluator) -> list[Result]:
        archive = Archive(tmp_path / file, {})
        ledger = Ledger(Stop(evaluations=most))
        made = strategy(name, space)
        return run(made, evaluator, archive, toy_tables(space), ledger=ledger, schedule=HALVING, pick=best)

    expected = search("whole", NoisyEvaluator())
    with pytest.raises(KeyboardInterrupt):
        search("killed", NoisyEvaluator(lives))
    assert search("killed", NoisyEvaluator()) == expected
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()


def test_one_at_a_time_goes_on_above_the_median() -> None:
    results = [Result((number,), {"accuracy": score}) for number, score in enumerate((0.5, 0.6, 0.4, 0.7, 0.49, 0.55))]
    going_on = [bool(HALVING.going_on(0, [result], results[:number])) for number, result in enumerate(results)]
    assert going_on == [True, True, False, True, False, True]


def test_failed_ones_do_not_go_on() -> None:
    results = [Result((0,), {"accuracy": float("nan")}), Result((1,), {"accuracy": 0.1})]
    assert HALVING.going_on(0, results, []) == [(1,)]
    assert HALVING.going_on(0, results[:1], []) == []
    assert HALVING.going_on(2, results, []) == []


def test_several_fidelities_are_halved() -> None:
    loss = Objective("loss")
    few = (Fidelity(images=20), Fidelity(images=50))
    assert make_schedule(None, few, loss) == make_schedule("halving", few, loss) == Halving(few, loss)
    assert make_schedule("all", few, loss).fidelities == few[1:]
    with pytest.raises(UserError, match="halving"):
        make_schedule("halvin", few, loss)
    assert make_schedule(None, few[:1], loss).fidelities == AllAlike(few[:1]).fidelities == few[:1]


FEW = (Fidelity(images=1), Fidelity(images=2))


class Bad(AllAlike):
    """A schedule that goes on with an architecture which nobody evaluated."""

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        return [(9, 9)]


def no_fidelities(fidelities: tuple[Fidelity, ...], objective: Objective) -> AllAlike:
    return AllAlike(())


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("json:loads", r"'json:loads' raised TypeError: loads\(\) takes 1 positional"),
        ("builtins:print", r"--schedule builtins:print made a NoneType without a method going_on\(\)"),
        (f"{__name__}:no_fidelities", r"its fidelities must be one or several Fidelity"),
    ],
)
def test_what_is_no_schedule_is_one_line(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        make_schedule(name, FEW, ACCURACY)


def test_a_schedule_of_ones_own_is_held_to_what_was_evaluated() -> None:
    known = [Result((0, 1), {"accuracy": 0.5}, FEW[0])]
    with pytest.raises(UserError, match=r"Bad: going_on\(\) gave \(9, 9\), which was not evaluated before"):
        make_schedule(f"{__name__}:Bad", FEW, ACCURACY).going_on(0, known, [])
    own = make_schedule("search.schedules:Halving", FEW, ACCURACY)
    assert (own.fidelities, own.going_on(0, known, [])) == (FEW, [(0, 1)])


def test_fidelities_of_the_option() -> None:
    def images(asked: Sequence[int]) -> list[int]:
        return [int(fidelity["images"]) for fidelity in fidelities_of(asked, 50)]

    assert images((0,)) == [50]
    assert images((20,)) == [20]
    assert images((20, 0)) == [20, 50]
    assert images((20, 40, 600)) == [20, 40, 50]
    assert images((200, 600)) == [50]
    for wrong in ((20, 20), (0, 20), (40, 20)):
        with pytest.raises(UserError, match="successive budgets rise"):
            fidelities_of(wrong, 50)


def test_from_the_command_line(here: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    assert main([*EVOLUTION, "--eval-images", "40,80,0"]) == 0
    out = capsys.readouterr().out
    assert "accuracy on 40, of the better half on 80, of the better half on 216 validation images" in out
    folder = here / "runs/toy/search"
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    counts = [row["n_images"] for row in rows]
    assert counts[:14] == ["40"] * 8 + ["80"] * 4 + ["216"] * 2
    assert rows[7]["best_so_far"] == "" != rows[13]["best_so_far"]
    chosen = json.loads((folder / "best.json").read_text())
    assert chosen["selected_with"]["n_images"] == 216
    assert chosen["search"]["evaluations"] == len(rows)
    on_all = [row for row in rows if row["n_images"] == "216"]
    assert chosen["selected_with"]["accuracy"] == pytest.approx(max(float(row["accuracy"]) for row in on_all), abs=1e-6)
    search = read_search(folder)
    assert len(search.results) == 8 + 3 * 5
    assert sum(map(search.allows, search.results)) == len(on_all)
    with pytest.raises(UserError, match="budgets"):
        main([*EVOLUTION, "--eval-images", "40,0", "--output", str(folder), "--resume"])
