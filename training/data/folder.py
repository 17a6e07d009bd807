"""A user's own images: a folder per class. Also the layout of ImageNet, and of anything unpacked that way."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config_file.errors import UserError
from training.data.image_files import IMAGE_SUFFIXES, typical_shorter_side
from training.data.real_files import find_images, is_image, repetitions
from training.data.source import RESIZED_CROP, ImageFiles, Source

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


def load_image_folder(options: Any) -> Source:
    """DIR/train with DIR/test or DIR/val, or DIR with one folder per class (``--dataset imagefolder``).

    Where all three of train, val and test stand, val validates and test tests. Where one of val and test stands beside
    train, it is the test split; where none does, the test split is drawn from the training images.
    """
    return folder_source("imagefolder", existing_folder(options))


def load_imagenet(options: Any) -> Source:
    """ImageNet: DIR/train and DIR/val, a folder per class in each; val is the test split, as its test has no labels."""
    root = existing_folder(options)
    for part in ("train", "val"):
        if not (root / part).is_dir():
            raise UserError(f"imagenet: no {part}/ in {root}; it needs train/ and val/ with a folder per class each")
    return _read_parts(
        "imagenet",
        root,
        {"train": "train", "test": "val"},
        resolution=224,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
        crop=RESIZED_CROP,
    )


def folder_source(name: str, root: Path, **known: Any) -> Source:
    """A data set in the layouts that `load_image_folder` reads; class names are the folders' names, sorted.

    What is `known` of it are fields of a `Source`. Without a resolution it is that of the images: their typical shorter
    side to the nearest multiple of 32 (spaces of this field halve it five times), between 32 and 224.

    Raises:
        UserError: no class folders, one class only, an empty class, or classes that differ between the splits.
    """
    folders = {part for part in ("train", "val", "test") if (root / part).is_dir()}
    if not folders:
        parts = {"train": ""}
    elif "train" not in folders:
        raise UserError(f"{root} has {'/ and '.join(sorted(folders))}/ but no train/ beside it")
    elif len(folders) == 3:
        parts = {part: part for part in ("train", "val", "test")}
    else:
        parts = {"train": "train"}
        if folders != {"train"}:
            parts["test"] = "test" if "test" in folders else "val"
    return _read_parts(name, root, parts, **known)


def _read_parts(name: str, root: Path, parts: Mapping[str, str], **known: Any) -> Source:
    """`parts`: split -> folder below `root`; all files become one list, with the rows of each split."""
    classes = _class_folders(root / parts["train"])
    if len(classes) == 1:
        raise UserError(
            f"{root / parts['train']} holds one class only ({classes[0]!r}): there is nothing to tell apart"
        )
    found: list[tuple[str, str, int]] = []  # part, path and class of every file
    inodes: list[int] = []
    for part, folder in parts.items():
        _compare_classes(root / folder, classes)
        for label, class_name in enumerate(classes):
            images = find_images(root, str(Path(folder, class_name)))
            if not images:
                raise UserError(
                    f"class folder {root / folder / class_name} holds no images ({' '.join(sorted(IMAGE_SUFFIXES))})"
                )
            found += [(part, name, label) for name in images]
            inodes += images.values()
    found = _each_once(root, found, inodes)
    files = ImageFiles(root, tuple(name for _, name, _ in found))
    rows = {part: np.flatnonzero([where == part for where, _, _ in found]) for part in parts}
    if "resolution" not in known:
        known["resolution"] = min(max(32 * round(typical_shorter_side(files, rows["train"]) / 32), 32), 224)
    return Source(
        name=name,
        classes=classes,
        images=files,
        labels=np.asarray([label for _, _, label in found], dtype=np.int64),
        train=rows["train"],
        test=rows.get("test"),
        val=rows.get("val"),
        **known,
    )


def _each_once(root: Path, found: list[tuple[str, str, int]], inodes: list[int]) -> list[tuple[str, str, int]]:
    """The files (part, path, class) without those that another path of the same part and class leads to.

    Raises:
        UserError: one file is of two classes or parts.
    """
    files = ImageFiles(root, tuple(name for _, name, _ in found))
    again = set()
    for first, row in repetitions(files, inodes):
        (part, name, label), (other_part, other_name, other_label) = found[first], found[row]
        if label != other_label or part != other_part:
            what = "class" if label != other_label else f"of {part} and {other_part}"
            raise UserError(
                f"{root / name} and {root / other_name} are one file by a link: an image belongs to one {what} only"
            )
        again.add(row)
    return [file for row, file in enumerate(found) if row not in again] if again else found


def existing_folder(options: Any) -> Path:
    """The folder of ``--data-path``. Raises UserError where there is none."""
    root = Path(options.data_path).expanduser()
    if not root.exists():
        raise UserError(f"no folder {root} (--data-path)")
    if not root.is_dir():
        raise UserError(f"{root} is a file; --data-path takes the folder of the images")
    return root


def _class_folders(folder: Path) -> tuple[str, ...]:
    entries = [entry for entry in os.scandir(folder) if not entry.name.startswith(".")]
    # A link to itself is an error for the entry, which knows without a look what is no link.
    classes = sorted(entry.name for entry in entries if (Path(entry.path) if entry.is_symlink() else entry).is_dir())
    if classes:
        for name in classes:
            if not _is_text(name):
                raise UserError(f"{folder}: the name of a class must be UTF-8, not {os.fsencode(name)!r}; rename it")
        return tuple(classes)
    if any(is_image(entry.name) for entry in entries):
        raise UserError(f"{folder} holds images but no class folders: put those of each class into a folder of its own")
    raise UserError(f"{folder} holds no class folders and no images")


def _compare_classes(folder: Path, expected: Sequence[str]) -> None:
    found = set(_class_folders(folder))
    if extra := sorted(found - set(expected)):
        raise UserError(f"{folder} has classes that train/ has not: {_few(extra)}")
    if missing := sorted(set(expected) - found):
        raise UserError(f"{folder} lacks classes that train/ has: {_few(missing)}")


def _few(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")


def _is_text(name: str) -> bool:
    return not any("\ud800" <= letter <= "\udfff" for letter in name)  # what stands for bytes that are no UTF-8
