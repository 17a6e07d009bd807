"""The behaviour that every strategy must have. A strategy's tests inherit this class and say how to make it.

class TestMine(StrategySuite):
def make(self, problem, seed=0, evaluations=120):
return Mine(problem, Mine.Options(), seed)
"""

import math
from collections.abc import Callable, Sequence

import pytest

from lookup_tables.limits import Limit, Limits
from search.problem import Problem
from search.result import Result
from search.strategies import Strategy
from search.strategies.random_search import RandomOptions, RandomSearch
from search.testing.toy import results_of, toy_accuracy, toy_space, toy_tables
from supernet import Architecture, SearchSpace

EVALUATIONS = 120


class StrategySuite:
    """`make` is all that a subclass must define."""

    def make(self, problem: Problem, seed: int = 0, evaluations: int = EVALUATIONS) -> Strategy:
        """The strategy, without duplicates; where it has a size of its own, of about `evaluations` proposals."""
        raise NotImplementedError

    @pytest.fixture
    def space(self) -> SearchSpace:
        return toy_space()

    @pytest.fixture
    def free(self, space: SearchSpace) -> Problem:
        return Problem(Limits(space))

    @pytest.fixture
    def tight(self, space: SearchSpace) -> Problem:
        table = toy_tables(space)["flops"]
        low, high = table.minimum()[0], table.maximum()[0]
        return Problem(Limits(space, [Limit(table, upper=low + 0.5 * (high - low), lower=low + 0.2 * (high - low))]))

    def run(
        self,
        strategy: Strategy,
        evaluations: int = EVALUATIONS,
        at_once: int = 1000,
        evaluate: Callable[[Sequence[Architecture]], list[Result]] = results_of,
    ) -> list[Architecture]:
        """Its proposals up to a budget, each answered with its toy accuracy."""
        proposals: list[Architecture] = []
        while left := evaluations - len(proposals):
            batch = strategy.ask(min(at_once, left))
            assert len(batch) <= min(at_once, left)
            if not batch:
                break
            strategy.tell(evaluate(batch))
            proposals += batch
        return proposals

    def test_a_seed_determines_the_proposals(self, free: Problem) -> None:
        first, again, other = (self.run(self.make(free, seed)) for seed in (1, 1, 2))
        assert first == again
        assert first != other

    def test_how_many_are_asked_at_once_changes_nothing(self, free: Problem) -> None:
        one, seven, all_at_once = (self.run(self.make(free), at_once=at_once) for at_once in (1, 7, 1000))
        assert one == seven == all_at_once

    def test_the_order_of_results_changes_nothing(self, free: Problem) -> None:
        backwards = self.run(self.make(free), evaluate=lambda batch: results_of(batch)[::-1])
        assert backwards == self.run(self.make(free))

    def test_a_shorter_search_is_the_beginning_of_a_longer_one(self, free: Problem) -> None:
        longer = self.run(self.make(free))
        for evaluations in (7, 50):
            assert self.run(self.make(free), evaluations) == longer[:evaluations]

    def test_proposals_are_valid_canonical_and_within_the_limits(self, tight: Problem) -> None:
        proposals = self.run(self.make(tight))
        assert proposals
        for architecture in proposals:
            assert tight.space.is_valid(architecture)
            assert tight.space.canonical(architecture) == architecture
            assert tight.limits.first is not None
            assert tight.limits.first.lower <= tight.limits.cost([architecture])[0] <= tight.limits.first.upper

    def test_no_duplicates(self, free: Problem, tight: Problem) -> None:
        for problem in (free, tight):
            proposals = self.run(self.make(problem, evaluations=80), 80)
            assert len(set(proposals)) == len(proposals)

    def test_its_size_is_what_it_proposes(self, free: Problem) -> None:
        strategy = self.make(free, evaluations=60)
        most = 60 if strategy.size is None else strategy.size
        assert len(self.run(strategy, most)) == most
        if strategy.size is not None:
            assert strategy.ask(1) == []

    def test_a_small_space_is_exhausted_exactly(self) -> None:
        space = toy_space(layers=3)
        proposals = self.run(self.make(Problem(Limits(space)), evaluations=1000), 1000)
        assert len(proposals) == space.num_canonical == 3 + 9 + 27
        assert set(proposals) == {space.canonical(architecture) for architecture in space.enumerate()}

    def test_a_single_feasible_architecture_is_found(self, space: SearchSpace) -> None:
        table = toy_tables(space)["flops"]
        cheapest, architecture = table.minimum()
        problem = Problem(Limits(space, [Limit(table, upper=cheapest)]))
        assert self.run(self.make(problem)) == [space.canonical(architecture)]

    beats_random = True
    searches = 10  # that are compared with random search; slow strategies make fewer

    def test_it_improves_over_random_on_a_toy_problem(self) -> None:
        if not self.beats_random:
            pytest.skip("it is the baseline")
        problem = Problem(Limits(toy_space(layers=8)))  # 8 * 3^8 encodings
        ours, baseline = 0.0, 0.0
        for seed in range(self.searches):
            proposals = self.run(self.make(problem, seed))
            ours += max(map(toy_accuracy, proposals))
            random = RandomSearch(problem, RandomOptions(random_iteration=len(proposals)), seed)
            baseline += max(map(toy_accuracy, self.run(random)))
        assert ours > baseline + 0.03 * self.searches

    def test_failed_evaluations_do_not_stop_it(self, free: Problem) -> None:
        def half_fail(batch: Sequence[Architecture]) -> list[Result]:
            return [failed(a) if sum(a) % 2 else result for a, result in zip(batch, results_of(batch), strict=True)]

        strategy = self.make(free, evaluations=80)
        most = 80 if strategy.size is None else strategy.size
        assert len(self.run(strategy, most, 16, half_fail)) == most

    def test_nothing_but_failures_does_not_stop_it(self, free: Problem) -> None:
        strategy = self.make(free, evaluations=60)
        most = 60 if strategy.size is None else strategy.size
        assert len(self.run(strategy, most, 16, lambda batch: list(map(failed, batch)))) == most


def failed(architecture: Architecture) -> Result:
    """The result of an evaluation that gave no number."""
    return Result(architecture, {"accuracy": math.nan, "loss": math.nan})
