from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from config_file.errors import UserError
from search.cli import main
from tests.search.test_cli import TARGET, here, trained  # noqa: F401 - fixtures

QUICK = [*TARGET, "--calibration-images", "64", "--eval-images", "60"]
SIZED = ["--evaluations", "18"]


@pytest.mark.parametrize("strategy", ["nsga2", "regularized_evolution"])
def test_it_ends_with_what_was_asked_for(strategy: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    objectives = ["--objective", "loss", *(["--objective", "params"] if strategy == "nsga2" else [])]
    size = [*SIZED, *(["--population", "6"] if strategy == "nsga2" else ["--re-population", "6", "--re-sample", "3"])]
    assert main([*QUICK, *size, "--search-strategy", strategy, *objectives]) == 0
    folder = here / "runs" / "toy" / "search"
    with (folder / "results.csv").open(newline="") as file:
        losses = {row["indices"]: float(row["loss"]) for row in csv.DictReader(file)}
    assert len(losses) == 18
    assert (folder / "front.csv").is_file() == (strategy == "nsga2")
    if strategy == "nsga2":
        with (folder / "front.csv").open(newline="") as file:
            rows = list(csv.DictReader(file))
        assert list(rows[0])[:2] == ["loss", "params"]
        assert rows[0]["indices"] == min(losses, key=lambda indices: losses[indices])
        assert "hypervol." in capsys.readouterr().out
        report = (folder / "report.html").read_text()
        assert "Hypervolume" in report
        assert "Knee" in report


@pytest.mark.parametrize("strategy", [["evolution", "--population", "6", "--parent-num", "2", "--generation-num", "1"],
                                      ["grid", "--evaluations", "9"]])  # fmt: skip
@pytest.mark.parametrize(("objective", "best"), [("flops", min), ("flops:max", max), ("params", min)])
def test_a_single_objective_is_what_the_network_is_picked_by(
    strategy: list[str], objective: str, best: Callable[..., float], here: Path  # noqa: F811
) -> None:  # fmt: skip
    flags = [*TARGET, "--calibration-images", "32", "--eval-images", "20", "--search-strategy", *strategy]
    assert main([*flags, "--objective", objective]) == 0
    folder = here / "runs" / "toy" / "search"
    name = objective.partition(":")[0]
    with (folder / "results.csv").open(newline="") as file:
        costs = [float(row[name]) for row in csv.DictReader(file)]
    assert len(set(costs)) > 3
    assert json.loads((folder / "best.json").read_text())["cost"][name] == best(costs)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--search-strategy", "nsga2", "--objective", "latency"], "nothing gives it"),
        (["--objective", "accuracy", "--objective", "flops"], "one objective, not 2"),
    ],
)
def test_objectives_that_cannot_be_are_refused(flags: list[str], message: str, here: Path) -> None:  # noqa: F811
    with pytest.raises(UserError, match=message):
        main([*QUICK, *flags])
    assert not (here / "runs" / "toy" / "search").exists()
