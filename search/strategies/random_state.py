"""The state of a `random.Random` as JSON, for `state_dict`."""

from __future__ import annotations

from random import Random
from typing import Any


def rng_to_json(rng: Random) -> list[Any]:
    """As `random.Random.getstate` gives it, in lists."""
    version, internal, gauss_next = rng.getstate()
    return [version, list(internal), gauss_next]


def rng_from_json(state: list[Any]) -> Random:
    """A generator that continues where `rng_to_json` was taken."""
    rng = Random()
    version, internal, gauss_next = state
    rng.setstate((version, tuple(internal), gauss_next))
    return rng
