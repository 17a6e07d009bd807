"""Image folders with links, special files and names of any bytes: each real file once, in one class and one split."""

import itertools
import os
import socket
import time
from pathlib import Path

import pytest
from PIL import Image

from config_file.errors import UserError
from training.data import load_data
from training.data.folder import folder_source


def two_classes(root: Path, parts: tuple[str, ...] = ("",), count: int = 4) -> Path:
    for part in parts:
        for shade, name in enumerate("ab"):
            (root / part / name).mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (32, 32), (number, 80 * shade, 0)).save(root / part / name / f"{number}.png")
    return root


def real_files(root: Path) -> dict[tuple[int, int], int]:
    """(device, inode) -> label, by brute force; no file may come twice."""
    source = folder_source("own", root)
    found = {}
    for name, label in zip(source.images.names, source.labels.tolist(), strict=True):
        status = (root / name).stat()
        assert (status.st_dev, status.st_ino) not in found
        found[status.st_dev, status.st_ino] = label
    return found


@pytest.mark.parametrize(
    ("place", "target"),
    [
        ("a/loop", ".."),
        ("a/loop", "."),
        ("a/loop", "../.."),
        ("a/more/loop", ".."),
        ("a/loop", "/"),
        ("b/loop", "../b"),
    ],
)
def test_a_link_that_leads_in_a_circle_is_refused_in_words(tmp_path: Path, place: str, target: str) -> None:
    root = two_classes(tmp_path / "d")
    (root / place).parent.mkdir(exist_ok=True)
    (root / place).symlink_to(target)
    with pytest.raises(UserError, match=rf"{place} leads back to a folder that it lies in"):
        folder_source("own", root)


def test_many_links_to_the_root_are_no_hang(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "d")
    for number in range(5):
        (root / "a" / f"loop{number}").symlink_to("..")
    started = time.perf_counter()
    with pytest.raises(UserError, match="leads back"):
        folder_source("own", root)
    assert time.perf_counter() - started < 5


def test_folders_that_two_links_lead_to_are_walked_once(tmp_path: Path) -> None:
    root, steps = two_classes(tmp_path / "d"), tmp_path / "steps"
    for number in range(30):  # 2 ** 30 ways
        (steps / str(number)).mkdir(parents=True)
        for way in ("x", "y"):
            (steps / str(number) / way).symlink_to(f"../{number + 1}")
    (steps / "30").mkdir()
    Image.new("RGB", (32, 32)).save(steps / "30" / "deep.png")
    (root / "a" / "ways").symlink_to(steps / "0")
    assert sorted(real_files(root).values()) == [0] * 5 + [1] * 4


def test_links_within_a_class_count_once(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "d")
    (root / "a" / "again.png").symlink_to("0.png")
    os.link(root / "b" / "1.png", root / "b" / "0-hard.png")
    (root / "b" / "more").mkdir()
    (root / "b" / "more" / "x.png").symlink_to(root / "b" / "2.png")
    assert sorted(real_files(root).values()) == [0] * 4 + [1] * 4


def test_links_to_images_elsewhere_are_followed(tmp_path: Path) -> None:
    root, other = two_classes(tmp_path / "d"), two_classes(tmp_path / "other", count=6)
    (root / "a" / "other").symlink_to(other / "a")
    (root / "b" / "x.png").symlink_to(other / "b" / "5.png")
    (root / "c").symlink_to(two_classes(tmp_path / "third") / "b")
    assert sorted(real_files(root).values()) == [0] * 10 + [1] * 5 + [2] * 4


@pytest.mark.parametrize("hard", [False, True])
def test_one_file_in_two_classes_is_refused(tmp_path: Path, hard: bool) -> None:
    root = two_classes(tmp_path / "d")
    if hard:
        os.link(root / "b" / "1.png", root / "a" / "z.png")
    else:
        (root / "a" / "z.png").symlink_to("../b/1.png")
    with pytest.raises(UserError, match=r"d/a/z\.png and .*d/b/1\.png are one file by a link: .* one class only"):
        folder_source("own", root)


