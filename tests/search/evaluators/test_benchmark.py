"""Tables of benchmarks as evaluators, and the published figures of what searches on them are charged."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from random import Random
from typing import ClassVar

import numpy as np
import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.archive import Archive
from search.cli import main
from search.engine import run
from search.evaluators.benchmark import BenchmarkEvaluator
from search.ledger import Ledger, Stop
from search.objectives import Objective
from search.problem import Problem
from search.result import FULL, Fidelity
from search.schedules import AllAlike, Halving
from search.strategies.random_search import RandomOptions, RandomSearch
from search.tabular import Benchmark, write_benchmark
from search.tabular.generated import generate
from search.testing.evaluators import EvaluatorSuite
from supernet import Architecture


def rungs(*epochs: int) -> tuple[Fidelity, ...]:
    return tuple(Fidelity(epochs=number) for number in epochs)


class TestBenchmark(EvaluatorSuite):
    table = generate("nasbench201", epochs=range(1, 201))

    def make(self) -> BenchmarkEvaluator:
        return BenchmarkEvaluator(self.table, rungs(12, 50, 200))

    def architectures(self) -> list[Architecture]:
        return [(0, 1, 2, 3, 4, 0), (1, 1, 1, 1, 1, 1), (3, 3, 3, 3, 3, 3), (4, 2, 1, 2, 1, 0)]

    def failing(self) -> tuple[BenchmarkEvaluator, Architecture]:
        return self.make(), (9, 9, 9, 9, 9, 9)


class TestSpeech(EvaluatorSuite):
    """NAS-Bench-ASR: no seconds, and less is better."""

    measures: ClassVar = {"phone_error_rate": False}
    table = generate("nasbench_asr")

    def make(self) -> BenchmarkEvaluator:
        return BenchmarkEvaluator(self.table, rungs(10, 20, 40))

    def architectures(self) -> list[Architecture]:
        space = self.table.space
        return [space.sample(Random(number)) for number in range(5)]


def test_isomorphic_cells_have_one_result() -> None:
    table = generate("nasbench_asr")
    same, other = (5, 1, 1, 0, 0, 1, 0, 0, 0), (5, 1, 1, 0, 1, 1, 0, 1, 0)
    first, second = BenchmarkEvaluator(table).evaluate([same, other])
    assert (first.metrics, first.spent) == (second.metrics, second.spent)
    assert table.row(same) == table.row(other)
    assert BenchmarkEvaluator(table).key(same) == BenchmarkEvaluator(table).key(other)


@pytest.mark.parametrize(
    ("name", "epochs", "count", "expected"),
    [
        ("nasbench201", (12, 25, 50, 100, 200), 32, 1192),
        ("nasbench101", (4, 12, 36, 108), 16, 368),
        ("nasbench_asr", (10, 20, 30, 40), 16, 300),
        ("nasbench201", (12, 25, 50, 90), 32, 952),  # the rungs of NATS-Bench
        ("nasbench201", (12, 200), 32, 3392),
    ],
)
def test_halving_is_charged_the_published_epochs(
    name: str, epochs: Sequence[int], count: int, expected: int, tmp_path: Path
) -> None:
    """MF-NAS's second stage (Phan and Luong 2024)."""
    table = generate(name, epochs=epochs)
    evaluator, ledger = BenchmarkEvaluator(table, rungs(*epochs)), Ledger()
    objective = Objective(table.metric, table.kind.maximise, measured=True)
    strategy = RandomSearch(Problem(Limits(table.space), (objective,)), RandomOptions(random_iteration=count), 0)
    archive = Archive(tmp_path / "archive.jsonl", evaluator.fingerprints)
    run(strategy, evaluator, archive, {}, ledger=ledger, schedule=Halving(evaluator.fidelities, objective))
    assert ledger.spent["epochs"] == expected
    charged = sum(result.spent.get("seconds", 0) for result in archive)
    longest: dict[Architecture, float] = {}
    for result in archive:
        row = table.row(result.architecture)
        longest[result.architecture] = float(table.seconds[row, table.epochs.index(int(result.fidelity["epochs"]))])
    assert charged == pytest.approx(sum(longest.values()))


def test_what_would_exceed_the_seconds_is_not_begun(tmp_path: Path) -> None:
    table = generate("nasbench201")
    evaluator = BenchmarkEvaluator(table)
    most = 3.5 * float(np.median(table.seconds[:, -1]))
    ledger = Ledger(Stop(evaluations=32, seconds=most))
    strategy = RandomSearch(Problem(Limits(table.space)), RandomOptions(random_iteration=32), 0)
    archive = Archive(tmp_path / "archive.jsonl", evaluator.fingerprints)
    run(strategy, evaluator, archive, {}, ledger=ledger, schedule=AllAlike(evaluator.fidelities))
    assert 0 < ledger.spent["seconds"] <= most
    assert ledger.used_up


