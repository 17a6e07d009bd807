"""Drawn faces with 106 landmarks, as an image folder and list files: to try the pipeline where no data set is at hand.

python -m training.data.synthetic_landmarks faces --images 2000 --seed 0
python train_supernet.py --config config_file/train/pfld.yml --title faces --data-path faces

A face is an ellipse with eyes, brows, nose and mouth; place, size, turn, shape, colours, background and noise are drawn
for each image from (seed, number). Points are where the drawing has them, numbered as in the usual 106-point layout:
0-32 contour, 33-42 left eye (35 its outer corner), 43-51 left brow, 52-71 mouth, 72-86 nose, 87-96 right eye (93 its
outer corner), 97-105 right brow; left is the left of the image. These are no photographs: what is learned here says
nothing about real faces.
"""

import argparse
import math
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter

from config_file.errors import UserError, run_main
from config_file.files import atomic_write_text
from config_file.progress import progress

Points = npt.NDArray[np.float64]

TEST_SHARE = 0.2
OVERSAMPLED = 2  # drawn at twice the size, for smooth edges


def face(generator: np.random.Generator) -> tuple[Points, dict[str, slice]]:
    """Points (106, 2) of one face as shares of the image, and which are which part."""
    aspect, jaw = generator.uniform(0.72, 0.9), generator.uniform(0.85, 1.0)
    eye_x, eye_y = generator.uniform(0.36, 0.46), generator.uniform(-0.28, -0.16)
    eye_wide, eye_open = generator.uniform(0.16, 0.22), generator.uniform(0.03, 0.09)
    mouth_y, mouth_wide = generator.uniform(0.42, 0.55), generator.uniform(0.22, 0.36)
    smile, lips = generator.uniform(-0.06, 0.1), generator.uniform(0.05, 0.1)
    brow_y, arch = eye_y - generator.uniform(0.16, 0.22), generator.uniform(0.02, 0.07)
    parts = {
        "contour": _contour(aspect, jaw),
        "left eye": _eye(-eye_x, eye_y, eye_wide, eye_open),
        "left brow": _brow(-eye_x, brow_y, 1.25 * eye_wide, arch),
        "mouth": _mouth(mouth_y, mouth_wide, smile, lips),
        "nose": _nose(eye_y, mouth_y - generator.uniform(0.2, 0.26), generator.uniform(0.1, 0.16)),
        "right eye": _eye(eye_x, eye_y, eye_wide, eye_open),
        "right brow": _brow(eye_x, brow_y, 1.25 * eye_wide, arch),
    }
    points = np.concatenate(list(parts.values()))
    ends = np.cumsum([0, *(len(part) for part in parts.values())]).tolist()
    where = {name: slice(a, b) for name, a, b in zip(parts, ends[:-1], ends[1:], strict=True)}
    yaw, roll = generator.uniform(-0.5, 0.5), generator.uniform(-0.35, 0.35)
    depth = np.sqrt(np.clip(1 - (points[:, 0] / aspect) ** 2, 0, 1))  # of a head that is round
    points[:, 0] = points[:, 0] * math.cos(yaw) + 0.5 * depth * math.sin(yaw)
    turn = np.array([[math.cos(roll), -math.sin(roll)], [math.sin(roll), math.cos(roll)]])
    size = generator.uniform(0.3, 0.38)
    return size * points @ turn.T + 0.5 + generator.uniform(-0.06, 0.06, 2), where


def _contour(aspect: float, jaw: float) -> Points:
    """33 points from the left temple over the chin to the right one."""
    angle = np.linspace(math.pi + 0.25, -0.25, 33)
    y = np.sin(angle)
    return np.stack((aspect * np.cos(angle) * np.where(y > 0, 1 - (1 - jaw) * y, 1), 1.05 * y), 1)


def _eye(x: float, y: float, wide: float, opened: float) -> Points:
    """10 points: 8 around the lids from above on, 2 the left corner and 6 the right one; then pupil and below it."""
    angle = np.linspace(0, 2 * math.pi, 8, endpoint=False)
    ring = np.stack((x - wide * np.sin(angle), y - opened * np.cos(angle)), 1)
    return np.concatenate((ring, [[x, y], [x, y + 0.3 * opened]]))


def _brow(x: float, y: float, wide: float, arch: float) -> Points:
    """9 points: 5 along the upper edge, 4 back along the lower one."""
    upper, lower = np.linspace(-1, 1, 5), np.linspace(0.75, -0.75, 4)
    high = np.stack((x + wide * upper, y - arch * (1 - upper**2)), 1)
    low = np.stack((x + wide * lower, y - arch * (1 - lower**2) + 0.05), 1)
    return np.concatenate((high, low))


def _mouth(y: float, wide: float, smile: float, lips: float) -> Points:
    """20 points: 12 around the outer edge from the left corner, 8 around the inner one."""
    rings = []
    for count, scale, thick in ((12, 1.0, lips), (8, 0.8, 0.35 * lips)):
        angle = np.linspace(math.pi, 3 * math.pi, count, endpoint=False)
        x = np.cos(angle)
        rings.append(np.stack((scale * wide * x, y + thick * np.sin(angle) - smile * x**2), 1))
    return np.concatenate(rings)


