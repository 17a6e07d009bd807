"""Batches from memory: what is cut where, and that any of them can be drawn again."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch import Tensor

from config_file.errors import UserError
from training.data import Data, Normalisation, load_data
from training.data.in_memory import ImageStore, InMemorySplit, cut_windows
from training.data.seeds import generator_of
from training.options import TrainSupernetOptions

PLAIN = Normalisation((0.0,) * 3, (1.0 / 255,) * 3)  # pixels as they are


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data(TrainSupernetOptions(title="test"))


def numbered_store(flip: bool = True, n: int = 40, window: int = 6, margin: int = 2) -> ImageStore:
    """Random images with a black margin, as small images are stored."""
    pixels = torch.zeros(n, window + 2 * margin, window + 2 * margin, 3, dtype=torch.uint8)
    inner = torch.randint(1, 256, (n, window, window, 3), generator=generator_of("pixels")).to(torch.uint8)
    pixels[:, margin : margin + window, margin : margin + window] = inner
    return ImageStore(pixels, torch.arange(n), window, window, horizontal_flip=flip)


def whole(store: ImageStore) -> InMemorySplit:
    return InMemorySplit(store, torch.arange(len(store.images)), PLAIN)


def global_numpy_state() -> bytes:
    return np.random.get_state()[1].tobytes()  # noqa: NPY002 - the state that must not move


def images_of(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1).round().to(torch.uint8)


def test_embedded_digits_are_the_default(digits: Data) -> None:
    assert (digits.name, digits.resolution, digits.in_channels) == ("digits", 32, 3)
    assert digits.classes == tuple("0123456789")
    assert len(digits.train) + len(digits.val) + len(digits.test) == 1797
    x, y = next(digits.train.batches(16, shuffle=True, augment=True))
    assert x.shape == (16, 3, 32, 32)
    assert x.dtype == torch.float32
    assert y.dtype == torch.int64
    assert x.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(x[:, 0], x[:, 2])


def test_training_images_are_normalised(digits: Data) -> None:
    x = torch.cat([x for x, _ in digits.train.batches(256)])
    assert torch.allclose(x.mean((0, 2, 3)), torch.zeros(3), atol=1e-3)
    assert torch.allclose(x.std((0, 2, 3)), torch.ones(3), atol=1e-3)


def test_raw_images_are_what_evaluation_sees(digits: Data) -> None:
    x, y = next(digits.test.batches(50))
    raw = digits.test.raw(range(50))
    assert raw.shape == (50, 32, 32, 3)
    assert torch.equal(digits.test.normalisation(raw), x)
    assert torch.equal(digits.test.labels[:50], y)
    by_hand = (raw.double() / 255 - torch.tensor(digits.mean).double()) / torch.tensor(digits.std).double()
    assert torch.allclose(by_hand.permute(0, 3, 1, 2).float(), x, atol=1e-5)


@pytest.mark.parametrize("start", [0, 1, 5, 8])
def test_an_epoch_continues_bit_identically_from_any_batch(digits: Data, start: int) -> None:
    options = {"seed": 3, "epoch": 2, "shuffle": True, "augment": True, "drop_last": True}
    full = list(digits.train.batches(128, **options))
    rest = list(digits.train.batches(128, **options, start=start))
    assert len(full) == 8
    assert len(rest) == len(full) - start
    for (x, y), (x_again, y_again) in zip(full[start:], rest, strict=True):
        assert torch.equal(x, x_again)
        assert torch.equal(y, y_again)


def test_seed_and_epoch_change_order_and_augmentation(digits: Data) -> None:
    def first(**options: int) -> tuple[Tensor, Tensor]:
        return next(digits.train.batches(64, shuffle=True, augment=True, **options))

    x, y = first(seed=1, epoch=0)
    for other in ({"seed": 2, "epoch": 0}, {"seed": 1, "epoch": 1}, {"seed": 0, "epoch": 1}):
        assert not torch.equal(first(**other)[1], y)
    store = numbered_store()
    places = [next(whole(store).batches(40, augment=True, epoch=epoch))[0] for epoch in range(2)]
    assert not torch.equal(*places)
    assert torch.equal(x, first(seed=1, epoch=0)[0])


def test_no_global_random_state_is_read_or_moved(digits: Data) -> None:
    def draw() -> Tensor:
        return torch.cat([x for x, _ in digits.train.batches(128, shuffle=True, augment=True)])

    before = torch.get_rng_state(), global_numpy_state(), random.getstate()
    first = draw()
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == global_numpy_state()
    assert before[2] == random.getstate()
    torch.manual_seed(99)
    assert torch.equal(first, draw())


def test_every_image_comes_once_per_epoch() -> None:
    split = whole(numbered_store())
    labels = torch.cat([y for _, y in split.batches(7, shuffle=True, augment=True)])
    assert not torch.equal(labels, torch.arange(40))
    assert torch.equal(labels.sort().values, torch.arange(40))


@pytest.mark.parametrize("flip", [True, False])
def test_a_crop_is_a_window_of_its_own_image(flip: bool) -> None:
    store = numbered_store(flip)
    seen = set()
    for epoch in range(20):
        for x, labels in whole(store).batches(16, epoch=epoch, shuffle=True, augment=True):
            for image, label in zip(images_of(x), labels.tolist(), strict=True):
                place = [
                    (top, left, mirrored)
                    for top in range(5)
                    for left in range(5)
                    for mirrored in (False, True)
                    for window in [store.images[label, top : top + 6, left : left + 6]]
                    if torch.equal(window.flip(1) if mirrored else window, image)
                ]
                assert len(place) == 1
                seen.update(place)
    assert len(seen) == (50 if flip else 25)  # every place, and per image, not per batch


def test_evaluation_sees_the_middle(digits: Data) -> None:
    store = numbered_store()
    x = torch.cat([x for x, _ in whole(store).batches(9)])
    assert torch.equal(images_of(x), store.images[:, 2:8, 2:8])
    val = [torch.cat([x for x, _ in digits.val.batches(64, epoch=epoch)]) for epoch in (0, 1)]
    assert torch.equal(*val)


def test_other_devices_cut_as_the_cpu_does() -> None:
    store = numbered_store()
    top, left = torch.randint(0, 5, (2, 40)).unbind()
    mirror = torch.rand(40) < 0.5
    with_numpy = store._cut_with_numpy(torch.arange(40), top, left, mirror)
    assert torch.equal(cut_windows(store.images, 6, top, left, mirror), with_numpy)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_batches_on_a_gpu_are_those_of_the_cpu(digits: Data) -> None:
    options = {"shuffle": True, "augment": True, "limit": 300}
    batches = zip(
        digits.train.batches(128, **options), digits.train.batches(128, **options, device="cuda"), strict=True
    )
    for (x, y), (x_gpu, y_gpu) in batches:
        assert x_gpu.is_cuda
        assert x_gpu.is_contiguous(memory_format=torch.channels_last)
        assert torch.allclose(x, x_gpu.cpu(), atol=1e-5)
        assert torch.equal(y, y_gpu.cpu())


def test_limit_and_last_batch() -> None:
    split = whole(numbered_store())
    assert [len(y) for _, y in split.batches(16)] == [16, 16, 8]
    assert [len(y) for _, y in split.batches(16, drop_last=True)] == [16, 16]
    assert [len(y) for _, y in split.batches(16, limit=20)] == [16, 4]
    assert [len(y) for _, y in split.batches(16, limit=1000)] == [16, 16, 8]
    assert [len(y) for _, y in split.batches(16, start=1)] == [16, 8]
    shuffled = torch.cat([y for _, y in split.batches(16, shuffle=True)])
    assert torch.equal(torch.cat([y for _, y in split.batches(16, shuffle=True, limit=20)]), shuffled[:20])


def test_plain_memory_format() -> None:
    split = whole(numbered_store())
    x, _ = next(split.batches(8, channels_last=False))
    assert x.is_contiguous()
    assert torch.equal(x, next(split.batches(8))[0])


def test_a_batch_that_cannot_be_filled_is_refused() -> None:
    split = whole(numbered_store())
    with pytest.raises(UserError, match="40 images do not fill one batch of 64"):
        split.batches(64, drop_last=True)
    with pytest.raises(UserError, match="at least 1"):
        split.batches(0)


def test_the_first_images_of_a_split_are_of_all_classes(digits: Data) -> None:
    for split in (digits.train, digits.val, digits.test, digits.trainval):
        assert len(split.labels[:100].unique()) == 10
