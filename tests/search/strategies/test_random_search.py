from __future__ import annotations

from collections import Counter

from scipy.stats import chisquare

from lookup_tables.limits import Limits
from search.strategies.random_search import RandomSearch
from tests.search.strategies.strategy_suite import StrategySuite
from tests.search.toy import toy_space


class TestRandomSearch(StrategySuite):
    beats_random = False

    def make(self, constraint: Limits, seed: int = 0, evaluations: int = 120) -> RandomSearch:
        return RandomSearch(constraint, iterations=evaluations, seed=seed)


def test_with_replacement_every_encoding_is_as_likely() -> None:
    space = toy_space(layers=2)
    proposals = RandomSearch(Limits(space), iterations=6000, dedup=False).ask(6000)
    counts = Counter(proposals)
    expected = Counter(space.canonical(architecture) for architecture in space.enumerate())
    share = [6000 * expected[architecture] / space.size for architecture in expected]
    assert set(counts) == set(expected)
    assert chisquare([counts[architecture] for architecture in expected], share).pvalue > 1e-3


def test_the_first_of_two_searches_is_the_shorter_one() -> None:
    constraint = Limits(toy_space())
    assert RandomSearch(constraint, iterations=50).ask(50) == RandomSearch(constraint, iterations=90).ask(50)
