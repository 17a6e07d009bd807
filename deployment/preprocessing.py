"""Image files to the pixels that a network reads: evaluation calls these functions, a hand-over's script holds them.

There is one definition of it: :func:`deployment.card_page.example` copies the source of the functions, so they need
Pillow alone and names that a script can have.
"""

import inspect
from pathlib import Path

from PIL import Image, ImageOps

# Pillow would go by content, and for some formats start other programs.
FORMATS = ("JPEG", "PNG", "BMP", "GIF", "WEBP", "TIFF", "PPM")

PREPARED = "prepared"
"""In the information of a PNG file: its pixels are what evaluation made of an image, nothing more is to be done."""


def read_upright(path: str | Path, shorter_side: int | None = None) -> Image.Image:
    """An image as RGB, upright (EXIF orientation applied), without its transparency.

    A JPEG may be decoded at a half, a quarter or an eighth of its size as long as its shorter side stays at least twice
    `shorter_side`. Raises ValueError for more than 8 bits per channel, and whatever Pillow does for damage.
    """
    with Image.open(path, formats=FORMATS) as image:
        if shorter_side is not None:
            image.draft(None, (2 * shorter_side, 2 * shorter_side))
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"more than 8 bits per channel (mode {image.mode})")
        turned = ImageOps.exif_transpose(image) if "exif" in image.info else image
        if turned.mode == "P" and "transparency" in turned.info:
            turned = turned.convert("RGBA")
        turned.load()
        return turned if turned.mode == "RGB" else turned.convert("RGB")


def square(image: Image.Image, side: int) -> Image.Image:
    """The centred square of an image, resized to (side, side): "shorter side to `side`, then centre crop" at once."""
    width, height = image.size
    if width == height == side:
        return image
    short = min(width, height)
    left, top = (width - short) / 2, (height - short) / 2
    return image.resize((side, side), Image.Resampling.BILINEAR, box=(left, top, left + short, top + short))


def whole(image: Image.Image, side: int) -> Image.Image:
    """All of an image, resized to (side, side) whatever its shape."""
    return image if image.size == (side, side) else image.resize((side, side), Image.Resampling.BILINEAR)


def script_of(stretch: bool) -> str:
    """The source of the functions, of a network that reads whole images or centred squares."""
    functions = (read_upright, whole if stretch else square)
    return "\n\n".join([f"FORMATS = {FORMATS}\n", *(inspect.getsource(function) for function in functions)])
