"""Retraining: what it starts from, what it learns from, what it leaves behind, and resuming bit for bit."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from config_file.run_folder import RunFolder
from config_file.stages import command
from deployment.weights import load_network
from supernet import Network, build_space, extract
from supernet.blocks import Conv
from tests.training import toy
from training.architecture import choose_architecture
from training.cli import main_retrain
from training.data import load_data
from training.retrain import retrain, retrain_stage, train_network
from training.supernet_file import load_supernet
from training.train_supernet import train_supernet

NOISY = {"loss": "tests.training.toy:noisy_loss"}
FIXED = "[2, 1, 0, 2, 1, 0, 2, 1]"


@pytest.fixture(autouse=True)
def _quiet_toy() -> None:
    toy.reset()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The root of a run whose supernet is trained and whose search found FIXED."""
    toy.reset()
    root = tmp_path_factory.mktemp("runs")
    folder = train_supernet(toy.supernet_options(root))
    space = load_supernet(folder).space
    found = {
        "search_space": space.name,
        "space_options": space.describe(),
        "architecture": json.loads(FIXED),
        "names": space.names(tuple(json.loads(FIXED))),
        "decisions_fingerprint": space.decisions_fingerprint,
    }
    (root / "toy" / "search").mkdir()
    (root / "toy" / "search" / "best.json").write_text(json.dumps(found))
    return root


def checkpoint(root: Path, title: str) -> dict:
    return torch.load(root / title / "retrain" / "checkpoints" / "last.pt", weights_only=True)["state"]


def test_the_searched_network_is_trained_tested_and_described(trained: Path) -> None:
    folder = retrain_stage(toy.retrain_options(trained, epochs=1, train_portion=0.8))
    network, about = load_network(folder / "model.safetensors")
    result = json.loads((folder / "result.json").read_text())
    samples = np.load(folder / "samples.npz", allow_pickle=False)
    assert about["architecture"] == json.loads(FIXED)
    assert about["names"][0] == "e6k5"
    assert about["search_space"] == "nasbench_macro"
    assert about["classes"] == [str(digit) for digit in range(10)]
    assert about["crop_pct"] == 1
    for key in (
        "mean",
        "std",
        "resolution",
        "crop_pct",
        "dataset",
        "test_accuracy",
        "val_accuracy",
        "macs",
        "params",
        "train",
    ):
        assert about[key] == result[key], key
    assert about["val_accuracy"] is None
    assert 0 <= about["test_accuracy"] <= 1
    assert about["macs"] == network.spec.macs((3, 8, 8))
    assert about["params"] == sum(p.numel() for p in network.parameters())
    assert about["train"]["images"] == result["split"]["sizes"]["train"] + result["split"]["sizes"]["val"]
    images, labels = samples["images"], samples["labels"]
    assert images.shape == (64, 8, 8, 3)
    assert images.dtype == np.uint8
    assert labels.dtype == np.int64
    x = torch.from_numpy(images).permute(0, 3, 1, 2).float() / 255
    mean, std = (torch.tensor(about[key]).view(1, 3, 1, 1) for key in ("mean", "std"))
    with torch.no_grad():
        logits = network((x - mean) / std)
    torch.testing.assert_close(logits, torch.from_numpy(samples["logits"]), rtol=1e-4, atol=1e-5)
    assert "next: python export.py --title toy" in (folder / "log.txt").read_text()


def test_training_only_on_train_reports_validation(tmp_path: Path) -> None:
    options = toy.retrain_options(tmp_path, architecture=FIXED, train_on="train", epochs=1, validate_every=1)
    result = json.loads((retrain_stage(options) / "result.json").read_text())
    assert result["train"]["images"] == result["split"]["sizes"]["train"]
    assert 0 <= result["val_accuracy"] <= 1
    assert result["val_images"] == result["split"]["sizes"]["val"]


def test_inherited_weights_are_the_start(trained: Path, tmp_path: Path) -> None:
    folder = trained / "toy" / "supernet"
    inherited = extract(load_supernet(folder).supernet, tuple(json.loads(FIXED)))
    options = toy.retrain_options(
        tmp_path, architecture=FIXED, init="supernet", supernet=str(folder), lr=1e-12, weight_decay=0.0, epochs=1
    )
    network, _ = load_network(retrain_stage(options) / "model.safetensors")
    for p, q in zip(network.parameters(), inherited.parameters(), strict=True):
        torch.testing.assert_close(p, q, rtol=0, atol=1e-9)
    with pytest.raises(UserError, match="other settings"):
        retrain_stage(replace(options, title="wide", widths=(4, 4, 6, 8, 24)))


