"""A network of one's own from start to end, small: its weights, a supernet, a search, retraining, and ONNX."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from config_file.errors import UserError
from deployment.cli import main as export
from deployment.weights import load_network
from search.cli import main as search
from tests.supernet.own_networks import Chain
from training.cli import main_retrain, main_train_supernet

RUN = ["--title", "own", "--threads", "1", "--no-tensorboard"]
SPACE = ["--search-space", "elastic:tests.supernet.own_networks:Chain"]
TRAIN = ["--dataset", "digits", "--epochs", "1", "--batch-size", "128"]


def test_a_network_of_one_s_own_is_searched_retrained_and_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    torch.save(Chain(10).state_dict(), "weights.pth")
    main_train_supernet([*RUN, *SPACE, *TRAIN, "--elastic", "*:0.5,depth", "--pretrained", "weights.pth"])
    limits = ["--target-hc", "0.1", "--calibration-images", "64"]
    with pytest.raises(UserError, match="no file decides which code is run"):
        search([*RUN, "--search-strategy", "random", "--random-iteration", "3", *limits])
    search([*RUN, *SPACE, "--search-strategy", "random", "--random-iteration", "3", *limits])
    best = json.loads(Path("runs/own/search/best.json").read_text())
    assert best["space_options"]["elastic"] == "*:0.5,depth"
    main_retrain([*RUN, *SPACE, *TRAIN, "--init", "supernet"])
    network, about = load_network("runs/own/retrain/model.safetensors")
    assert about["architecture"] == best["architecture"]
    assert network.spec.macs((3, 8, 8)) <= 100_000
    export(RUN[:2])
    card = json.loads(Path("runs/own/export/card.json").read_text())
    assert card["onnx"]["bytes"] > 0
