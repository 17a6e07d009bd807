"""The behaviour of every space of decisions, whether networks can be built of it or not."""

import random
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
import pytest

from config_file.errors import UserError
from supernet.decisions import Architecture, DecisionSpace

SEEDS = range(15)


class DecisionSuite:
    """Inherit, and define `make` (decisions enough to be interesting) and `make_tiny` (few enough to enumerate)."""

    make: Callable[[], Any]
    make_tiny: Callable[[], Any]

    @classmethod
    @lru_cache(maxsize=4)
    def made(cls) -> Any:
        """The space, made once per class."""
        return cls.make()

    @classmethod
    @lru_cache(maxsize=4)
    def enumerated(cls) -> tuple[Any, list[Architecture]]:
        """The tiny space and all its architectures."""
        tiny = cls.make_tiny()
        assert tiny.size <= 2000
        return tiny, list(tiny.enumerate())

    @pytest.fixture
    def space(self) -> Any:
        """The space."""
        return self.made()

    def some(self, space: DecisionSpace, count: int) -> list[Architecture]:
        """Random architectures, always the same."""
        rng = random.Random(3)
        return [space.sample(rng) for _ in range(count)]

    def test_size_is_exact(self, space: Any) -> None:
        size = 1
        for decision in space.decisions:
            size *= len(decision.options)
        assert space.size == size
        assert type(space.size) is int
        tiny, all_of_them = self.enumerated()
        assert len(set(all_of_them)) == len(all_of_them)
        encodings = set(product(*map(range, tiny.sizes)))
        assert len(encodings) == tiny.size
        assert set(all_of_them) == {encoding for encoding in encodings if tiny.allows(encoding)}
        assert all(tiny.is_valid(architecture) for architecture in all_of_them)

    @pytest.mark.parametrize("seed", SEEDS)
    def test_operators_stay_in_the_space(self, space: Any, seed: int) -> None:
        rng = random.Random(seed)
        first, second = space.sample(rng), space.sample(rng)
        child = space.crossover(first, second, rng)
        mutant = space.mutate(first, rng, rng.random())
        assert all(space.is_valid(a) for a in (first, second, child, mutant))
        assert all(gene in pair for gene, *pair in zip(child, first, second, strict=True))
        assert space.mutate(first, rng, 0) == first
        everywhere = space.mutate(first, rng, 1)
        assert all(a != b or n == 1 for a, b, n in zip(first, everywhere, space.sizes, strict=True))
        assert space.parse(space.names(first)) == space.parse(list(first)) == first
        assert space.sample(random.Random(seed)) == first

    def test_neighbours_are_one_decision_away(self, space: Any) -> None:
        (architecture,) = self.some(space, 1)
        neighbours = space.neighbours(architecture)
        assert len(neighbours) == len(set(neighbours)) == sum(space.sizes) - len(space.sizes)
        assert all(space.is_valid(other) for other in neighbours)
        assert {sum(a != b for a, b in zip(architecture, other, strict=True)) for other in neighbours} == {1}

    def test_every_option_is_drawn(self, space: Any) -> None:
        rng = random.Random(0)
        drawn = [set(options) for options in zip(*(space.sample(rng) for _ in range(200)), strict=True)]
        assert [len(options) for options in drawn] == list(space.sizes)

    def test_names_and_indices_of_others_are_refused(self, space: Any) -> None:
        (good,) = self.some(space, 1)
        bad: Sequence[Any]
        for bad in (good[:-1], (*good, 0), (-1, *good[1:]), (space.sizes[0], *good[1:])):
            assert not space.is_valid(bad)
            with pytest.raises(UserError):
                space.parse(bad)
        for bad in (["no such option", *space.names(good)[1:]], "text", [None, *good[1:]]):
            with pytest.raises(UserError) as caught:
                space.parse(bad)
            assert "\n" not in str(caught.value)

    # ---- canonical forms

    @pytest.mark.parametrize("seed", SEEDS)
    def test_canonical_is_idempotent(self, space: Any, seed: int) -> None:
        architecture = space.sample(random.Random(seed))
        canonical = space.canonical(architecture)
        assert space.canonical(canonical) == canonical
        row, other = space.encode([architecture, canonical])
        assert np.array_equal(row, other)
        assert [o if o >= 0 else 0 for o in row] == list(canonical)

    def test_canonical_forms_are_counted_exactly(self) -> None:
        tiny, all_of_them = self.enumerated()
        assert tiny.num_canonical == len({tiny.canonical(architecture) for architecture in all_of_them})

    # ---- fingerprint

    def test_the_fingerprint_does_not_depend_on_the_object(self, space: Any) -> None:
        assert self.make().decisions_fingerprint == space.decisions_fingerprint
        renamed = DecisionSpace("of another name", space.decisions)
        assert renamed.decisions_fingerprint == space.decisions_fingerprint
        assert DecisionSpace(space.name, space.decisions[1:]).decisions_fingerprint != space.decisions_fingerprint