@pytest.mark.parametrize(("changes", "call"), [({}, 3), ({"ema_decay": 0.9}, 6)])
def test_an_interrupted_retraining_goes_on_bit_for_bit(tmp_path: Path, changes: dict, call: int) -> None:
    def options(title: str):
        return toy.retrain_options(
            tmp_path, title, architecture="random", train_on="train", validate_every=1, **NOISY, **changes
        )

    retrain_stage(options("straight"))
    assert toy.script.calls > call
    toy.reset(interrupt=call)
    with pytest.raises(KeyboardInterrupt, match=r"retrain\.py .*--resume"):
        retrain_stage(options("broken"))
    toy.reset()
    retrain_stage(replace(options("broken"), resume=True))
    first, second = (checkpoint(tmp_path, title) for title in ("straight", "broken"))
    for state in (first, second):
        del state["rng"]
    toy.same(first, second)
    weights = [load_network(tmp_path / title / "retrain" / "model.safetensors")[0] for title in ("straight", "broken")]
    toy.same(*(dict(network.state_dict()) for network in weights))
    (tmp_path / "broken" / "retrain" / "model.safetensors").unlink()
    with pytest.raises(UserError, match="another network"):
        retrain_stage(replace(options("broken"), resume=True, architecture=FIXED))


def test_the_moving_average_is_what_is_saved_and_tested(tmp_path: Path) -> None:
    options = toy.retrain_options(tmp_path, architecture=FIXED, ema_decay=0.9)
    network, _ = load_network(retrain_stage(options) / "model.safetensors")
    state = checkpoint(tmp_path, "toy")
    toy.same(dict(network.state_dict()), {n: t.contiguous() for n, t in state["average"].items()})
    assert any(not torch.equal(p, state["model"][n]) for n, p in network.named_parameters())


def test_any_network_can_be_trained_from_a_program(tmp_path: Path) -> None:
    options = toy.retrain_options(tmp_path, epochs=6, batch_size=32, train_portion=0.8, lr=0.2)
    data = load_data(options, 8)
    spec = toy.toy_space().decode((0, 0, 1, 0, 1, 0, 0, 1))
    with RunFolder.open(options) as run:
        result = retrain(spec, data, options, run, about={"names": ["mine"]})
    assert isinstance(result.network, Network)
    assert result.summary["names"] == ["mine"]
    assert result.summary["search_space"] is None
    assert result.test.value == result.summary["test_accuracy"]
    assert result.test.value > 0.5


def test_a_network_is_trained_without_files_and_without_a_look_at_the_test_images(tmp_path: Path) -> None:
    options = toy.retrain_options(tmp_path, train_on="train", epochs=6, batch_size=32, train_portion=0.8, lr=0.2)
    data = load_data(options, 8)
    hidden = replace(data, test=None)
    spec = toy.toy_space().decode((0, 0, 1, 0, 1, 0, 0, 1))
    state = train_network(spec, hidden, options)
    assert state.validation["val_accuracy"] > 0.5
    assert not any(tmp_path.iterdir())
    with RunFolder.open(options) as run:
        result = retrain(spec, data, options, run)
    toy.same(dict(state.trained.state_dict()), dict(result.network.state_dict()))
    assert result.val.value == state.validation["val_accuracy"]


def test_a_plan_writes_nothing(tmp_path: Path, capsys) -> None:
    arguments = ["--title", "toy", "--root-path", str(tmp_path / "runs"), "--plan", "--epochs", "2", "--threads", "1"]
    arguments += ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16", "--resolution", "8"]
    main_retrain([*arguments, "--architecture", "random"])
    assert not (tmp_path / "runs").exists()
    assert "s per step" in capsys.readouterr().out


# ---- which architecture ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["indices", "names", "list file", "found", "npy", "inline object"])
def test_an_architecture_can_be_given_in_many_ways(tmp_path: Path, form: str) -> None:
    indices = json.loads(FIXED)
    space = toy.toy_space()
    names = space.names(tuple(indices))
    found = {"search_space": space.name, "space_options": space.describe(), "architecture": names}
    path = tmp_path / ("a.npy" if form == "npy" else "a.json")
    if form == "npy":
        np.save(path, np.array(indices))
    else:
        path.write_text(json.dumps(found if form == "found" else names))
    text = {"indices": FIXED, "names": json.dumps(names), "inline object": json.dumps(found)}.get(form, str(path))
    options = toy.retrain_options(tmp_path, architecture=text)
    chosen = choose_architecture(options, load_data(options, 8))
    assert chosen.architecture == tuple(indices)
    assert chosen.space.macro_fingerprint == space.macro_fingerprint


