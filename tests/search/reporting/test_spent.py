"""What a search has spent, in its files and in its report."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from config_file.errors import UserError
from config_file.files import write_sealed
from lookup_tables.limits import Limits
from search.archive import Archive
from search.engine import run
from search.ledger import Ledger, Stop
from search.reporting.results_file import write_results
from search.reporting.spent import FORMAT, SPENT, Spent, read_spent
from search.schedules import Halving
from tests.search.test_ledger import RUNGS, SECONDS, SPACE, Curves, best, randomly


@pytest.fixture
def searched(tmp_path: Path) -> tuple[Path, Archive, Ledger]:
    """A halving of 32 on generated curves, after a first stage of 25 seconds."""
    ledger = Ledger(Stop(seconds=5000), before={"seconds": 25.0})
    archive = Archive(tmp_path / "archive.jsonl", {})
    run(randomly(32), Curves(), archive, {}, ledger=ledger, schedule=Halving(RUNGS), pick=best)
    return tmp_path, archive, ledger


def test_the_account_is_read_as_it_was_written(searched: tuple[Path, Archive, Ledger]) -> None:
    folder, archive, ledger = searched
    assert read_spent(folder, list(archive)).total == {"epochs": 1192, "seconds": 1192 * SECONDS}  # of an older search
    write_sealed(folder / SPENT, {"format": FORMAT, **ledger.record})
    found = read_spent(folder, list(archive))
    assert found.total == {"epochs": 1192, "seconds": 1192 * SECONDS + 25}
    facts = dict(found.facts())
    assert facts["in all"] == "1,192 epochs, 3,005 s"
    assert facts["budget"] == "5,000 s"
    assert facts["of it the first stage"] == "25 s"
    assert facts["repeats"] == "0, free"
    assert facts["at 12 epochs"] == "32 evaluations, 384 epochs, 960 s"
    assert facts["at 200 epochs"] == "2 evaluations, 200 epochs, 500 s"


def test_every_row_says_what_it_took(searched: tuple[Path, Archive, Ledger]) -> None:
    folder, archive, _ = searched
    write_results(folder / "results.csv", list(archive), Limits(SPACE))
    with (folder / "results.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert sum(float(row["epochs"]) for row in rows) == 1192
    assert sum(float(row["seconds"]) for row in rows) == 1192 * SECONDS
    assert [row["epochs"] for row in rows if row["n_epochs"] == "25"] == ["13"] * 16


@pytest.mark.parametrize(
    "account",
    [
        {"repeats": -1},
        {"spent": {"seconds": -4.0}},
        {"spent": {"seconds": "many"}},
        {"budget": []},
        {"evaluations": 1.5},
    ],
)
def test_an_account_that_cannot_be_is_one_line(account: dict[str, object], tmp_path: Path) -> None:
    write_sealed(tmp_path / SPENT, {"format": FORMAT, **Ledger().record, **account})
    with pytest.raises(UserError, match=r"spent\.json") as error:
        read_spent(tmp_path, [])
    assert "\n" not in str(error.value)


def test_nothing_spent_is_said_too() -> None:
    assert Spent((), Ledger().record).facts()[1] == ("budget", "no limit but the strategy's own end")
