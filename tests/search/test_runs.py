"""Many runs in one command: each one is the single search of its seed; ledgers of published searches; --resume."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from config_file.errors import UserError
from lookup_tables.limits import Limits
from search.cli import main
from search.problem import Problem
from search.result import Result
from search.strategies.local_search import LocalSearch, LocalSearchOptions
from search.strategies.walk import FORMS
from search.tabular.files import write_benchmark
from search.tabular.generated import generate
from supernet import Architecture
from supernet.decisions import Decision, DecisionSpace

FIXED = ["--threads", "1", "--no-tensorboard", "--evaluator", "nasbench201"]
RUNGS = ["--fidelities", "12,25,50,100,200"]
WALK = ["--first-stage", "nwot", "--ls-looks", "60", "--first-best", "8"]
SEARCHES: dict[str, list[str]] = {
    "MF-NAS": ["--search-strategy", "mf_nas", *WALK, *RUNGS],
    "R-MF-NAS": ["--search-strategy", "r_mf_nas", *WALK, *RUNGS, "--ls-improvement", "coded"],
    "within a budget": ["--search-strategy", "mf_nas", *WALK, *RUNGS, "--budget-epochs", "150"],
    "BLS": ["--search-strategy", "local_search", "--ls-improvement", "best", "--budget-evaluations", "40"],
    "REA+W": [
        "--search-strategy", "regularized_evolution", "--re-population", "5", "--re-sample", "5", "--re-mutations", "1",
        "--first-stage", "nwot", "--first-strategy", "random", "--first-evaluations", "30", "--first-best", "5",
        "--fidelities", "12", "--budget-epochs", "144",
    ],
    "two scores": [
        "--search-strategy", "mf_nas", "--first-stage", "nwot,synflow", "--first-evaluations", "40",
        "--first-best", "4",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    for name in ("nasbench201", "nasbench101", "nasbench_asr"):
        write_benchmark(folder / f"{name}_{generate(name).dataset}.npz", generate(name))
    return folder


@pytest.fixture(autouse=True)
def here(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_SHARED_DATA", str(tables))


def rows(title: str) -> list[dict[str, str]]:
    return list(csv.DictReader(Path(f"runs/{title}/search/runs.csv").open()))


@pytest.mark.parametrize("name", SEARCHES)
def test_a_run_is_the_single_search_of_its_seed(name: str) -> None:
    main([*FIXED, *SEARCHES[name], "--title", "many", "--runs", "2", "--random-seed", "7"])
    assert [row["seed"] for row in rows("many")] == ["7", "8"]
    row = rows("many")[1]
    main([*FIXED, *SEARCHES[name], "--title", "one", "--random-seed", "8"])
    best, account = (json.loads(Path(f"runs/one/search/{file}").read_text()) for file in ("best.json", "spent.json"))
    assert row["indices"] == " ".join(map(str, best["architecture"]))
    assert float(row["accuracy"]) == pytest.approx(best["accuracy"], abs=1e-6)
    assert float(row["test_accuracy"]) == pytest.approx(best["test_accuracy"], abs=1e-6)
    assert {what: float(row[what]) for what in account["spent"]} == pytest.approx(account["spent"])
    assert (int(row["evaluations"]), int(row["repeats"])) == (account["evaluations"], account["repeats"])


@pytest.mark.parametrize(("space", "epochs"), [("nb201", 1192), ("nb101", 368), ("nbasr", 300)])
def test_the_command_of_mf_nas_costs_the_epochs_of_its_table(
    space: str, epochs: int, capsys: pytest.CaptureFixture[str]
) -> None:
    """The published ledgers: halving 32 over 12 to 200, 16 over 4 to 108, and 16 over 10 to 40 epochs."""
    main(["--ss", space, "--optimizer", "MF-NAS", "--n_run", "4", "--no-tensorboard", "--title", "t"])
    assert [float(row["epochs"]) for row in rows("t")] == [epochs] * 4
    said = capsys.readouterr()
    assert f"{epochs:,} ± 0 epochs" in said.out
    assert "adapted" not in said.err


def test_means_and_deviations_are_those_of_the_rows(capsys: pytest.CaptureFixture[str]) -> None:
    main([*FIXED, *SEARCHES["BLS"], "--title", "t", "--runs", "9"])
    for name, digits in (("accuracy", 2), ("test_accuracy", 2)):
        values = [100 * float(row[name]) for row in rows("t")]
        assert (
            f"{np.mean(values):.{digits}f} ± {np.std(values):.{digits}f} %" in capsys.readouterr().out
            or name != "accuracy"
        )
    about = json.loads(Path("runs/t/search/best.json").read_text())
    took = about["search"]["runs"]
    assert took["count"] == 9
    assert took["seconds"]["mean"] == pytest.approx(np.mean([float(row["seconds"]) for row in rows("t")]))
    greatest = max(rows("t"), key=lambda row: float(row["accuracy"]))
    assert " ".join(about["names"]) == greatest["architecture"]


def test_what_an_interruption_left_is_continued_and_extended() -> None:
    command = [*FIXED, *SEARCHES["REA+W"], "--runs", "5"]
    main([*command, "--title", "whole"])
    main([*command, "--title", "cut"])
    files = [Path(f"runs/{title}/search/runs.jsonl") for title in ("whole", "cut")]
    whole = files[0].read_bytes()
    assert files[1].read_bytes() == whole
    lines = whole.splitlines(keepends=True)
    files[1].write_bytes(b"".join(lines[:3]) + lines[3][:20])
    files[1].with_name("best.json").unlink()
    main([*command, "--title", "cut", "--resume"])
    assert files[1].read_bytes() == whole
    assert rows("cut") == rows("whole")
    main([*command[:-1], "7", "--title", "cut", "--resume"])
    assert rows("cut")[:5] == rows("whole")
    assert len(rows("cut")) == 7
    with pytest.raises(UserError, match=r"runs\.jsonl: its runs cannot be continued, .* another --re-sample"):
        main([*command, "--title", "cut", "--resume", "--re-sample", "3"])


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("looks", [None, 70])
def test_a_walk_over_a_table_meets_what_is_proposed(form: str, looks: int | None) -> None:
    space = DecisionSpace("plain", tuple(Decision(f"d{number}", tuple("abcde")) for number in range(4)))
    worth = dict(zip(space.enumerate(), np.random.default_rng(0).random(space.size).tolist(), strict=True))
    problem, options = Problem(Limits(space)), LocalSearchOptions(ls_improvement=form, ls_looks=looks)

    def asked(strategy: LocalSearch) -> list[Architecture]:
        proposals: list[Architecture] = []
        while batch := strategy.ask(150 - len(proposals)):
            strategy.tell([Result(a, {"accuracy": worth[a]}) for a in batch])
            proposals += batch
        return proposals

    for seed in range(5):
        one, other = (LocalSearch(problem, options, seed) for _ in range(2))
        assert one.look_up(worth, 150) == asked(other)
        stood: Sequence[Architecture] = list(one.roles)
        assert stood == list(other.roles)[: len(stood)]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--evaluator", "zero_cost"], r"--runs repeats a search on the table of a benchmark .* zero_cost"),
        (["--search-strategy", "nsga2", "--objective", "accuracy,flops"], "pick one architecture, not nsga2"),
        (["--search-strategy", "local_search", "--workers", "2"], "in one process: no --workers"),
        (["--search-strategy", "local_search", "--budget-epochs", "3"], "--budget-epochs 3 is too small for one"),
        (["--runs", "0"], "--runs must be at least 1"),
    ],
)
def test_what_cannot_be_repeated_is_refused(words: list[str], message: str) -> None:
    data = ["--search-space", "nasbench_macro", "--dataset", "digits"] if "zero_cost" in words else []
    with pytest.raises(UserError, match=message):
        main([*FIXED, "--title", "t", "--runs", "2", *words, *data])
