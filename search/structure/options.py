"""Options of structures, for scores and for the strategy that searches by them."""

from config_file.fields import option
from config_file.options import options


@options("Score")
class StructureOptions:
    """Knowledge about the scores that structures are fitted to."""

    score_error: float | None = option(
        None, "share of the variance of the scores' ranks that is error which no validation image shows; none: 0.1 "
        "with shared weights, 0 of networks trained alone", at_least=0, at_most=1
    )  # fmt: skip
    calibrate: str | None = option(
        None, "CSV of networks that were trained alone (architecture and accuracy), a few of which put the structure "
        "of the scores right: their order counts as exact", metavar="TRAINED.csv"
    )  # fmt: skip
