"""A user's own images: layouts, sizes, and everything that can be wrong with them."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from config_file.errors import UserError
from deployment.preprocessing import square
from training.data import load_data
from training.data.image_files import read_image


def gradient(width: int, height: int) -> Image.Image:
    """Red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack((x, y, np.full_like(x, 100)), axis=-1).astype(np.uint8))


def test_classes_and_labels_come_from_folder_names(settings, digit_folder, digit_images) -> None:
    data = load_data(settings("imagefolder", digit_folder({"train": 5, "test": 2}, size=(32, 32))))
    assert data.classes == ("digit_0", "digit_1", "digit_2")
    assert data.resolution == 32
    expected = {
        np.asarray(Image.fromarray(digit_images[label][number]).resize((32, 32))).tobytes(): label
        for label in range(3)
        for number in (5, 6)
    }
    images, labels = data.test.raw(range(6)), data.test.labels.tolist()
    assert {image[..., 0].numpy().tobytes(): label for image, label in zip(images, labels, strict=True)} == expected


def test_statistics_are_those_of_the_training_images(settings, digit_folder) -> None:
    data = load_data(settings("imagefolder", digit_folder({"train": 10, "val": 2}, size=(32, 32))))
    pixels = data.train.raw(range(len(data.train))).double() / 255
    assert data.mean == pytest.approx(pixels.mean((0, 1, 2)).tolist(), abs=1e-6)
    assert data.std == pytest.approx(pixels.std((0, 1, 2), correction=0).tolist(), abs=1e-6)
    assert data.split_record["normalisation"] == "computed from 24 training images"


def test_class_folders_only_get_a_test_split(settings, digit_folder) -> None:
    data = load_data(settings("imagefolder", digit_folder({"": 10})))
    assert [len(data.train), len(data.val), len(data.test)] == [18, 6, 6]
    assert data.split_record["test"] == "20% of every class, seed 0"


@pytest.mark.parametrize(
    ("size", "resolution"),
    [((8, 8), 32), ((50, 100), 64), ((100, 70), 64), ((96, 96), 96), ((600, 500), 224)],
)
def test_the_resolution_follows_the_images(settings, digit_folder, size: tuple[int, int], resolution: int) -> None:
    data = load_data(settings("imagefolder", digit_folder({"train": 3, "val": 1}, size=size, classes=2)))
    assert data.resolution == resolution


def test_larger_images_are_cropped_inside_and_seen_in_the_middle(settings, tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(3):
                gradient(160, 80).save(tmp_path / split / name / f"{number}.png")
    data = load_data(settings("imagefolder", tmp_path), 56)
    assert data.split_record["augmentation"] == "random crop of 56 from 64 pixels inside the image, horizontal flip"
    assert data.crop_pct == 56 / 64
    seen = data.test.raw([0])[0].float()  # the middle 56 of 64 pixels of the middle 80 of 160
    assert seen.shape == (56, 56, 3)
    assert seen[0, 0].tolist() == pytest.approx([255 * 45 / 160, 255 * 5 / 80, 100], abs=3)
    assert seen[-1, -1].tolist() == pytest.approx([255 * 115 / 160, 255 * 75 / 80, 100], abs=3)
    crops = data.train.normalisation(data.train.raw([0])), next(data.train.batches(4, augment=True))[0]
    assert (crops[1][:, 2] - crops[0][:, 2]).abs().max() < 1e-5  # no black border: blue is 100 everywhere


def test_pixels_are_resized_once_for_another_resolution(settings, digit_folder) -> None:
    root = digit_folder({"train": 4, "val": 1})
    data = load_data(settings("imagefolder", root), 48)
    assert next(data.train.batches(2, augment=True))[0].shape == (2, 3, 48, 48)
    assert data.split_record["augmentation"].startswith("random crop of 48 from 60 pixels with zero padding")
    assert data.crop_pct == 1


def test_grey_palette_transparent_and_upside_down_images(tmp_path: Path) -> None:
    image = gradient(12, 8)
    image.convert("L").save(tmp_path / "grey.png")
    image.convert("P").save(tmp_path / "palette.png", transparency=b"\x00\x80")
    image.convert("CMYK").save(tmp_path / "cmyk.jpg")
    exif = Image.Exif()
    exif[0x0112] = 3  # stored turned by half a circle, as phones do
    image.rotate(180).save(tmp_path / "turned.jpg", exif=exif, quality=95)
    for name in ("grey.png", "palette.png", "cmyk.jpg"):
        assert read_image(tmp_path / name).mode == "RGB"
    turned = np.asarray(read_image(tmp_path / "turned.jpg")).astype(int)
    assert abs(turned - np.asarray(image)).mean() < 8


def test_a_large_jpeg_decoded_small_is_the_same_image(tmp_path: Path) -> None:
    path = tmp_path / "large.jpg"
    gradient(1200, 900).save(path, quality=95)
    draft = read_image(path, shorter_side=32)
    assert draft.size == (150, 113)
    fast, exact = (np.asarray(square(image, 32)).astype(int) for image in (draft, read_image(path)))
    assert abs(fast - exact).max() <= 3


def test_other_files_and_hidden_ones_are_passed_over(settings, digit_folder) -> None:
    root = digit_folder({"train": 4, "val": 1})
    (root / "train" / ".cache").mkdir()
    (root / "train" / "digit_0" / "Thumbs.db").write_bytes(b"x")
    (root / "train" / "digit_0" / "._0.png").write_bytes(b"x")
    nested = root / "train" / "digit_0" / "more"
    nested.mkdir()
    shutil.copy(root / "train" / "digit_0" / "0.png", nested / "9.PNG")
    data = load_data(settings("imagefolder", root))
    assert len(data.train) + len(data.val) == 13


def test_a_damaged_file_is_named(settings, digit_folder) -> None:
    root = digit_folder({"train": 4, "val": 1}, size=(32, 32))
    path = root / "train" / "digit_1" / "2.png"
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=r"cannot read image .*train/digit_1/2\.png: .*truncated"):
        load_data(settings("imagefolder", root))
    path.write_bytes(b"not an image")
    with pytest.raises(UserError, match=r"digit_1/2\.png: not an image file"):
        load_data(settings("imagefolder", root))
    path.write_bytes(b"")
    with pytest.raises(UserError, match=r"digit_1/2\.png: the file is empty"):
        load_data(settings("imagefolder", root))
    Image.fromarray(np.zeros((32, 32), dtype=np.uint16)).save(path)
    with pytest.raises(UserError, match=r"digit_1/2\.png: more than 8 bits"):
        load_data(settings("imagefolder", root))


