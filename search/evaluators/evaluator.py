"""The interface of an evaluator: anything that scores architectures, such as a supernet, real training or a table."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from search.evaluators.context import Context
from search.result import Fidelity, Result
from search.schedules import Schedule
from supernet import Architecture


class Evaluates(Protocol):
    """The part of an evaluator that the search loop needs.

    It may say two things more, for the budget (`search.ledger`):

    cumulative: True where `spent` says what a fidelity takes from scratch, as tables do: the search then charges what
        that is beyond the lower fidelities of the same architecture.
    price: (architecture, fidelity) -> {what: amount} that an evaluation would take from scratch, as far as it is known
        before: what would exceed the budget is not begun.
    """

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """One result for each distinct architecture as it is ready, in any order.

        A result is a function of (architecture, fidelity): whatever was evaluated before does not change it. Its
        `metrics` hold what the evaluator measures, its `fidelity` is the one asked for, and its `cost` is left to the
        caller. What fails is a result with the state "failed", not an exception.

        Args:
            architectures: of the context's space.
            fidelity: one of `fidelities`; None: the last.
        """


class Judge(Evaluates, Protocol):
    """The part that a search needs to its end: it also judges what was chosen."""

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Result]:
        """The same by what no evaluation sees, one result for each; called where `confirms` says something."""


class Evaluator(Judge, Protocol):
    """The interface that the stages need.

    An entry of EVALUATORS is called (context) and returns one: a class of one's own, or an `Entry`.
    """

    @property
    def fidelities(self) -> tuple[Fidelity, ...]:
        """Those that the options ask for, rising; the last one judges what is chosen."""

    @property
    def fingerprints(self) -> Mapping[str, Any]:
        """{what: JSON value} on which its results depend beside architecture and fidelity."""

    @property
    def method(self) -> str:
        """The way a metric was measured, for people; short, as axes show it."""

    @property
    def record(self) -> Mapping[str, Any]:
        """Facts about it for `best.json`, as JSON."""

    @property
    def confirms(self) -> str:
        """The means of its confirmation, for people: "71 validation images"; "" where it has none."""

    def describe(self, schedule: Schedule) -> str:
        """The evaluation in words, for people."""

    def spell(self, fidelity: Fidelity) -> str:
        """A fidelity for people, with its preposition: "on 500 validation images"."""

    def estimate(self, evaluations: int) -> list[str]:
        """The needs of so many evaluations beside time, in lines for --plan."""

    def close(self) -> None:
        """End what it has started."""


class Shareable(Evaluator, Protocol):
    """An evaluator whose work several processes can share (`search.evaluators.workers`).

    It may say by `longest_run` how many architectures a process is given at once, and by `lost(architecture, fidelity,
    why, seconds)` the failed result of what killed its process; without that the search ends there.
    """

    def order(self, architectures: Sequence[Architecture]) -> list[Architecture]:
        """The distinct ones in the order in which `evaluate` gives their results, neighbours sharing the most work."""

    def factory(self, number: int, count: int, threads: int) -> Callable[[], Judge]:
        """A picklable callable that makes an equal evaluator in process `number` of `count`, with so many threads."""


@dataclass(frozen=True)
class Entry:
    """An entry of EVALUATORS; a class of one's own has the same attributes, as far as it needs them.

    Args:
        make: makes the evaluator.
        measures: {metric: whether more is better}, the one that networks are picked by first, or a function of the
            context to it. Without it: the accuracy.
        needs_supernet: whether it evaluates with the weights of a trained supernet, whose space is searched then. Else
            its `space`, or a function of the context to it, is searched, or that of --search-space.
        Options: the class of the options it reads.
        space: a space of its own, or a function of the context to it; None: that of the supernet or the options.
    """

    make: Callable[[Context], Evaluator]
    measures: Mapping[str, bool] | Callable[[Context], Mapping[str, bool]]
    needs_supernet: bool = False
    Options: type | None = None
    space: Any = None

    def __call__(self, context: Context) -> Evaluator:
        return self.make(context)
