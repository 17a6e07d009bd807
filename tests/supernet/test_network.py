"""Values inside a network, by the names of its sites."""

from __future__ import annotations

import random

import pytest
import torch

from supernet import SearchSpace, Supernet, build_space, extract
from tests.supernet import own_spaces


def chain() -> SearchSpace:
    return build_space("nasbench_macro", resolution=16, num_classes=4, widths=(8, 8, 12, 16, 24))


@pytest.mark.parametrize("make", [chain, own_spaces.small_nasbench201, own_spaces.branches])
def test_taps_give_what_hooks_see(make):
    space = make()
    supernet = Supernet(space).eval()
    x = torch.randn(2, *space.input_shape)
    for seed in range(3):
        architecture = space.sample(random.Random(seed))
        network = extract(supernet, architecture)
        seen: dict[str, torch.Tensor] = {}
        hooks = [
            network.layer(node.site).register_forward_hook(
                lambda _m, _i, y, site=node.site, seen=seen: seen.update({site: y})
            )
            for node in network.spec.nodes
        ]
        y = network(x)
        for hook in hooks:
            hook.remove()
        taps = dict.fromkeys(seen)
        assert torch.equal(network(x, taps), y)
        assert all(torch.equal(taps[site], value) for site, value in seen.items())
        some = dict.fromkeys(list(seen)[1:3])
        assert torch.allclose(supernet(x, architecture, some), y, atol=1e-5)
        assert all(torch.allclose(some[site], seen[site], atol=1e-5) for site in some)


def test_a_site_that_is_not_there_stays_empty():
    space = chain()
    network = extract(Supernet(space), (0,) * 8)
    taps = {"stage1/1": None, "mix": None}  # an identity is left out
    network(torch.randn(2, 3, 16, 16), taps)
    assert taps["stage1/1"] is None
    assert taps["mix"].shape[:2] == (2, 24)


def test_gradients_pass_through_taps():
    network = extract(Supernet(chain()), (1,) * 8)
    taps = {"stage2/0": None}
    network(torch.randn(2, 3, 16, 16), taps)
    taps["stage2/0"].square().sum().backward()
    assert all(p.grad is not None for p in network.layer("stage2/0").parameters())
    assert all(p.grad is None for p in network.layer("stage3/0").parameters())
