from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest

from config_file.errors import UserError
from config_file.files import append_sealed
from lookup_tables.limits import Limit, Limits
from search.archive import Archive
from search.engine import IDLE, best_of, run
from search.ledger import Ledger, Stop
from search.objectives import ACCURACY, Objective
from search.options import SearchOptions
from search.problem import Problem
from search.result import FULL, Fidelity, Result, comparable
from search.strategies import STRATEGIES, Strategy, make_strategy, searches_front
from search.strategies.evolution import Evolution, EvolutionOptions
from search.strategies.learned_distribution import LearnedDistribution
from search.strategies.random_search import RandomOptions, RandomSearch
from search.testing.toy import toy_space, toy_tables
from supernet import Architecture, SearchSpace
from supernet.controllers import FactorisedController
from tasks import wilson_interval
from tests.search.toy import FailingEvaluator, ToyEvaluator
from training.differentiable_search.distribution_file import Distribution
from training.differentiable_search.options import GradientOptions

FINGERPRINTS = {"space": "toy", "weights": "abc", "settings": [1, 2.5, None]}


class Killed(BaseException):
    """Stands for the end of the process."""


class MortalEvaluator(ToyEvaluator):
    """Dies before its n-th evaluation."""

    def __init__(self, lives: int) -> None:
        super().__init__()
        self.lives = lives

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        for architecture in architectures:
            if self.lives == 0:
                raise Killed
            self.lives -= 1
            yield from super().evaluate([architecture], fidelity)


@pytest.fixture(scope="module")
def space() -> SearchSpace:
    return toy_space(layers=6)


def strategy(name: str, space: SearchSpace) -> Strategy:
    table = toy_tables(space)["flops"]
    band = Limits(space, [Limit(table, upper=0.7 * table.maximum()[0])])
    if name == "random":
        return RandomSearch(Problem(band), RandomOptions(random_iteration=70), 5)
    options = EvolutionOptions(population=20, parent_num=5, generation_num=4, dedup=name == "evolution", fill=0)
    return Evolution(Problem(band), options, 5)


@pytest.mark.parametrize("name", ["random", "evolution", "evolution with duplicates"])
@pytest.mark.parametrize("kills", [(0,), (1,), (19,), (20,), (21,), (34, 1, 5), (40,)])
def test_killed_and_resumed_it_ends_the_same(
    name: str, kills: tuple[int, ...], space: SearchSpace, tmp_path: Path
) -> None:
    tables = toy_tables(space)
    whole = Archive(tmp_path / "whole.jsonl", FINGERPRINTS)
    expected = run(strategy(name, space), ToyEvaluator(), whole, tables)
    path = tmp_path / "killed.jsonl"
    for lives in kills:
        with pytest.raises(Killed):
            run(strategy(name, space), MortalEvaluator(lives), Archive(path, FINGERPRINTS), tables)
    evaluator = ToyEvaluator()
    assert run(strategy(name, space), evaluator, Archive(path, FINGERPRINTS), tables) == expected
    assert path.read_bytes() == whole.path.read_bytes()
    assert len(evaluator.evaluated) == len(whole) - sum(kills)


def registered(name: str, space: SearchSpace) -> Strategy:
    table = toy_tables(space)["flops"]
    band = Limits(space, [Limit(table, upper=0.7 * table.maximum()[0])])
    if name == "differentiable":
        learnt = Distribution([np.full(size, -np.log(size)) for size in space.sizes], (0,) * len(space.sizes), {})
        return LearnedDistribution(Problem(band, distribution=learnt), GradientOptions(a_samples=40), 5)
    if name == "tpe":
        pytest.importorskip("optuna", reason="needs the extra tpe")
    sizes = {"population": 12, "parent_num": 4, "re_population": 12, "startup": 8, "rl_samples": 8, "bo_pool": 20}
    sizes |= {"mfkd1_samples": 44, "mfkd2_samples": 44}
    budget = {"budget_evaluations": 44, "random_iteration": 44, "generation_num": 4, "inner_evaluations": 100}
    options = SearchOptions(title="toy", search_strategy=name, random_seed=5, **sizes, **budget)  # type: ignore[arg-type]
    objectives = (ACCURACY, Objective("flops")) if searches_front(name) else (ACCURACY,)
    candidates = band.sample_distinct(Random(5), 44)
    controller = FactorisedController(space.sizes)
    problem = Problem(band, objectives, toy_tables(space), candidates=candidates, controller=controller)
    return make_strategy(name, problem, options)


