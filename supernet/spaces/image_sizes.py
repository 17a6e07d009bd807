"""The image size as a decision: `--image-sizes 128-224:4`, or a list as 128,160,224."""

import re
from dataclasses import replace

import numpy as np

from config_file.errors import UserError
from supernet.decisions import Decision
from supernet.space import SearchSpace

IMAGE_SIZE = "resolution"
"""The decision's name."""

FIXED = "fixed"
"""Says that the image size is no decision."""

MOST_SIZES = 1000

_RANGE = re.compile(r"(\d{1,5})-(\d{1,5})(?::(\d{1,5}))?")
_LIST = re.compile(r"\d{1,5}(?:,\d{1,5})*")


def with_image_sizes(space: SearchSpace, sizes: str | None) -> SearchSpace:
    """The space with one decision more, last: the height and width of the image. None or "fixed": as it is.

    Raises:
        UserError: no sizes, or the largest is not what the space is laid out for (`--resolution`).
    """
    if sizes in (None, FIXED):
        return space
    pixels, channels = parse_sizes(sizes), space.input_shape[0]
    if pixels[-1] != space.input_shape[1]:
        raise UserError(
            f"--image-sizes {sizes}: the largest must be the resolution of the data, --resolution {pixels[-1]}, "
            f"not {space.input_shape[1]}"
        )
    table = np.empty(len(pixels), dtype=object)
    table[:] = [(channels, size, size) for size in pixels]
    decision = Decision(IMAGE_SIZE, tuple(map(str, pixels)))
    return replace(space, decisions=(*space.decisions, decision), images=((len(space.decisions),), table))


def parse_sizes(text: str, flag: str = "--image-sizes") -> list[int]:
    """The sizes in pixels, ascending. Raises UserError, which begins with the flag, for text that says none."""
    compact = text.replace(" ", "")
    if match := _RANGE.fullmatch(compact):
        first, last, step = (int(number or 1) for number in match.groups())
        sizes = list(range(first, last + 1, step)) if step else []
        if sizes and sizes[-1] != last:
            raise UserError(f"{flag} {text}: steps of {step} from {first} do not end at {last}")
    else:
        sizes = sorted({int(number) for number in compact.split(",")}) if _LIST.fullmatch(compact) else []
    if not sizes or sizes[0] < 1 or len(sizes) > MOST_SIZES:
        raise UserError(f"{flag} {text:.60}: sizes in pixels, as 128-224:4 or 128,160,224")
    return sizes
