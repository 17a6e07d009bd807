"""The budget: what is charged, what is free, and where a search ends."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.archive import Archive
from search.engine import run
from search.ledger import Ledger, Stop
from search.objectives import ACCURACY
from search.problem import Problem
from search.result import Fidelity, Result
from search.schedules import AllAlike, Halving
from search.strategies.random_search import RandomOptions, RandomSearch
from search.testing.toy import toy_accuracy, toy_space
from supernet import Architecture

RUNGS = tuple(Fidelity(epochs=epochs) for epochs in (12, 25, 50, 100, 200))
SPACE = toy_space(layers=6)
SECONDS = 2.5
"""Of an epoch."""


def takes(fidelity: Fidelity) -> dict[str, float]:
    return {"epochs": fidelity["epochs"], "seconds": SECONDS * fidelity["epochs"]}


class Curves:
    """A generated table of learning curves: says what a fidelity takes from scratch; dies after `lives` look-ups."""

    cumulative = True

    def __init__(self, lives: int = 10**9) -> None:
        self.lives = lives

    def price(self, architecture: Architecture, fidelity: Fidelity) -> dict[str, float]:
        return takes(fidelity)

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        assert fidelity is not None
        for architecture in architectures:
            if self.lives == 0:
                raise KeyboardInterrupt
            self.lives -= 1
            noise = random.Random(f"{architecture}").gauss(0, fidelity["epochs"] ** -0.5)
            accuracy = min(1.0, max(0.0, toy_accuracy(architecture) + noise))
            yield Result(architecture, {"accuracy": accuracy}, fidelity, takes(fidelity))


class NoPrice(Curves):
    """The same of which nobody knows before what it takes."""

    price = None  # type: ignore[assignment]


def randomly(count: int) -> RandomSearch:
    return RandomSearch(Problem(Limits(SPACE)), RandomOptions(random_iteration=count), 3)


def best(results: Sequence[Result]) -> list[Result]:
    return [max(results, key=ACCURACY.score)]


def search(path: Path, evaluator: Curves, stop: Stop | None = None, count: int = 32) -> tuple[list[Result], Ledger]:
    ledger, archive = Ledger(stop), Archive(path, {})
    run(randomly(count), evaluator, archive, {}, ledger=ledger, schedule=Halving(RUNGS), pick=best)
    return list(archive), ledger


def test_a_rung_is_charged_what_it_adds(tmp_path: Path) -> None:
    results, ledger = search(tmp_path / "a", Curves())
    assert ledger.spent == {"epochs": 1192, "seconds": 1192 * SECONDS}  # MF-NAS's ledger of NAS-Bench-201
    assert sum(result.spent["epochs"] for result in results) == 1192
    assert {result.fidelity["epochs"]: result.spent["epochs"] for result in results} == {
        12: 12, 25: 13, 50: 25, 100: 50, 200: 100
    }  # fmt: skip


@pytest.mark.parametrize("epochs", [12, 100, 384, 400, 591, 592, 600, 1000, 1191, 1192])
def test_what_would_exceed_the_budget_is_not_begun(epochs: int, tmp_path: Path) -> None:
    whole, _ = search(tmp_path / "whole", Curves())
    results, ledger = search(tmp_path / "a", Curves(), Stop(epochs=epochs))
    # By brute force: the evaluations of the unlimited search in their order, up to the first that would exceed.
    fitting, spent = [], 0.0
    for result in whole:
        if spent + result.spent["epochs"] > epochs:
            break
        spent += result.spent["epochs"]
        fitting.append(result)
    assert ledger.spent["epochs"] <= epochs
    assert results[: len(fitting)] == fitting
    # After the end what would be chosen may still go up to the last fidelity, where there is enough left for that.
    assert {result.architecture for result in results[len(fitting) :]} <= {best(fitting)[0].architecture}


def test_a_budget_too_small_for_one_evaluation_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--budget-epochs 11 is too small for one evaluation, which takes 12 epochs"):
        search(tmp_path / "a", Curves(), Stop(epochs=11))
    before = Ledger(Stop(seconds=100), before={"seconds": 90})
    with pytest.raises(UserError, match="takes 30 seconds after 90 of the first stage"):
        run(randomly(3), Curves(), Archive(tmp_path / "b", {}), {}, ledger=before, schedule=Halving(RUNGS))


def test_without_a_price_the_last_one_uses_the_budget_up(tmp_path: Path) -> None:
    results, ledger = search(tmp_path / "a", NoPrice(), Stop(epochs=100))
    first = [result for result in results if result.fidelity == RUNGS[0]]
    assert len(first) == -(-100 // 12)  # and what is chosen is judged at the last fidelity in any case
    assert results[-1].fidelity == RUNGS[-1]
    assert ledger.spent["epochs"] == 12 * len(first) + 188 * (len(results) - len(first))


@pytest.mark.parametrize("lives", [0, 1, 31, 32, 40, 61])
@pytest.mark.parametrize("epochs", [None, 600])
def test_killed_and_resumed_nothing_is_charged_twice(lives: int, epochs: int | None, tmp_path: Path) -> None:
    _, expected = search(tmp_path / "whole", Curves(), Stop(epochs=epochs))
    try:
        search(tmp_path / "killed", Curves(lives), Stop(epochs=epochs))
    except KeyboardInterrupt:
        pass
    else:
        assert lives > len(Archive(tmp_path / "whole", {})) - 1
    _, ledger = search(tmp_path / "killed", Curves(), Stop(epochs=epochs))
    assert ledger.spent == expected.spent
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()


class Asks:
    """A strategy that proposes these, each at its rung."""

    size = None

    def __init__(self, *asked: tuple[int | None, Sequence[Architecture]]) -> None:
        self.asked = list(asked)
        self.rung: int | None = None
        self.told: list[Result] = []

    def ask(self, n: int) -> list[Architecture]:
        self.rung, proposals = self.asked.pop(0) if self.asked else (None, [])
        return list(proposals)

    def tell(self, results: Sequence[Result]) -> None:
        self.told += results


A, B, C = (SPACE.canonical((3, *[option] * 6)) for option in range(3))


def test_repeats_are_free_and_counted(tmp_path: Path) -> None:
    ledger = Ledger()
    strategy = Asks((None, [A, B, A]), (None, [B, C]))
    run(strategy, Curves(), Archive(tmp_path / "a", {}), {}, ledger=ledger, schedule=AllAlike(RUNGS))
    assert (ledger.evaluations, ledger.repeats, ledger.spent["epochs"]) == (3, 2, 600)
    run(Asks((None, [A, C])), Curves(0), Archive(tmp_path / "a", {}), {}, ledger=ledger, schedule=AllAlike(RUNGS))
    assert (ledger.evaluations, ledger.repeats, ledger.spent["epochs"]) == (3, 4, 600)
    again = Ledger()  # of a resumed search: what it has not met yet is no repeat
    run(Asks((None, [A, C])), Curves(0), Archive(tmp_path / "a", {}), {}, ledger=again, schedule=AllAlike(RUNGS))
    assert (again.evaluations, again.repeats, again.spent["epochs"]) == (2, 0, 400)


def test_a_strategy_may_choose_its_fidelity(tmp_path: Path) -> None:
    ledger, strategy = Ledger(), Asks((0, [A, B]), (4, [B]), (1, [A]), (0, [B]))
    run(strategy, Curves(), Archive(tmp_path / "a", {}), {}, ledger=ledger, schedule=Halving(RUNGS))
    told = [(result.architecture, result.fidelity["epochs"]) for result in strategy.told]
    assert told == [(A, 12), (B, 12), (B, 200), (A, 25), (B, 12)]
    assert (ledger.spent["epochs"], ledger.repeats, ledger.evaluations) == (12 + 12 + 188 + 13, 1, 2)
    with pytest.raises(UserError, match="the strategy asks for fidelity 2 of 1"):
        run(Asks((1, [A])), Curves(), Archive(tmp_path / "b", {}), {}, schedule=AllAlike(RUNGS))


def test_a_population_is_asked_as_a_whole(tmp_path: Path) -> None:
    wanted = []

    class Whole(Asks):
        population = 100

        def ask(self, n: int) -> list[Architecture]:
            wanted.append(n)
            return super().ask(n)

    run(Whole((None, [A])), Curves(), Archive(tmp_path / "a", {}), {}, schedule=Halving(RUNGS))
    assert wanted == [100, 100]