@pytest.mark.parametrize("kills", [(0, 13, 1, 12), (30,)])
@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_ends_the_same_when_killed_in_the_middle(
    name: str, kills: tuple[int, ...], space: SearchSpace, tmp_path: Path
) -> None:
    tables = toy_tables(space)

    def search(evaluator: ToyEvaluator, archive: Archive) -> list[Result]:
        return run(registered(name, space), evaluator, archive, tables, ledger=Ledger(Stop(evaluations=44)))

    whole = Archive(tmp_path / "whole.jsonl", FINGERPRINTS)
    expected = search(ToyEvaluator(), whole)
    assert len(whole) > sum(kills)
    path = tmp_path / "killed.jsonl"
    for lives in kills:
        with pytest.raises(Killed):
            search(MortalEvaluator(lives), Archive(path, FINGERPRINTS))
    assert search(ToyEvaluator(), Archive(path, FINGERPRINTS)) == expected
    assert path.read_bytes() == whole.path.read_bytes()


@pytest.mark.parametrize("cut", [1, 2, 40, 150, 400])
def test_a_torn_last_line_is_evaluated_again(cut: int, space: SearchSpace, tmp_path: Path) -> None:
    tables, path = toy_tables(space), tmp_path / "archive.jsonl"
    expected = run(strategy("evolution", space), ToyEvaluator(), Archive(path, FINGERPRINTS), tables)
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    assert run(strategy("evolution", space), ToyEvaluator(), Archive(path, FINGERPRINTS), tables) == expected
    assert path.read_bytes() == whole