def test_a_found_architecture_is_built_for_the_data_at_hand(tmp_path: Path) -> None:
    space = toy.toy_space(num_classes=100)
    found = {"search_space": space.name, "space_options": space.describe(), "architecture": json.loads(FIXED)}
    options = toy.retrain_options(tmp_path, architecture=json.dumps(found), widths=None, resolution=16)
    chosen = choose_architecture(options, load_data(options, 16))
    assert chosen.space.input_shape == (3, 16, 16)
    assert chosen.space.describe()["num_classes"] == 10
    assert chosen.space.describe()["widths"] == [4, 4, 6, 8, 16]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("missing.json", "no such file"),
        ("[1, 2]", "8 decisions"),
        ('["e6k5", "e9", "identity", "identity", "identity", "identity", "identity", "identity"]', "unknown option"),
        ("[1, 2", "not JSON"),
        ('{"arch": []}', "'architecture'"),
        ('{"architecture": [0], "space_options": 3}', "'space_options' are not those of a search space"),
        ('{"architecture": [0], "space_options": {"width": 3}}', "'space_options' are not those of a search space"),
        ('{"architecture": [0], "space_options": {"search_space": "sops"}}', "did you mean 'spos'"),
        ('{"architecture": 7}', "architecture"),
        ('[[0, 1], {"a": 2}, null, 1, 1, 1, 1, 1]', "architecture entry 0"),
        ('{"architecture": [0,0,0,0,0,0,0,0], "decisions_fingerprint": "0"}', "of another space than nasbench_macro"),
    ],
)
def test_bad_architectures(tmp_path: Path, text: str, message: str) -> None:
    options = toy.retrain_options(tmp_path, architecture=text)
    with pytest.raises(UserError, match=message):
        choose_architecture(options, load_data(options, 8))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"search_space": "spos", "widths": None}, "--search-space spos: the network in .*best.json is of another one"),
        ({"depths": (2, 3, 4)}, r"--depths \(2, 3, 4\): the network in .* is of another one"),
        ({"skip": "identity"}, "--skip identity: the network in .* is of another one"),
        ({}, None),
        ({"search_space": "proxylessnas", "widths": None}, None),  # the default: nobody asked for it
    ],
)
def test_another_space_than_the_search_s_is_not_ignored(tmp_path: Path, changes: dict, message: str | None) -> None:
    space = toy.toy_space()
    found = {"search_space": space.name, "space_options": space.describe(), "architecture": json.loads(FIXED)}
    folder = tmp_path / "toy" / "search"
    folder.mkdir(parents=True)
    (folder / "best.json").write_text(json.dumps(found))
    options = toy.retrain_options(tmp_path, **changes)
    if message is None:
        assert choose_architecture(options, load_data(options, 8)).space.name == "nasbench_macro"
        return
    with pytest.raises(UserError, match=message):
        choose_architecture(options, load_data(options, 8))


def test_what_was_searched_narrow_is_retrained_wide(tmp_path: Path) -> None:
    """DARTS searches with 8 cells of 16 channels and retrains 20 of 36: decisions must agree, nothing else."""
    space = toy.toy_space()
    found = {"space_options": space.describe(), "architecture": json.loads(FIXED)}
    folder = tmp_path / "toy" / "search"
    folder.mkdir(parents=True)
    (folder / "best.json").write_text(json.dumps(found | {"decisions_fingerprint": space.decisions_fingerprint}))
    wide = (8, 8, 12, 16, 32)
    options = toy.retrain_options(tmp_path, widths=wide)
    chosen = choose_architecture(options, load_data(options, 8))
    assert chosen.architecture == tuple(json.loads(FIXED))
    assert chosen.space.decisions_fingerprint == space.decisions_fingerprint != chosen.space.macro_fingerprint
    spec, narrow = chosen.space.decode(chosen.architecture), space.decode(chosen.architecture)
    assert spec.params((3, 8, 8)) > 2 * narrow.params((3, 8, 8))
    assert spec.nodes[0].block == Conv(8, 3, act="relu")
    other = {"search_space": "tests.supernet.own_spaces:branches"}  # code of one's own may be the wider one, but this
    options = toy.retrain_options(tmp_path, widths=None, **other)  # has other decisions
    with pytest.raises(UserError, match=r"the network in .* is of another one"):
        choose_architecture(options, load_data(options, 8))


def test_a_file_never_decides_which_code_is_run(tmp_path: Path) -> None:
    own = "tests.supernet.own_spaces:small_nasbench201"
    found = {"space_options": build_space(own, 8).describe(), "architecture": [1] * 6}
    options = toy.retrain_options(tmp_path, architecture=json.dumps(found), widths=None, search_space="proxylessnas")
    with pytest.raises(UserError, match=f"give --search-space {own} in this command too") as caught:
        choose_architecture(options, load_data(options, 8))
    assert "\n" not in str(caught.value)
    options = toy.retrain_options(tmp_path, architecture=json.dumps(found), widths=None, search_space=own)
    assert choose_architecture(options, load_data(options, 8)).space.name == "nasbench201"
    assert command("retrain", options).endswith(f"--search-space {own}")
    assert "--search-space" not in command("export", options)


def test_without_a_search_the_command_that_makes_one_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"python search\.py --title toy"):
        retrain_stage(toy.retrain_options(tmp_path))
    broken = tmp_path / "a.json"
    broken.write_bytes(b"\xff\xfe{")
    with pytest.raises(UserError, match="is not a text file"):
        retrain_stage(toy.retrain_options(tmp_path, architecture=str(broken)))
