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
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from search.evaluators.evaluator import Judge
from search.result import FULL, Fidelity, Result
from supernet import Architecture


class EvaluatorSuite:
    """Attributes: `measures`, the metrics that every result which did not fail has."""

    measures: ClassVar[Mapping[str, bool]] = {"accuracy": True}

    def make(self) -> Judge:
        """The evaluator to test, each time a new one that is equal."""
        raise NotImplementedError

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

    # ---- failures and files

    def test_what_fails_is_a_result(self) -> None:
        failing = self.failing()
        if failing is not None:
            evaluator, architecture = failing
            (result,) = evaluator.evaluate([architecture])
            assert result.failed
            assert all(math.isnan(result.value(metric)) for metric in self.measures)
            assert Result.from_row(json.loads(json.dumps(result.to_row(), allow_nan=False))).failed

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
