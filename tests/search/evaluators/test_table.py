from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest

from config_file.errors import UserError
from search.archive import Archive
from search.cli import main
from search.evaluators.table import Columns, TableEvaluator
from search.ranking.rank import main as rank
from search.result import Fidelity, Result
from search.testing.evaluators import EvaluatorSuite
from supernet import Architecture

ROWS = {
    (0, 0): {"score": 1.0, "epochs": 3.0},
    (0, 1): {"score": 2.5, "epochs": 1.0},
    (1, 0): {"score": -4.0, "epochs": 2.0},
}


class TestTable(EvaluatorSuite):
    measures: ClassVar = {"score": True, "epochs": False}

    def make(self) -> TableEvaluator:
        return TableEvaluator(ROWS, measures=self.measures, spent={"epochs": 12})

    def architectures(self) -> list[Architecture]:
        return list(ROWS)

    def failing(self) -> tuple[TableEvaluator, Architecture]:
        return self.make(), (1, 1)


class TestColumns(TestTable):
    def make(self) -> TableEvaluator:
        columns = {name: np.array([row[name] for row in ROWS.values()]) for name in self.measures}
        return TableEvaluator(Columns(np.array(list(ROWS)), columns), measures=self.measures, spent={"epochs": 12})


def test_a_table_is_told_from_another_by_its_content() -> None:
    table, same = TestTable().make(), TestColumns().make()
    assert table.fingerprints == same.fingerprints
    other = TableEvaluator({**ROWS, (0, 0): {"score": 1.1, "epochs": 3.0}}, measures=TestTable.measures)
    assert other.fingerprints != table.fingerprints


