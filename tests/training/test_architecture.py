"""`retrain.py --architecture`: published networks are trained, and a space whose file has moved is that of the run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config_file.errors import UserError
from supernet import build_space
from training.cli import main_retrain, main_train_supernet

QUICK = ["--resolution", "8", "--epochs", "1", "--batch-size", "64", "--threads", "1", "--no-tensorboard"]
SPACE = """\
name: micro
stem: 4
stages:
  - {channels: 4, depth: 2, stride: 2}
  - {channels: 8, depth: 2, stride: 2}
candidates: [k3e1, k3e3, skip]
head: 8
"""
CHOSEN = "k3e1 skip k3e3 k3e1"


@pytest.fixture(autouse=True)
def _empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def result(title: str) -> dict:
    return json.loads(Path(f"runs/{title}/retrain/result.json").read_text())


def test_a_published_network_is_trained(capsys: pytest.CaptureFixture[str]) -> None:
    few = ["--train-portion", "0.1", "--train-on", "train"]
    main_retrain(["--title", "mine", "--architecture", "Proxyless-Mobile", *few, *QUICK])
    found = result("mine")
    assert found["space_options"]["widths"] == [32, 16, 32, 40, 80, 96, 192, 320, 1280]
    assert found["names"][:4] == ["k5e3", "k3e3", "skip", "skip"]
    assert found["params"] == 4_080_512 - 990 * 1281  # ten classes instead of a thousand
    assert "proxylessnas (Proxyless-Mobile)" in capsys.readouterr().out


def test_a_space_whose_file_has_moved_is_that_of_the_run() -> None:
    Path("micro.yml").write_text(SPACE)
    main_train_supernet(["--title", "m", "--search-space", "micro.yml", *QUICK])
    Path("micro.yml").rename("moved.yml")
    space = build_space("moved.yml", resolution=8, num_classes=10)
    about = {"space_options": space.describe(), "decisions_fingerprint": space.decisions_fingerprint}
    folder = Path("runs/m/search")
    folder.mkdir()
    (folder / "best.json").write_text(json.dumps(about | {"architecture": list(space.parse(CHOSEN.split()))}))
    for words in (
        [],
        ["--architecture", CHOSEN],
        ["--architecture", str(folder / "best.json")],
        ["--init", "supernet"],
    ):
        main_retrain(["--title", "m", *words, *QUICK, "--overwrite"])
        assert result("m")["names"] == CHOSEN.split()
    with pytest.raises(UserError, match=r"micro\.yml: no such file"):
        main_retrain(["--title", "m", "--search-space", "micro.yml", "--architecture", CHOSEN, *QUICK, "--overwrite"])
