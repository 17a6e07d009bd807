"""What a table answers, against counting every decoded network and against brute force."""

from __future__ import annotations

import itertools
import random
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from config_file.errors import UserError
from lookup_tables import CostTable, Entry, build_table
from supernet import Architecture, SearchSpace, build_space
from supernet.metrics import FLOPS
from supernet.spaces import SPACES
from tests.lookup_tables.small_spaces import SMALL, small_space
from tests.supernet import own_spaces

MOBILE = {
    "stages": (
        ("k5e3", "k3e3"),
        ("k7e3", "k3e3", "k5e3", "k5e3"),
        ("k7e6", "k5e3", "k5e3", "k5e3"),
        ("k5e6", "k5e3", "k5e3", "k5e3"),
        ("k7e6", "k7e6", "k7e3", "k7e3"),
        ("k7e6",),
    ),
    "widths": (32, 16, 32, 40, 80, 96, 192, 320, 1280),
}
"""ProxylessNAS-mobile, as its authors publish it."""


def one_hot(space: SearchSpace, architecture: Architecture, dtype: torch.dtype = torch.float64) -> list[torch.Tensor]:
    return [torch.eye(size, dtype=dtype)[option] for size, option in zip(space.sizes, architecture, strict=True)]


def random_probabilities(space: SearchSpace, seed: int) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.rand(size, generator=generator, dtype=torch.float64).softmax(0) for size in space.sizes]


@given(name=st.sampled_from(sorted(SMALL)), seed=st.integers(0, 10**6), resolution=st.sampled_from([32, 33, 48]))
def test_cost_is_that_of_the_decoded_network(name: str, seed: int, resolution: int) -> None:
    space = small_space(name)
    spec = space.decode(architecture := space.sample(random.Random(seed)))
    shape = (3, resolution, resolution)
    assert build_table(space, "flops", resolution).cost([architecture]).tolist() == [spec.macs(shape)]
    assert build_table(space, "params", resolution).cost([architecture]).tolist() == [spec.params(shape)]


@pytest.mark.parametrize("name", [name for name in SPACES if name != "nasbench101"])  # which has no sites
def test_cost_in_the_shipped_spaces_at_full_size(name: str) -> None:
    space = build_space(name)
    architectures = [space.sample(random.Random(seed)) for seed in range(20)]
    specs = [space.decode(architecture) for architecture in architectures]
    shapes = [space.image(architecture) for architecture in architectures]
    macs = [spec.macs(shape) for spec, shape in zip(specs, shapes, strict=True)]
    assert build_table(space).cost(architectures).tolist() == macs
    assert build_table(space, "params").cost(architectures).tolist() == [s.params(space.input_shape) for s in specs]


def test_proxylessnas_mobile_through_the_table() -> None:
    space = build_space("proxylessnas", widths=MOBILE["widths"])
    names = [
        name
        for depth, stage in zip((4, 4, 4, 4, 4, 1), MOBILE["stages"], strict=True)
        for name in (*stage, *["skip"] * (depth - len(stage)))
    ]
    architecture = space.parse(names)
    assert build_table(space).cost([architecture]).tolist() == [320_427_584]
    assert build_table(space, "params").cost([architecture]).tolist() == [4_080_512]
    # 320,427,584 has no float32 of its own; probabilities often are float32.
    exactly = build_table(space).expected(one_hot(space, architecture, torch.float32))
    assert exactly.item() == 320_427_584


def test_all_of_nasbench_macro(shared_data: Path) -> None:
    published = np.load(shared_data / "nasbench_macro_cifar10.npz", allow_pickle=False)
    space = build_space("nasbench_macro", num_classes=10)
    assert np.array_equal(build_table(space).cost(published["arch"]), published["macs"])
    assert np.array_equal(build_table(space, "params").cost(published["arch"]), published["params"])


@pytest.mark.parametrize("metric", ["flops", "params"])
@pytest.mark.parametrize("name", ["mobilenetv2", "squeezed", "spos"])
def test_extremes_against_brute_force(name: str, metric: str) -> None:
    space = small_space(name)
    table = build_table(space, metric)
    shape = space.input_shape
    if space.size > 2000:
        costs = table.cost(np.array(list(space.enumerate()), dtype=np.uint8)).tolist()
    else:
        specs = [space.decode(architecture) for architecture in space.enumerate()]
        costs = [spec.macs(shape) if metric == "flops" else spec.params(shape) for spec in specs]
    for (value, architecture), best in ((table.minimum(), min(costs)), (table.maximum(), max(costs))):
        assert value == best == table.cost([architecture])[0]
        assert space.is_valid(architecture)


@pytest.mark.parametrize("name", SMALL)
def test_one_hot_probabilities_give_exactly_the_cost(name: str) -> None:
    space = small_space(name)
    table = build_table(space)
    for seed in range(5):
        architecture = space.sample(random.Random(seed))
        expected = table.expected(one_hot(space, architecture))
        assert expected.dtype == torch.float64
        assert expected.shape == ()
        assert expected.item() == table.cost([architecture])[0]


@pytest.mark.parametrize("name", ["mobilenetv2", "squeezed"])
def test_expectation_is_the_mean_over_all_architectures(name: str) -> None:
    space = small_space(name)
    table = build_table(space)
    probabilities = random_probabilities(space, 0)
    architectures = np.array(list(space.enumerate()))
    weights = np.prod([p.numpy()[architectures[:, d]] for d, p in enumerate(probabilities)], axis=0)
    mean = float(weights @ table.cost(architectures))
    assert table.expected(probabilities).item() == pytest.approx(mean, rel=1e-12)


