"""Validation images that nothing is selected by: what a search chose is judged on them in the end.

The best of many noisy scores is too good: an interval around it covers the truth far less often than it says (Cawley
and Talbot 2010). On images that took no part in the choice it is an ordinary measurement, and its interval holds.
"""

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from training.data.split import Split, SplitPart

SHARE, AT_MOST = 4, 10_000
"""Of the validation split a fourth is held back, unless told otherwise, and no more images than this."""


@options("Evaluation")
class ConfirmationOptions:
    """The part of the validation split that is held back."""

    confirm_images: int | None = option(
        None,
        "validation images that no candidate is judged on: in the end what is chosen, and the front, is, and that "
        "score and interval are reported; the one it was chosen by is too good, being the best of many; none: a "
        f"quarter of the validation split, {AT_MOST:,} at most; 0: off",
        at_least=0,
        decides="learning",
    )


def images_to_hold_back(asked: int | None, available: int) -> int:
    """The number for `--confirm-images`; None: the usual part of what is available."""
    return min(available // SHARE, AT_MOST) if asked is None else asked


def hold_back(validation: Split, images: int, seed: int) -> tuple[SplitPart, SplitPart]:
    """(what a search sees, what is held back) of a split.

    Both are in its shuffled order for the seed, of which the last `images` are held back: what is seen comes in the
    order in which a shuffled pass over the whole split begins.

    Raises UserError where nothing would be left to see.
    """
    if images >= len(validation):
        raise UserError(
            f"--confirm-images {images:,}: there are {len(validation):,} validation images, and the search needs some"
        )
    order = validation.order(seed)
    seen = len(order) - images
    return SplitPart(validation, order[:seen]), SplitPart(validation, order[seen:])
