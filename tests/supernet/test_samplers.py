"""Path samplers: pure in (seed, step), fair or uniform."""

from __future__ import annotations

import random
from collections import Counter
from math import gcd, lcm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from config_file.errors import UserError
from supernet import Decision, SearchSpace, Site, build_space
from supernet.blocks import Conv, Head
from supernet.samplers import FairSampler, UniformSampler
from supernet.spaces import SPACES


def space_of(sizes: tuple[int, ...]) -> SearchSpace:
    sites = [Site("stem", (Conv(4),), ("input",))]
    for index, size in enumerate(sizes):
        options = tuple(Conv(4, 2 * option + 1) for option in range(size))
        name = f"layer{index}"
        sites.append(Site(name, options, (sites[-1].name,), given=(index,), table=tuple(range(size))))
    sites.append(Site("head", (Head(2),), (sites[-1].name,)))
    decisions = tuple(Decision(f"layer{i}", tuple(map(str, range(size)))) for i, size in enumerate(sizes))
    return SearchSpace("chain", decisions, tuple(sites), (3, 4, 4))


@pytest.mark.parametrize("make", [UniformSampler, FairSampler])
@given(seed=st.integers(-(2**40), 2**40), steps=st.lists(st.integers(0, 10**9), min_size=1, max_size=5))
@settings(max_examples=30)
def test_paths_are_a_function_of_seed_and_step(make, seed, steps):
    space = build_space("nasbench_macro")
    sampler = make(space, seed)
    in_order = [sampler.paths(step) for step in steps]
    backwards = [make(space, seed).paths(step) for step in reversed(steps)]
    assert in_order == backwards[::-1]
    assert all(space.is_valid(path) for paths in in_order for path in paths)
    assert {len(paths) for paths in in_order} == {sampler.paths_per_step}


@pytest.mark.parametrize("make", [UniformSampler, FairSampler])
def test_seeds_and_steps_differ(make):
    space = build_space("proxylessnas")
    drawn = [tuple(make(space, seed).paths(step)) for seed in range(10) for step in range(10)]
    assert len(set(drawn)) == 100


def test_every_rank_draws_the_same_paths_in_any_process():
    # Written down once: neither Python's hash seed nor the platform may change them.
    space = space_of((4, 3, 2))
    assert UniformSampler(space, 7).paths(3) == [(0, 0, 1)]
    assert FairSampler(space, 7).paths(1) == [(3, 1, 1), (2, 0, 0), (0, 1, 0), (1, 2, 1)]


@given(seed=st.integers(0, 10**6), step=st.integers(0, 10**6))
@settings(max_examples=25)
def test_fair_uses_every_candidate_of_every_layer_once_per_step(seed, step):
    """FairNAS (Chu et al. 2021), definition 1: n paths without replacement per step, and a permutation per layer."""
    space = build_space("proxylessnas")
    sampler = FairSampler(space, seed)
    paths = sampler.paths(step)
    assert sampler.paths_per_step == len(paths) == 7
    for options in zip(*paths, strict=True):
        assert sorted(options) == list(range(7))


def test_fair_draws_permutations_independently_per_layer_and_step():
    space = space_of((3, 3))
    seen = Counter(tuple(FairSampler(space, 0).paths(step)) for step in range(1800))
    # A step is one of 3! orders for each of two layers, 36 in all, equally often.
    assert len(seen) == 36
    assert stats.chisquare(list(seen.values())).pvalue > 0.01


@given(
    sizes=st.lists(st.integers(1, 7), min_size=1, max_size=5).map(tuple),
    seed=st.integers(0, 10**6),
    start=st.integers(0, 50),
)
@settings(max_examples=60)
def test_fair_with_unequal_numbers_of_options(sizes, seed, start):
    """Every option in every step (Chu et al. 2021), exactly equal over the least common multiple; at any moment, every
    option as often as any other but for one.
    """
    space = space_of(sizes)
    sampler = FairSampler(space, seed)
    most = max(sizes)
    steps = start + lcm(*sizes, most) // most
    for decision, size in enumerate(sizes):
        counts = Counter(dict.fromkeys(range(size), 0))
        for step in range(steps):
            paths = sampler.paths(step)
            assert {path[decision] for path in paths} == set(range(size))
            for path in paths:
                counts[path[decision]] += 1
                assert max(counts.values()) - min(counts.values()) <= 1
    whole = Counter()
    for path in (path for step in range(lcm(*sizes, most) // most) for path in sampler.paths(step)):
        whole.update(enumerate(path))
    for decision, size in enumerate(sizes):
        assert len({whole[decision, option] for option in range(size)}) == 1


@given(
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=4).map(tuple),
    seed=st.integers(0, 10**6),
    step=st.integers(0, 10**6),
)
@settings(max_examples=40)
def test_by_the_multiple_every_step_is_exactly_fair(sizes, seed, step):
    sampler = FairSampler(space_of(sizes), seed, multiple=True)
    assert sampler.paths_per_step == lcm(*sizes)
    for size, options in zip(sizes, zip(*sampler.paths(step), strict=True), strict=True):
        assert Counter(options) == dict.fromkeys(range(size), lcm(*sizes) // size)


def test_a_multiple_too_large_to_train_by_is_refused():
    with pytest.raises(UserError, match=r"have 5, 7, 8, 9 options, whose .* are 2,520 passes per step \(at most 128\)"):
        FairSampler(space_of((9, 7, 8, 5)), 0, multiple=True)
    assert FairSampler(space_of((9, 7, 8, 5)), 0).paths_per_step == 9


@pytest.mark.parametrize("name", [name for name in SPACES if name != "nasbench101"])  # which has no sites
def test_in_every_space_every_step_uses_every_candidate(name):
    space = build_space(name, num_classes=212 if name == "pfld" else 10)
    sampler, total = FairSampler(space, 5), Counter()
    most = max(space.sizes)
    for step in range(lcm(*(size // gcd(size, most) for size in space.sizes))):  # every deck used up
        paths = sampler.paths(step)
        assert len(paths) == max(space.sizes)
        for decision, (size, options) in enumerate(zip(space.sizes, zip(*paths, strict=True), strict=True)):
            counts = Counter(options)
            assert set(counts) == set(range(size))
            if len(paths) % size == 0:
                assert set(counts.values()) == {len(paths) // size}
            total.update((decision, option) for option in options)
    for decision, size in enumerate(space.sizes):
        assert len({total[decision, option] for option in range(size)}) == 1


def test_equal_numbers_of_options_are_dealt_as_ever():
    space, seed = space_of((5, 5, 5)), 3
    for step in range(20):
        columns = []
        for decision in range(3):
            cards = list(range(5))
            random.Random(f"fair {seed} {decision} {step}").shuffle(cards)
            columns.append(cards)
        assert FairSampler(space, seed).paths(step) == list(zip(*columns, strict=True))


def test_uniform_is_uniform():
    space = space_of((3, 4))
    sampler = UniformSampler(space, 0)
    assert sampler.paths_per_step == 1
    seen = Counter(path for step in range(6000) for path in sampler.paths(step))
    assert len(seen) == 12
    assert stats.chisquare([seen[path] for path in space.enumerate()]).pvalue > 0.01


def test_a_space_without_choices_has_one_path():
    space = space_of(())
    assert FairSampler(space, 0).paths(5) == UniformSampler(space, 0).paths(5) == [()]
