"""Schedules of evaluation: which of a population are evaluated at which fidelity.

A schedule is a pure function of results. Fidelities rise, and what is chosen in the end is judged at the last one, so
that no network is picked for its luck at a lower one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

import numpy as np

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.options import options, part_of
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

    # `bracket(number) -> (position, count)`, where there is one: the fidelity at which population `number` begins, and
    # how many architectures are asked for. What `going_on` gives may then also be of `earlier` ones.


class AllAlike:
    """Every architecture at one fidelity, the last."""

    def __init__(self, fidelities: tuple[Fidelity, ...] = (FULL,), objective: Objective = ACCURACY) -> None:
        self.fidelities = fidelities[-1:]

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        return []

    def in_words(self, amounts: Sequence[str]) -> str:
        return amounts[-1]


AT_ONCE = AllAlike()


@options("Budget")
class HalvingOptions:
    """The rate of successive halving."""

    halving_rate: int = option(
        2, "of how many one goes on to the next fidelity, by halving, hyperband and asha", at_least=2, at_most=1000
    )


@options("Budget")
class AshaOptions(HalvingOptions):
    """Asynchronous halving."""

    asha_batch: int = option(
        1,
        "architectures that asha begins before it looks who goes on; as many as --workers keep all of them busy",
        at_least=1,
        at_most=10**5,
    )


@dataclass(frozen=True)
class Halving:
    """Successive halving (Jamieson and Talwalkar 2016) of each population: the best one of `halving_rate` go on.

    One that is proposed alone goes on where it is not below that quantile of all that were at this fidelity so far.
    """

    Options: ClassVar = HalvingOptions

    fidelities: tuple[Fidelity, ...]
    objective: Objective = ACCURACY
    options: HalvingOptions = field(default_factory=HalvingOptions)

    @property
    def rate(self) -> int:
        return self.options.halving_rate

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        if rung + 1 == len(self.fidelities):
            return []
        sound = best_first(results, self.objective)
        if len(results) > 1:
            return [result.architecture for result in sound[: self.survivors(len(sound))]]
        seen = [self.objective.score(result) for result in (*earlier, *sound) if not result.failed]
        least = np.quantile(seen, 1 - 1 / self.rate) if seen else math.inf
        return [result.architecture for result in sound if self.objective.score(result) >= least]

    def survivors(self, count: int) -> int:
        """So many of a population go on, as of MF-NAS's."""
        return -(-count // self.rate)

    def in_words(self, amounts: Sequence[str]) -> str:
        first, *others = amounts
        return first + "".join(f", of the {share_in_words(self.rate)} on {amount}" for amount in others)


@dataclass(frozen=True)
class Hyperband(Halving):
    """Hyperband (Li et al. 2017): halvings that begin at one fidelity after another, the lowest with the most.

    With S + 1 fidelities and the rate eta the bracket s = S, ..., 0 begins ceil((S + 1) / (s + 1) eta^s) architectures
    at the fidelity S - s, and floor(n / eta) of n go on: 81, 34, 15, 8 and 5 of five fidelities at eta = 3. After the
    last bracket the first one follows, until the strategy or the budget ends.
    """

    def bracket(self, number: int) -> tuple[int, int]:
        """The position of the fidelity at which a bracket begins, and with how many architectures."""
        begin = number % len(self.fidelities)
        s = len(self.fidelities) - 1 - begin
        return begin, -(-len(self.fidelities) * self.rate**s // (s + 1))

    def survivors(self, count: int) -> int:
        # At least one: a strategy may have handed out less than a bracket.
        return max(1, count // self.rate)

    def in_words(self, amounts: Sequence[str]) -> str:
        sizes = ", ".join(f"{self.bracket(begin)[1]:,} on {amount}" for begin, amount in enumerate(amounts))
        return f"hyperband, brackets that begin with {sizes}, of the {share_in_words(self.rate)} on the next"


@dataclass(frozen=True)
class Asha(Halving):
    """Asynchronous successive halving (Li et al. 2018): nobody waits for a population to be complete.

    Whoever is among the best floor(n / eta) of all n that were at a fidelity goes on, as soon as that is so; also one
    that was not among them when it was evaluated.
    """

    Options: ClassVar = AshaOptions

    options: HalvingOptions = field(default_factory=AshaOptions)

    def bracket(self, number: int) -> tuple[int, int]:
        """All begin at the lowest fidelity."""
        return 0, part_of(self.options, AshaOptions).asha_batch

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        if rung + 1 == len(self.fidelities):
            return []
        everybody = {result.architecture: result for result in (*earlier, *results)}
        sound = best_first(list(everybody.values()), self.objective)
        return [result.architecture for result in sound[: len(everybody) // self.rate]]

    def in_words(self, amounts: Sequence[str]) -> str:
        return f"{super().in_words(amounts)}, of all so far"


def best_first(results: Sequence[Result], objective: Objective) -> list[Result]:
    """Those that did not fail; of equals the earlier first."""
    return sorted((result for result in results if not result.failed), key=objective.score, reverse=True)


def share_in_words(rate: int) -> str:
    """The best one of so many, for people."""
    return {2: "better half", 3: "best third", 4: "best quarter"}.get(rate, f"best 1/{rate}")


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
        if callable(getattr(own, "bracket", None)):
            self.bracket = self._bracket
        if not self.fidelities or not all(isinstance(fidelity, Fidelity) for fidelity in self.fidelities):
            raise UserError(f"--schedule {reference}: its fidelities must be one or several Fidelity(...)")

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        chosen = guarded(self._reference, lambda: list(self._own.going_on(rung, results, earlier)))()
        known = [result.architecture for result in (*results, *earlier)]
        if (other := next((choice for choice in chosen if choice not in known), None)) is not None:
            raise UserError(f"--schedule {self._reference}: going_on() gave {other!r}, which was not evaluated before")
        return chosen

    def _bracket(self, number: int) -> tuple[int, int | None]:
        """The fidelity and the number that its own `bracket` gives."""
        found = guarded(self._reference, self._own.bracket)(number)
        match found:
            case (int(begin), int() | None as count) if 0 <= begin < len(self.fidelities) and (count or 1) > 0:
                return begin, count
        raise UserError(f"--schedule {self._reference}: bracket() gave {found!r:.60}, not (position, count)")

    def in_words(self, amounts: Sequence[str]) -> str:
        return str(guarded(self._reference, self._own.in_words)(amounts))


SCHEDULES: dict[str, Callable[..., Schedule]] = {
    "all": AllAlike,
    "halving": Halving,
    "hyperband": Hyperband,
    "asha": Asha,
}
"""Each made from the fidelities that the evaluator's options ask for, from what is better, and, where an entry has
`Options`, from these."""


def make_schedule(
    name: str | None, fidelities: Sequence[Fidelity], objective: Objective, settings: Any = None
) -> Schedule:
    """The schedule of a name; without one, successive halving where there are several fidelities.

    Args:
        settings: options of a stage, with those that the schedule reads; None: their defaults.

    Raises UserError for an unknown name, and for one of the user's own that is no schedule.
    """
    name = name or ("halving" if len(fidelities) > 1 else "all")
    factory = load_object(name) if is_reference(name) else choose("schedule", name, SCHEDULES)
    part = getattr(factory, "Options", None)
    own = () if part is None or settings is None else (part_of(settings, part),)
    reference = name if is_reference(name) else reference_of(name, factory, "search")
    if reference is not None:
        return OwnSchedule(reference, guarded(reference, factory)(tuple(fidelities), objective, *own))
    return factory(tuple(fidelities), objective, *own)