@pytest.mark.parametrize("name", ["proxylessnas", "mobilenetv2"])
def test_gradient_of_the_expectation_against_differences(name: str) -> None:
    space = small_space(name)
    table = build_table(space)
    probabilities = [p.requires_grad_() for p in random_probabilities(space, 1)]
    table.expected(probabilities).backward()
    fixed = [p.detach() for p in probabilities]
    for decision, vector in enumerate(fixed):
        for option in range(len(vector)):
            # The expectation is linear in every single probability: a difference over any step is the derivative.
            step = torch.zeros_like(vector)
            step[option] = 0.25
            higher = table.expected([*fixed[:decision], vector + step, *fixed[decision + 1 :]])
            lower = table.expected([*fixed[:decision], vector - step, *fixed[decision + 1 :]])
            gradient = probabilities[decision].grad
            here = 0.0 if gradient is None else gradient[option].item()  # None: nothing depends on the decision
            assert here == pytest.approx((higher - lower).item() / 0.5, rel=1e-8, abs=1e-3)


def test_the_gradient_reaches_float32_logits() -> None:
    space = small_space("proxylessnas")
    table = build_table(space)
    logits = [torch.zeros(size, requires_grad=True) for size in space.sizes]
    with torch.inference_mode():
        table.expected([logit.softmax(0) for logit in logits])
    table.expected([logit.softmax(0) for logit in logits]).backward()
    assert all(logit.grad is not None and logit.grad.dtype == torch.float32 and logit.grad.any() for logit in logits)


def test_probabilities_that_do_not_fit() -> None:
    space = small_space("proxylessnas")
    table = build_table(space)
    good = [torch.full((size,), 1 / size) for size in space.sizes]
    with pytest.raises(UserError, match="has 8 decisions, not 7 probabilities"):
        table.expected(good[:-1])
    with pytest.raises(UserError, match="probabilities of stage2/0: 7 numbers, not 7x1"):
        table.expected([good[0], good[1][:, None], *good[2:]])


def test_factors_are_one_table_per_set_of_decisions() -> None:
    table = build_table(small_space("mobilenetv2"))
    scopes = [scope for scope, _ in table.factors]
    assert len(scopes) == len(set(scopes))
    assert all(tuple(sorted(scope)) == scope for scope in scopes)
    assert all(values.dtype == np.float64 for _, values in table.factors)
    assert all(values.shape == tuple(table.space.sizes[d] for d in scope) for scope, values in table.factors)


def test_equal_blocks_share_an_entry_and_count_once_per_place() -> None:
    space = small_space("nasbench_macro")
    entries = {key: Entry(1, 1) for key in build_table(space).entries}
    assert len(entries) < sum(keys.size for _, keys in space.factors())
    # Stem, 8 layers, the last convolution and the classifier.
    assert CostTable(space, FLOPS, 32, entries).cost([space.sample(random.Random(0))]).tolist() == [11]


def test_measured_values_need_not_be_whole(tmp_path: Path) -> None:
    space = small_space("proxylessnas")
    rng = random.Random(0)
    entries = {key: Entry(value := rng.random(), value, 0.01, 5) for key in build_table(space).entries}
    table = CostTable(space, FLOPS, 32, entries)
    low, high = table.minimum(), table.maximum()
    assert table.cost([low[1]])[0] == low[0] < high[0] == table.cost([high[1]])[0]
    table.save(tmp_path / "t.json")
    assert CostTable.load(tmp_path / "t.json", space).entries == entries


def test_what_a_table_can_be_asked() -> None:
    space = small_space("squeezed")
    table = build_table(space)
    everything = list(itertools.islice(space.enumerate(), 100))
    assert table.cost(everything).tolist() == table.cost(np.array(everything, dtype=np.int8)).tolist()
    assert table.cost([]).tolist() == []
    with pytest.raises(UserError, match=r"an array \(N, 4\)"):
        table.cost(everything[0])
    with pytest.raises(UserError, match=r"index 5 is not in 0\.\.4"):
        table.cost([(0, 0, 0, 5)])


def test_a_block_without_an_entry_is_refused() -> None:
    space = small_space("squeezed")
    entries = dict(build_table(space).entries)
    entries.pop(next(key for key in entries if key[0].label == "k5e6se"))
    with pytest.raises(UserError, match="has no entry for k5e6se at 8x32x32 of squeezed"):
        CostTable(space, FLOPS, 32, entries)


def test_a_table_follows_a_resolution_that_is_decided() -> None:
    space = own_spaces.zoomed((9, 12, 16))
    table = build_table(space, "flops")
    everything = list(space.enumerate())
    costs = [space.decode(architecture).macs(space.image(architecture)) for architecture in everything]
    assert table.cost(everything).tolist() == costs
    assert (table.minimum()[0], table.maximum()[0]) == (min(costs), max(costs))
    low, high = sorted(costs)[3], sorted(costs)[8]
    assert table.distribution.count(low, high) == (sum(low <= cost <= high for cost in costs),) * 2
    drawn = table.distribution.sample(low, high, 200, np.random.default_rng(0))
    within = {a for a, cost in zip(everything, costs, strict=True) if low <= cost <= high}
    assert set(map(tuple, drawn.tolist())) == within
