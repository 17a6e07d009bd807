"""PFLD's auxiliary net: angles are read, its loss is the stated one, it trains beside the network and is dropped."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from config_file.errors import UserError
from deployment.weights import load_network
from supernet import build_space, extract
from training.data import load_data
from training.data.landmarks import load_landmarks, read_list
from training.data.synthetic_landmarks import write_faces
from training.options import RetrainOptions, TrainSupernetOptions
from training.retrain import prepare_network, retrain_stage
from training.testing import TINY, TrainerSuite
from training.train_supernet import prepare_supernet, train_supernet
from training.trainer import Context, Trainer
from training.trainers.differentiable import Gumbel
from training.trainers.pose import BesidePose, PoseContext, early_map, maps_of
from training.trainers.uniform import Uniform

SPEC = build_space("pfld", resolution=112, num_classes=212).decode((0,) * 5)


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Drawn faces; the lines to train on end with attributes and angles, those to test on with nothing."""
    folder = tmp_path_factory.mktemp("data") / "faces"
    write_faces(folder, 24, seed=3, side=48)
    path = folder / "train_data" / "list.txt"
    lines = [" ".join(line.split()[:213]) for line in path.read_text().splitlines()]
    path.write_text("\n".join(f"{line} 0 1 0 0 0 1 {10 * number} -45 0.5" for number, line in enumerate(lines)))
    path = folder / "test_data" / "list.txt"
    path.write_text("\n".join(" ".join(line.split()[:213]) for line in path.read_text().splitlines()))
    return folder


def options(faces: Path, root: Path | str = "unused", **changes: Any) -> RetrainOptions:
    settings = {"dataset": "landmarks", "data_path": str(faces), "resolution": 48, "trainer": "pose", "batch_size": 8}
    settings |= {"search_space": "pfld", "architecture": "[0, 0, 0, 0, 0]", "epochs": 2, "threads": 1, "lr": 1e-3}
    return RetrainOptions(title="a", root_path=str(root), tensorboard=False, **(settings | changes))


def test_angles_are_read_in_degrees(faces: Path) -> None:
    source = load_landmarks(options(faces))
    assert source.labels.shape == (len(source.images), 215)
    assert source.labels[3, 212:] == pytest.approx(np.deg2rad([30, -45, 0.5]))
    assert (source.labels[source.test, 212:] == 0).all()
    plain = load_landmarks(options(faces, trainer="plain"))
    assert np.array_equal(plain.labels, source.labels[:, :212])


@pytest.mark.parametrize(("end", "message"), [("", "no angles behind the points"), (" 1 2 nan", "not in degrees")])
def test_lists_without_usable_angles_are_refused(faces: Path, tmp_path: Path, end: str, message: str) -> None:
    line = " ".join((faces / "train_data" / "list.txt").read_text().splitlines()[0].split()[:213])
    (tmp_path / "list.txt").write_text(line + end)
    with pytest.raises(UserError, match=rf"list.txt, line 1: .*{message}"):
        read_list(tmp_path / "list.txt", faces, angles=True)


def test_other_data_have_no_angles() -> None:
    given = RetrainOptions(title="a", trainer="pose", resolution=8)
    spec = build_space("nasbench_macro", resolution=8, num_classes=10, widths=(4, 4, 6, 8, 16)).decode((0,) * 8)
    with pytest.raises(UserError, match="--trainer pose learns the angles of heads"):
        prepare_network(spec, load_data(given, 8), given)


def test_the_loss_is_the_one_of_the_options_and_pfld_s(faces: Path) -> None:
    given = options(faces, loss="l2", pose_weight=0.5)
    data = load_data(given, 48)
    trainer = prepare_network(SPEC, data, given).trainer
    x, y = next(data.train.batches(6))
    loss, outputs = trainer.learn(x, y)
    features: dict[str, torch.Tensor | None] = {"stem/join": None}
    again = trainer.context.model(x, features)
    estimates = trainer.auxiliary(features[trainer.site])
    expected = 0.0
    for row in range(6):
        distance = sum(float(d) ** 2 for d in (again[row] - y[row, :212]).detach())
        weight = sum(1 - np.cos(float(a)) for a in (y[row, 212:] - estimates[row]).detach())
        expected += (distance + 0.5 * weight * distance) / 6
    assert outputs.shape == (6, 212)
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-4)


