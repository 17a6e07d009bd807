from __future__ import annotations

import csv
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch

from config_file.errors import UserError
from config_file.loader import parse, save
from search.cli import main
from search.evaluators.supernet import SupernetEvaluator
from search.options import SearchOptions
from search.preparation import prepare
from supernet import Supernet, build_space
from tests.search.killing import kill_once
from training.data import load_data
from training.options import TrainSupernetOptions
from training.supernet_file import save_supernet
from training.train_supernet import networks_of

ROOT = Path(__file__).resolve().parents[2]
SPACE = {
    "name": "tiny",
    "stem": 8,
    "stages": [{"channels": 8, "depth": 2, "stride": 2}, {"channels": 16, "depth": 2, "stride": 2}],
    "candidates": ["k3e3", "k5e3", "k3e6", "skip"],
    "head": 32,
}
TARGET = ["--title", "toy", "--target-hc", "0.7", "--threads", "1", "--no-tensorboard"]
QUICK = [*TARGET, "--calibration-images", "64", "--eval-images", "60"]
POPULATION = ["--population", "8", "--parent-num", "3"]
FIRST = [*QUICK, *POPULATION, "--generation-num", "0"]
EVOLUTION = [*QUICK, *POPULATION, "--generation-num", "3"]
EVALUATIONS = 8 + 3 * 5


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a supernet stage, as train_supernet.py leaves it (with weights that nobody trained)."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "tiny.yml").write_text(json.dumps(SPACE))
    options = TrainSupernetOptions(title="toy", search_space=str(folder / "tiny.yml"), resolution=16)
    data = load_data(options, options.resolution)
    space = networks_of(options, data)
    torch.manual_seed(0)
    stage = folder / "runs" / "toy" / "supernet"
    stage.mkdir(parents=True)
    about = {"classes": list(data.classes), "resolution": data.resolution, "split": data.split_record}
    save_supernet(stage, Supernet(space), about)
    save(options, stage / "config.yaml")
    return folder


