from __future__ import annotations

from collections import Counter

from scipy.stats import chisquare

from lookup_tables.limits import Limits
from search.problem import Problem
from search.strategies.random_search import RandomOptions, RandomSearch
from search.testing.strategies import StrategySuite
from search.testing.toy import toy_space


class TestRandomSearch(StrategySuite):
    beats_random = False

    def make(self, problem: Problem, seed: int = 0, evaluations: int = 120) -> RandomSearch:
        return RandomSearch(problem, RandomOptions(random_iteration=evaluations), seed)


def test_with_replacement_every_encoding_is_as_likely() -> None:
    space = toy_space(layers=2)
    proposals = RandomSearch(Problem(Limits(space)), RandomOptions(random_iteration=6000, dedup=False), 0).ask(6000)
    counts = Counter(proposals)
    expected = Counter(space.canonical(architecture) for architecture in space.enumerate())
    share = [6000 * expected[architecture] / space.size for architecture in expected]
    assert set(counts) == set(expected)
    assert chisquare([counts[architecture] for architecture in expected], share).pvalue > 1e-3


def test_the_first_of_two_searches_is_the_shorter_one() -> None:
    problem = Problem(Limits(toy_space()))
    shorter, longer = (RandomSearch(problem, RandomOptions(random_iteration=size), 0).ask(50) for size in (50, 90))
    assert shorter == longer