def test_a_class_that_is_a_link_to_another_is_refused(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "d")
    (root / "c").symlink_to("a")
    with pytest.raises(UserError, match="are one file by a link"):
        folder_source("own", root)


def test_one_file_in_train_and_test_is_refused(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "d", ("train", "test"))
    (root / "test" / "a" / "x.png").symlink_to(root / "train" / "a" / "0.png")
    with pytest.raises(UserError, match=r"one file by a link: an image belongs to one of train and test only"):
        folder_source("own", root)


def test_special_files_are_refused_and_never_waited_for(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "d")
    odd = root / "a" / "x.png"
    os.mkfifo(odd)
    with pytest.raises(UserError, match=r"a/x\.png is a pipe, not an image file"):
        folder_source("own", root)
    odd.unlink()
    odd.symlink_to("/dev/zero")
    with pytest.raises(UserError, match=r"a/x\.png is a device, not an image file"):
        folder_source("own", root)
    odd.unlink()
    with socket.socket(socket.AF_UNIX) as listener:
        before = Path.cwd()
        os.chdir(odd.parent)  # the path of a socket is short
        try:
            listener.bind("x.png")
        finally:
            os.chdir(before)
    with pytest.raises(UserError, match=r"a/x\.png is a socket, not an image file"):
        folder_source("own", root)
    odd.unlink()
    os.mkfifo(root / "a" / "notes")  # no image by its name
    assert len(real_files(root)) == 8


def test_a_pipe_in_the_place_of_an_image_is_refused_when_it_is_read(tmp_path: Path, settings) -> None:
    root = two_classes(tmp_path / "d", count=10)
    data = load_data(settings("imagefolder", root, memory_limit=0))
    (root / "a" / "3.png").unlink()
    os.mkfifo(root / "a" / "3.png")
    batches = itertools.chain(data.trainval.batches(4), data.test.batches(4))
    with pytest.raises(UserError, match=r"cannot read image .*a/3\.png: it is a pipe"):
        list(batches)


def test_a_link_to_nothing_or_to_itself_is_refused_by_name(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "d")
    link = root / "a" / "x.png"
    link.symlink_to("nothing.png")
    with pytest.raises(UserError, match=r"a/x\.png is a link to nothing"):
        folder_source("own", root)
    link.unlink()
    link.symlink_to("x.png")
    with pytest.raises(UserError, match=r"a/x\.png is a link that leads in a circle"):
        folder_source("own", root)
    link.unlink()
    (root / "a" / "notes").symlink_to("nothing")  # neither image nor class
    (root / "self").symlink_to("self")
    assert len(real_files(root)) == 8


def test_file_names_may_hold_any_bytes_and_class_names_are_text(tmp_path: Path, settings) -> None:
    root = two_classes(tmp_path / "d", count=10)
    odd = (root / "a" / "0.png").rename(root / "a" / os.fsdecode(b"caf\xe9.png"))
    for limit in (0, 1):
        data = load_data(settings("imagefolder", root, memory_limit=limit))
        assert len(data.trainval) + len(data.test) == 20
    odd.write_bytes(b"no image")
    with pytest.raises(UserError, match="not an image file"):
        load_data(settings("imagefolder", root))
    (root / "b").rename(root / os.fsdecode(b"caf\xe9"))
    with pytest.raises(UserError, match=r"the name of a class must be UTF-8, not b'caf\\xe9'"):
        load_data(settings("imagefolder", root))


def test_a_big_flat_folder_is_listed_fast(tmp_path: Path) -> None:
    root = two_classes(tmp_path / "d")
    for number in range(20_000):
        (root / "a" / f"big{number}.png").touch()
    started = time.perf_counter()
    source = folder_source("own", root)  # looks into a few: those that are empty are found when they are read
    assert len(source.images) == 20_000 + 2 * 4
    assert time.perf_counter() - started < 5  # 0.1 s
