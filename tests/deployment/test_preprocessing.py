"""The script of a hand-over reads an image file into the very pixels that evaluation judged the network on."""

from __future__ import annotations

import contextlib
import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import ExifTags, Image

from config_file.errors import UserError
from deployment.card import describe_network
from deployment.card_page import example
from deployment.engines import Script
from deployment.options import ExportOptions
from deployment.preprocessing import read_upright
from deployment.retrained import load_retrained
from tests.deployment.networks import SIDE, retrain_folder
from training.data.augmentation import Frame
from training.data.image_files import read_image
from training.data.source import ImageFiles
from training.data.streaming import FilePool

SIZE = (90, 64)
KEEPING = Script("", "session = None", "[np.save('x.npy', x)]")


def photo(width: int = SIZE[0], height: int = SIZE[1]) -> Image.Image:
    """A picture without symmetry, with fine structure."""
    y, x = np.mgrid[:height, :width]
    noise = np.random.default_rng(0).integers(0, 60, (height, width, 3))
    return Image.fromarray((np.stack([2 * x, 3 * y, x + y], -1) % 190 + noise).astype(np.uint8))


def evaluated(path: Path, margin: int, stretch: bool) -> np.ndarray:
    """(R, R, 3) as evaluation reads a file."""
    files = ImageFiles(path.parent, (path.name,))
    pool = FilePool(files, torch.zeros(1, dtype=torch.int64), SIDE, margin=margin, stretch=stretch)
    return pool.read(0, None).numpy()


def scripted(path: Path, margin: int, stretch: bool) -> np.ndarray:
    """(R, R, 3) as the script of a network that was evaluated so reads the file, in the current folder."""
    crop_pct = Frame(SIDE, margin, False).crop_pct
    folder = retrain_folder(Path("network"), crop_pct=1.0 if stretch else crop_pct, stretch=stretch)
    card = describe_network(load_retrained(folder / "model.safetensors"), ExportOptions(title="t"))
    card |= {"onnx": {"file": "model.onnx"}}
    card["input"]["normalisation"] = "inside the graph"
    Path("script.py").write_text(example(card, KEEPING))
    sys.argv = ["script.py", str(path)]
    with contextlib.suppress(AttributeError):  # there is no session to ask for classes
        runpy.run_path("script.py")
    x = np.load("x.npy")
    Path("x.npy").unlink()
    return np.rint(255 * x[0].transpose(1, 2, 0)).astype(int)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", sys.argv)


def saved(orientation: int = 1, mode: str = "RGB", form: str = "jpeg", scale: int = 1, **more: object) -> Path:
    exif = Image.Exif()
    exif[ExifTags.Base.Orientation] = orientation
    image = photo(scale * SIZE[0], scale * SIZE[1])
    path = Path(f"image.{form}")
    (image.quantize(40) if mode == "P" else image.convert(mode)).save(path, exif=exif, **more)
    return path


def assert_same(path: Path, margin: int = 1, stretch: bool = False) -> None:
    difference = scripted(path, margin, stretch) - evaluated(path, margin, stretch).astype(int)
    assert np.abs(difference).max() == 0


@pytest.mark.parametrize("margin", [0, 1, 3])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_jpegs_of_every_orientation(orientation: int, margin: int) -> None:
    path = saved(orientation)
    assert_same(path, margin)
    turned = read_upright(path)
    assert turned.size == (SIZE if orientation <= 4 else SIZE[::-1])


def test_an_orientation_counts() -> None:
    assert not np.array_equal(scripted(saved(6), 1, False), scripted(saved(1), 1, False))


@pytest.mark.parametrize("orientation", [1, 6])
@pytest.mark.parametrize(
    ("mode", "form"),
    [
        *(("L", "jpeg"), ("CMYK", "jpeg"), ("YCbCr", "jpeg")),
        *(("1", "png"), ("L", "png"), ("LA", "png"), ("P", "png"), ("RGB", "png"), ("RGBA", "png")),
        *(("1", "tiff"), ("L", "tiff"), ("CMYK", "tiff"), ("RGBA", "tiff"), ("P", "tiff")),
        *(("RGBA", "webp"), ("P", "gif"), ("L", "bmp"), ("RGB", "ppm")),
    ],
)
def test_every_mode(mode: str, form: str, orientation: int) -> None:
    assert_same(saved(orientation, mode, form))


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_palettes_of_few_bits_and_transparency(bits: int) -> None:
    image = photo().quantize(2**bits)
    image.save("image.png", bits=bits, transparency=0)
    assert_same(Path("image.png"))


def test_points_are_told_in_the_pixels_of_the_upright_picture(capsys: pytest.CaptureFixture[str]) -> None:
    path = saved(6, scale=4)
    folder = retrain_folder(Path("network"), stretch=True)
    card = describe_network(load_retrained(folder / "model.safetensors"), ExportOptions(title="t"))
    card |= {"onnx": {"file": "model.onnx"}, "task": "landmarks"}
    Path("script.py").write_text(example(card, Script("", "", "np.array([[0, 0, 1, 0.5]])")))
    sys.argv = ["script.py", str(path)]
    runpy.run_path("script.py")
    assert capsys.readouterr().out == f"[[0.0, 0.0], [{4 * SIZE[1]}.0, {2 * SIZE[0]}.0]]\n"


def test_whole_images_and_large_ones_that_jpeg_decodes_smaller() -> None:
    assert_same(saved(5), stretch=True)
    assert_same(saved(5, scale=4))
    assert_same(saved(1, scale=4), stretch=True)


def test_images_of_the_network_s_size_and_prepared_ones() -> None:
    photo(SIDE, SIDE).save("image.png")
    assert_same(Path("image.png"))  # cut like any other
    from PIL.PngImagePlugin import PngInfo

    marked = PngInfo()
    marked.add_text("prepared", "yes")
    photo(SIDE, SIDE).save("sample.png", pnginfo=marked)
    assert np.array_equal(scripted(Path("sample.png"), 1, False), np.asarray(photo(SIDE, SIDE)))


@pytest.mark.parametrize(("mode", "form"), [("I;16", "png"), ("I;16", "tiff"), ("I", "tiff"), ("F", "tiff")])
def test_more_than_8_bits_are_refused_by_both(mode: str, form: str) -> None:
    values = np.asarray(photo().convert("L"))
    kind = {"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]
    Image.fromarray(values.astype(kind)).save(f"image.{form}")
    with pytest.raises(UserError, match="more than 8 bits"):
        read_image(f"image.{form}")
    with pytest.raises(ValueError, match="more than 8 bits"):
        scripted(Path(f"image.{form}"), 1, False)
