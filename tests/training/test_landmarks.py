"""Landmarks from a list file: what is read, what is refused, and that points stay where they are in the image."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy import ndimage

from config_file.errors import UserError
from tasks import CLASSIFICATION, LANDMARKS
from tests.training import toy
from training import losses
from training.data import Data, load_data
from training.data.landmarks import load_landmarks, read_list
from training.data.synthetic_landmarks import draw_face, main, write_faces

POINTS = " ".join(f"{0.1 + 0.007 * i:.3f}" for i in range(212))


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that the loader reads."""

    data_path: str
    dataset: str = "landmarks"
    list_file: str | None = None
    test_list_file: str | None = None
    download: bool = False
    train_portion: float = 0.75
    split_seed: int = 42
    flip: bool | None = None
    memory_limit: float = 2.0
    num_workers: int = 0
    augmentation: str = "auto"


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """A folder with one image and a list of one line; tests rewrite the list."""
    Image.new("RGB", (20, 30)).save(tmp_path / "a.png")
    (tmp_path / "list.txt").write_text(f"a.png {POINTS}\n")
    return tmp_path


@pytest.fixture(scope="module")
def faces(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data") / "faces"
    write_faces(folder, 40, seed=3, side=48)
    return folder


# ---- the list


@pytest.mark.parametrize("rest", ["", " 0.1 -0.2 3.5", " 0 0 1 0 0 0 12.5 -3 0.25"])
def test_a_line_is_a_path_and_coordinates_and_perhaps_angles(listed, rest):
    (listed / "list.txt").write_text(f"# made by hand\n\na.png {POINTS}{rest}\n")
    names, targets = read_list(listed / "list.txt", listed)
    assert names == ["a.png"]
    assert targets.dtype == np.float32
    assert targets.tolist() == [pytest.approx([float(value) for value in POINTS.split()])]


def test_an_image_may_lie_beside_the_list(listed):
    (listed / "sub").mkdir()
    (listed / "a.png").rename(listed / "sub" / "b.png")
    (listed / "sub" / "list.txt").write_text(f"b.png {POINTS}\n")
    (name,), _ = read_list(listed / "sub" / "list.txt", listed)
    assert (listed / name).is_file()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (f"b.png {POINTS}", "line 2: no image b.png"),
        (f"a.png {POINTS} 1", "line 2: 213 numbers after the path; 212 are needed"),
        ("a.png " + " ".join(["0.5"] * 196), "line 2: 196 numbers"),
        ("a.png", "line 2: 0 numbers"),
        (f"my face.png {POINTS}", "line 2: 'face.png' is not a number"),
        (f"a.png 56.5 {POINTS[6:]}", "line 2: x of point 0 is 56.5; coordinates are shares"),
        (f"a.png nan {POINTS[6:]}", "line 2: x of point 0 is nan"),
        ("a.png " + " ".join(["0.5"] * 212), "points 35 and 93"),
    ],
)
def test_a_line_that_is_not_of_the_format(listed, line, message):
    (listed / "list.txt").write_text(f"a.png {POINTS}\n{line}\n")
    with pytest.raises(UserError, match=message) as error:
        read_list(listed / "list.txt", listed)
    assert "\n" not in str(error.value)


def test_lists_that_are_missing_or_empty(listed):
    with pytest.raises(UserError, match=r"no list of landmarks at .*nowhere.txt.*--list-file"):
        load_landmarks(Settings(data_path=str(listed), list_file=str(listed / "nowhere.txt")))
    with pytest.raises(UserError, match="--test-list-file"):
        load_landmarks(Settings(data_path=str(listed), test_list_file=str(listed / "nowhere.txt")))
    (listed / "list.txt").write_text("# nothing\n")
    with pytest.raises(UserError, match="lists no images"):
        load_landmarks(Settings(data_path=str(listed)))
    (listed / "list.txt").unlink()
    with pytest.raises(UserError, match=r"train_data/list.txt or .*list.txt \(--list-file\)"):
        load_landmarks(Settings(data_path=str(listed)))


def test_an_image_is_listed_once_whatever_it_is_called(listed):
    (listed / "b.png").symlink_to("a.png")
    for again in ("a.png", "./a.png", "b.png"):
        (listed / "list.txt").write_text(f"a.png {POINTS}\n{again} {POINTS}\n")
        with pytest.raises(UserError, match=rf"list.txt: {again} is there twice"):
            load_landmarks(Settings(data_path=str(listed)))
    (listed / "test_data").mkdir()
    (listed / "list.txt").write_text(f"a.png {POINTS}\n")
    (listed / "test_data" / "list.txt").write_text(f"b.png {POINTS}\n")
    with pytest.raises(UserError, match=r"b.png tests, but .* trains on it"):
        load_landmarks(Settings(data_path=str(listed)))


