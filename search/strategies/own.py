"""A strategy of the user's own, by reference or entered by one of --plugins, held to what a strategy is."""

from collections.abc import Callable, Sequence
from typing import Any

from config_file.errors import UserError
from config_file.plugins import guarded
from search.result import Result
from supernet import Architecture
from supernet.decisions import DecisionSpace


class OwnStrategy:
    """A made strategy of the user's own; its exceptions and its mistakes are errors of one line.

    Args:
        name: by which it was asked for.
        reference: ``module:name`` of its code.
        make: gives the strategy.
        space: of its proposals.

    Raises:
        UserError: it cannot be made, lacks `ask` or `tell`, or proposes what is no architecture.
    """

    def __init__(self, name: str, reference: str, make: Callable[[], Any], space: DecisionSpace) -> None:
        self.name = f"--search-strategy {name}"
        self.reference = reference
        self.space = space
        self.own = guarded(reference, make)()
        for method in ("ask", "tell"):
            if not callable(getattr(self.own, method, None)):
                raise UserError(f"{self.name} made a {type(self.own).__name__} without a method {method}()")
        self.size: int | None = getattr(self.own, "size", None)
        population = getattr(self.own, "population", None)
        self.population: int | None = population if isinstance(population, int) and population > 0 else None
        if self.size is not None and not isinstance(self.size, int):
            raise UserError(f"{self.name}: its size must be an integer or None, not {self.size!r}")

    def ask(self, n: int) -> list[Architecture]:
        """Its proposals, each one an architecture of the space."""
        proposals = guarded(self.reference, self.own.ask)(n)
        if not isinstance(proposals, list | tuple):
            raise UserError(f"{self.name}: ask() must return a list of architectures, not a {type(proposals).__name__}")
        for proposal in proposals:
            if not isinstance(proposal, tuple) or not self.space.is_valid(proposal):
                raise UserError(
                    f"{self.name}: ask() proposed {proposal!r}, which is not an architecture of "
                    f"{self.space.name}, a tuple of {len(self.space.sizes)} indices"
                )
        return list(proposals)

    @property
    def rung(self) -> int | None:
        """The position of the fidelity that it asked for; None: by the schedule."""
        rung = getattr(self.own, "rung", None)
        return rung if isinstance(rung, int) else None

    def tell(self, results: Sequence[Result]) -> None:
        """Pass the results on."""
        guarded(self.reference, self.own.tell)(results)
