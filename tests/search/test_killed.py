"""`python search.py` killed by SIGKILL in the middle and resumed, with every strategy."""

from __future__ import annotations

import json
import os
import re
import signal
from pathlib import Path

import pytest

from config_file.errors import UserError
from search.cli import main
from search.strategies import STRATEGIES
from supernet.controllers import FactorisedController
from tests.search.killing import kill_once
from tests.search.test_cli import POPULATION, QUICK, here, rows, trained  # noqa: F401 - fixtures
from training.controller_file import save_controller
from training.differentiable_search.learner import ArchitectureLearner
from training.supernet_file import load_supernet

# What each needs to be in the middle of something (a generation, a neighbourhood, an update, a round of predictions)
# after some of 24 evaluations.
EVALUATIONS = ["--evaluations", "24"]
FIRST = ["--first-stage", "synflow", "--first-evaluations", "16"]
OPTIONS = {
    "random": ["--random-iteration", "24"],
    "grid": [*EVALUATIONS, "--grid-shuffle"],
    "evolution": [*POPULATION, "--generation-num", "4"],
    "regularized_evolution": [*EVALUATIONS, "--re-population", "6", "--re-sample", "3"],
    "genetic": [*EVALUATIONS, "--ga-population", "6"],
    "local_search": EVALUATIONS,
    "mf_nas": [*FIRST, "--first-best", "12"],
    "r_mf_nas": [*FIRST, "--first-best", "12"],
    "tpe": [*EVALUATIONS, "--startup", "6"],
    "bayesian": [*EVALUATIONS, "--startup", "6", "--bo-pool", "20"],
    "mfkd1": ["--mfkd1-samples", "23"],
    "mfkd2": ["--mfkd2-samples", "24"],
    "mfasc": [*EVALUATIONS, "--mfasc-high", "6", "--mfasc-pool", "20"],
    "rl": [*EVALUATIONS, "--rl-samples", "5"],
    "nsga2": [*EVALUATIONS, *POPULATION[:2]],
    "nsga3": [*EVALUATIONS, *POPULATION[:2]],
    "predictor": [*EVALUATIONS, *POPULATION[:2], "--inner-evaluations", "100"],
    "structured": [*EVALUATIONS, "--startup", "6"],
    "differentiable": ["--a-samples", "23", "--a-epochs", "2"],
    "controller": ["--controller-samples", "24"],
}


def lines(file: Path) -> int:
    return file.read_bytes().count(b"\n") if file.exists() else 0


def test_every_strategy_is_killed_here() -> None:
    assert OPTIONS.keys() == STRATEGIES.keys()


@pytest.mark.slow
@pytest.mark.parametrize("strategy", OPTIONS)
def test_killed_and_resumed_it_ends_the_same(here: Path, strategy: str) -> None:  # noqa: F811
    if strategy == "tpe":
        pytest.importorskip("optuna")
    if strategy == "controller":
        stage = here / "runs/toy/supernet"
        space = load_supernet(stage).space
        save_controller(stage, space, "factorised", FactorisedController(space.sizes), {})
    arguments = [*QUICK, "--search-strategy", strategy, *OPTIONS[strategy]]
    folder = here / "runs/toy/search"
    kill_once(arguments, lambda: lines(folder / "archive.jsonl") > 11)
    assert not (folder / "best.json").exists()
    kept = lines(folder / "archive.jsonl")
    with (folder / "archive.jsonl").open("ab") as file:
        file.write(b'{"architecture": [0, 1')  # a line torn by the kill
    assert main(["--title", "toy", "--resume"]) == 0
    assert main([*arguments, "--output", "whole"]) == 0
    assert rows(folder) == rows(here / "whole")
    assert len(rows(folder)) > kept - 1 > 10
    best, expected = (json.loads((path / "best.json").read_text()) for path in (folder, here / "whole"))
    assert best == expected


@pytest.mark.slow
def test_killed_while_an_architecture_is_learnt_it_goes_on_from_the_last_epoch(
    here: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    arguments = [*QUICK, "--search-strategy", "differentiable", "--a-epochs", "6", "--batch-size", "64"]
    folder = here / "runs/toy/search"
    learning = folder / "learning"
    kill_once(arguments, lambda: lines(learning / "metrics.jsonl") > 1)
    assert not (learning / "architecture.json").exists()
    config = (folder / "config.yaml").read_bytes()
    with pytest.raises(UserError, match=r"with --a-lr None, not 0\.5; resume alike"):
        main(["--title", "toy", "--resume", "--a-lr", "0.5"])
    assert (folder / "config.yaml").read_bytes() == config
    assert main(["--title", "toy", "--resume"]) == 0
    assert re.search(r"resumed after architecture step [1-9]", (learning / "log.txt").read_text())
    assert main([*arguments, "--output", "whole"]) == 0
    (folder / "archive.jsonl").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(ArchitectureLearner, "step", None)  # what is learnt is not learnt again
        assert main(["--title", "toy", "--resume"]) == 0
    for name in ("learning/architecture.json", "learning/metrics.jsonl", "best.json"):
        assert (folder / name).read_bytes() == (here / "whole" / name).read_bytes()
    assert (learning / "probabilities.png").read_bytes().startswith(b"\x89PNG")
    assert rows(folder) == rows(here / "whole")


def test_ctrl_c_while_an_architecture_is_learnt(
    here: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    step = ArchitectureLearner.step

    def interrupted(self: ArchitectureLearner, number: int, *arguments: object) -> None:
        step(self, number, *arguments)  # type: ignore[arg-type]
        if number == 2:
            os.kill(os.getpid(), signal.SIGINT)

    arguments = [*QUICK, "--search-strategy", "differentiable", "--a-epochs", "2", "--batch-size", "64"]
    assert main([*arguments, "--output", "whole"]) == 0
    monkeypatch.setattr(ArchitectureLearner, "step", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"after architecture step 3 of 6 and saved.*--title toy --resume"):
        main(arguments)
    monkeypatch.setattr(ArchitectureLearner, "step", step)
    assert main(["--title", "toy", "--resume"]) == 0
    learnt = [(path / "learning/architecture.json").read_bytes() for path in (here / "runs/toy/search", here / "whole")]
    assert learnt[0] == learnt[1]
    assert main([*QUICK, "--search-strategy", "random", "--random-iteration", "4", "--overwrite"]) == 0
    assert not (here / "runs/toy/search/learning").exists()
