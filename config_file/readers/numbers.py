"""A number in a cell, a line or a field of somebody's file."""

import math
from contextlib import suppress
from typing import Any

from config_file.errors import UserError

_LONGEST, _GREATEST = 100, 1e30  # whose square can still be summed


def number_in(value: Any, where: str, *, at_least: float | None = None, above: float | None = None) -> Any:
    """A finite number; of text the number that it says.

    Args:
        where: how a message begins: the file, the line, and what the number is.

    Raises:
        UserError: it is not a finite number, or out of bounds.
    """
    number = math.nan
    if isinstance(value, str) and len(value) <= _LONGEST and "_" not in value:  # only Python reads 1_000
        with suppress(ValueError):
            number = float(value)
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        number = value
    too_low = (at_least is not None and number < at_least) or (above is not None and number <= above)
    if too_low or not abs(number) <= _GREATEST:  # NaN too
        bound = "" if at_least is None else f" of at least {at_least:g}"
        bound += "" if above is None else f" above {above:g}"
        shown = value if isinstance(value, str) and value.strip("+-.0123456789e") in ("", "nan", "inf") else repr(value)
        raise UserError(f"{where} must be a number{bound}, not {shown[:60] or repr('')}")
    return number
