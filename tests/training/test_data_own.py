"""A data set of the user's own: ``--dataset module:callable``."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from training.data import DATASETS, ImageArrays, load_data


def arrays(n: int = 20, shape: tuple[int, ...] = (20, 24, 3), **others: object) -> dict[str, object]:
    pixels = np.random.default_rng(0).integers(0, 256, (n, *shape), dtype=np.uint8)
    return {"train_images": pixels, "train_labels": np.arange(n) % 2, "classes": ["even", "odd"], **others}


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Make a callable importable as ``module:load`` and return that name."""
    count = iter(range(1000))
    monkeypatch.syspath_prepend(tmp_path)

    def make(value: object) -> str:
        module = f"own_dataset_{tmp_path.name.replace('-', '_')}_{next(count)}"
        (tmp_path / f"{module}.py").write_text("VALUE = None\ndef load(options):\n    return VALUE(options)\n")
        __import__(module).VALUE = value
        return f"{module}:load"

    return make


def test_a_dict_of_arrays_is_enough(own, settings) -> None:
    seen = []
    name = own(lambda options: (seen.append(options.data_path), arrays())[1])
    data = load_data(settings(name, "some/place"))
    assert seen == ["some/place"]
    assert data.classes == ("even", "odd")
    assert data.resolution == 24
    assert [len(data.train), len(data.val), len(data.test)] == [12, 4, 4]
    assert next(data.train.batches(4, augment=True))[0].shape == (4, 3, 24, 24)


def test_an_entry_of_the_registry_may_give_the_same(settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(DATASETS, "mine", lambda options: arrays())
    assert load_data(settings("mine")).resolution == 24
    monkeypatch.setitem(DATASETS, "mine", lambda options: 1 / 0)
    with pytest.raises(UserError, match=r":mine' raised ZeroDivisionError"):
        load_data(settings("mine"))


def test_an_object_with_all_there_is_to_say(own, settings) -> None:
    own_images = ImageArrays(
        **arrays(shape=(16, 16)),
        test_images=torch.zeros(6, 16, 16, dtype=torch.uint8),
        test_labels=[0, 1] * 3,
        mean=[0.5] * 3,
        std=[0.25] * 3,
        horizontal_flip=False,
        crop_margin=0.0,
    )
    data = load_data(settings(own(lambda _: own_images)), 16)
    assert [len(data.trainval), len(data.test)] == [20, 6]
    assert next(data.test.batches(6))[0].unique().tolist() == [-2.0]
    x, augmented = (next(data.train.batches(16, augment=augment))[0] for augment in (False, True))
    assert torch.equal(x, augmented)  # neither shifted nor mirrored


def test_a_data_object_is_used_as_it_is(own, settings) -> None:
    given = load_data(settings())
    name = own(lambda _: given)
    assert load_data(settings(name)) is given
    assert load_data(settings(name), 32) is given
    with pytest.raises(UserError, match="comes at 32 px, not at the 64 px asked for"):
        load_data(settings(name), 64)
    for flag, value in (("flip", True), ("augmentation", "shift")):
        with pytest.raises(UserError, match=f"--{flag} does not apply"):
            load_data(settings(name, **{flag: value}))


@pytest.mark.parametrize(("flip", "says"), [(None, False), (True, True), (False, False)])
def test_the_option_overrules_what_the_data_set_says_of_mirroring(own, settings, flip, says) -> None:
    name = own(lambda _: arrays() | {"horizontal_flip": False})
    assert ("horizontal flip" in load_data(settings(name, flip=flip)).split_record["augmentation"]) == says


@pytest.mark.parametrize(("shape", "resolution"), [((16, 16, 3), 64), ((20, 16, 3), 12), ((64, 80, 3), 48)])
@pytest.mark.parametrize("augmentation", ["auto", "shift", "resized_crop", "off"])
def test_arrays_too_large_at_the_resolution_are_resized_by_the_batch(
    own, settings, shape, resolution, augmentation
) -> None:
    pixels = torch.randint(256, (20, *shape), generator=torch.Generator().manual_seed(1)).to(torch.uint8)
    name = own(lambda _: arrays() | {"train_images": pixels})
    at_once, by_batch = (
        load_data(settings(name, augmentation=augmentation, memory_limit=limit), resolution) for limit in (2, 0)
    )
    assert at_once.split_record == by_batch.split_record
    assert torch.equal(at_once.test.raw(range(4)), by_batch.test.raw(range(4)))
    x, _ = next(by_batch.test.batches(4))
    assert torch.equal(by_batch.test.normalisation(by_batch.test.raw(range(4))), x)
    for (x, y), (x_again, y_again) in zip(
        *(data.train.batches(5, shuffle=True, augment=True, epoch=2) for data in (at_once, by_batch)), strict=True
    ):
        assert x.shape[2:] == (resolution, resolution)
        assert torch.equal(x, x_again)
        assert torch.equal(y, y_again)


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "returns a NoneType; it must return a Data"),
        ({"train_images": 1}, "returns no 'train_labels'"),
        (arrays(tarin_labels=1), "unknown key 'tarin_labels'; did you mean 'train_labels'"),
        (arrays() | {"train_images": np.zeros((20, 8, 8, 3))}, "must be uint8 of shape .* not float64"),
        (arrays() | {"train_images": np.zeros((20, 8), dtype=np.uint8)}, "must be uint8 of shape"),
        (arrays() | {"train_images": [None]}, "train_images is no array"),
        (arrays() | {"train_labels": np.zeros(20)}, "train_labels must be 20 integers"),
        (arrays() | {"train_labels": [0] * 19}, "train_labels must be 20 integers"),
        (arrays() | {"train_labels": np.arange(20)}, "train_labels lie in 0..19, but 2 classes are named"),
        (arrays(mean=[0.5] * 3), "mean and std are three numbers each"),
        (arrays(mean=[0.5] * 3, std=[0.5, 0.5, 0.0]), "std must be above 0"),
        (arrays(mean=["a", "b", "c"], std=[0.5] * 3), "returns what cannot be used: could not convert"),
        (arrays(resolution=-8), "resolution must be at least 1"),
        (arrays() | {"classes": 2}, "returns what cannot be used: 'int' object is not iterable"),
        (arrays(mean=[0.5], std=[0.5]), "mean and std are three numbers each"),
        (
            arrays(test_images=np.zeros((4, 9, 9, 3), dtype=np.uint8), test_labels=[0] * 4),
            "train_images and test_images differ in height or width",
        ),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(own, settings, returned: object, message: str) -> None:
    with pytest.raises(UserError, match=message):
        load_data(settings(own(lambda _: returned)))


def test_an_exception_of_the_callable_is_said_in_one_line(own, settings) -> None:
    with pytest.raises(UserError, match=r"raised FileNotFoundError: .*no_such_file"):
        load_data(settings(own(lambda _: Path("no_such_file").read_bytes())))


def test_a_missing_module_is_said(settings) -> None:
    with pytest.raises(UserError, match="no module 'no_such_module'"):
        load_data(settings("no_such_module:load"))
