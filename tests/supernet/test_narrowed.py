"""Narrowed spaces: the same networks, costs and extremes as those of the whole space that are left."""

from __future__ import annotations

import random
from itertools import product
from typing import Any

import pytest

from config_file.errors import UserError
from lookup_tables import build_table
from supernet import SearchSpace, build_space
from supernet.narrowed import narrow

NARROW: dict[str, Any] = {"widths": (8,) * 8 + (16,), "depths": (2, 2, 1, 1, 1), "num_classes": 10, "resolution": 8}
SPACES = [
    build_space("mobilenetv2", num_classes=10, resolution=16),
    build_space("single_path", num_classes=10, resolution=16),
    build_space("ofa_mbv3", image_sizes="4-8:2", **NARROW),
]


@pytest.mark.parametrize("space", SPACES, ids=lambda space: space.name)
def test_its_networks_are_those_of_the_whole_space(space: SearchSpace) -> None:
    draw = random.Random(1)
    kept = [sorted(draw.sample(range(size), max(1, size - 1))) for size in space.sizes]
    part = narrow(space, kept)
    assert part.space.sizes == tuple(map(len, kept))
    tables = [build_table(one, "flops", one.input_shape[1]) for one in (part.space, space)]
    for _ in range(20):
        architecture = part.space.sample(draw)
        whole = part.widen(architecture)
        assert part.space.names(architecture) == space.names(whole)
        assert part.space.decode(architecture) == space.decode(whole)
        assert part.space.image(architecture) == space.image(whole)
        assert tables[0].cost([architecture]) == tables[1].cost([whole])


def test_its_extremes_are_those_of_a_list_of_what_is_left() -> None:
    space = SPACES[2]
    kept = [[0, 2] if number < 4 else [1] for number in range(len(space.sizes))]
    kept[-1] = [0, 1]  # not the largest image
    part = narrow(space, kept)
    assert part.space.input_shape == (3, 6, 6)
    costs = build_table(space, "flops", 8).cost(list(product(*kept)))
    table = build_table(part.space, "flops", 6)
    assert (table.minimum()[0], table.maximum()[0]) == (costs.min(), costs.max())


def test_a_single_network_is_a_space_too() -> None:
    space = SPACES[0]
    part = narrow(space, [[0]] * len(space.sizes))
    assert part.space.size == 1
    assert part.widen((0,) * len(space.sizes)) == (0,) * len(space.sizes)


def test_a_space_that_does_not_count_every_encoding_is_refused() -> None:
    class Odd(SearchSpace):
        def allows(self, architecture: Any) -> bool:
            return sum(architecture) % 2 == 1

    space = SPACES[0]
    odd = Odd(space.name, space.decisions, space.sites, space.input_shape)
    with pytest.raises(UserError, match="does not count every encoding"):
        narrow(odd, [[0]] * len(space.sizes))
    assert narrow(odd, [[*range(size)] for size in space.sizes]).space is odd
