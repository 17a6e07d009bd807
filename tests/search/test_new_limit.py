"""A search that answers another limit, or goes on from a table: what is known is not evaluated again."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from config_file.errors import UserError
from search.archive import read_archive
from search.cli import main
from search.evaluators.supernet import SupernetEvaluator
from search.result import Fidelity, Result
from supernet import Architecture
from tests.search.test_cli import here, rows, trained  # noqa: F401 - fixtures

RUN = ["--title", "toy", "--threads", "1", "--no-tensorboard", "--calibration-images", "64", "--eval-images", "60"]
DYNAS = [*RUN, "--search-strategy", "dynas", "--objective", "accuracy", "--objective", "macs", "--population", "6",
         "--inner-evaluations", "60", "--evaluations", "12"]  # fmt: skip


@pytest.fixture
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[Architecture]:
    """The architectures that were really evaluated, as they are."""
    found: list[Architecture] = []
    evaluate = SupernetEvaluator.evaluate

    def counted(self: SupernetEvaluator, asked: Sequence[Architecture], at: Fidelity | None = None) -> Iterator[Result]:
        for result in evaluate(self, asked, at):
            found.append(result.architecture)
            yield result

    monkeypatch.setattr(SupernetEvaluator, "evaluate", counted)
    return found


def known(path: str) -> set[Architecture]:
    return {result.architecture for result in read_archive(Path(path))[1]}


@pytest.mark.parametrize(
    "again",
    [
        ["--title", "toy", "--resume"],
        [*DYNAS, "--warm-start", "runs/toy/search/archive.jsonl", "--output", "other"],
    ],
    ids=["resumed", "taught"],
)
def test_another_limit_evaluates_nothing_that_is_known(
    again: list[str], here: Path, evaluated: list[Architecture]  # noqa: F811
) -> None:  # fmt: skip
    assert main([*DYNAS, "--target-hc", "0.7"]) == 0
    before = known("runs/toy/search/archive.jsonl")
    assert sorted(evaluated) == sorted(before)
    evaluated.clear()
    assert main([*again, "--target-hc", "0.5"]) == 0
    assert len(set(evaluated)) == len(evaluated) <= 12
    assert not before & set(evaluated)
    folder = Path("other" if "other" in again else "runs/toy/search")
    assert known(f"{folder}/archive.jsonl") == before | set(evaluated)
    best = json.loads((folder / "best.json").read_text())
    assert best["cost"]["flops"] <= 0.5e6
    inside = [row for row in rows(folder) if row["within_limits"] == "1"]
    assert {tuple(map(int, row["indices"].split())) for row in inside} & before  # which are answers too
    assert max(float(row["accuracy"]) for row in inside) == pytest.approx(best["selected_with"]["accuracy"], abs=1e-6)
    if "other" in again:
        evaluated.clear()
        Path("runs/toy/search/archive.jsonl").unlink()  # what it was taught is its own by now
        assert main(["--output", "other", "--title", "toy", "--resume"]) == 0
        assert not evaluated


def test_of_other_images_nothing_is_known(here: Path, evaluated: list[Architecture]) -> None:  # noqa: F811
    assert main([*DYNAS, "--target-hc", "0.7"]) == 0
    before = known("runs/toy/search/archive.jsonl")
    evaluated.clear()
    other = ["--warm-start", "runs/toy/search/archive.jsonl", "--output", "other", "--target-hc", "0.5"]
    assert main([*DYNAS, *other, "--eval-images", "30"]) == 0
    assert len(evaluated) == 12
    assert before & set(evaluated)  # the best of them are measured anew


def test_a_table_of_dynas_t_is_learned_from_and_written_behind(
    here: Path, evaluated: list[Architecture]  # noqa: F811
) -> None:  # fmt: skip
    table = [*DYNAS, "--target-hc", "0.7", "--results-csv", "subnets.csv"]
    assert main(table) == 0
    with Path("subnets.csv").open(newline="") as file:
        first = list(csv.DictReader(file))
    measured = {tuple(map(int, row["indices"].split())): row for row in rows(Path("runs/toy/search"))}
    assert len(first) == len(measured) == 12
    for row, ours in zip(first, measured.values(), strict=True):
        options = zip(("stage1/0", "stage1/1", "stage2/0", "stage2/1"), ours["architecture"].split(), strict=True)
        assert row["Sub-network"] == str(dict(options))
        assert float(row["Top-1 Acc (%)"]) == pytest.approx(100 * float(ours["accuracy"]), abs=1e-4)
        assert (row["MACs"], row["Model Parameters"]) == (ours["flops"], ours["params"])
        assert row["Latency (ms)"] == "0"
    evaluated.clear()
    assert main([*table, "--output", "other"]) == 0
    assert json.loads(Path("other/best.json").read_text())["search"]["earlier"] == 12
    assert len(set(evaluated) - set(measured)) >= 12 - 3  # half a population is confirmed
    with Path("subnets.csv").open(newline="") as file:
        second = list(csv.DictReader(file))
    assert len(second) == len({row["Sub-network"] for row in second}) == len(set(measured) | set(evaluated))
    text = Path("subnets.csv").read_text()
    assert main(["--title", "toy", "--output", "other", "--resume"]) == 0
    strip = [{name: cell for name, cell in row.items() if name != "Date"} for row in second]
    with Path("subnets.csv").open(newline="") as file:
        assert [{name: cell for name, cell in row.items() if name != "Date"} for row in csv.DictReader(file)] == strip
    assert text.splitlines()[0] == "Sub-network,Date,Model Parameters,Latency (ms),MACs,Top-1 Acc (%)"


def test_a_table_that_is_none_is_refused_before_anything_is_evaluated(
    here: Path, evaluated: list[Architecture]  # noqa: F811
) -> None:  # fmt: skip
    Path("notes.csv").write_text("name,place\na,b\n")
    with pytest.raises(UserError, match=r"notes.csv is no table with the columns Sub-network,Date"):
        main([*DYNAS, "--target-hc", "0.7", "--results-csv", "notes.csv"])
    assert not evaluated
    assert not Path("runs/toy/search").exists()
