"""From ``--dataset`` to a `Data`: load, split, bring to the resolution, keep in memory or stream."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from config_file.errors import UserError, choose
from config_file.options import part_of
from config_file.plugins import guarded, is_reference, load_object, reference_of
from supernet.spaces import MOST
from training.data.augmentation import AUTO, AugmentationOptions, augmentation_of, frame_of
from training.data.cache import cache_images
from training.data.cifar import load_cifar10, load_cifar100
from training.data.digits import load_digits
from training.data.folder import load_image_folder, load_imagenet
from training.data.holdout import Indices, fingerprint, hold_out
from training.data.in_memory import InMemorySplit
from training.data.landmarks import load_landmarks
from training.data.preprocessing import BGR, BGR255, STANDARD, PreprocessingOptions
from training.data.seeds import seed_of
from training.data.source import RESIZED_CROP, ImageArrays, ImageFiles, Source
from training.data.split import Data, Normalisation, Split
from training.data.streaming import FilePool, StreamedSplit
from training.data.unreadable import UnreadableOptions, readable

Loader = Callable[[Any], Source | Data]


DATASETS: dict[str, Loader] = {
    "digits": load_digits,
    "cifar10": load_cifar10,
    "cifar100": load_cifar100,
    "imagenet": load_imagenet,
    "imagefolder": load_image_folder,
    "landmarks": load_landmarks,
}

TEST_SHARE = 0.2
# Not the run's seed: an image that tests in one run must never train in another.
TEST_SEED = 0


def load_data(options: Any, resolution: int | None = None, check: Callable[[int, int], None] | None = None) -> Data:
    """The data set that the options name, split and at the network's resolution.

    The validation split is held out of the training images, per class, by `split_seed` and `train_portion`. A data set
    without a test split gets one the same way: a fifth of every class, the same whatever the seed. Every split has a
    fixed random order, so that its first n images are a sample of all classes.

    Images no larger than the resolution R are brought to R x R (shorter side, then centre) and cropped with zero
    padding in training; larger ones are brought to R * 256 / 224, so that training's crop has room and evaluation sees
    the centre. `augmentation` may ask for random resized crops, which ImageNet has by default. Files that do not fit in
    `memory_limit` GiB are read by worker processes: the same pixels. `flip` overrules what the data set says about
    mirroring.

    Args:
        options: `dataset` is a name in `DATASETS` or ``package.module:callable``. The callable gets `options` and
            returns arrays (an `ImageArrays`, or a dict with its keys), or a `Data` to be used as it is.
        resolution: height and width; None is the data set's own.
        check: called with the number of classes and the resolution, before the images are prepared, which takes long;
            not called for a `Data` of a user's own.

    Raises:
        UserError: unknown data set, missing or damaged files, larger images than any, or classes too small to be split.
    """
    name = options.dataset
    load = load_object(name) if is_reference(name) else choose("dataset", name, DATASETS)
    reference = name if is_reference(name) else reference_of(name, load, "training")
    source = load(options) if reference is None else _of_user(name, guarded(reference, load)(options))
    if isinstance(source, Data):
        if resolution not in (None, source.resolution):
            raise UserError(
                f"dataset {options.dataset!r} comes at {source.resolution} px, not at the {resolution} px asked for"
            )
        asked = part_of(options, AugmentationOptions)
        preprocessing = part_of(options, PreprocessingOptions).preprocessing
        chosen = {"flip": options.flip, "augmentation": asked.augmentation, "cutout": asked.cutout or None}
        for flag, given in (chosen | {"preprocessing": preprocessing}).items():
            if given not in (None, AUTO, STANDARD):
                raise UserError(f"dataset {options.dataset!r} makes its own batches: --{flag} does not apply to it")
        return source
    if options.flip and not source.task.mirrors:
        raise UserError(f"--flip: a mirrored image of {source.name} has another target (left and right change places)")
    if options.flip is not None:
        source = replace(source, horizontal_flip=options.flip)
    side = resolution or source.resolution
    if side > (most := MOST["resolution"]):
        raise UserError(f"images of {side:,} px a side: at most {most:,}")
    if check is not None:
        check(len(source.classes), side)
    return _build(source, options, side)


def _of_user(name: str, returned: Any) -> Source | Data:
    if isinstance(returned, Mapping):
        returned = ImageArrays.from_mapping(name, returned)
    if isinstance(returned, ImageArrays):
        try:
            returned = returned.source(name)
        except (TypeError, ValueError) as error:  # no list where there should be one, text for a number
            raise UserError(f"dataset {name!r} returns what cannot be used: {error}") from None
    if not isinstance(returned, Source | Data):
        raise UserError(
            f"dataset {name!r} returns a {type(returned).__name__}; it must return a Data, an ImageArrays, or a dict "
            "with train_images, train_labels and classes"
        )
    return returned


def _build(source: Source, options: Any, resolution: int) -> Data:
    frame, asked = frame_of(source, resolution), part_of(options, UnreadableOptions)
    kept = len(source.images) * frame.side**2 * 3 <= options.memory_limit * 2**30
    if isinstance(source.images, ImageFiles) and (asked.check_data or (asked.skip_corrupt and kept)):
        source = readable(source, asked.skip_corrupt)
    rows, record = _split(source, options)
    augmentation = augmentation_of(source, options)
    if augmentation.cutout > resolution:
        raise UserError(f"--cutout {augmentation.cutout} erases more than an image of {resolution} px")
    store = cache_images(source, frame, augmentation, int(options.memory_limit * 2**30))
    pool = FilePool(
        source.images,
        torch.from_numpy(source.labels),
        resolution,
        margin=frame.margin,
        padded=frame.padded,
        horizontal_flip=augmentation.mirror,
        stretch=source.stretch,
        crop=augmentation.crop,
        crop_scale=augmentation.scale,
        task=source.task,
        skip_corrupt=asked.skip_corrupt,
    )

    def make_split(indices: Tensor, normalisation: Normalisation) -> Split:
        split: Split = StreamedSplit(pool, indices, normalisation, workers=options.num_workers)
        if store is not None:
            cropped_anew = split if augmentation.crop == RESIZED_CROP else None
            split = InMemorySplit(store, indices, normalisation, cropped_anew)
        split.cutout = augmentation.cutout
        return split

    record["augmentation"] = augmentation.describe(frame)
    tensors = {name: torch.from_numpy(indices) for name, indices in rows.items()}
    if part_of(options, PreprocessingOptions).preprocessing == BGR255:
        normalisation = Normalisation((0.0,) * 3, (1 / 255,) * 3, BGR)
        record["normalisation"] = "none: BGR from 0 to 255"
    elif source.mean is not None and source.std is not None:
        normalisation = Normalisation(source.mean, source.std)
        record["normalisation"] = "constants of the data set"
    else:
        plain = make_split(tensors["train"], Normalisation((0.0,) * 3, (1.0,) * 3))
        normalisation, count = channel_statistics(plain, at_most=1_000 if store is None else 10_000)
        record["normalisation"] = f"computed from {count} training images"
    splits = {name: make_split(indices, normalisation) for name, indices in tensors.items()}
    return Data(
        name=source.name,
        classes=source.classes,
        mean=normalisation.mean,
        std=normalisation.std,
        resolution=resolution,
        train=splits["train"],
        val=splits["val"],
        test=splits["test"],
        trainval=splits["trainval"],
        crop_pct=frame.crop_pct,
        split_record=record,
        stretch=source.stretch,
        colour_order=normalisation.colour_order,
    )


def _split(source: Source, options: Any) -> tuple[dict[str, Indices], dict[str, Any]]:
    """Rows of train, val and test, and what is worth keeping about how they came about."""
    train, val, test = source.train, source.val, source.test
    strata, names = source.task.strata(source.labels, source.classes)
    record: dict[str, Any] = {"test": "given by the data set", "validation": "given by the data set"}
    if test is None:
        train, test = hold_out(train, strata, TEST_SHARE, TEST_SEED, "test", names)
        record["test"] = f"{TEST_SHARE:.0%} of every class, seed {TEST_SEED}"
    if val is None:
        share = 1.0 - options.train_portion
        train, val = hold_out(train, strata, share, options.split_seed, "validation", names)
        record["validation"] = "held out of train, per class"
        record["train_portion"] = options.train_portion
        record["seed"] = options.split_seed
    rows = {"train": train, "val": val, "test": test}
    record["sizes"] = {name: len(indices) for name, indices in rows.items()}
    record["sha256"] = {name: fingerprint(indices) for name, indices in rows.items()}
    if isinstance(source.images, ImageFiles):
        record["sha256"]["files"] = hashlib.sha256(
            "\n".join(source.images.names).encode(errors="surrogateescape")
        ).hexdigest()
    rows["trainval"] = np.concatenate((train, val))
    # In a fixed random order: files come class by class, and the first n images of a split must be a sample of it.
    seed = seed_of("order of a split")
    return {name: np.random.default_rng(seed).permutation(np.sort(found)) for name, found in rows.items()}, record


def channel_statistics(split: Split, at_most: int) -> tuple[Normalisation, int]:
    """Mean and standard deviation per channel over the pixels of up to `at_most` images; and of how many they are."""
    count = min(at_most, len(split))
    total, squares, pixels = torch.zeros(3).double(), torch.zeros(3).double(), 0
    for part in torch.arange(count).split(128):
        values = split.raw(part).view(-1, 3).double() / 255
        total += values.sum(0)
        squares += values.square().sum(0)
        pixels += len(values)
    mean = total / pixels
    # Images of one colour have no spread: half a grey level keeps the division finite.
    std = (squares / pixels - mean.square()).clamp(min=0).sqrt().clamp(min=0.5 / 255)
    rounded = (tuple(round(value, 6) for value in values.tolist()) for values in (mean, std))
    first, second = rounded
    return Normalisation(first, second), count