def _nose(top: float, tip: float, wide: float) -> Points:
    """15 points: 4 down the bridge, then wings and nostrils from left to right."""
    bridge = np.stack((np.zeros(4), np.linspace(top, tip, 4)), 1)
    along = np.linspace(-1, 1, 11)
    return np.concatenate((bridge, np.stack((wide * along, tip + 0.08 * (1 - along**2)), 1)))


def draw_face(side: int, generator: np.random.Generator) -> tuple[Image.Image, Points]:
    """One image (side, side) and its points (106, 2) as shares of it."""
    points, where = face(generator)
    large = OVERSAMPLED * side
    pixels = points * large
    low, high = generator.integers(0, 256, (2, 3))
    ramp = np.linspace(0, 1, large)[:, None, None] * (high - low) + low
    image = Image.fromarray(np.broadcast_to(ramp, (large, large, 3)).astype(np.uint8))
    pencil = ImageDraw.Draw(image)
    skin = generator.integers((120, 80, 60), (245, 205, 185))
    dark = tuple(int(value) for value in 0.35 * skin)

    def line(part: Points, wide: float, colour: tuple[int, ...] = dark) -> None:
        pencil.line([tuple(point) for point in part], fill=colour, width=max(1, round(wide * large)), joint="curve")

    def fill(part: Points, colour: Iterable[int]) -> None:
        pencil.polygon([tuple(point) for point in part], fill=tuple(int(value) for value in colour))

    contour = pixels[where["contour"]]
    middle = (contour[0] + contour[-1]) / 2
    up = middle - contour[16]
    angle = np.linspace(0, math.pi, 17)[1:-1, None]
    forehead = middle + (contour[-1] - middle) * np.cos(angle) + 0.75 * up * np.sin(angle)
    fill(np.concatenate((contour, forehead)), skin)
    for side_name in ("left", "right"):
        eye = pixels[where[f"{side_name} eye"]]
        fill(eye[:8], (240, 240, 240))
        radius = 0.5 * float(np.linalg.norm(eye[0] - eye[4]))
        pupil = eye[8]
        pencil.ellipse([*(pupil - radius), *(pupil + radius)], fill=(30, 25, 20))
        line(np.concatenate((eye[:8], eye[:1])), 0.004)
        fill(pixels[where[f"{side_name} brow"]], dark)
    nose = pixels[where["nose"]]
    line(nose[:4], 0.005)
    line(nose[4:], 0.008)
    mouth = pixels[where["mouth"]]
    fill(mouth[:12], (int(skin[0] * 0.8), int(skin[1] * 0.45), int(skin[2] * 0.5)))
    fill(mouth[12:], (60, 20, 25))
    image = image.resize((side, side), Image.Resampling.BOX)
    image = image.filter(ImageFilter.GaussianBlur(generator.uniform(0, 1.0) * side / 112))
    noise = generator.normal(0, generator.uniform(0, 10), (side, side, 3))
    grey = np.asarray(image, dtype=np.float64) * generator.uniform(0.7, 1.15) + noise
    return Image.fromarray(grey.clip(0, 255).astype(np.uint8)), points


def write_faces(folder: Path, images: int, seed: int = 0, side: int = 112) -> None:
    """Leave train_data/ and test_data/ in `folder`, each with list.txt and imgs/; the last fifth of the images tests.

    Image n depends on (seed, n, side) alone, not on how many there are.

    Raises:
        UserError: the folder holds something already, or fewer than 10 images are asked for.
    """
    if images < 10:
        raise UserError(f"--images {images}: at least 10 are needed, as a fifth of them tests")
    if side < 16:
        raise UserError(f"--side {side}: at least 16 pixels are needed")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise UserError(f"{folder} is there already: name a new folder")
    lines: dict[str, list[str]] = {"train": [], "test": []}
    for part in lines:
        (folder / f"{part}_data" / "imgs").mkdir(parents=True)
    tests = round(TEST_SHARE * images)
    for number in progress(range(images), "drawing faces", "image"):
        image, points = draw_face(side, np.random.default_rng([seed, number]))
        part = "test" if number >= images - tests else "train"
        name = f"{part}_data/imgs/{number:06d}.png"
        image.save(folder / name)
        lines[part].append(" ".join([name, *(f"{value:.6f}" for value in points.ravel())]))
    for part, text in lines.items():
        atomic_write_text(folder / f"{part}_data" / "list.txt", "\n".join(text) + "\n")


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit status.

    Raises:
        UserError: as `write_faces`.
    """
    parser = argparse.ArgumentParser(
        prog="python -m training.data.synthetic_landmarks", description="Draw faces with 106 landmarks."
    )
    parser.add_argument("folder", type=Path, metavar="FOLDER", help="to be made, or empty")
    parser.add_argument("--images", type=int, default=2000, help="how many; a fifth of them tests (2000)")
    parser.add_argument("--seed", type=int, default=0, help="of everything that is drawn (0)")
    parser.add_argument("--side", type=int, default=112, help="height and width in pixels (112)")
    options = parser.parse_args(argv)
    write_faces(options.folder, options.images, options.seed, options.side)
    print(f"wrote {options.images:,} faces to {options.folder}; next: python train_supernet.py --config ", end="")
    print(f"config_file/train/pfld.yml --title faces --data-path {options.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(run_main(main))
