"""The weight of every option of a gate, from the probabilities of the decisions that the gate reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import product

import torch

from config_file.errors import UserError
from supernet.space import SearchSpace


def gate_weights(
    space: SearchSpace, probabilities: torch.Tensor, support: Sequence[Sequence[int]]
) -> Iterator[tuple[str, dict[int, torch.Tensor]]]:
    """Per gate that depends on a decision the probability of every option that can be selected, as scalars.

    Args:
        probabilities: (D, M).
        support: per decision the options to take into account.
    """
    width = probabilities.shape[1]
    scalars = probabilities.reshape(-1).unbind()
    for gate, (given, table) in space.gates.items():
        weights: dict[int, torch.Tensor] = {}
        combinations = product(*(support[decision] for decision in given)) if given else ()
        for combination in combinations:
            option = table[combination]
            if option is None:
                continue
            weight = scalars[given[0] * width + combination[0]]
            for decision, chosen in zip(given[1:], combination[1:], strict=True):
                weight = weight * scalars[decision * width + chosen]
            weights[option] = weights[option] + weight if option in weights else weight
        if weights:
            yield gate, weights


def check_mixable(space: SearchSpace, others: str) -> None:
    """Raises UserError, naming the site and other relaxations, where mixed options would differ in shape."""
    advice = f"mixed: use one of the relaxations that run one option ({others})"
    for site, (_, table) in zip(space.sites, space.factors(), strict=True):
        if len({block.output_shape(shape) for block, shape in filter(None, table.flat)}) > 1:
            raise UserError(
                f"{space.name}: the options of {site.name} differ in width, and a width is chosen, never {advice}"
            )
    concatenated = {name for site in space.sites if site.merge == "concat" for name in site.inputs}
    for site in space.sites:
        if site.name in concatenated and None in site.table:
            raise UserError(
                f"{space.name}: {site.name} may be absent where it is concatenated, so that a width would be {advice}"
            )
