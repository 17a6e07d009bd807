"""Gate tables: the weight of every option of a gate, from the probabilities of the decisions that the gate reads."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import torch

from config_file.errors import UserError
from supernet.space import SearchSpace


@dataclass(frozen=True)
class GateTable:
    """The decisions that each gate of a space reads, as plain tables."""

    space: SearchSpace

    @cached_property
    def gates(self) -> dict[str, tuple[tuple[int, ...], dict[tuple[int, ...], int | None]]]:
        """Per gate that depends on a decision: these decisions, and the option for every combination of theirs."""
        found = {}
        for site in self.space.sites:
            if site.given and site.gate_name not in found:
                combinations = product(*(range(self.space.sizes[decision]) for decision in site.given))
                found[site.gate_name] = site.given, dict(zip(combinations, site.table, strict=True))
        return found

    def weights(
        self, probabilities: torch.Tensor, support: Sequence[Sequence[int]]
    ) -> Iterator[tuple[str, dict[int, torch.Tensor]]]:
        """Per gate the probability of every option that the support can select, as scalars.

        Args:
            probabilities: (D, M).
            support: per decision the options to take into account.
        """
        width = probabilities.shape[1]
        scalars = probabilities.reshape(-1).unbind()
        for gate, (given, table) in self.gates.items():
            weights: dict[int, torch.Tensor] = {}
            for combination in product(*(support[decision] for decision in given)):
                option = table[combination]
                if option is None:
                    continue
                weight = scalars[given[0] * width + combination[0]]
                for decision, chosen in zip(given[1:], combination[1:], strict=True):
                    weight = weight * scalars[decision * width + chosen]
                weights[option] = weights[option] + weight if option in weights else weight
            if weights:
                yield gate, weights

    def check_mixable(self, others: str) -> None:
        """Raises UserError, naming the site and other relaxations, where mixed options would differ in shape."""
        for site, (_, table) in zip(self.space.sites, self.space.factors(), strict=True):
            entries = [entry for entry in table.flat if entry is not None]
            if len({block.output_shape(shape) for block, shape in entries}) > 1:
                raise UserError(
                    f"{self.space.name}: the options of {site.name} differ in width, and a width is chosen, never "
                    f"mixed: use one of the relaxations that run one option ({others})"
                )
        concatenated = {name for site in self.space.sites if site.merge == "concat" for name in site.inputs}
        for site in self.space.sites:
            if site.name in concatenated and None in site.table:
                raise UserError(
                    f"{self.space.name}: {site.name} may be absent where it is concatenated, so that a width would be "
                    f"mixed: use one of the relaxations that run one option ({others})"
                )