def test_scores_of_a_table() -> None:
    table = generate("nasbench201")
    evaluator = BenchmarkEvaluator(table)
    assert evaluator.scorer(["zico"]) is None
    scorer = evaluator.scorer(["synflow", "params"])
    assert scorer is not None
    architecture = (1, 2, 3, 4, 0, 1)
    (result,) = scorer.evaluate([architecture])
    row = table.row(architecture)
    values, seconds = table.scores["synflow"]
    assert result.metrics == {"synflow": values[row], "params": table.params[row]}
    assert (result.spent, result.fidelity) == ({"seconds": seconds[row]}, FULL)
    assert scorer.fingerprints != evaluator.fingerprints


def test_the_test_value_is_told_when_asked_for_only() -> None:
    table = generate("nasbench201")
    evaluator = BenchmarkEvaluator(table)
    (result,) = evaluator.evaluate([(0,) * 6])
    assert evaluator.test((0,) * 6) == float(table.test[table.row((0,) * 6)])
    assert evaluator.test((9,) * 6) is None
    assert float(table.test[table.row((0,) * 6)]) not in result.metrics.values()


# ---- the stage


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Benchmark:
    monkeypatch.chdir(tmp_path)
    table = generate("nasbench_asr")
    write_benchmark("table.npz", table)
    return table


SEARCH = ["--title", "t", "--evaluator", "nasbench_asr", "--table", "table.npz", "--threads", "1", "--no-tensorboard"]


def test_a_search_on_a_table(written: Benchmark, capsys: pytest.CaptureFixture[str]) -> None:
    more = ["--search-strategy", "random", "--random-iteration", "60", "--fidelities", "10,20,30,40"]
    assert main([*SEARCH, *more]) == 0
    out = capsys.readouterr().out
    assert (
        "looked up in NAS-Bench-ASR, timit: phone_error_rate on validation after 10 epochs, of the better half" in out
    )
    assert "(generated with seed 0: its numbers mean nothing)" in out
    best = json.loads(Path("runs/t/search/best.json").read_text())
    row = written.row(tuple(best["architecture"]))
    assert best["phone_error_rate"] == pytest.approx(written.validation[row, -1], rel=1e-6)
    assert best["test_phone_error_rate"] == pytest.approx(written.test[row], rel=1e-6)
    assert best["search"]["table"] == "nasbench_asr"


@pytest.mark.parametrize(("more", "limit"), [([], "; all of the space"), (["--target-hc", "100"], "(100 M); about ")])
def test_all_of_a_table_is_searched_unless_a_limit_is_asked_for(
    more: Sequence[str], limit: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_benchmark("table.npz", generate("nasbench201", "cifar100"))
    command = ["--title", "t", "--evaluator", "nasbench201", "--table", "table.npz", "--plan", "--threads", "1"]
    assert main([*command, *more]) == 0
    out = capsys.readouterr().out
    assert limit in out
    assert "NAS-Bench-201, cifar100" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--fidelities", "10,25"], "NAS-Bench-ASR, timit has no results after 25 epochs"),
        (["--fidelities", "epochs=10,data=0.1"], "unknown amount of --fidelities 'data'"),
        (
            ["--search-space", "proxylessnas"],
            "--evaluator nasbench_asr is a table of NAS-Bench-ASR, not of --search",
        ),
        (["--table-dataset", "cifar10"], "unknown data set of NAS-Bench-ASR 'cifar10'"),
        (["--evaluator", "nasbench_macro"], "table.npz is a table of NAS-Bench-ASR, not of NAS-Bench-Macro"),
        (["--objective", "accuracy"], "--objective accuracy: nothing gives it"),
        (["--table-scores", "none.csv"], "--table-scores: no such file"),
        (["--evaluator", "zero_cost", "--table-dataset", "timit"], "--table"),
    ],
)
def test_what_does_not_fit_is_one_line(arguments: Sequence[str], message: str, written: Benchmark) -> None:
    with pytest.raises(UserError) as error:
        main([*SEARCH, *arguments])
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_isomorphic_cells_are_one_candidate_of_a_first_stage(written: Benchmark) -> None:
    """As MF-NAS has it: a third of the encodings of the space are isomorphic to others."""
    more = ["--search-strategy", "mf_nas", "--first-stage", "nwot", "--first-strategy", "random"]
    assert main([*SEARCH, *more, "--first-best", "400", "--fidelities", "10,20,30,40"]) == 0
    archive = [json.loads(line) for line in Path("runs/t/search/archive.jsonl").read_text().splitlines()[1:]]
    begun = [row["architecture"] for row in archive if row["fidelity"] == {"epochs": 10}]
    assert len(begun) == 400
    assert len({written.row(tuple(architecture)) for architecture in begun}) == 400