@pytest.fixture
def here(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A fresh copy of it as the current folder."""
    shutil.copytree(trained, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def other_weights(stage: Path, change: Callable[[Supernet], object]) -> None:
    """Replace the supernet by one with other weights."""
    about = json.loads((stage / "supernet.json").read_text())
    supernet = Supernet(build_space(**about["space_options"]))
    change(supernet)
    save_supernet(stage, supernet, {name: about[name] for name in ("classes", "resolution", "split")})


def rows(folder: Path) -> list[dict[str, str]]:
    """results.csv without the column that no two runs share."""
    with (folder / "results.csv").open(newline="") as file:
        return [{name: value for name, value in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def test_the_stage_end_to_end(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(EVOLUTION) == 0
    out = capsys.readouterr().out
    folder = here / "runs/toy/search"
    best = json.loads((folder / "best.json").read_text())
    space = build_space(**best["space_options"])
    architecture = space.parse(best["names"])
    assert list(architecture) == best["architecture"]
    assert best["search_space"] == space.name == "tiny"
    assert best["decisions_fingerprint"] == space.decisions_fingerprint
    assert best["resolution"] == 16
    spec = space.decode(architecture)
    assert best["cost"] == {"flops": spec.macs((3, 16, 16)), "params": spec.params((3, 16, 16))}
    assert best["cost"]["flops"] <= 0.7e6
    table = rows(folder)
    assert len(table) == EVALUATIONS
    assert [row["evaluation"] for row in table] == [str(number) for number in range(1, EVALUATIONS + 1)]
    assert len({row["indices"] for row in table}) == EVALUATIONS
    assert all(row["within_limits"] == "1" for row in table)
    top = max(table, key=lambda row: float(row["accuracy"]))
    assert float(top["accuracy"]) == pytest.approx(best["selected_with"]["accuracy"], abs=1e-6)
    assert best["confirmed"]
    assert table[-1]["best_so_far"] == top["accuracy"]
    picture = (folder / "accuracy_vs_cost.png").read_bytes()
    assert picture.startswith(b"\x89PNG")
    metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in metrics] == list(range(1, EVALUATIONS + 1))
    for text in (" ".join(best["names"]), "range      flops from", "python retrain.py --title toy", "95 % interval"):
        assert text in out
        assert text in (folder / "log.txt").read_text()


def _lines(file: Path, enough: int) -> bool:
    return file.exists() and file.read_bytes().count(b"\n") > enough


@pytest.mark.slow
def test_killed_twice_and_resumed_it_ends_the_same(here: Path) -> None:
    assert main([*EVOLUTION, "--output", "whole"]) == 0
    folder = here / "runs/toy/search"
    archive = folder / "archive.jsonl"
    for enough in (4, 14):
        resume = ["--resume"] if folder.exists() else []
        kill_once([*EVOLUTION, *resume], partial(_lines, archive, enough))
        assert not (folder / "best.json").exists()
    with archive.open("ab") as file:
        file.write(b'{"architecture": [0, 1')  # a line torn by the kill
    assert main([*EVOLUTION, "--resume"]) == 0
    assert rows(folder) == rows(here / "whole")
    best, expected = (json.loads((path / "best.json").read_text()) for path in (folder, here / "whole"))
    assert best == expected


def test_ctrl_c_says_how_to_go_on(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluate = SupernetEvaluator._result
    calls = []

    def interrupted(*arguments: object) -> object:
        calls.append(arguments)
        if len(calls) == 6:
            raise KeyboardInterrupt
        return evaluate(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(SupernetEvaluator, "_result", interrupted)
    with pytest.raises(KeyboardInterrupt, match=r"5 evaluations are kept.*search\.py --title toy --resume"):
        main(EVOLUTION)
    monkeypatch.setattr(SupernetEvaluator, "_result", evaluate)
    assert main(["--title", "toy", "--resume"]) == 0  # the options come from the interrupted run
    assert len(rows(here / "runs/toy/search")) == EVALUATIONS


def test_a_plan_writes_nothing(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*EVOLUTION, "--plan"]) == 0
    out = capsys.readouterr().out
    assert not (here / "runs/toy/search").exists()
    for text in ("range      flops from", f"at most {EVALUATIONS} evaluations", "time ", "memory ", "runs/toy/search"):
        assert text in out
    assert "timed on 2" in out
    assert main([*EVOLUTION, "--plan", "--plan-seconds", "0"]) == 0
    assert "s per evaluation (a first estimate, from a few images; --plan-seconds " in capsys.readouterr().out


def test_a_target_that_limits_nothing_is_said(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = [*EVOLUTION, "--plan", "--plan-seconds", "0"]
    assert main([*words, "--target-hc", "100"]) == 0
    assert "note       --target-hc 100 limits nothing in this space" in capsys.readouterr().out
    default = [word for word in words if word not in ("--target-hc", "0.7")]
    assert main(default) == 0
    assert "note       --target-hc 100, the default, limits nothing in this space" in capsys.readouterr().out
    assert main(words) == 0
    assert "limits nothing" not in capsys.readouterr().out


def test_a_long_search_is_said_before_it_starts(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("search.planning.MANY", 0)
    assert main([*QUICK, "--search-strategy", "random", "--random-iteration", "2"]) == 0
    assert "long  " not in capsys.readouterr().out
    monkeypatch.setattr("training.estimate.LONG", 0.0)
    assert main([*QUICK, "--search-strategy", "random", "--random-iteration", "2", "--overwrite"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("long       about ")]


def test_random_search_for_params_stops_when_the_space_is_exhausted(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [*QUICK, "--search-strategy", "random_search", "--random-iteration", "400", "--info-metric", "params"]
    assert main([*arguments, "--target_hc", "0.0028", "--min-hc", "0.0025"]) == 0
    table = rows(here / "runs/toy/search")
    assert 0 < len(table) < 40
    assert all(2500 <= float(row["params"]) <= 2800 for row in table)
    assert "no further architecture" in capsys.readouterr().out


def test_a_strategy_of_ones_own(here: Path) -> None:
    (here / "mine.py").write_text(
        "from search.strategies.random_search import RandomOptions, RandomSearch\n"
        "def make(problem, options, seed):\n"
        "    return RandomSearch(problem, RandomOptions(random_iteration=3), seed)\n"
    )
    assert main([*QUICK, "--search-strategy", "mine:make"]) == 0
    assert len(rows(here / "runs/toy/search")) == 3


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("return None", "made a NoneType without a method ask"),
        ("return [][1]", r"'nonsense:make' raised IndexError: .*nonsense\.py, line 9"),
        ("return Mine(7)", r"ask\(\) must return a list of architectures, not a int"),
        (
            "return Mine([(9, 9)])",
            r"ask\(\) proposed \(9, 9\), which is not an architecture of tiny, a tuple",
        ),
        ("return Mine(['k3e3'])", "proposed 'k3e3', which is not"),
        ("return Mine([], size='all')", "its size must be an integer or None, not 'all'"),
        ("return Mine([problem.space.canonical((0,) * 4)])", r"raised RuntimeError: no thanks \(.*line 7\)"),
    ],
)
def test_a_strategy_of_ones_own_that_is_none(here: Path, monkeypatch, body: str, message: str) -> None:
    monkeypatch.delitem(sys.modules, "nonsense", raising=False)
    (here / "nonsense.py").write_text(
        "class Mine:\n"
        "    def __init__(self, proposals, size=None):\n"
        "        self.proposals, self.size = proposals, size\n"
        "    def ask(self, n):\n"
        "        return self.proposals\n"
        "    def tell(self, results):\n"
        "        raise RuntimeError('no thanks')\n"
        "def make(problem, options, seed):\n"
        f"    {body}\n"
    )
    with pytest.raises(UserError, match=message):
        main([*QUICK, "--search-strategy", "nonsense:make"])


def test_a_lookup_table_from_a_file(here: Path) -> None:
    options = parse(SearchOptions, QUICK, "search.py", "")
    prepare(options).problem.tables["flops"].save(here / "table.json")
    assert main([*FIRST, "--lookup-table", "table.json"]) == 0
    with pytest.raises(UserError, match="holds flops, not params"):
        main([*QUICK, "--lookup-table", "table.json", "--info-metric", "params", "--overwrite"])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--target-hc", "0.01"], r"--target-hc: no architecture has flops of 10,000 .*from [\d,]+ .* to [\d,]+ "),
        (["--constraint", "flops<=0.01"], r"--constraint: no architecture has flops of 10,000 .*from [\d,]+ "),
        (["--min-hc", "50", "--target-hc", "90"], r"--min-hc: no architecture .*from [\d,]+ .* to [\d,]+ "),
        (["--search-strategy", "evolutoin"], "did you mean 'evolution'"),
        (["--info-metric", "flop"], "did you mean 'flops'"),
        (["--search-space", "fbnet"], r"--search-space|trained with"),
        (["--train-portion", "0.5"], "split differently"),
        (["--dataset", "nowhere"], "unknown dataset"),
        (["--population", "8", "--parent-num", "8"], "no room for children"),
        (
            ["--search-strategy", "random", "--warm-start", "absent.csv"],
            "--warm-start is for --search-strategy predictor",
        ),
        (["--title", "other"], r"no supernet stage at .*python train_supernet\.py --title other"),
        (["--lookup-table", "missing.json"], "no such file"),
        (["--resume"], "nothing to resume"),
        (["--generations", "3"], "did you mean '--generation-num'"),
        (["--device", "tpu"], "device"),
    ],
)
def test_bad_input_is_one_line(arguments: list[str], message: str, here: Path) -> None:
    with pytest.raises(UserError, match=message) as error:
        main([*QUICK, *arguments])
    assert "\n" not in str(error.value)
    assert not (here / "runs/toy/search").exists()


def test_a_finished_search_is_not_overwritten(here: Path) -> None:
    arguments = FIRST
    assert main(arguments) == 0
    with pytest.raises(UserError, match=r"--resume .*--overwrite"):
        main(arguments)
    assert main([*arguments, "--overwrite", "--random-seed", "7"]) == 0


def test_resuming_on_other_weights_or_settings_is_refused(here: Path) -> None:
    arguments = FIRST
    assert main(arguments) == 0
    with pytest.raises(UserError, match="calibration_images was 64, is 32"):
        main([*arguments, "--resume", "--calibration-images", "32"])
    assert main(["--title", "toy", "--resume"]) == 0  # the refused command changed nothing
    other_weights(here / "runs/toy/supernet", lambda supernet: None)
    with pytest.raises(UserError, match="weights was"):
        main([*arguments, "--resume"])


def test_a_supernet_that_diverged_is_refused(here: Path) -> None:
    other_weights(here / "runs/toy/supernet", lambda supernet: next(supernet.parameters()).data.fill_(float("nan")))
    with pytest.raises(UserError, match="not finite"):
        main(EVOLUTION)


def test_the_script_gives_one_line_and_status_2(here: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "search.py"), "--title", "toy", "--target-hc", "0.01"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr.startswith("error: --target-hc")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize("strategy", ["evolution", "random", "differentiable"])
def test_evaluations_are_refused_where_a_strategy_has_a_size(strategy: str, here: Path) -> None:
    with pytest.raises(UserError, match=f"--budget-evaluations does not count with --search-strategy {strategy}: .*--"):
        main([*QUICK, "--search-strategy", strategy, "--evaluations", "5"])
