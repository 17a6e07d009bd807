"""Schedules of evaluation: which of a population are evaluated at which fidelity.

A schedule is a pure function of results. Fidelities rise, and what is chosen in the end is judged at the last one, so
that no network is picked for its luck at a lower one.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

from config_file.errors import UserError, choose
from config_file.plugins import guarded, is_reference, load_object, reference_of
from search.objectives import ACCURACY, Objective
from search.result import FULL, Fidelity, Result
from supernet import Architecture


class Schedule(Protocol):
    """The interface that the search loop needs."""

    @property
    def fidelities(self) -> tuple[Fidelity, ...]:
        """Rising."""

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        """Those of a population that go on from `fidelities[rung]` to the next one; [] after the last.

        Args:
            rung: the position of the fidelity.
            results: of the population at that fidelity.
            earlier: all results of the search at that fidelity before.
        """

    def in_words(self, amounts: Sequence[str]) -> str:
        """The order of the fidelities in words, with an amount for each."""


class AllAlike:
    """Every architecture at one fidelity, the last."""

    def __init__(self, fidelities: tuple[Fidelity, ...] = (FULL,), objective: Objective = ACCURACY) -> None:
        self.fidelities = fidelities[-1:]

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        return []

    def in_words(self, amounts: Sequence[str]) -> str:
        return amounts[-1]


AT_ONCE = AllAlike()


@dataclass(frozen=True)
class Halving:
    """Successive halving (Jamieson and Talwalkar 2016) of each population: the better half goes on.

    One that is proposed alone goes on where it is not below the median of all that were at this fidelity so far.
    """

    fidelities: tuple[Fidelity, ...]
    objective: Objective = ACCURACY

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        if rung + 1 == len(self.fidelities):
            return []
        score = self.objective.score
        sound = sorted((result for result in results if not result.failed), key=score, reverse=True)
        if len(results) > 1:
            return [result.architecture for result in sound[: -(-len(sound) // 2)]]
        seen = [score(result) for result in (*earlier, *sound) if not result.failed]
        return [result.architecture for result in sound if score(result) >= median(seen)]

    def in_words(self, amounts: Sequence[str]) -> str:
        first, *others = amounts
        return first + "".join(f", of the better half on {amount}" for amount in others)


class OwnSchedule:
    """A schedule of the user's own; its exceptions and its mistakes are errors of one line.

    Raises:
        UserError: what the user's code made is no schedule.
    """

    def __init__(self, reference: str, own: Any) -> None:
        self._reference, self._own = reference, own
        for method in ("going_on", "in_words"):
            if not callable(getattr(own, method, None)):
                raise UserError(f"--schedule {reference} made a {type(own).__name__} without a method {method}()")
        self.fidelities: tuple[Fidelity, ...] = guarded(reference, lambda: tuple(own.fidelities))()
        if not self.fidelities or not all(isinstance(fidelity, Fidelity) for fidelity in self.fidelities):
            raise UserError(f"--schedule {reference}: its fidelities must be one or several Fidelity(...)")

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        chosen = guarded(self._reference, lambda: list(self._own.going_on(rung, results, earlier)))()
        known = [result.architecture for result in (*results, *earlier)]
        if (other := next((choice for choice in chosen if choice not in known), None)) is not None:
            raise UserError(f"--schedule {self._reference}: going_on() gave {other!r}, which was not evaluated before")
        return chosen

    def in_words(self, amounts: Sequence[str]) -> str:
        return str(guarded(self._reference, self._own.in_words)(amounts))


SCHEDULES: dict[str, Callable[[tuple[Fidelity, ...], Objective], Schedule]] = {"all": AllAlike, "halving": Halving}
"""Each made from the fidelities that the evaluator's options ask for, and from what is better."""


def make_schedule(name: str | None, fidelities: Sequence[Fidelity], objective: Objective) -> Schedule:
    """The schedule of a name; without one, successive halving where there are several fidelities.

    Raises UserError for an unknown name, and for one of the user's own that is no schedule.
    """
    name = name or ("halving" if len(fidelities) > 1 else "all")
    factory = load_object(name) if is_reference(name) else choose("schedule", name, SCHEDULES)
    reference = name if is_reference(name) else reference_of(name, factory, "search")
    if reference is not None:
        return OwnSchedule(reference, guarded(reference, factory)(tuple(fidelities), objective))
    return factory(tuple(fidelities), objective)
