"""Once-for-all's spaces through the stages: trained, searched, retrained from inherited weights, exported."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from config_file.errors import UserError
from deployment.cli import main as main_export
from search.cli import main as main_search
from tests.training.toy import supernet_options
from training.cli import main_retrain, main_train_supernet
from training.train_supernet import prepare_supernet

NARROW = "--search-space ofa_mbv3 --widths 8,8,8,8,8,8,8,16,16 --depths 3,1,1,1,1 --sort-channels"
FEW = "--dataset digits --resolution 8 --batch-size 32 --train-portion 0.1 --threads 1 --no-tensorboard"


def test_what_has_no_slices_is_not_sorted(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="--sort-channels: no layer of nasbench_macro"):
        prepare_supernet(supernet_options(tmp_path, sort_channels=True))


def test_from_training_to_the_card(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    common = ["--title", "a", *FEW.split()]
    main_train_supernet([*common, "--epochs", "1", *NARROW.split()])
    few = ["--calibration-images", "32", "--eval-images", "32"]
    main_search([*common, *few, *["--search-strategy", "random", "--random-iteration", "8"]])
    main_retrain([*common, *["--epochs", "1", "--init", "supernet", "--train-on", "train"]])
    main_export(["--title", "a"])
    card = json.loads(Path("runs/a/export/card.json").read_text())
    best = json.loads(Path("runs/a/search/best.json").read_text())
    assert card["architecture"]["indices"] == best["architecture"]
    assert card["architecture"]["space_options"]["widths"] == [8, 8, 8, 8, 8, 8, 8, 16, 16]