OWN = """
from search.evaluators import TableEvaluator
from supernet.decisions import Decision, DecisionSpace
from search.result import Fidelity, Result

SPACE = DecisionSpace("letters", tuple(Decision(f"d{i}", ("a", "b", "c")) for i in range(4)))


def goodness(context):
    rows = {a: {"goodness": 10.0 * sum(a) - a[0] * a[3], "size": float(sum(a))} for a in SPACE.enumerate()}
    return TableEvaluator(rows, measures=goodness.measures, name="letters", spent={"epochs": 2})


goodness.measures = {"goodness": True, "size": False}
goodness.space = SPACE


class Epochs:
    measures = {"my_score": True}
    space = SPACE
    fidelities = (Fidelity(epochs=1), Fidelity(epochs=4))

    def __init__(self, context):
        self.seed = context.seed

    def evaluate(self, architectures, fidelity=None):
        epochs = (fidelity or self.fidelities[-1])["epochs"]
        for a in architectures:
            yield Result(a, {"my_score": sum(a) - 1 / epochs}, Fidelity(epochs=epochs), {"epochs": epochs})

    def close(self):
        open("closed", "a").close()


class Wrong(Epochs):
    def evaluate(self, architectures, fidelity=None):
        yield from WHAT
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def arguments(module: str, entry: str, *more: str) -> list[str]:
    base = ["--title", "t", "--evaluator", f"{module}:{entry}", "--threads", "1", "--no-tensorboard"]
    return [*base, "--search-strategy", "regularized_evolution", "--re-population", "6", "--re-sample", "3", *more]


def rows_of(folder: Path) -> list[dict[str, str]]:
    with (folder / "results.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_space_without_sites_is_searched_on_a_table(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "letters_table.py").write_text(OWN)
    assert main(arguments("letters_table", "goodness", "--evaluations", "40")) == 0
    out = capsys.readouterr().out
    assert "looked up in letters: goodness, size" in out
    folder = here / "runs/t/search"
    best = json.loads((folder / "best.json").read_text())
    rows = rows_of(folder)
    assert len(rows) == 40
    assert best["goodness"] == max(float(row["goodness"]) for row in rows)
    assert best["dataset"] == "letters"  # not the default of --dataset, which nothing has read
    assert best["names"] == [("a", "b", "c")[option] for option in best["architecture"]]
    assert list(rows[0])[:4] == ["evaluation", "goodness", "ci_low", "ci_high"]
    # the other metric as the objective, in its own direction
    assert (
        main(arguments("letters_table", "goodness", "--evaluations", "40", "--objective", "size", "--overwrite")) == 0
    )
    assert json.loads((folder / "best.json").read_text())["size"] == min(float(row["size"]) for row in rows_of(folder))
    with pytest.raises(UserError, match="--target-hc: nothing says what an architecture of letters costs"):
        main(arguments("letters_table", "goodness", "--target-hc", "3", "--overwrite"))
    with pytest.raises(UserError, match="--objective goodnes: nothing gives it"):
        main(arguments("letters_table", "goodness", "--objective", "goodnes", "--overwrite"))


def test_fidelities_and_a_budget_of_epochs(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "letters_epochs.py").write_text(OWN)
    command = arguments("letters_epochs", "Epochs", "--max-epochs", "30", "--objective", "my_score:max")
    assert main(command) == 0
    assert "my_score" in capsys.readouterr().out
    assert (here / "closed").exists()
    folder = here / "runs/t/search"
    results = list(Archive(folder / "archive.jsonl", {"evaluator": "letters_epochs:Epochs"}))
    assert {result.fidelity for result in results} == {Fidelity(epochs=1), Fidelity(epochs=4)}
    in_search = sum(result.spent["epochs"] for result in results)
    assert 30 <= in_search < 30 + 4 + 4  # the last one, and what is chosen is judged at the last fidelity
    whole = (folder / "archive.jsonl").read_bytes()
    lines = whole.splitlines(keepends=True)
    (folder / "archive.jsonl").write_bytes(b"".join(lines[: len(lines) // 2]))
    (folder / "best.json").unlink()
    assert (
        main(arguments("letters_epochs", "Epochs", "--max-epochs", "30", "--objective", "my_score:max", "--resume"))
        == 0
    )
    assert (folder / "archive.jsonl").read_bytes() == whole
    assert json.loads((folder / "best.json").read_text())["n_epochs"] == 4


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("[1]", r"evaluate\(\) gave 1, which is not a Result"),
        ("[][0]", "raised IndexError"),
        ("[]", r"the evaluator gave no result of \("),
        ("[Result(a) for a in architectures]", "a result lacks my_score"),
        ('[Result(a, {"my_score": 1.0}) for a in architectures]', r"was asked for Fidelity\(epochs=1\) and gave"),
    ],
)
def test_mistakes_of_ones_own_are_one_line(what: str, message: str, here: Path) -> None:
    name = f"wrong_{abs(hash(what))}"
    (here / f"{name}.py").write_text(OWN.replace("WHAT", what))
    with pytest.raises(UserError, match=message):
        main(arguments(name, "Wrong", "--evaluations", "3"))


def test_any_evaluator_is_ranked(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (here / "letters_rank.py").write_text(OWN)
    with (here / "truth.csv").open("w") as file:
        file.write("architecture,accuracy\n" + "".join(f"{i} {i % 2} 0 1,{i + 0.5 * (i % 2)}\n" for i in range(3)))
    base = ["--title", "t", "--evaluator", "letters_rank:goodness", "--truth", "truth.csv", "--resamples", "20"]
    assert rank([*base, "--no-tensorboard", "--threads", "1"]) == 0
    found = json.loads((here / "runs/t/rank/rank.json").read_text())
    names = [row["name"] for row in found["rows"]]
    assert names[:2] == ["letters_rank:goodness", "letters_rank:goodness, by its size"]


@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("[]", r"the evaluator gave no result of \("),
        ('[Result(a, {"my_score": 1.0}) for a in architectures]', r"was asked for Fidelity\(epochs=4\) and gave"),
    ],
)
def test_a_ranking_holds_it_to_its_promises_too(what: str, message: str, here: Path) -> None:
    name = f"wrong_in_rank_{abs(hash(what))}"
    (here / f"{name}.py").write_text(OWN.replace("WHAT", what))
    (here / "truth.csv").write_text("architecture,accuracy\n0 0 0 0,1\n0 0 0 1,2\n0 0 1 1,3\n")
    base = ["--title", "t", "--evaluator", f"{name}:Wrong", "--truth", "truth.csv", "--resamples", "20"]
    with pytest.raises(UserError, match=message):
        rank([*base, "--no-tensorboard", "--threads", "1"])


def test_what_fails_is_not_an_exception() -> None:
    (result,) = TableEvaluator({}, measures={"score": True}).evaluate([(7,)])
    assert isinstance(result, Result)
    assert result.note == "not in table"


def test_a_schedule_can_be_named(here: Path) -> None:
    (here / "letters_all.py").write_text(OWN)
    assert main(arguments("letters_all", "Epochs", "--evaluations", "10", "--schedule", "all")) == 0
    assert {row["n_epochs"] for row in rows_of(here / "runs/t/search")} == {"4"}


def test_one_process_is_enough_for_a_table(here: Path) -> None:
    (here / "letters_workers.py").write_text(OWN)
    with pytest.raises(UserError, match=r"--workers 2: this evaluator .* works in one process only"):
        main(arguments("letters_workers", "goodness", "--workers", "2"))
