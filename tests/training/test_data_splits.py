"""Which images train, validate and test."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config_file.errors import UserError
from training.data import Data, load_data
from training.data.holdout import hold_out
from training.data.in_memory import InMemorySplit


def rows(data: Data, split: str) -> set[int]:
    part = getattr(data, split)
    assert isinstance(part, InMemorySplit)
    return set(part.indices.tolist())


@given(
    labels=st.lists(st.integers(0, 3), min_size=4, max_size=60).map(lambda rest: [0, 0, 1, 1, 2, 2, 3, 3, *rest]),
    share=st.floats(0.01, 0.99),
    seed=st.integers(0, 2**32 - 1),
)
def test_holding_out_keeps_the_share_of_every_class(labels: list[int], share: float, seed: int) -> None:
    labels = np.array(labels)
    kept, held = hold_out(np.arange(len(labels)), labels, share, seed, "validation", "abcd")
    assert sorted([*kept, *held]) == list(range(len(labels)))
    for label in range(4):
        count = int((labels[held] == label).sum())
        size = int((labels == label).sum())
        assert 1 <= count <= size - 1
        assert abs(count - size * share) <= 1
    again = hold_out(np.arange(len(labels)), labels, share, seed, "validation", "abcd")
    assert all(np.array_equal(a, b) for a, b in zip((kept, held), again, strict=True))


def test_splits_are_disjoint_and_complete(settings) -> None:
    data = load_data(settings(train_portion=0.7))
    train, val, test = (rows(data, split) for split in ("train", "val", "test"))
    assert not train & val
    assert not (train | val) & test
    assert len(train | val | test) == 1797
    assert rows(data, "trainval") == train | val
    assert len(train) / len(train | val) == pytest.approx(0.7, abs=0.01)
    assert len(test) / 1797 == pytest.approx(0.2, abs=0.01)


def test_the_test_split_is_the_same_whatever_the_seed(settings) -> None:
    one, other = load_data(settings(split_seed=1)), load_data(settings(split_seed=2, train_portion=0.5))
    assert rows(one, "test") == rows(other, "test")
    assert rows(one, "val") != rows(other, "val")
    assert one.split_record["sha256"]["test"] == other.split_record["sha256"]["test"]
    assert rows(one, "val") == rows(load_data(settings(split_seed=1)), "val")


def test_the_split_is_recorded(settings) -> None:
    data = load_data(settings(split_seed=7))
    record = data.split_record
    assert record["seed"] == 7
    assert record["train_portion"] == 0.8
    assert record["sizes"] == {"train": len(data.train), "val": len(data.val), "test": len(data.test)}
    val = np.array(sorted(rows(data, "val")), dtype="<i8")
    assert record["sha256"]["val"] == hashlib.sha256(val.tobytes()).hexdigest()
    assert "zero padding" in record["augmentation"]
    assert "flip" not in record["augmentation"]  # a mirrored digit is no digit


def test_given_validation_and_test_folders_are_kept(settings, digit_folder) -> None:
    root = digit_folder({"train": 6, "val": 3, "test": 2})
    data = load_data(settings("imagefolder", root))
    assert [len(data.train), len(data.val), len(data.test), len(data.trainval)] == [18, 9, 6, 27]
    assert data.split_record["validation"] == "given by the data set"


def test_a_val_folder_alone_tests_and_validation_is_held_out_of_train(settings, digit_folder) -> None:
    data = load_data(settings("imagefolder", digit_folder({"train": 10, "val": 3})))
    assert [len(data.train), len(data.val), len(data.test)] == [24, 6, 9]
    assert max(rows(data, "trainval")) < min(rows(data, "test"))


def test_too_few_images_to_split(settings, digit_folder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"class 'digit_0' has 1 image to split.*validation"):
        load_data(settings("imagefolder", digit_folder({"train": 1, "val": 1})))
    with pytest.raises(UserError, match=r"class 'digit_0' has 1 image to split.*test"):
        load_data(settings("imagefolder", digit_folder({"": 1}, root=tmp_path / "flat")))


def test_no_image_is_larger_than_any(settings) -> None:
    with pytest.raises(UserError, match="images of 1,125,000,000 px a side: at most 16,384"):
        load_data(settings("digits"), resolution=1_125_000_000)
