"""MF-NAS's command line and YAML: the settings of its configs/algo_201.yaml and algo_101.yaml as published."""

from __future__ import annotations

from pathlib import Path

import pytest

from config_file.errors import UserError
from config_file.loader import parse
from search.foreign import FOREIGN, mf_nas
from search.options import SearchOptions
from search.tabular.files import write_benchmark
from search.tabular.generated import generate

CONFIG = """
FLS:
  using_zc_metric: false
  metric: val_acc
  iepoch: 12
REA+W:
  using_zc_metric: false
  metric: val_acc
  iepoch: 12
  pop_size: 10
  tournament_size: 10
  prob_mutation: 1.0
  warm_up: true
  n_sample_warmup: 2000
  metric_warmup: synflow
GA:
  using_zc_metric: false
  metric: val_acc
  iepoch: 12
  pop_size: 10
  tournament_size: 2
  prob_c: 0.9
  prob_m: 1.0
  crossover_method: 2X
SH:
  using_zc_metric: false
  metric: val_acc
  list_iepoch:
  - 12
  - 25
  - 50
  - 100
  - 200
  n_candidate: 32
MF-NAS:
  optimizer_stage1: RS
  using_zc_metric_stage1: true
  metric_stage1: jacob_cov
  max_eval_stage1: 1500
  using_zc_metric_stage2: false
  metric_stage2: val_acc
  list_iepoch:
  - 12
  - 25
  - 50
  - 100
  - 200
  n_candidate: '64'
PLS:
  list_metrics:
  - val_acc
  - flops
"""
HALVED = {"schedule": "halving", "fidelities": "12,25,50,100,200"}
COMMANDS: dict[str, dict[str, object]] = {
    "MF-NAS": {
        **HALVED, "search_strategy": "mf_nas", "first_stage": "synflow", "first_strategy": "local_search",
        "first_evaluations": 2000, "first_best": 32, "ls_improvement": "first", "ls_looks": 2000,
        "first_choice": "best", "budget_seconds": None,
    },
    "R-MF-NAS": {"search_strategy": "r_mf_nas", "first_choice": "spread", "first_best": 32},
    "SH": {**HALVED, "search_strategy": "random", "random_iteration": 32, "first_stage": None, "budget_seconds": None},
    "RS": {"search_strategy": "random", "fidelities": "12", "budget_seconds": 20_000},
    "FLS": {"search_strategy": "local_search", "ls_improvement": "first", "fidelities": "12", "ls_looks": None},
    "BLS": {"search_strategy": "local_search", "ls_improvement": "coded", "budget_seconds": 20_000},
    "REA": {
        "search_strategy": "regularized_evolution", "re_population": 10, "re_sample": 10, "re_mutations": 1.0,
        "first_stage": None,
    },
    "REA+W": {
        "re_population": 10, "first_stage": "synflow", "first_strategy": "random", "first_evaluations": 2000,
        "first_best": 10,
    },
    "GA": {
        "search_strategy": "genetic", "ga_population": 10, "ga_tournament": 2, "ga_crossover": "two_point",
        "ga_crossover_prob": 0.9, "ga_mutations": 1.0,
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tables")
    write_benchmark(folder / "nasbench201_cifar10.npz", generate("nasbench201"))
    write_benchmark(folder / "nasbench201_cifar100.npz", generate("nasbench201", "cifar100", (12, 200)))
    write_benchmark(folder / "nasbench_asr_timit.npz", generate("nasbench_asr"))
    write_benchmark(folder / "nasbench101_cifar10.npz", generate("nasbench101"))
    return folder


@pytest.fixture(autouse=True)
def here(tables: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("NAS_SHARED_DATA", str(tables))
    Path("algo.yaml").write_text(CONFIG)


def understood(*words: str) -> SearchOptions:
    ours = mf_nas.command(words)
    assert ours is not None
    return parse(SearchOptions, ours, "search.py", "", (), FOREIGN.values())


@pytest.mark.parametrize("name", COMMANDS)
def test_the_command_means_what_its_configuration_says(name: str) -> None:
    assert set(COMMANDS) == set(mf_nas.ALGORITHMS)
    options = understood("--ss", "nb201", "--optimizer", name, "--dataset", "cifar10", "--n_run", "31")
    found = {option: getattr(options, option) for option in COMMANDS[name]}
    assert found == COMMANDS[name]
    assert (options.evaluator, options.table_dataset, options.runs) == ("nasbench201", "cifar10", 31)
    assert (options.random_seed, options.title) == (1, f"{name}_nb201_cifar10")


def test_its_file_is_read_with_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    for flag in ("--config_file", "--config"):
        options = understood("--ss=nb201", flag, "algo.yaml", "--optimizer", "MF-NAS", "--init_seed", "9")
        assert (options.first_strategy, options.first_stage, options.first_best) == ("random", "jacov", 64)
        assert (options.first_evaluations, options.ls_looks, options.random_seed) == (1500, None, 10)
    assert options.runs == 500
    options = understood("--ss", "nb201", "--config", "algo.yaml", "--dataset", "cifar100", "--save_path", "exp")
    assert (options.fidelities, options.root_path) == ("12,200", "exp")
    said = capsys.readouterr().err
    assert "adapted: the table has nothing after 25, 50, 100 epochs, rungs are 12, 200" in said
    assert "MF-NAS's command is ours with --evaluator nasbench201" in said


def test_its_file_is_read_by_config_alone() -> None:
    words = ["--config", "algo.yaml", "--title", "t", "--evaluator", "nasbench201"]
    options = parse(SearchOptions, words, "search.py", "", (), FOREIGN.values())
    assert (options.search_strategy, options.first_stage, options.first_best) == ("mf_nas", "jacov", 64)
    assert options.fidelities == "12,25,50,100,200"


def test_our_own_options_stand_beside_its_own_and_win() -> None:
    words = ["--ss", "nb201", "--optimizer", "bls", "--ls-improvement", "best", "--budget-epochs", "500", "--verbose"]
    options = understood(*words, "--evaluate_after_search", "--title", "mine")
    assert (options.ls_improvement, options.budget_epochs, options.budget_seconds) == ("best", 500, None)
    assert options.title == "mine"
    assert understood("--ss", "nb201", "--first-stage", "params", "--runs=3").first_stage == "params"
    assert mf_nas.command(["--optimizer", "sgd", "--dataset", "cifar10"]) is None
    # What scores read are images of its data set where one says where these are, else the digits that come along.
    assert understood("--ss", "nb201", "--dataset", "cifar10").dataset == "digits"
    assert understood("--ss", "nb201", "--dataset", "cifar10", "--data-path", "x").dataset == "cifar10"


def test_spaces_without_seconds_have_their_budget_of_evaluations() -> None:
    assert understood("--ss", "nbasr", "--optimizer", "FLS").budget_evaluations == 25
    assert understood("--ss", "nbasr", "--optimizer", "RS").random_iteration == 25
    options = understood("--ss", "nb101", "--optimizer", "SH")
    assert (options.random_iteration, options.fidelities) == (16, "4,12,36,108")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--ss", "nb210"], r"unknown space of --ss 'nb210'.*nb201"),
        (["--ss", "nb201", "--optimizer", "MFNASS"], r"unknown --optimizer 'MFNASS'.*MF-NAS"),
        (["--ss", "nb201", "--optimizer", "LOMONAS"], "LOMONAS searches a front in a way of its own"),
        (["--ss", "nb201", "--dataset", "cifar11"], r"unknown data set of NAS-Bench-201 'cifar11'.*cifar10"),
        (["--ss", "nb201", "--optimizer"], "--optimizer needs a value"),
        (["--ss", "nb201", "--init_seed", "x"], "--init_seed takes an integer, not 'x'"),
        (["--ss", "nb201", "--n_run", "x"], "--runs takes an integer, not 'x'"),
        (["--ss", "nb101", "--optimizer", "REA"], "REA has no end of its own: give --budget-seconds"),
        (["--ss", "nb201", "--config_file", "none.yaml"], "none.yaml"),
        (["--ss", "nb201", "--config_file", "ours.yml"], r"ours\.yml has no settings of an algorithm of MF-NAS"),
        (["--ss", "nb201", "--table", "nasbench_asr_timit.npz"], "no such file nasbench_asr_timit"),
    ],
)
def test_what_there_is_nothing_of_is_one_line(words: list[str], message: str) -> None:
    Path("ours.yml").write_text("search_strategy: random\n")
    with pytest.raises(UserError, match=message) as caught:
        understood(*words)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            ("n_candidate: '64'", "n_candidates: 64"),
            r"unknown key 'n_candidates' in MF-NAS.*did you mean 'n_candidate'",
        ),
        (("optimizer_stage1: RS", "optimizer_stage1: FSL"), r"unknown optimizer_stage1 'FSL'.*FLS"),
        (("using_zc_metric_stage1: true", "using_zc_metric_stage1: false"), "the first stage is on a zero-cost score"),
        (("metric_stage2: val_acc", "metric_stage2: train_loss"), r"metric 'train_loss': .* on validation"),
        (("using_zc_metric_stage2: false", "using_zc_metric_stage2: true"), "using_zc_metric: a search on a zero-cost"),
        (("n_candidate: '64'", "n_candidate: many"), "first_best takes an integer, not 'many'"),
    ],
)
def test_settings_that_there_is_nothing_of_are_one_line(change: tuple[str, str], message: str) -> None:
    text = CONFIG.replace(*change)
    assert text != CONFIG
    Path("algo.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        parse(SearchOptions, ["--config", "algo.yaml", "--title", "t"], "search.py", "", (), FOREIGN.values())
