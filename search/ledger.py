"""The budget of a search, and the account of what it has needed of it."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

from config_file.errors import UserError
from config_file.quantity import quantity
from search.result import Fidelity, Result
from supernet import Architecture

ROUNDING = 1e-9
"""What sums of amounts may exceed a budget by, relative to it."""


@dataclass(frozen=True)
class Stop:
    """The budget of a search: architectures, epochs of training and seconds of evaluation; None: no limit.

    An evaluation whose price is known and would exceed what is left is not begun, and the search ends there. Where it
    is not known, the evaluation that uses up the last epoch or second is the last one.
    """

    evaluations: int | None = None
    epochs: float | None = None
    seconds: float | None = None

    @property
    def limits(self) -> dict[str, float]:
        """{what: the greatest amount} of what evaluations spend."""
        limits = {"epochs": self.epochs, "seconds": self.seconds}
        return {what: most for what, most in limits.items() if most is not None}


class Ledger:
    """The account of a search: what it has needed so far.

    A result counts when the search meets it for the first time, whether it was evaluated now or before an
    interruption: a resumed search counts the same and ends the same. What it has met before is free.

    Args:
        stop: the budget.
        before: what was spent before the search, such as the seconds of a first stage; of the same budget.

    Attributes:
        spent: {what: amount} in all.
        repeats: proposals of what the search had met before.
        closed: whether an evaluation was not begun because it would exceed the budget.
    """

    def __init__(self, stop: Stop | None = None, before: Mapping[str, float] | None = None) -> None:
        self.stop = stop or Stop()
        self.before = dict(before or {})
        self.spent: Counter[str] = Counter(self.before)
        self.repeats = 0
        self.closed = False
        self._met: set[tuple[Architecture, Fidelity]] = set()
        self._architectures: set[Architecture] = set()

    @property
    def evaluations(self) -> int:
        """Architectures; one that was evaluated at several fidelities is one."""
        return len(self._architectures)

    @property
    def left(self) -> float:
        """Architectures that may still be evaluated."""
        most = self.stop.evaluations
        return 0 if self.used_up else math.inf if most is None else max(0, most - self.evaluations)

    @property
    def used_up(self) -> bool:
        """True where no evaluation may follow, not even of an architecture that counts already."""
        return self.closed or any(self.spent[what] >= most for what, most in self.stop.limits.items())

    @property
    def results(self) -> int:
        """Results: one for each architecture and fidelity."""
        return len(self._met)

    def beyond(self, spent: Mapping[str, float]) -> str | None:
        """The first limit that so much in all would exceed; None within the budget."""
        exceeded = (w for w, most in self.stop.limits.items() if spent.get(w, 0) > most * (1 + ROUNDING))
        return next(exceeded, None)

    @property
    def record(self) -> dict[str, Any]:
        """The account as JSON: what was spent in all and before the search, what was free, and the budget."""
        evaluations = {} if self.stop.evaluations is None else {"evaluations": self.stop.evaluations}
        return {
            "evaluations": self.evaluations,
            "results": self.results,
            "repeats": self.repeats,
            "spent": dict(self.spent),
            "first_stage": self.before,
            "budget": {**evaluations, **self.stop.limits},
        }

    def in_words(self) -> str:
        """The account for people."""
        epochs = f"{self.spent['epochs']:,.6g} epochs of training, " if self.spent["epochs"] else ""
        repeats = f", {quantity(self.repeats, 'repeat')} free" if self.repeats else ""
        before = self.before.get("seconds", 0)
        first = f" ({before:,.1f} of them of the first stage)" if before else ""
        return f"{epochs}{self.spent['seconds']:,.0f} s of evaluation{first}{repeats}"

    def refuse(self, what: str, price: float) -> NoReturn:
        """Raises UserError: the budget is too small for one evaluation, which takes `price` of `what`."""
        spent = self.before.get(what, 0)
        after = f" after {spent:g} of the first stage" if spent else ""
        most = self.stop.limits[what]
        raise UserError(
            f"--budget-{what} {most:g} is too small for one evaluation, which takes {price:g} {what}{after}"
        )

    def count_repeats(self, proposals: Sequence[Architecture], fidelity: Fidelity) -> None:
        """Count what is free of proposals that are about to be looked up or evaluated."""
        self.repeats += len(proposals) - len({a for a in proposals if (a, fidelity) not in self._met})

    def add(self, result: Result) -> None:
        """Count a result unless the search has met it before."""
        key = result.architecture, result.fidelity
        if key not in self._met:
            self._met.add(key)
            self._architectures.add(result.architecture)
            self.spent.update(result.spent)
