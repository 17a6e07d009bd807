"""A trained supernet on disk comes back as it was, and anything else is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from config_file.errors import UserError
from config_file.files import write_sealed
from config_file.stages import find_stage, options_of_stage
from supernet import Supernet
from tests.training import toy
from training.initialise import initialise
from training.supernet_file import DESCRIPTION, WEIGHTS, load_supernet, save_supernet
from training.train_supernet import train_supernet


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    net = Supernet(toy.toy_space())
    initialise(net, 0)
    save_supernet(tmp_path, net.to(memory_format=torch.channels_last), {"dataset": "digits"})
    return tmp_path


def test_round_trip(folder: Path) -> None:
    net = Supernet(toy.toy_space())
    initialise(net, 0)
    trained = load_supernet(folder)
    toy.same(dict(trained.supernet.state_dict()), dict(net.state_dict()))
    assert trained.space.macro_fingerprint == net.space.macro_fingerprint
    assert trained.info["dataset"] == "digits"
    assert trained.info["search_space"] == "nasbench_macro"


def test_damage_is_found(folder: Path) -> None:
    weights, description = (folder / WEIGHTS).read_bytes(), (folder / DESCRIPTION).read_text()
    (folder / WEIGHTS).write_bytes(weights[:-10])
    with pytest.raises(UserError, match="truncated, or of another run"):
        load_supernet(folder)
    (folder / WEIGHTS).write_bytes(weights)
    (folder / DESCRIPTION).write_text(description[: len(description) // 2])
    with pytest.raises(UserError, match="damaged"):
        load_supernet(folder)
    (folder / DESCRIPTION).write_text("{}")
    with pytest.raises(UserError, match="not one of this toolkit"):
        load_supernet(folder)
    changed = json.loads(description)
    write_sealed(folder / DESCRIPTION, {**changed, "format": "oneshot-nas supernet 1"})
    with pytest.raises(UserError, match=r"of another version of this toolkit \(oneshot-nas supernet 1\)"):
        load_supernet(folder)
    changed["space_options"]["widths"] = [4, 4, 6, 8, 24]
    (folder / DESCRIPTION).write_text(json.dumps(changed))
    with pytest.raises(UserError, match="does not match its checksum: damaged or edited"):
        load_supernet(folder)
    write_sealed(folder / DESCRIPTION, changed)
    with pytest.raises(UserError, match="declared differently"):
        load_supernet(folder)
    (folder / WEIGHTS).unlink()
    (folder / DESCRIPTION).write_text(description)
    with pytest.raises(UserError, match="is missing"):
        load_supernet(folder)
    (folder / DESCRIPTION).unlink()
    with pytest.raises(UserError, match="is missing"):
        load_supernet(folder)


def test_weights_that_somebody_removed_are_written_again(tmp_path: Path) -> None:
    options = toy.supernet_options(tmp_path)
    weights = train_supernet(options) / "supernet.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    with pytest.raises(UserError, match=r"has no supernet.safetensors: .* continue it with: .* --resume"):
        find_stage(options_of_stage("search")(title="toy", root_path=str(tmp_path)), "supernet")
    train_supernet(replace(options, resume=True))
    assert weights.read_bytes() == before
    load_supernet(weights.parent)
