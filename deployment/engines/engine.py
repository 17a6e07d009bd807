"""What an engine is: something that runs a layer on one image and says how long it took."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import nn

from supernet import Shape

Run = Callable[[], float]
"""Runs once and returns milliseconds."""


class Engine(NamedTuple):
    """One way to run layers.

    Args:
        version: of the engine, in words.
        device: what it runs on, in words. Raises UserError where that is not there.
        prepare: (layer in evaluation mode, (C, H, W), threads) -> what runs it on one image.
    """

    version: Callable[[], str]
    device: Callable[[], str]
    prepare: Callable[[nn.Module, Shape, int], Run]
