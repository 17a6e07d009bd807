"""What was typed and is not read is refused, with what would be; what somebody else reads is not checked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from config_file.errors import UserError
from config_file.loader import parse
from config_file.stages import options_of_stage
from search.strategies import STRATEGIES


def read(stage: str, *words: str) -> Any:
    return parse(options_of_stage(stage), ["--title", "a", *words], f"{stage}.py", "")


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("strategy", [name for name in STRATEGIES if name != "evolution"])
def test_rules_of_one_strategy_do_not_bind_the_others(strategy: str) -> None:
    """`--parent-num` has the default 10, and is evolution's alone."""
    words = ["--population", "4"] if strategy in ("nsga2", "nsga3", "predictor") else []
    options = read("search", "--search-strategy", strategy, *words)
    assert options.parent_num == 10
    with pytest.raises(UserError, match="--parent-num 10 must be at most --population 4"):
        read("search", "--search-strategy", "evolution", "--population", "4")


@pytest.mark.parametrize(
    ("stage", "words", "message"),
    [
        ("search", "--search-strategy grid --random-iteration 5", "--random-iteration is for --search-strategy random"),
        ("search", "--search-strategy random --population 5", "--population is for --search-strategy evolution, nsga2"),
        ("search", "--search-strategy nsga2 --parent-num 2", "--parent-num is for --search-strategy evolution, not "),
        ("search", "--generation-num 3 --search-strategy tpe", "--generation-num is for --search-strategy evolution"),
        ("search", "--search-strategy evolution --a-lr 0.1", "--a-lr is for --sample-strategy differentiable"),
        ("search", "--search-strategy evolution --mutation-num 3", "--mutation-num is for --evolution-form spos, not"),
        ("search", "--search-strategy bayesian --bo-kappa 2", "--bo-kappa is for --bo-acquisition ucb, not for ei"),
        ("search", "--epochs 5", "--epochs is not read here: the supernet is trained already"),
        ("search", "--max-epochs 5", "--budget-epochs is not read here: evaluations with the weights of a supernet"),
        ("search", "--directly-search --search-strategy evolution", "--directly-search is a differentiable search"),
        ("supernet", "--a-lr 0.1", "--a-lr is for --sample-strategy differentiable, "),
        ("supernet", "--sample-strategy differentiable --a-samples 3", "--a-samples is not read here: search.py --sea"),
        ("supernet", "--optimizer adam --momentum 0.5", "--momentum is for --optimizer sgd or rmsprop, not for adam"),
        ("supernet", "--list-file x", "--list-file is for --dataset landmarks, not for digits"),
        ("retrain", "--decay-step 5", "--decay-step is for --lr-scheduler step, not for cosine"),
    ],
)  # fmt: skip
def test_what_this_run_does_not_read_is_refused(stage: str, words: str, message: str) -> None:
    with pytest.raises(UserError) as error:
        read(stage, *words.split())
    assert str(error.value).startswith(message)
    assert len(str(error.value)) < 200


@pytest.mark.parametrize(
    ("stage", "words"),
    [
        ("search", "--search-strategy nsga2 --population 4 --evaluations 6"),
        ("search", "--search-strategy evolution --evolution-form spos --mutation-num 3 --crossover-num 3"),
        ("search", "--directly-search --epochs 5 --a-lr 0.1 --lr 0.1"),
        ("search", "--constraint flops<=3"),
        ("search", "--search-strategy differentiable --loss cross_entropy --sample-strategy differentiable_gumbel"),
        ("supernet", "--sample-strategy differentiable --a-lr 0.1 --constraint flops<=3"),
        ("supernet", "--constraint flops<=3"),
        ("retrain", "--lr-scheduler step --decay-step 5 --optimizer adam --beta 0.5"),
    ],
)
def test_what_it_reads_is_not(stage: str, words: str) -> None:
    read(stage, *words.split())


def test_of_a_file_it_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file may serve several runs, and a saved one holds the options of all strategies."""
    (tmp_path / "my.yml").write_text("search_strategy: random\npopulation: 5\nrandom_iteration: 3\nstartup: 20\n")
    assert read("search", "--config", "my.yml").random_iteration == 3
    notes = capsys.readouterr().err.splitlines()
    assert len(notes) == 1
    assert notes[0].startswith("note: my.yml sets what this run does not read: --population is for --search-strategy ")


def test_code_of_somebody_else_may_read_anything_or_says_what(tmp_path: Path) -> None:
    (tmp_path / "elsewhere.py").write_text(
        "from search.strategies.evolution import Evolution\n"
        "def plain(problem, options, seed): ...\n"
        "class Better(Evolution): ...\n"
    )
    assert read("search", "--search-strategy", "elsewhere:plain", "--population", "4").population == 4
    own = "--search-strategy", "elsewhere:Better", "--population", "12"
    assert read("search", *own).population == 12
    with pytest.raises(UserError, match="--parent-num 10 must be at most --population 4"):
        read("search", "--search-strategy", "elsewhere:Better", "--population", "4")
    with pytest.raises(UserError, match="--re-sample is for --search-strategy regularized_evolution, not for else"):
        read("search", *own, "--re-sample", "3")
