"""What options put around any way of sampling: batches of changing sizes, and a teacher."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch.nn import functional as F

from config_file.errors import UserError
from supernet import Network
from tests.training import toy
from training import Context, Trainer
from training.image_size import resized
from training.initialise import initialise
from training.loop import train_step
from training.options import TrainSupernetOptions
from training.testing import TrainerSuite
from training.train_supernet import prepare_supernet
from training.trainers import trainer_of
from training.trainers.resolution import ElasticResolution
from training.trainers.taught import taught_by


class TestElasticResolution(TrainerSuite):
    changes: ClassVar = {"elastic_resolution": "4-8:2", "sample_strategy": "sandwich"}

    def make(self, context: Context) -> Trainer:
        return trainer_of(context.options)(context)


def steps(root: Path, **changes: Any) -> Any:
    """A training after two steps."""
    job = prepare_supernet(toy.supernet_options(root, **changes))
    for (x, y), _ in zip(job.recipe.batches(0), range(2), strict=False):
        train_step(job.recipe, job.state, x, y)
    return job


@pytest.mark.parametrize("strategy", ["fair", "sandwich"])
def test_a_batch_of_another_size_changes_nothing_else(strategy: str, tmp_path: Path) -> None:
    """The same paths on the same images, and the loss is that of the smaller images; of one size, nothing at all."""
    plain, same = (steps(tmp_path, sample_strategy=strategy, elastic_resolution=sizes) for sizes in (None, "8"))
    toy.same(dict(plain.state.model.state_dict()), dict(same.state.model.state_dict()))
    options = toy.supernet_options(tmp_path, sample_strategy=strategy, elastic_resolution="4,6,8")
    trainer = prepare_supernet(options).trainer
    assert isinstance(trainer, ElasticResolution)
    initialise(trainer.context.model, 1)
    x, y = next(plain.data.train.batches(16))
    assert {trainer.size(number) for number in range(20)} == {4, 6, 8}
    for number in range(3):
        losses = [run(x, y)[0] for run in trainer.step(number).passes]
        smaller = F.interpolate(x, (trainer.size(number),) * 2, mode="bilinear", antialias=True)
        inside: Any = trainer.trainer
        assert inside.paths(number) == plain.trainer.paths(number)
        for loss, run in zip(losses, inside.step(number).passes, strict=True):
            assert torch.equal(loss, run(smaller, y)[0])
        assert x.shape[-1] == 8


def test_images_of_one_batch_are_brought_to_their_size_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    made = []
    monkeypatch.setattr("training.trainers.resolution.resized", lambda x, size: made.append(size) or resized(x, size))
    steps(tmp_path, sample_strategy="sandwich", elastic_resolution="4")
    assert made == [(4, 4)] * 2


class TestTaught(TrainerSuite):
    """By a network of the same space that was trained before."""

    changes: ClassVar = {"kd_alpha": 0.5, "plain_weight": 0.25, "divergence": "alpha"}

    def make(self, context: Context) -> Trainer:
        network = Network(context.space.decode((1,) * 8))
        initialise(network, 9)
        network.eval().requires_grad_(requires_grad=False)
        return trainer_of(context.options)(taught_by(context, network))


def test_a_path_learns_the_labels_and_a_trained_network(tmp_path: Path) -> None:
    """Of what retrain.py left, by its folder; another file of that name does not go on."""
    from training.cli import main_retrain

    folder = tmp_path / "teacher"
    words = ["--search-space", "nasbench_macro", "--widths", "4,4,6,8,16", "--resolution", "8", "--epochs", "1"]
    main_retrain([*words, "--title", "t", "--output", str(folder), "--architecture", "[1,1,1,1,1,1,1,1]",
                  "--train-portion", "0.2", "--no-tensorboard", "--threads", "1"])  # fmt: skip
    options = toy.supernet_options(tmp_path, teacher=str(folder), kd_alpha=2.0, plain_weight=0.5)
    job = prepare_supernet(options)
    trainer: Any = job.trainer
    x, y = next(job.data.train.batches(16))
    loss, outputs = trainer.step(0).passes[0](x, y)
    with torch.no_grad():
        p = trainer.teacher(x)[0].softmax(1)
    kl = (p * (p.log() - outputs.log_softmax(1))).sum(1).mean()
    expected = 0.5 * F.cross_entropy(outputs, y, label_smoothing=0.1) + 2 * kl
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)
    assert f"{folder} teaches" in trainer.describe()
    state = job.state.state_dict()
    state["trainer"]["teacher"] = "another"
    with pytest.raises(UserError, match="its weights are not those that this training began with"):
        job.state.load_state_dict(state)


@pytest.mark.parametrize(("changes", "message"), [
    ({"elastic_resolution": "4,9"}, "--elastic-resolution 4,9: at most --resolution 8"),
    ({"elastic_resolution": "small"}, "--elastic-resolution small: sizes in pixels, as 128-224:4"),
    ({"elastic_resolution": "4", "search_space": "ofa_mbv3", "widths": (8,) * 9, "image_sizes": "4,8"},
     "the image size is a decision of this ofa_mbv3"),
    ({"teacher": "nowhere"}, "--teacher nowhere: there is no trained network"),
])  # fmt: skip
def test_what_is_wrong_is_one_line(changes: Any, message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message):
        prepare_supernet(toy.supernet_options(tmp_path, **changes))


def test_a_teachers_options_need_one() -> None:
    options = TrainSupernetOptions(title="a")
    assert options.unread()["kd_alpha"] == options.unread()["divergence"] == "it needs a --teacher"
    assert "divergence" not in TrainSupernetOptions(title="a", sample_strategy="sandwich").unread()
    assert "kd_alpha" not in TrainSupernetOptions(title="a", teacher="x").unread()
