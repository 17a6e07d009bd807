"""A strategy of the user's own, `--search-strategy package.module:callable`, held to what a strategy is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from config_file.errors import UserError
from config_file.plugins import call_own, guarded
from lookup_tables.limits import Limits
from search.result import Result
from supernet import Architecture


class OwnStrategy:
    """What callable(constraint, options) returned; its exceptions and its mistakes are errors of one line.

    Raises:
        UserError: it cannot be loaded or called, lacks `ask` or `tell`, or proposes what is no architecture.
    """

    def __init__(self, reference: str, constraint: Limits, options: Any) -> None:
        self.reference = reference
        self.space = constraint.space
        self.own = call_own(reference, constraint, options)
        for method in ("ask", "tell"):
            if not callable(getattr(self.own, method, None)):
                raise UserError(
                    f"--search-strategy {reference} made a {type(self.own).__name__} without a method {method}()"
                )

    @property
    def budget(self) -> int | None:
        """Its own, None where it does not say."""
        budget = getattr(self.own, "budget", None)
        if budget is not None and not isinstance(budget, int):
            raise UserError(
                f"--search-strategy {self.reference}: its budget must be an integer or None, not {budget!r}"
            )
        return budget

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

    def state_dict(self) -> dict[str, Any]:
        """Its own state."""
        state: dict[str, Any] = guarded(self.reference, self.own.state_dict)()
        return state

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue where its `state_dict` was taken."""
        guarded(self.reference, self.own.load_state_dict)(state)
