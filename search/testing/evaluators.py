"""Behaviour that every evaluator must show, as tests to inherit:

    class TestMine(EvaluatorSuite):
        measures = {"my_score": True}

        def make(self):
            return Mine(...)

        def architectures(self):
            return [(0, 1), (1, 1), (2, 0), (1, 0)]

They run under pytest.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from search import engine
from search.archive import Archive
from search.evaluators.evaluator import Judge
from search.ledger import Ledger
from search.result import FULL, Fidelity, Result
from supernet import Architecture


class EvaluatorSuite:
    """Attributes: `measures`, the metrics that every result which did not fail has."""

    measures: ClassVar[Mapping[str, bool]] = {"accuracy": True}

    def make(self) -> Judge:
        """The evaluator to test, each time a new one that is equal."""
        raise NotImplementedError

    def resumed(self, evaluator: Judge) -> Judge:
        """The evaluator that goes on after a process ended, in the files that `evaluator` left, where it leaves any."""
        del evaluator
        return self.make()

    def architectures(self) -> Sequence[Architecture]:
        """Some that differ, at least three."""
        raise NotImplementedError

    def failing(self) -> tuple[Judge, Architecture] | None:
        """An evaluator, and an architecture whose evaluation fails; None where none can."""
        return None

    # ---- results

    def test_each_distinct_architecture_has_one_result_with_all_metrics(self) -> None:
        architectures = list(self.architectures())
        results = list(self.make().evaluate([*architectures, architectures[0]]))
        assert sorted(result.architecture for result in results) == sorted(architectures)
        for result in results:
            assert self.measures.keys() <= result.metrics.keys()
            assert not result.failed
            assert all(amount >= 0 for amount in result.spent.values())

    def test_a_result_is_a_function_of_architecture_and_fidelity(self) -> None:
        architectures, evaluator = list(self.architectures()), self.make()
        first = _by_architecture(evaluator, architectures)
        assert _by_architecture(evaluator, architectures) == first
        assert _by_architecture(self.make(), architectures) == first

    def test_order_and_company_do_not_matter(self) -> None:
        architectures = list(self.architectures())
        together = _by_architecture(self.make(), architectures)
        assert _by_architecture(self.make(), architectures[::-1]) == together
        evaluator = self.make()
        for architecture in architectures:
            assert _by_architecture(evaluator, [architecture]) == {architecture: together[architecture]}

    # ---- fidelities

    def test_results_are_of_the_fidelity_asked_for(self) -> None:
        evaluator, architectures = self.make(), list(self.architectures())
        fidelities: Sequence[Fidelity] = getattr(evaluator, "fidelities", (FULL,))
        assert list(fidelities) == sorted(set(fidelities))
        for fidelity in [*fidelities, *fidelities[::-1]]:
            found = _by_architecture(evaluator, architectures, fidelity)
            assert {result.fidelity for result in found.values()} == {fidelity}
            assert _by_architecture(self.make(), architectures, fidelity) == found
        assert _by_architecture(evaluator, architectures) == _by_architecture(evaluator, architectures, fidelities[-1])

    def test_a_confirmation_is_another_judgement_of_the_same(self) -> None:
        evaluator, architectures = self.make(), list(self.architectures())
        if getattr(evaluator, "confirms", hasattr(evaluator, "confirm")):
            found = [replace(result, spent={}) for result in evaluator.confirm(architectures)]
            assert sorted(result.architecture for result in found) == sorted(architectures)
            assert all(self.measures.keys() <= result.metrics.keys() for result in found)
            assert found == [replace(result, spent={}) for result in self.make().confirm(architectures)]

    # ---- budget

    def test_a_price_is_what_is_spent_from_scratch(self) -> None:
        """Amounts that are known before; they do not fall from one fidelity to the next."""
        evaluator, architectures = self.make(), list(self.architectures())
        price = getattr(evaluator, "price", None)
        if price is None:
            return
        before: dict[Architecture, Mapping[str, float]] = {}
        for fidelity in getattr(evaluator, "fidelities", (FULL,)):
            for result in self.make().evaluate(architectures, fidelity):
                costs = price(result.architecture, fidelity)
                for what, amount in costs.items():
                    assert amount >= before.get(result.architecture, {}).get(what, 0)
                    if what != "seconds" or getattr(evaluator, "cumulative", False):
                        assert math.isclose(amount, result.spent[what], rel_tol=1e-9)
                before[result.architecture] = costs

    def test_a_search_is_charged_each_network_once_up_to_its_greatest_fidelity(self, tmp_path: Path) -> None:
        architectures = list(self.architectures())
        evaluator, ledger = self.make(), Ledger()
        results = _search(evaluator, architectures, tmp_path / "archive.jsonl", evaluator, ledger)
        assert ledger.spent == _total(results)
        if (price := getattr(evaluator, "price", None)) is not None:
            last = max(result.fidelity for result in results)
            going_on = [result.architecture for result in results if result.fidelity == last]
            expected: Counter[str] = Counter()
            for architecture in going_on:
                expected.update(price(architecture, last))
            expected.pop("seconds" if not getattr(evaluator, "cumulative", False) else "", None)
            for what, amount in expected.items():
                assert math.isclose(ledger.spent[what], amount, rel_tol=1e-9)

    def test_an_interrupted_search_goes_on_and_pays_nothing_twice(self, tmp_path: Path) -> None:
        architectures = list(self.architectures())
        whole = _search(self.make(), architectures, tmp_path / "whole.jsonl", self.make(), Ledger())
        for lives in (1, len(whole) - 1):
            path = tmp_path / f"{lives}.jsonl"
            first, ledger = _Counted(self.make(), lives), Ledger()
            with suppress(KeyboardInterrupt):
                _search(first, architectures, path, first.evaluator, Ledger())
            again = _Counted(self.resumed(first.evaluator))
            resumed = _search(again, architectures, path, again.evaluator, ledger)
            assert [_without_time(result) for result in resumed] == [_without_time(result) for result in whole]
            assert first.made + again.made == len(whole)
            assert ledger.spent == _total(resumed)

    # ---- failures and files

    def test_what_fails_is_a_result(self) -> None:
        failing = self.failing()
        if failing is not None:
            evaluator, architecture = failing
            (result,) = evaluator.evaluate([architecture])
            assert result.failed
            assert all(math.isnan(result.value(metric)) for metric in self.measures)
            assert Result.from_row(json.loads(json.dumps(result.to_row(), allow_nan=False))).failed

    def test_one_that_fails_leaves_the_others_alone(self) -> None:
        failing = self.failing()
        if failing is not None:
            evaluator, architecture = failing
            others = [other for other in self.architectures() if other != architecture]
            found = _by_architecture(evaluator, [*others[:1], architecture, *others[1:]])
            assert found.pop(architecture).failed
            alone = _by_architecture(evaluator, others)
            assert found.keys() == alone.keys()
            for other, result in found.items():  # NaN is not equal to itself
                assert result == alone[other] or (result.failed and alone[other].failed)

    def test_results_survive_json(self) -> None:
        for result in self.make().evaluate(list(self.architectures())):
            assert Result.from_row(json.loads(json.dumps(result.to_row(), allow_nan=False))) == result

    def test_fingerprints_are_json_and_those_of_an_equal_one(self) -> None:
        prints = getattr(self.make(), "fingerprints", {})
        assert json.dumps(dict(prints)) == json.dumps(dict(getattr(self.make(), "fingerprints", {})))


def _by_architecture(
    evaluator: Judge, architectures: Sequence[Architecture], fidelity: Fidelity | None = None
) -> dict[Architecture, Result]:
    """The results without what they took, which differs from time to time."""
    results = evaluator.evaluate(architectures, fidelity)
    return {result.architecture: replace(result, spent={}) for result in results}


class _Listed:
    """A strategy that proposes what it is given, once, all at once."""

    front = False

    def __init__(self, architectures: Sequence[Architecture]) -> None:
        self._left = list(architectures)
        self.size = self.population = len(architectures)

    def ask(self, count: int) -> list[Architecture]:
        asked, self._left = self._left[:count], self._left[count:]
        return asked

    def tell(self, results: Sequence[Result]) -> None:
        """Learn nothing."""


class _ToTheEnd:
    """A schedule in which all that did not fail go on to the next fidelity."""

    def __init__(self, fidelities: Sequence[Fidelity]) -> None:
        self.fidelities = tuple(fidelities)

    def going_on(self, rung: int, results: Sequence[Result], earlier: Sequence[Result]) -> list[Architecture]:
        last = rung + 1 == len(self.fidelities)
        return [] if last else [result.architecture for result in results if not result.failed]

    def in_words(self, amounts: Sequence[str]) -> str:
        return amounts[-1]


class _Counted:
    """An evaluator that counts the results it gives, and is interrupted after `lives` of them."""

    def __init__(self, evaluator: Judge, lives: float = math.inf) -> None:
        self.evaluator, self.lives, self.made = evaluator, lives, 0
        self.cumulative = getattr(evaluator, "cumulative", False)

    def evaluate(self, architectures: Sequence[Architecture], fidelity: Fidelity | None = None) -> Iterator[Result]:
        for result in self.evaluator.evaluate(architectures, fidelity):
            if self.made >= self.lives:
                raise KeyboardInterrupt
            self.made += 1
            yield result


def _search(
    evaluates: Judge | _Counted, architectures: Sequence[Architecture], path: Path, evaluator: Judge, ledger: Ledger
) -> list[Result]:
    """Evaluate all at every fidelity, as a search does; returns what is in the archive then."""
    archive = Archive(path, getattr(evaluator, "fingerprints", {}))
    schedule = _ToTheEnd(getattr(evaluator, "fidelities", (FULL,)))
    engine.run(_Listed(architectures), evaluates, archive, {}, ledger=ledger, schedule=schedule)
    return list(archive)


def _total(results: Sequence[Result]) -> Counter[str]:
    """Sum of what results were charged, in their order."""
    total: Counter[str] = Counter()
    for result in results:
        total.update(result.spent)
    return total


def _without_time(result: Result) -> Result:
    """A result without the seconds it took, which differ from time to time."""
    return replace(result, spent={what: amount for what, amount in result.spent.items() if what != "seconds"})
