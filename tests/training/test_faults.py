"""Steps that are no numbers, memory that is used up, images that cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from tests.training import toy
from tests.training.conftest import FolderFactory, SettingsFactory
from training.data import Data, load_data
from training.distributed import Ranks
from training.faults import DivergedError
from training.loop import fit, train_step
from training.stage import Training
from training.train_supernet import prepare_supernet
from training.trainer import Silent

NOISY = {"loss": "tests.training.toy:noisy_loss"}


def job(root: Path, **changes: Any) -> Training:
    return prepare_supernet(toy.supernet_options(root, **(changes | NOISY)))


def stepped(training: Training, steps: int) -> Training:
    for (x, y), _ in zip(training.recipe.batches(0), range(steps), strict=False):
        train_step(training.recipe, training.state, x, y)
    return training


# ---- numbers


def test_a_step_that_is_skipped_leaves_everything_as_it_was(tmp_path: Path) -> None:
    toy.reset(nan=3)
    training = stepped(job(tmp_path, on_nan="skip", sample_strategy="fair", accumulate=2), 0)
    before = {name: tensor.clone() for name, tensor in training.state.model.state_dict().items()}
    x, y = next(training.recipe.batches(0))
    train_step(training.recipe, training.state, x, y)  # the third of six passes is NaN
    toy.same(dict(training.state.model.state_dict()), before)
    assert training.state.optimizer.state_dict()["state"] == {}
    assert (training.state.step, training.state.skipped, training.state.totals.images) == (1, 1, 0)
    assert all(p.grad is None for p in training.state.model.parameters())
    toy.reset()
    train_step(training.recipe, training.state, x, y)
    assert training.state.skipped == 1
    assert not torch.equal(
        training.state.model.state_dict()["bank.stem.layers.0.conv.weight"], before["bank.stem.layers.0.conv.weight"]
    )


def test_without_a_step_to_skip_the_training_is_the_same(tmp_path: Path) -> None:
    states = []
    for on_nan in ("stop", "skip"):
        toy.reset()
        states.append(stepped(job(tmp_path, on_nan=on_nan), 3).state.state_dict())
    toy.same(*states)


def test_skipped_steps_are_counted_and_too_many_are_an_end(tmp_path: Path) -> None:
    toy.reset(nan=2)
    training = job(tmp_path, on_nan="skip", most_skipped=2)
    with pytest.raises(DivergedError, match=r"gradients of 3 steps, the last one step 4, .* --most-skipped 2: try a"):
        fit(training.recipe, training.state, Silent())
    other = job(tmp_path, on_nan="skip")
    other.state.load_state_dict(training.state.state_dict())
    assert other.state.skipped == 3


class Kept(Silent):
    """What is reported."""

    def __init__(self) -> None:
        self.rows: list[dict[str, float]] = []
        self.lines: list[str] = []

    def metric(self, step: int, **values: float) -> None:
        self.rows.append({"step": step, **values})

    def log(self, text: str = "") -> None:
        self.lines.append(text)


def test_an_epoch_whose_steps_were_all_skipped_has_no_loss(tmp_path: Path) -> None:
    toy.reset(nan=1, until=1)
    training, kept = job(tmp_path, on_nan="skip", batch_size=287), Kept()
    fit(training.recipe, training.state, kept)
    assert training.state.step == 2
    assert [(row["step"], "loss" in row) for row in kept.rows] == [(1, False), (2, True)]
    assert kept.lines[0].startswith("epoch 1/2: no loss, 1 step skipped")


# ---- memory


@pytest.mark.parametrize("error", [torch.OutOfMemoryError("x"), MemoryError(), RuntimeError("can't allocate memory")])
def test_out_of_memory_names_path_batch_and_pieces(error: Exception, tmp_path: Path) -> None:
    training = job(tmp_path)

    def fails(*_: object) -> Any:
        raise error

    object.__setattr__(training.trainer.context, "loss", fails)
    with pytest.raises(
        UserError, match=r"in a pass along the path [\d,]+, over 64 images of a batch of 64: --acc.*te 2 "
    ):
        stepped(training, 1)


# ---- pieces


def test_a_batch_is_too_small_for_its_pieces() -> None:
    with pytest.raises(UserError, match=r"a batch of 7 images for 2 ranks x --accumulate 2: .* two images"):
        Ranks(0, 2, 2).check(7)
    Ranks(0, 2, 2).check(8)
    Ranks(0, 4).check(4, synchronised=True)
    with pytest.raises(UserError, match="an image"):
        Ranks(0, 4).check(3, synchronised=True)


@pytest.mark.parametrize(("batch", "ranks", "pieces"), [(64, 2, 1), (63, 2, 3), (7, 3, 2), (5, 1, 1)])
def test_pieces_are_the_whole_batch_in_order(batch: int, ranks: int, pieces: int) -> None:
    x, found = torch.arange(batch), []
    for rank in range(ranks):
        part = x[rank * batch // ranks : (rank + 1) * batch // ranks]
        found += list(Ranks(rank, ranks, pieces).split(part, part, batch))
    assert torch.cat([piece.x for piece in found]).tolist() == x.tolist()
    assert [piece.number for piece in found] == list(range(ranks * pieces))
    assert sum(piece.share for piece in found) == pytest.approx(1)
    assert [round(piece.share * batch) for piece in found] == [len(piece.x) for piece in found]


# ---- images


@pytest.fixture
def damaged(digit_folder: FolderFactory) -> Path:
    """Thirty images, three of which cannot be read."""
    root = digit_folder({"": 10})
    for name in ("digit_0/2.png", "digit_1/5.png", "digit_2/9.png"):
        (root / name).write_bytes((root / name).read_bytes()[:60])
    return root


def loaded(settings: SettingsFactory, root: Path, **options: Any) -> Data:
    return load_data(settings("imagefolder", root, **options), 8)


def test_unreadable_images_are_found_before(settings: SettingsFactory, damaged: Path) -> None:
    with pytest.raises(
        UserError, match=r"^3 images of 30 cannot be read \(--skip-corrupt leaves them out\): .*2.png.*5.png"
    ):
        loaded(settings, damaged, check_data=True, memory_limit=0)
    with pytest.raises(UserError, match="cannot read image"):
        loaded(settings, damaged)


@pytest.mark.parametrize("memory", [0, 2])
def test_unreadable_images_are_left_out(memory: float, settings: SettingsFactory, damaged: Path, capsys: Any) -> None:
    data = loaded(settings, damaged, check_data=memory == 0, skip_corrupt=True, memory_limit=memory)
    assert len(data.trainval) + len(data.test) == 27
    assert "left out   3 images of 30 that cannot be read" in capsys.readouterr().out
    assert data.train.raw(range(len(data.train))).shape[0] == len(data.train)


def test_while_training_another_image_of_the_split_takes_the_place(settings: SettingsFactory, damaged: Path) -> None:
    data = loaded(settings, damaged, skip_corrupt=True, memory_limit=0)
    assert len(data.trainval) + len(data.test) == 30
    assert _unreadable_of(data.trainval) + _unreadable_of(data.test) == 3
    assert data.trainval.replaced > 0
    pixels = data.trainval.raw(range(len(data.trainval))).flatten(1)
    (twice,) = np.nonzero(np.unique(pixels.numpy(), axis=0, return_counts=True)[1] > 1)
    assert len(twice)  # whose place and its own


def _unreadable_of(split: Any) -> int:
    before = split.replaced
    assert sum(len(y) for _, y in split.batches(6)) == len(split)
    return int(split.replaced) - before