def test_a_header_torn_by_a_kill_is_written_again(space: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "archive.jsonl"
    Archive(path, FINGERPRINTS)
    whole = path.read_bytes()
    path.write_bytes(whole[:-10])
    assert len(Archive(path, FINGERPRINTS)) == 0
    assert path.read_bytes() == whole


def test_an_archive_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "archive.jsonl"
    append_sealed(path, {"format": "oneshot-nas archive 1", "fingerprints": {}})
    with pytest.raises(UserError, match=r"of another version .*archive 1.*archive 3' is read here"):
        Archive(path, {})
    assert path.read_text().count("\n") == 1


def test_nothing_is_evaluated_twice(space: SearchSpace, tmp_path: Path) -> None:
    evaluator = ToyEvaluator()
    archive = Archive(tmp_path / "archive.jsonl", FINGERPRINTS)
    calls = []
    told = run(
        strategy("evolution with duplicates", space),
        evaluator,
        archive,
        toy_tables(space),
        watch=lambda result, cached, first: calls.append((result.architecture, cached)),
    )
    assert len(told) > len(evaluator.evaluated) == len(set(evaluator.evaluated)) == len(archive)
    assert len(calls) == len(told)
    assert [architecture for architecture, cached in calls if not cached] == evaluator.evaluated


def test_failed_evaluations_are_kept_and_never_chosen(space: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "archive.jsonl"
    tables = toy_tables(space)
    told = run(strategy("evolution", space), FailingEvaluator(), Archive(path, FINGERPRINTS), tables)
    archive = Archive(path, FINGERPRINTS)
    failed = [result for result in archive if result.failed]
    assert 0 < len(failed) < len(archive)
    best = best_of(told, Limits(space))
    assert best is not None
    assert not best.failed
    assert best_of(failed, Limits(space)) is None
    for line in path.read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)  # no NaN: not JSON


def test_costs_are_kept_with_every_result(space: SearchSpace, tmp_path: Path) -> None:
    archive = Archive(tmp_path / "archive.jsonl", FINGERPRINTS)
    run(strategy("random", space), ToyEvaluator(), archive, toy_tables(space))
    for result in Archive(archive.path, FINGERPRINTS):
        spec = space.decode(result.architecture)
        assert result.cost == {"flops": spec.macs(space.input_shape), "params": spec.params(space.input_shape)}


@pytest.mark.parametrize(
    "other", [{"weights": "xyz"}, {"settings": [1, 2.5, 0]}, {"more": 1}], ids=["weights", "settings", "more"]
)
def test_an_archive_of_something_else_is_refused(other: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "archive.jsonl"
    Archive(path, FINGERPRINTS)
    with pytest.raises(UserError, match=f"{next(iter(other))} was .*--overwrite"):
        Archive(path, FINGERPRINTS | other)


@pytest.mark.parametrize(
    "content",
    [
        b'{"format": "something else"}\n',
        b"[1, 2]\n",
        b"\x00\xff\xfe\n",
        b'{"format": "oneshot-nas archive 1", "fingerprints": 3}\n',
    ],
)
def test_a_file_that_is_no_archive_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "archive.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"archive\.jsonl"):
        Archive(path, FINGERPRINTS)
    assert path.read_bytes() == content


@pytest.mark.parametrize("row", [b"{}", b'{"architecture": 3}', b"garbage"])
def test_a_damaged_row_is_named(row: bytes, space: SearchSpace, tmp_path: Path) -> None:
    path = tmp_path / "archive.jsonl"
    run(strategy("random", space), ToyEvaluator(), Archive(path, FINGERPRINTS), toy_tables(space))
    lines = path.read_bytes().split(b"\n")
    path.write_bytes(b"\n".join([*lines[:3], row, *lines[4:]]))
    with pytest.raises(UserError, match="line 4"):
        Archive(path, FINGERPRINTS)


def test_of_equally_accurate_architectures_the_cheaper_one_is_chosen(space: SearchSpace) -> None:
    table = toy_tables(space)["flops"]
    cheap, dear = table.minimum()[1], table.maximum()[1]
    constraint = Limits(space, [Limit(table)])
    for order in ([cheap, dear], [dear, cheap]):
        best = best_of([Result(architecture, {"accuracy": 0.5}) for architecture in order], constraint)
        assert best is not None
        assert best.architecture == cheap
    limited = Limits(space, [Limit(table, upper=table.minimum()[0])])
    assert best_of([Result(dear, {"accuracy": 0.9}), Result(cheap, {"accuracy": 0.1})], limited).architecture == cheap  # type: ignore[union-attr]


def test_results_survive_json() -> None:
    result = Result(
        (0, 3, 1),
        {"accuracy": 0.1 + 0.2, "loss": 1 / 3},
        Fidelity(images=7),
        {"seconds": 1.25},
        {"flops": 12.0},
        wilson_interval(3, 7),
    )
    assert Result.from_row(json.loads(json.dumps(result.to_row()))) == result
    failed = Result((1,), {"accuracy": math.nan}, Fidelity(epochs=3, data=0.5), note="ran out of memory")
    read = Result.from_row(json.loads(json.dumps(failed.to_row())))
    assert (read.failed, read.fidelity, read.note) == (True, failed.fidelity, failed.note)
    for ends in ([], [0.1], [0.2, 0.1], [0.1, 0.2, 0.3]):
        with pytest.raises(UserError, match="not a result"):
            Result.from_row(result.to_row() | {"interval": ends})


def test_fidelities_are_ordered_and_nothing_is_above_the_full_one() -> None:
    rising = [Fidelity(epochs=3, data=0.5), Fidelity(epochs=3, data=1.0), Fidelity(epochs=12, data=0.5), FULL]
    assert sorted(rising, reverse=True) == rising[::-1]
    assert Fidelity(images=500) == Fidelity(images=500) < FULL
    assert len({Fidelity(images=500), Fidelity(images=500), Fidelity(images=50)}) == 2
    results = [Result((number,), fidelity=fidelity) for number, fidelity in enumerate(rising)]
    assert comparable([*results, *results[:1]]) == results[-1:]


def test_wilson_interval_against_published_values() -> None:
    # Newcombe 1998, table I, method 3
    for (correct, total), expected in {
        (81, 263): (0.2553, 0.3662),
        (15, 148): (0.0624, 0.1605),
        (0, 20): (0.0, 0.1611),
        (1, 29): (0.0061, 0.1718),
    }.items():
        assert wilson_interval(correct, total) == pytest.approx(expected, abs=6e-5)
    assert wilson_interval(20, 20)[1] == 1.0
    assert wilson_interval(0, 0) == (0.0, 1.0)


class Repeating:
    """Proposes the same few for ever."""

    size = None

    def __init__(self, space: SearchSpace) -> None:
        self.few = [(0, option, *(0,) * (len(space.sizes) - 2)) for option in range(3)]
        self.asked = 0

    def ask(self, n: int) -> list[Architecture]:
        self.asked += 1
        return self.few[:n]

    def tell(self, results: Sequence[Result]) -> None:
        assert len(results) <= len(self.few)


def test_a_strategy_that_proposes_only_known_ones_ends(space: SearchSpace, tmp_path: Path) -> None:
    strategy, evaluator = Repeating(space), ToyEvaluator()
    archive = Archive(tmp_path / "archive.jsonl", FINGERPRINTS)
    ledger = Ledger(Stop(evaluations=10))
    told = run(strategy, evaluator, archive, toy_tables(space), ledger=ledger)
    assert evaluator.evaluated == strategy.few
    assert ledger.evaluations == 3
    assert IDLE <= len(told) < IDLE + 10


@pytest.mark.parametrize("kept", [0, 3, 7, 19])
def test_a_budget_counts_what_the_search_needed_and_not_who_evaluated_it(
    kept: int, space: SearchSpace, tmp_path: Path
) -> None:
    def search(path: Path) -> tuple[list[Result], Ledger]:
        ledger = Ledger(Stop(seconds=5.0))  # 0.25 each
        archive = Archive(path, FINGERPRINTS)
        return run(strategy("evolution", space), ToyEvaluator(), archive, toy_tables(space), ledger=ledger), ledger

    expected, ledger = search(tmp_path / "whole")
    assert (ledger.evaluations, ledger.spent["seconds"], ledger.used_up) == (20, 5.0, True)
    lines = (tmp_path / "whole").read_bytes().splitlines(keepends=True)
    (tmp_path / "resumed").write_bytes(b"".join(lines[: 1 + kept]))
    again, ledger = search(tmp_path / "resumed")
    assert again == expected
    assert (ledger.evaluations, ledger.spent["seconds"]) == (20, 5.0)
    assert (tmp_path / "resumed").read_bytes() == (tmp_path / "whole").read_bytes()


def test_a_result_at_another_fidelity_is_refused(space: SearchSpace, tmp_path: Path) -> None:
    class Coarse(ToyEvaluator):
        def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
            for result in super().evaluate(architectures, fidelity):
                yield replace(result, fidelity=Fidelity(epochs=1))

    archive = Archive(tmp_path / "archive.jsonl", FINGERPRINTS)
    with pytest.raises(UserError, match=r"was asked for Fidelity\(\) and gave Fidelity\(epochs=1\)"):
        run(strategy("random", space), Coarse(), archive, toy_tables(space))
    assert len(archive) == 0
