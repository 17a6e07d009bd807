"""A number in a cell, a line or a field of somebody's file."""

import math
from typing import Any

from config_file.errors import UserError


def number_in(value: Any, where: str, *, at_least: float | None = None, above: float | None = None) -> float:
    """A finite number, from text too.

    Args:
        where: how a message begins: the file, the line, and what is meant.

    Raises:
        UserError: it is not a finite number, or out of bounds.
    """
    number = math.nan
    if isinstance(value, str) and len(value) <= 100 and "_" not in value:  # Python alone reads 1_000
        try:
            number = float(value)
        except ValueError:
            number = math.nan
    elif isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e300:
        number = float(value)
    too_low = (at_least is not None and number < at_least) or (above is not None and number <= above)
    if too_low or not math.isfinite(number):
        bound = "" if at_least is None else f" of at least {at_least:g}"
        bound += "" if above is None else f" above {above:g}"
        raise UserError(f"{where} must be a number{bound}, not {value!r:.60}")
    return number
