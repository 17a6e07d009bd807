"""Proposals that are made together: handed out in any portions, and all told before the next ones are made.

That is what makes a strategy independent of how many architectures are asked for at once, and of the order in which
results arrive.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isnan, nan
from typing import Any

from supernet import Architecture

Scores = tuple[float, ...]
"""One number per objective, greater is better; NaN where the evaluation failed."""

Told = list[tuple[Architecture, Scores]]


class Generation:
    """The proposals that are out, and what was told of them."""

    def __init__(self) -> None:
        self._members: list[Architecture] = []
        self._handed = 0
        self._told: dict[Architecture, Scores] = {}

    def ask(
        self, n: int, learn: Callable[[Told], None], propose: Callable[[], Sequence[Architecture]]
    ) -> list[Architecture]:
        """At most n of the proposals that are out; when none is left, learn from what was told and make new ones.

        Args:
            n: how many are wanted.
            learn: called with all results of the last generation, in the order proposed.
            propose: makes the next generation; [] when the search is over.

        Raises:
            RuntimeError: not all results of this generation were told.
        """
        if self._handed == len(self._members):
            if len(self._told) < len(self._members) and any(member not in self._told for member in self._members):
                raise RuntimeError("tell the results of this generation before asking for the next one")
            if self._members:
                told = self._told
                learn([(member, told[member]) for member in self._members])
            self._members = list(propose())
            self._told = {}
            self._handed = 0
        proposals = self._members[self._handed : self._handed + n]
        self._handed += len(proposals)
        return proposals

    def tell(self, architecture: Architecture, scores: Scores) -> None:
        """The result of a proposal."""
        self._told[architecture] = scores

    def state_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "members": [list(member) for member in self._members],
            "handed": self._handed,
            "told": [[list(member), scores_to_json(scores)] for member, scores in self._told.items()],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue exactly where `state_dict` was taken."""
        self._members = [tuple(member) for member in state["members"]]
        self._handed = state["handed"]
        self._told = {tuple(member): scores_from_json(scores) for member, scores in state["told"]}


def scores_to_json(scores: Scores) -> list[float | None]:
    """NaN becomes null, which every JSON reader understands."""
    return [None if isnan(score) else score for score in scores]


def scores_from_json(scores: Sequence[float | None]) -> Scores:
    """The inverse of `scores_to_json`."""
    return tuple(nan if score is None else score for score in scores)


def known_to_json(known: Mapping[Architecture, float]) -> list[list[Any]]:
    """[architecture, score] of what a strategy of one objective knows, NaN as null."""
    return [[list(architecture), *scores_to_json((score,))] for architecture, score in known.items()]


def known_from_json(rows: Sequence[Sequence[Any]]) -> dict[Architecture, float]:
    """The inverse of `known_to_json`."""
    return {tuple(architecture): scores_from_json((score,))[0] for architecture, score in rows}
