"""A strategy of the user's own, `--search-strategy package.module:callable`, held to what a strategy is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from config_file.errors import UserError
from config_file.plugins import call_own, guarded
from search.problem import Problem
from search.result import Result
from supernet import Architecture


class OwnStrategy:
    """The result of callable(problem, options, seed); its exceptions and its mistakes are errors of one line.

    Raises:
        UserError: it cannot be loaded or called, lacks `ask` or `tell`, or proposes what is no architecture.
    """

    def __init__(self, reference: str, problem: Problem, options: Any, seed: int) -> None:
        self.reference = reference
        self.space = problem.space
        self.own = call_own(reference, problem, options, seed)
        for method in ("ask", "tell"):
            if not callable(getattr(self.own, method, None)):
                raise UserError(
                    f"--search-strategy {reference} made a {type(self.own).__name__} without a method {method}()"
                )
        self.size: int | None = getattr(self.own, "size", None)
        if self.size is not None and not isinstance(self.size, int):
            raise UserError(f"--search-strategy {reference}: its size must be an integer or None, not {self.size!r}")

    def ask(self, n: int) -> list[Architecture]:
        """Its proposals, each one an architecture of the space."""
        proposals = guarded(self.reference, self.own.ask)(n)
        if not isinstance(proposals, list | tuple):
            raise UserError(
                f"--search-strategy {self.reference}: ask() must return a list of architectures, not a "
                f"{type(proposals).__name__}"
            )
        for proposal in proposals:
            if not isinstance(proposal, tuple) or not self.space.is_valid(proposal):
                raise UserError(
                    f"--search-strategy {self.reference}: ask() proposed {proposal!r}, which is not an architecture of "
                    f"{self.space.name}, a tuple of {len(self.space.sizes)} indices"
                )
        return list(proposals)

    def tell(self, results: Sequence[Result]) -> None:
        """Pass the results on."""
        guarded(self.reference, self.own.tell)(results)