def test_an_image_does_not_train_and_test(listed):
    (listed / "test_data").mkdir()
    (listed / "test_data" / "list.txt").write_text(f"a.png {POINTS}\n")
    with pytest.raises(UserError, match=r"a.png tests, but .* trains on it"):
        load_landmarks(Settings(data_path=str(listed)))


# ---- images and points together


def load(folder: Path, **changes: object) -> Data:
    return load_data(Settings(data_path=str(folder), **changes), 32)  # type: ignore[arg-type]


def test_splits(faces):
    data = load(faces)
    assert data.task is LANDMARKS
    assert [len(split) for split in (data.train, data.val, data.test)] == [24, 8, 8]
    assert data.classes[:3] == ("x0", "y0", "x1")
    assert len(data.classes) == 212
    assert "106 points" in data.summary()
    x, y = next(data.train.batches(5, shuffle=True, augment=True))
    assert x.shape == (5, 3, 32, 32)
    assert y.shape == (5, 212)
    assert y.dtype == torch.float32
    alone = load(faces, list_file=str(faces / "train_data" / "list.txt"), train_portion=0.5)
    assert len(alone.train) == 16


def test_without_a_list_to_test_on_a_fifth_tests(faces):
    (faces / "test_data" / "list.txt").rename(faces / "aside.txt")
    try:
        data = load(faces)
        assert [len(split) for split in (data.train, data.val, data.test)] == [20, 6, 6]
    finally:
        (faces / "aside.txt").rename(faces / "test_data" / "list.txt")


def test_streamed_images_are_those_in_memory(faces):
    whole, streamed = load(faces), load(faces, memory_limit=0.0)
    assert type(whole.train) is not type(streamed.train)
    for one, other in ((whole.train, streamed.train), (whole.test, streamed.test)):
        pairs = zip(
            one.batches(8, seed=1, shuffle=True, augment=True),
            other.batches(8, seed=1, shuffle=True, augment=True),
            strict=True,
        )
        for (x, y), (again, target) in pairs:
            assert torch.equal(y, target)
            assert torch.allclose(x, again, atol=1e-5)


@pytest.mark.parametrize("limit", [2.0, 0.0])
def test_points_stay_where_they_are_in_an_image_of_any_shape(tmp_path, limit):
    """A white dot of a wide image, found again in the square: cropping or moving would shift it."""
    lines = []
    centres = [(30, 20), (90, 50), (150, 70), (60, 10), (110, 85)]
    for number, (x, y) in enumerate(centres):
        pixels = np.zeros((100, 200), np.uint8)
        pixels[y - 2 : y + 3, x - 2 : x + 3] = 255
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
        points = np.full((106, 2), [(x + 0.5) / 200, (y + 0.5) / 100])
        points[93] += 0.1
        lines.append(" ".join([f"{number}.png", *map(str, points.ravel())]))
    (tmp_path / "list.txt").write_text("\n".join(lines))
    data = load_data(Settings(data_path=str(tmp_path), memory_limit=limit, train_portion=0.5), 64)
    for split in (data.train, data.val, data.test):
        images, targets = next(split.batches(len(split), augment=True, shuffle=True))
        for image, target in zip(images, targets, strict=True):
            bright = image[0].double().numpy()
            row, column = ndimage.center_of_mass(bright - bright.min())
            assert [(column + 0.5) / 64, (row + 0.5) / 64] == pytest.approx(target[:2].tolist(), abs=0.01)


def test_faces_are_not_mirrored(faces):
    with pytest.raises(UserError, match="--flip"):
        load(faces, flip=True)
    assert load(faces, flip=False).split_record["augmentation"] == "none"
    for crop in ("shift", "resized_crop"):
        with pytest.raises(UserError, match=rf"--augmentation {crop}: .* which is never cropped"):
            load(faces, augmentation=crop)
    assert load(faces, augmentation="off").split_record["augmentation"] == "none"


# ---- losses


