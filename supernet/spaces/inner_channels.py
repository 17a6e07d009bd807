"""Inner channels as a decision of every layer: `--inner-channels 0.2-1.6:0.2`, or a list as 0.5,0.75,1.

Shares of the channels inside a layer's block, as SPOS searches them (Guo et al. 2020): block and share are chosen layer
by layer, and narrower layers are the first channels of the widest.
"""

import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from config_file.errors import UserError

MOST_SHARES, MOST_SHARE = 32, 4

_NUMBER = r"\d{1,3}(?:\.\d{1,4})?"
_RANGE = re.compile(rf"({_NUMBER})-({_NUMBER}):({_NUMBER})")
_LIST = re.compile(rf"{_NUMBER}(?:,{_NUMBER})*")


def parse_shares(said: str | Sequence[float]) -> tuple[float, ...]:
    """The shares, ascending. Raises UserError for text or a list that says none."""
    text = said if isinstance(said, str) else ",".join(map(str, said))
    compact = text.replace(" ", "")
    shares: list[Decimal] = []
    if match := _RANGE.fullmatch(compact):
        first, last, step = map(Decimal, match.groups())
        steps = (last - first) / step if step else Decimal(-1)
        if steps < 0 or steps != int(steps) or steps > MOST_SHARES:
            raise UserError(f"--inner-channels {text:.60}: steps of {step} from {first} do not end at {last}")
        shares = [first + step * number for number in range(int(steps) + 1)]
    elif _LIST.fullmatch(compact):
        shares = [Decimal(number) for number in compact.split(",")]
    ascending = sorted(set(shares))
    if not shares or shares != ascending or shares[0] <= 0 or shares[-1] > MOST_SHARE or len(shares) > MOST_SHARES:
        raise UserError(
            f"--inner-channels {text:.60}: ascending shares above 0, at most {MOST_SHARE}, as 0.2-1.6:0.2 or 0.5,0.75,1"
        )
    return tuple(map(float, shares))


def share_of(channels: int, share: float, where: str) -> int:
    """A share of a number of channels, rounded down as SPOS does. Raises UserError where none are left."""
    inner = int(channels * Decimal(str(share)))
    if inner < 1:
        raise UserError(f"{where}: {share:g} of {channels} inner channels is none")
    return inner


def shares_of(said: Any) -> tuple[float, ...]:
    """The shares of a setting; the whole alone where there is none."""
    return (1.0,) if said is None else parse_shares(said)
