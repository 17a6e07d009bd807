"""An evaluator of the user's own, `--evaluator package.module:callable`, held to what an evaluator is."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from config_file.errors import UserError
from config_file.plugins import guarded
from search.evaluators.context import Context
from search.result import FULL, Fidelity, Result
from search.schedules import Schedule
from supernet import Architecture


class OwnEvaluator:
    """The evaluator that the callable returned for a context; its exceptions and its mistakes are errors of one line.

    Only `evaluate` must be there: everything else that it does not say is filled in.

    Raises:
        UserError: it cannot be called, lacks `evaluate`, or says something of a wrong kind.
    """

    def __init__(self, reference: str, entry: Any, context: Context, measures: Mapping[str, bool]) -> None:
        self.reference = reference
        self.measures = measures
        self.own = guarded(reference, entry)(context)
        if not callable(getattr(self.own, "evaluate", None)):
            raise UserError(f"--evaluator {reference} made a {type(self.own).__name__} without a method evaluate()")
        self.fidelities: tuple[Fidelity, ...] = tuple(self._said("fidelities", (FULL,)))
        if not self.fidelities or not all(isinstance(fidelity, Fidelity) for fidelity in self.fidelities):
            raise UserError(f"--evaluator {reference}: its fidelities must be one or several Fidelity(...)")
        self.fingerprints: Mapping[str, Any] = {"evaluator": reference, **self._said("fingerprints", {})}
        self.method = str(self._said("method", reference.rpartition(":")[2]))
        self.record: Mapping[str, Any] = self._said("record", {})
        if (dataset := self._said("dataset", None)) is not None:
            self.dataset = str(dataset)
        self.cumulative = bool(self._said("cumulative", False))
        self._context = context
        self.price = self._price if callable(self._said("price", None)) else None
        able = callable(self._said("confirm", None))
        self.confirms = str(self._said("confirms", "what it held back") or "") if able else ""

    def _said(self, name: str, default: Any) -> Any:
        return guarded(self.reference, lambda: getattr(self.own, name, default))()

    def _price(self, architecture: Architecture, fidelity: Fidelity) -> Mapping[str, float]:
        """The amounts that it says an evaluation takes from scratch."""
        price = guarded(self.reference, self.own.price)(architecture, fidelity)
        if not isinstance(price, Mapping) or not all(_is_amount(amount) for amount in price.values()):
            raise UserError(f"--evaluator {self.reference}: price() gave {price!r:.60}, not {{what: amount}}")
        return price

    def scorer(self, names: Sequence[str]) -> "OwnEvaluator | None":
        """An evaluator of zero-cost scores, where it has one for them."""
        made = self._asked("scorer", names)
        measures = dict.fromkeys(names, True)
        return None if made is None else OwnEvaluator(self.reference, lambda _: made, self._context, measures)

    def test(self, architecture: Architecture) -> float | None:
        """The metric that no selection may see, where it knows it."""
        value = self._asked("test", architecture)
        if value is not None and not (isinstance(value, int | float) and math.isfinite(value)):
            raise UserError(f"--evaluator {self.reference}: test() gave {value!r:.60}, not a number")
        return value

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        """Its results, each one of an architecture that was asked for."""
        yield from self._held_to("evaluate", architectures, lambda: self.own.evaluate(architectures, fidelity))

    def confirm(self, architectures: Sequence[Architecture]) -> Iterator[Result]:
        """The same of what it confirms."""
        yield from self._held_to("confirm", architectures, lambda: self.own.confirm(architectures))

    def _held_to(
        self, method: str, architectures: Sequence[Architecture], call: Callable[[], Iterable[Result]]
    ) -> Iterator[Result]:
        results = guarded(self.reference, lambda: iter(call()))()
        wanted = set(architectures)
        end = object()
        while (result := guarded(self.reference, next)(results, end)) is not end:
            if not isinstance(result, Result) or result.architecture not in wanted:
                raise UserError(
                    f"--evaluator {self.reference}: {method}() gave {result!r}, which is not a Result of an "
                    "architecture that was asked for"
                )
            absent = [metric for metric in self.measures if metric not in result.metrics]
            if absent and not result.failed:
                raise UserError(f"--evaluator {self.reference}: a result lacks {', '.join(absent)}, which it measures")
            if not 0 <= (accuracy := result.metrics.get("accuracy", 0)) <= 1 and not result.failed:
                raise UserError(
                    f"--evaluator {self.reference}: {method}() gave an accuracy of {accuracy:g}, not a fraction"
                )
            if not all(_is_amount(amount) for amount in result.spent.values()):
                raise UserError(f"--evaluator {self.reference}: {method}() spent {dict(result.spent)!r:.60}")
            wanted.remove(result.architecture)
            yield result

    def _asked(self, method: str, argument: Any) -> Any:
        """The answer of a method of its own; None where it has none."""
        return guarded(self.reference, getattr(self.own, method))(argument) if hasattr(self.own, method) else None

    def describe(self, schedule: Schedule) -> str:
        """Its words, or the names of what it measures."""
        if (words := self._asked("describe", schedule)) is not None:
            return str(words)
        text = f"{self.reference}: {', '.join(self.measures)}"
        amounts = [str(fidelity) for fidelity in schedule.fidelities if fidelity != FULL]
        return f"{text} on {schedule.in_words(amounts)}" if amounts else text

    def spell(self, fidelity: Fidelity) -> str:
        """Its words, or the amounts."""
        words = self._asked("spell", fidelity)
        return str(words) if words is not None else f"on {fidelity}" if fidelity else "in full"

    def estimate(self, evaluations: int) -> list[str]:
        return [str(line) for line in self._asked("estimate", evaluations) or ()]

    def close(self) -> None:
        if hasattr(self.own, "close"):
            guarded(self.reference, self.own.close)()


def _is_amount(amount: Any) -> bool:
    """True for what can be spent: a finite number, not below 0."""
    return isinstance(amount, int | float) and 0 <= amount < math.inf
