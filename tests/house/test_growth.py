"""The growth test: an addition is one small file outside of our packages, and works from the command line to its end.

Each file of `growth/` enters one thing under a name into one of our registries; `--plugins` imports it. None of them
touches a file of ours.
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from config_file.errors import UserError
from deployment.cli import main as export
from deployment.engines import ENGINES
from search.cli import main as search
from search.evaluators import EVALUATORS
from search.foreign import FOREIGN
from search.strategies import STRATEGIES
from supernet.blocks import Block
from supernet.metrics import METRICS
from supernet.spaces import SPACES
from tasks import TASKS
from training.cli import main_retrain as retrain
from training.cli import main_train_supernet as train
from training.data.load import DATASETS
from training.losses import LOSSES
from training.trainers import NETWORK_TRAINERS, TRAINERS

GROWTH = Path(__file__).parent / "growth"
REGISTRIES: tuple[dict[str, Any], ...] = (
    Block.kinds, DATASETS, ENGINES, EVALUATORS, FOREIGN, LOSSES, METRICS, NETWORK_TRAINERS, SPACES, STRATEGIES, TASKS,
    TRAINERS,
)  # fmt: skip
MOST_LINES = 90
TINY = ["--batch-size", "32", "--threads", "1", "--no-tensorboard", "--train-portion", "0.5"]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A folder of the user's own with the files in it; afterwards our registries are as they were."""
    for file in GROWTH.glob("own_*.py"):
        shutil.copy(file, tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    before = [dict(registry) for registry in REGISTRIES]
    yield
    for registry, entries in zip(REGISTRIES, before, strict=True):
        registry.clear()
        registry.update(entries)
    for module in [name for name in sys.modules if name.startswith("own_")]:
        del sys.modules[module]


def run(main: Callable[[list[str]], Any], *words: str, plugins: str = "", title: str = "mine") -> None:
    main(["--title", title, *(["--plugins", plugins] if plugins else []), *words])


def read(path: str) -> Any:
    return json.loads(Path(path).read_text(encoding="utf-8"))


def test_each_is_one_small_file() -> None:
    files = sorted(GROWTH.glob("own_*.py"))
    assert [file.stem.removeprefix("own_") for file in files] == [
        "block", "data_set", "engine", "evaluator", "form", "loss", "metric", "sandwich", "space", "strategy", "task",
        "teacher",
    ]  # fmt: skip
    assert {file.name: n for file in files if (n := len(file.read_text().splitlines())) > MOST_LINES} == {}


def test_space_block_trainer_loss_data_set_metric_strategy_and_evaluator() -> None:
    """A supernet of own blocks, trained and searched by own means, retrained with a teacher of its own, exported."""
    own = "own_space,own_sandwich,own_loss,own_data_set,own_metric,own_strategy,own_evaluator,own_teacher"
    images = ["--dataset", "shapes", "--shape-images", "120"]
    run(
        train, "--search-space", "doubles", "--widths", "6", "--sample-strategy", "sandwich", "--loss", "focal",
        "--epochs", "1", *images, *TINY, plugins=own,
    )  # fmt: skip
    supernet = read("runs/mine/supernet/supernet.json")
    assert supernet["classes"] == ["square", "cross"]
    assert supernet["train"]["sample_strategy"] == "sandwich"
    assert supernet["train"]["paths_per_step"] == 4

    run(
        search, "--search-strategy", "climber", "--climber-start", "2", "--evaluations", "6", "--evaluator", "margin",
        "--margin-images", "20", "--objective", "margin:max", "--info-metric", "activations", "--target-hc", "1",
        "--threads", "1", "--no-tensorboard", plugins=own,
    )  # fmt: skip
    best = read("runs/mine/search/best.json")
    rows = [json.loads(line) for line in Path("runs/mine/search/archive.jsonl").read_text().splitlines()][1:]
    assert len(rows) == 6
    assert all(row["cost"]["activations"] <= 1000 for row in rows)
    assert all(row["fidelity"] == {"images": 20} for row in rows)
    greatest = max(rows, key=lambda row: row["metrics"]["margin"])
    assert best["architecture"] == greatest["architecture"]

    run(retrain, "--epochs", "1", *images, *TINY, plugins=own)
    teacher = shutil.copy("runs/mine/retrain/model.safetensors", "teacher.safetensors")
    words = [
        "--trainer",
        "distilled",
        "--teacher",
        str(teacher),
        "--kd-temperature",
        "2",
        "--epochs",
        "1",
        "--overwrite",
    ]
    run(retrain, *words, *images, *TINY, plugins=own)
    assert "kd_temperature: 2.0" in Path("runs/mine/retrain/config.yaml").read_text()
    assert Path("runs/mine/retrain/model.safetensors").read_bytes() != Path(teacher).read_bytes()

    run(export, plugins="own_block")
    assert read("runs/mine/export/card.json")["onnx"]["bytes"] > 0


def test_a_task_with_its_loss_and_data() -> None:
    space = ["--search-space", "nasbench_macro", "--widths", "4", "4", "4", "4", "8"]
    run(train, "--dataset", "grey", *space, "--epochs", "1", *TINY, plugins="own_task")
    run(
        search, "--search-strategy", "random", "--random-iteration", "3", "--calibration-images", "20",
        "--threads", "1", "--no-tensorboard", plugins="own_task",
    )  # fmt: skip
    best = read("runs/mine/search/best.json")
    assert best["task"] == "brightness"
    assert best["abs_error"] >= 0
    run(retrain, "--epochs", "2", *TINY, plugins="own_task")
    assert read("runs/mine/retrain/result.json")["test_abs_error"] >= 0
    run(export, plugins="own_task")
    assert Path("runs/mine/export/brightness.py").is_file()


def test_an_engine() -> None:
    from lookup_tables.cli import main as lookup_tables

    lookup_tables(
        ["build", "--metric", "latency", "--engine", "stub", "--plugins", "own_engine", "--rounds", "1", "--networks",
         "0", "--search-space", "nasbench_macro", "--widths", "4", "4", "4", "4", "8", "--output", "t.json"]
    )  # fmt: skip
    table = read("t.json")
    assert "stub" in json.dumps(table)


def test_without_the_plugin_the_name_is_unknown() -> None:
    with pytest.raises(UserError, match="unknown search space 'doubles'"):
        run(train, "--search-space", "doubles")
    with pytest.raises(UserError, match="no module 'own_nothing'"):
        run(train, plugins="own_nothing")


def test_help_lists_what_a_plugin_adds(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        search(["--plugins", "own_strategy", "--help"])
    text = " ".join(capsys.readouterr().out.split())
    assert "climber" in text
    assert "--climber-start N random architectures at the start (default: 4)" in text


def test_a_file_of_options_of_another_tool() -> None:
    Path("theirs.yml").write_text("tuner: {trials: 2, space: nasbench_macro}\n")
    words = ["--evaluator", "zero_cost", "--dataset", "digits", "--resolution", "16", "--config", "theirs.yml", *TINY]
    run(search, *words, plugins="own_form")
    assert len(Path("runs/mine/search/archive.jsonl").read_text().splitlines()) == 3
    Path("theirs.yml").write_text("tuner: {trails: 2}\n")
    with pytest.raises(UserError, match=r"^theirs.yml \(of Tuner\): unknown key 'trails' in tuner; did you mean"):
        run(search, *words, plugins="own_form", title="other")
