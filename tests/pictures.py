"""Pictures left blank, in tests that look at something else: half of a small search is the rendering of its picture.

Everything up to the rendering runs, so that a mistake in what is drawn is still one.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

_FILE = io.BytesIO()
Image.new("1", (1, 1)).save(_FILE, "PNG")

rendered = Figure.savefig
"""The method as matplotlib has it."""


def blank(figure: Figure, file: Any, **_: Any) -> None:
    """A picture of one pixel."""
    Path(file).write_bytes(_FILE.getvalue())