def test_a_truncated_jpeg_is_an_error_not_a_grey_image(tmp_path: Path) -> None:
    gradient(64, 64).save(tmp_path / "a.jpg")
    content = (tmp_path / "a.jpg").read_bytes()
    (tmp_path / "a.jpg").write_bytes(content[:-200])
    with pytest.raises(UserError, match=r"a\.jpg: .*truncated"):
        read_image(tmp_path / "a.jpg")


def break_empty_class(root: Path) -> None:
    for path in (root / "train" / "digit_1").iterdir():
        path.unlink()


def break_one_class(root: Path) -> None:
    for split in ("train", "val"):
        for name in ("digit_1", "digit_2"):
            shutil.rmtree(root / split / name)


def break_all_classes(root: Path) -> None:
    shutil.rmtree(root / "train")
    (root / "train").mkdir()


def break_loose_images(root: Path) -> None:
    for path in list((root / "train").rglob("*.png")):
        path.rename(root / "train" / f"{path.parent.name}_{path.name}")
    for path in list((root / "train").iterdir()):
        if path.is_dir():
            path.rmdir()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (break_empty_class, r"class folder .*train/digit_1 holds no images"),
        (break_one_class, r"train holds one class only \('digit_0'\)"),
        (break_all_classes, r"train holds no class folders and no images"),
        (break_loose_images, r"train holds images but no class folders"),
        (lambda root: shutil.rmtree(root / "val" / "digit_2"), r"val lacks classes that train/ has: digit_2$"),
        (lambda root: (root / "val" / "cat").mkdir(), r"val has classes that train/ has not: cat$"),
        (lambda root: shutil.rmtree(root / "train"), r"has val/ but no train/ beside it"),
        (shutil.rmtree, r"no folder .*digits"),
        (lambda root: (shutil.rmtree(root), root.touch()), r"digits is a file"),
    ],
)
def test_what_can_be_wrong_with_a_folder_is_said_in_one_line(settings, digit_folder, damage, message: str) -> None:
    root = digit_folder({"train": 3, "val": 1})
    damage(root)
    with pytest.raises(UserError, match=message) as error:
        load_data(settings("imagefolder", root))
    assert "\n" not in str(error.value)


def test_imagenet_has_train_and_val(settings, digit_folder, tmp_path: Path) -> None:
    root = digit_folder({"train": 4, "val": 1}, size=(40, 40))
    (root / "test").mkdir()  # ImageNet's test images have no labels
    data = load_data(settings("imagenet", root), 32)
    assert data.mean == (0.485, 0.456, 0.406)
    assert data.split_record["augmentation"].startswith("random resized crop of 8 to 100 %")  # as the papers train
    assert [len(data.train), len(data.val), len(data.test)] == [9, 3, 3]
    with pytest.raises(UserError, match=r"imagenet: no train/ in"):
        load_data(settings("imagenet", tmp_path))


def test_an_unknown_data_set_names_the_nearest(settings) -> None:
    with pytest.raises(UserError, match=r"unknown dataset 'cifar11'; did you mean 'cifar10'\?"):
        load_data(settings("cifar11"))


def test_images_of_one_colour_do_not_divide_by_zero(settings, tmp_path: Path) -> None:
    for split in ("train", "val"):
        for name in ("a", "b"):
            (tmp_path / split / name).mkdir(parents=True)
            for number in range(2):
                Image.new("RGB", (32, 32), "black").save(tmp_path / split / name / f"{number}.png")
    data = load_data(settings("imagefolder", tmp_path))
    assert torch.isfinite(next(data.train.batches(2))[0]).all()