def test_the_wing_loss_of_the_paper():
    """Feng et al. 2018, eq. 5, with w 10 and epsilon 2, in pixels of 112."""
    loss = toy.loss_of("wing", LANDMARKS)
    for pixels in (0.0, 0.5, 3.0, 9.999, 10.001, 40.0):
        constant = 10 - 10 * np.log(1 + 10 / 2)
        expected = 10 * np.log(1 + pixels / 2) if pixels < 10 else pixels - constant
        target = torch.zeros(1, 2, dtype=torch.float64)
        assert loss(target + pixels / 112, target).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)
        assert loss(target - pixels / 112, target).item() == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_l2_is_summed_over_coordinates():
    outputs, targets = torch.rand(3, 212), torch.rand(3, 212)
    expected = ((outputs - targets) ** 2).sum() / 3
    assert torch.allclose(toy.loss_of("l2", LANDMARKS)(outputs, targets), expected)


def test_losses_belong_to_a_task():
    outputs, targets = torch.rand(3, 212), torch.rand(3, 212)
    assert torch.equal(toy.loss_of(None, LANDMARKS)(outputs, targets), toy.loss_of("wing", LANDMARKS)(outputs, targets))
    with pytest.raises(UserError, match="--loss cross_entropy is not for landmarks: wing or l2"):
        toy.loss_of("cross_entropy", LANDMARKS)
    with pytest.raises(UserError, match="--loss wing is not for classification"):
        toy.loss_of("wing")


def test_a_registered_loss_fits_the_tasks_it_names(monkeypatch):
    def doubled(options):
        return lambda outputs, targets: 2 * outputs.sum()

    monkeypatch.setitem(losses.LOSSES, "doubled", doubled)
    assert losses.losses_of(LANDMARKS) == ["wing", "l2", "doubled"]
    assert losses.losses_of(CLASSIFICATION) == ["cross_entropy", "doubled"]
    doubled.tasks = ("landmarks",)
    assert losses.losses_of(CLASSIFICATION) == ["cross_entropy"]
    assert toy.loss_of("doubled", LANDMARKS)(torch.ones(2, 3), torch.zeros(2, 3)) == 12
    monkeypatch.setitem(losses.LOSSES, "half", lambda options: lambda outputs, targets: outputs)
    with pytest.raises(UserError, match=r":half returned shape \(2, 3\); it must return a tensor of shape"):
        toy.loss_of("half")(torch.ones(2, 3), torch.zeros(2))


# ---- drawn faces


def test_drawn_faces_depend_on_seed_and_number_alone(tmp_path):
    for name, count in (("a", 10), ("b", 20)):
        write_faces(tmp_path / name, count, seed=5, side=32)
    first = "train_data/imgs/000003.png"
    assert (tmp_path / "a" / first).read_bytes() == (tmp_path / "b" / first).read_bytes()
    lines = [(tmp_path / name / "train_data" / "list.txt").read_text().splitlines()[3] for name in "ab"]
    assert lines[0] == lines[1]
    write_faces(tmp_path / "c", 10, seed=6, side=32)
    assert (tmp_path / "a" / first).read_bytes() != (tmp_path / "c" / first).read_bytes()


def test_points_are_where_the_drawing_has_them():
    """Pupils are dark, whites of the eyes bright, and eye corners in the order of the 106-point layout."""
    darker = 0
    for number in range(30):
        image, points = draw_face(112, np.random.default_rng([0, number]))
        grey = np.asarray(image.convert("L"), dtype=float)
        assert points.shape == (106, 2)
        assert (points > -0.05).all()
        assert (points < 1.05).all()
        assert points[35, 0] < points[39, 0] < points[89, 0] < points[93, 0]  # outer, inner, inner, outer
        assert points[16, 1] > points[52:72, 1].max() - 0.05  # the chin is below the mouth
        x, y = (int(value * 112) for value in points[41])
        cheek = (points[16] + 3 * points[72]) / 4
        darker += grey[y, x] < grey[int(cheek[1] * 112), int(cheek[0] * 112)]
    assert darker >= 27


def test_the_command(tmp_path, capsys):
    assert main([str(tmp_path / "faces"), "--images", "10", "--side", "16"]) == 0
    assert "wrote 10 faces" in capsys.readouterr().out
    for arguments, message in (
        (["--images", "10"], "is there already"),
        (["--images", "3"], "at least 10"),
        (["--side", "4"], "at least 16 pixels"),
    ):
        with pytest.raises(UserError, match=message):
            main([str(tmp_path / ("faces" if "there" in message else "new")), *arguments])
