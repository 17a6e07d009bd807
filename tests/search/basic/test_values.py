"""Spaces of plain values: their order, the way there and back, and what is refused."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest

from config_file.errors import UserError
from search.basic.values import architecture_of, config_of, space_of_values


def test_the_grid_is_the_product_in_the_order_of_the_names() -> None:
    values = {"b": [1, 2.5, None], "a": ["x", True], "c": [(1, 2), [3]]}
    space = space_of_values(values)
    expected = [dict(zip("abc", row, strict=True)) for row in product(values["a"], values["b"], values["c"])]
    assert [config_of(space, architecture) for architecture in space.enumerate()] == expected
    assert all(config_of(space, architecture_of(space, config)) == config for config in expected)
    assert space.size == 12


def test_equal_values_of_different_types_are_different_ones() -> None:
    space = space_of_values({"a": [1, True, "1", 1.0]})
    for option, value in enumerate([1, True, "1", 1.0]):
        found = config_of(space, (option,))["a"]
        assert (found, type(found)) == (value, type(value))
        assert architecture_of(space, {"a": value}) == (option,)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, "a search space of values is"),
        ({"a": 3}, "'a' needs a list of values, not 3"),
        ({"a": []}, "'a' needs a list of values"),
        ({3: [1]}, "3 needs a list of values"),
        ({"a": [1, 2, 1]}, "a has 1 twice"),
    ],
)
def test_what_is_no_space(values: Any, message: str) -> None:
    with pytest.raises(UserError, match=message):
        space_of_values(values)


def test_what_is_no_architecture() -> None:
    space = space_of_values({"a": [1, 2], "b": ["x"]})
    with pytest.raises(UserError, match=r"a has no value 3 \(there are: 1, 2\)"):
        architecture_of(space, {"a": 3, "b": "x"})
    with pytest.raises(UserError, match="a value of each of a, b, not of a"):
        architecture_of(space, {"a": 1})