def test_it_reads_the_early_map_of_a_quarter_of_the_side() -> None:
    site, channels = early_map(maps_of(SPEC, (3, 112, 112)), 112)
    assert channels == 16
    assert SPEC.shapes((3, 112, 112))[site][1] == (16, 28, 28)


def test_it_trains_beside_the_network_and_is_thrown_away(faces: Path, tmp_path: Path) -> None:
    folder = retrain_stage(options(faces, tmp_path))
    network, about = load_network(folder / "model.safetensors")
    assert not any("auxiliary" in name for name, _ in network.named_parameters())
    result = json.loads((folder / "result.json").read_text())
    assert np.isfinite(result["test_nme"])
    assert about["train"]["trainer"] == "pose"
    samples = np.load(folder / "samples.npz", allow_pickle=False)
    assert samples["labels"].shape[1] == 212
    saved = torch.load(folder / "checkpoints" / "last.pt", weights_only=True)["state"]["trainer"]
    before = prepare_network(SPEC, load_data(options(faces), 48), options(faces)).trainer.state_dict()
    assert not torch.equal(saved["angles.2.weight"], before["angles.2.weight"])


def of_supernets(faces: Path, **changes: Any) -> dict[str, Any]:
    """Options of a training of a supernet of small networks that locate points."""
    given = {"dataset": "landmarks", "data_path": str(faces), "train_portion": 0.8, "batch_size": 4, "lr": 1e-3}
    return {**TINY, **given, "auxiliary": "pose", **changes}


@pytest.mark.parametrize("make", [Uniform, Gumbel])
class TestBesidePose(TrainerSuite):
    @pytest.fixture(autouse=True)
    def _of_faces(self, faces: Path, make: Callable[[Context], Trainer]) -> None:
        self.changes = of_supernets(faces)  # type: ignore[misc]
        self.inner = make

    def make(self, context: Context) -> Trainer:
        return BesidePose(self.inner, context)


def test_beside_a_supernet_a_path_learns_as_the_network_alone(faces: Path) -> None:
    training = prepare_supernet(TrainSupernetOptions(**of_supernets(faces, pose_weight=0.5)))
    trainer, path = training.trainer, (1, 2, 0, 1, 2, 0, 1, 2)
    posed = trainer.context
    assert isinstance(posed, PoseContext)
    assert posed.site == "stem"  # of no other layer every path has the same
    x, y = next(training.data.train.batches(6))
    network = extract(posed.supernet, path)
    auxiliary = trainer.parameters()
    gradients = []
    for context, choice, model in ((posed, (path,), posed.supernet.parameters_of(path)),
                                   (replace(posed, model=network), (), [*network.parameters()])):  # fmt: skip
        loss, outputs = context.task_pass(*choice)(x, y)
        gradients.append([loss, outputs, *torch.autograd.grad(loss, [*model, *auxiliary])])
    for of_path, alone in zip(*gradients, strict=True):
        assert torch.allclose(of_path, alone, rtol=1e-4, atol=1e-6)
    # It is read from the path, and not part of what the path gives.
    plain = training.data.task.measure(posed.supernet.eval()(x, path), y)
    assert torch.equal(plain, training.data.task.measure(posed.supernet(x, path, {"stem": None}), y))


def test_what_is_beside_a_supernet_is_thrown_away(faces: Path, tmp_path: Path) -> None:
    sizes = []
    for name, auxiliary in (("with", "pose"), ("without", None)):
        given = TrainSupernetOptions(**of_supernets(faces, root_path=str(tmp_path / name), auxiliary=auxiliary))
        folder = train_supernet(given)
        sizes.append({key: tensor.shape for key, tensor in load_file(folder / "supernet.safetensors").items()})
    assert sizes[0] == sizes[1]
    assert (
        "an auxiliary net learns the angles of heads from stem"
        in (tmp_path / "with/suite/supernet/log.txt").read_text()
    )


def test_an_auxiliary_net_needs_angles_and_a_layer_of_every_path() -> None:
    with pytest.raises(UserError, match="--auxiliary pose learns the angles of heads, which lists of --dataset landm"):
        prepare_supernet(TrainSupernetOptions(**TINY, auxiliary="pose"))
    with pytest.raises(UserError, match="unknown auxiliary net 'pos'; did you mean 'pose'"):
        prepare_supernet(TrainSupernetOptions(**TINY, auxiliary="pos"))
