"""Preprocessing: the numbers that a network reads for the pixels of an image."""

from config_file.fields import option
from config_file.options import options

STANDARD, BGR255 = "standard", "bgr255"
RGB, BGR = "RGB", "BGR"


@options("Data")
class PreprocessingOptions:
    """The form of a network's input."""

    preprocessing: str = option(
        STANDARD,
        "pixels of the network's input: standard (RGB, minus the mean, over the standard deviation) or bgr255 (BGR, "
        "from 0 to 255: SPOS's published networks)",
        choices=(STANDARD, BGR255),
        inherit=True,
        decides="training",
    )
