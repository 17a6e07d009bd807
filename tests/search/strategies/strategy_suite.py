"""What every strategy must do. A strategy's tests inherit this class and say how to make it."""

from __future__ import annotations

import json
import math

import pytest

from lookup_tables.limits import Limit, Limits
from search.result import Result
from search.strategies import Strategy
from search.strategies.random_search import RandomSearch
from supernet import Architecture, SearchSpace
from tests.search.toy import best_accuracy, results_of, toy_accuracy, toy_space, toy_tables


class StrategySuite:
    """`make` is all that a subclass must define."""

    def make(self, constraint: Limits, seed: int = 0, evaluations: int = 120) -> Strategy:
        """The strategy, with about `evaluations` proposals, without duplicates."""
        raise NotImplementedError

    @pytest.fixture
    def space(self) -> SearchSpace:
        return toy_space()

    @pytest.fixture
    def free(self, space: SearchSpace) -> Limits:
        return Limits(space)

    @pytest.fixture
    def tight(self, space: SearchSpace) -> Limits:
        table = toy_tables(space)["flops"]
        low, high = table.minimum()[0], table.maximum()[0]
        return Limits(space, [Limit(table, upper=low + 0.5 * (high - low), lower=low + 0.2 * (high - low))])

    def run(self, strategy: Strategy, at_once: int = 1000, limit: int = 10_000) -> list[Architecture]:
        """All proposals, each answered with its toy accuracy."""
        proposals: list[Architecture] = []
        while batch := strategy.ask(at_once):
            assert len(batch) <= at_once
            strategy.tell(results_of(batch))
            proposals += batch
            assert len(proposals) <= limit
        return proposals

    def test_a_seed_determines_the_proposals(self, free: Limits) -> None:
        first, again, other = (self.run(self.make(free, seed)) for seed in (1, 1, 2))
        assert first == again
        assert first != other

    def test_how_many_are_asked_at_once_changes_nothing(self, free: Limits) -> None:
        assert self.run(self.make(free), 7) == self.run(self.make(free), 1) == self.run(self.make(free))

    def test_proposals_are_valid_canonical_and_within_the_limits(self, tight: Limits) -> None:
        proposals = self.run(self.make(tight))
        assert proposals
        for architecture in proposals:
            assert tight.space.is_valid(architecture)
            assert tight.space.canonical(architecture) == architecture
            assert tight.first is not None
            assert tight.first.lower <= tight.cost([architecture])[0] <= tight.first.upper

    def test_no_duplicates(self, free: Limits, tight: Limits) -> None:
        for constraint in (free, tight):
            proposals = self.run(self.make(constraint, evaluations=80))
            assert len(set(proposals)) == len(proposals)

    def test_the_budget_is_kept(self, free: Limits) -> None:
        strategy = self.make(free, evaluations=60)
        assert strategy.budget is not None
        assert len(self.run(strategy)) == strategy.budget

    @pytest.mark.parametrize("told", [0, 3, 37, 64])
    def test_a_saved_state_continues_identically(self, free: Limits, told: int) -> None:
        strategy = self.make(free, evaluations=100)
        before = 0
        while before < told:
            batch = strategy.ask(min(8, told - before))
            strategy.tell(results_of(batch))
            before += len(batch)
        state = json.loads(json.dumps(strategy.state_dict(), allow_nan=False))
        restored = self.make(free, seed=99, evaluations=100)
        restored.load_state_dict(state)
        assert self.run(restored) == self.run(strategy)

    def test_a_saved_state_between_ask_and_tell_continues_identically(self, free: Limits) -> None:
        strategy = self.make(free, evaluations=100)
        batch = strategy.ask(5)
        state = json.loads(json.dumps(strategy.state_dict(), allow_nan=False))
        restored = self.make(free, seed=99, evaluations=100)
        restored.load_state_dict(state)
        for each in (strategy, restored):
            each.tell(results_of(batch))
        assert self.run(restored) == self.run(strategy)

    def test_a_small_space_is_exhausted_exactly(self) -> None:
        space = toy_space(layers=3)
        proposals = self.run(self.make(Limits(space), evaluations=1000))
        assert len(proposals) == space.num_canonical == 3 + 9 + 27
        assert set(proposals) == {space.canonical(architecture) for architecture in space.enumerate()}

    def test_a_single_feasible_architecture_is_found(self, space: SearchSpace) -> None:
        table = toy_tables(space)["flops"]
        cheapest, architecture = table.minimum()
        assert self.run(self.make(Limits(space, [Limit(table, upper=cheapest)]))) == [space.canonical(architecture)]

    beats_random = True
    searches = 10  # that are compared with random search; slow strategies make fewer

    def test_it_improves_over_random_on_a_toy_problem(self) -> None:
        if not self.beats_random:
            pytest.skip("it is the baseline")
        constraint = Limits(toy_space(layers=8))  # 8 * 3^8 encodings
        ours, baseline = [], []
        for seed in range(self.searches):
            proposals = self.run(self.make(constraint, seed))
            ours.append(best_accuracy(results_of(proposals)))
            random = RandomSearch(constraint, iterations=len(proposals), seed=seed)
            baseline.append(best_accuracy(results_of(self.run(random))))
        assert sum(ours) > sum(baseline) + 0.03 * self.searches

    def test_failed_evaluations_do_not_stop_it(self, free: Limits) -> None:
        strategy = self.make(free, evaluations=80)
        proposals: list[Architecture] = []
        while batch := strategy.ask(16):
            strategy.tell([Result(a, {"accuracy": math.nan if sum(a) % 2 else toy_accuracy(a)}) for a in batch])
            proposals += batch
        assert len(proposals) == strategy.budget

    def test_nothing_but_failures_does_not_stop_it(self, free: Limits) -> None:
        strategy = self.make(free, evaluations=60)
        proposals: list[Architecture] = []
        while batch := strategy.ask(16):
            strategy.tell([Result(a, {"accuracy": math.nan}) for a in batch])
            proposals += batch
            json.dumps(strategy.state_dict(), allow_nan=False)
        assert len(proposals) == strategy.budget
