"""Architecture parameters, and the relaxations that let a gradient reach them.

Every decision has a vector of logits; softmax makes it a distribution p, and decisions are independent. A relaxation
turns them into gates: which options run, and with which weight. What a gate's weight is comes from the tables of the
sites that depend on the decision, so that spaces whose sites read several decisions are covered too.

What is random in a step is a function of (seed, step) alone. Only the indices of the options that run cross from the
device to the host, once per step.

| name         | runs per decision      | gradient of the architecture parameters                                      |
|--------------|------------------------|------------------------------------------------------------------------------|
| softmax      | all                    | exact, of the mixture (which is not the network that is derived in the end)  |
| gumbel       | all                    | exact, of a randomly perturbed mixture (Jang et al. 2017)                    |
| gumbel_hard  | 1                      | straight-through: biased, see docs/differentiable.md                         |
| binary       | 1                      | <dy, f(x)> / p of the one that ran: unbiased where the loss is linear in it  |
| binary_two   | 2, one of them forward | ProxylessNAS's update of a sampled pair (Cai et al. 2019, appendix)          |
| binary_full  | all, all but 1 forward | ProxylessNAS's gate gradient, every option's output taken into account       |
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from config_file.errors import UserError, choose
from supernet.decisions import Architecture
from supernet.gating import Sampled, Weight
from supernet.space import SearchSpace
from supernet.supernet import Gates

INITIAL_SPREAD = 1e-3


class ArchitectureParameters(nn.Module):
    """The logits of all decisions of a space.

    Attributes:
        logits: (D, M) for D decisions of at most M options; entries beyond a decision's options are never read.

    Args:
        space: the search space.
        seed: of the start, N(0, 1e-3) as in DARTS and ProxylessNAS.
    """

    def __init__(self, space: SearchSpace, seed: int = 0) -> None:
        super().__init__()
        self.space = space
        shape = len(space.sizes), max(space.sizes, default=1)
        generator = torch.Generator().manual_seed(_seed("architecture parameters", seed, 0))
        self.logits = nn.Parameter(torch.randn(shape, generator=generator) * INITIAL_SPREAD)
        absent = [[option >= size for option in range(shape[1])] for size in space.sizes]
        self.absent: torch.Tensor
        self.register_buffer("absent", torch.tensor(absent, dtype=torch.bool).reshape(shape), persistent=False)

    def masked(self) -> torch.Tensor:
        """(D, M) logits, minus infinity where a decision has no such option."""
        return self.logits.masked_fill(self.absent, -torch.inf)

    def probabilities(self) -> torch.Tensor:
        """(D, M) probabilities; each row sums to one."""
        return self.masked().softmax(1)

    def by_decision(self) -> list[torch.Tensor]:
        """Per decision the probabilities of its options, as a cost table takes them; gradients reach the logits."""
        return [row[:size] for row, size in zip(self.probabilities().unbind(), self.space.sizes, strict=True)]

    @torch.no_grad()
    def log_probabilities(self) -> list[np.ndarray]:
        """Per decision the log probabilities of its options, in float64 on the host."""
        rows = self.masked().double().log_softmax(1).cpu().numpy()
        return [row[:size] for row, size in zip(rows, self.space.sizes, strict=True)]

    def most_probable(self) -> Architecture:
        """The architecture of greatest probability: the most probable option of every decision."""
        return tuple(int(row.argmax()) for row in self.log_probabilities())

    def sample(self, seed: int, step: int) -> Architecture:
        """An architecture drawn from the distribution; the same for the same (seed, step)."""
        with torch.no_grad():
            noisy = self.masked() + _gumbel(self, seed, step)
            return tuple(noisy.argmax(1).tolist())


@dataclass(frozen=True)
class GateTable:
    """Which decisions each gate of a space reads, as plain tables."""

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

    def check_mixable(self) -> None:
        """Raises UserError, naming the site, where options that would be mixed differ in shape."""
        for site, (_, table) in zip(self.space.sites, self.space.factors(), strict=True):
            entries = [entry for entry in table.flat if entry is not None]
            if len({block.output_shape(shape) for block, shape in entries}) > 1:
                raise UserError(
                    f"{self.space.name}: the options of {site.name} differ in width, and a width is chosen, never "
                    f"mixed: use one of the relaxations that run one option ({', '.join(SINGLE)})"
                )
        concatenated = {name for site in self.space.sites if site.merge == "concat" for name in site.inputs}
        for site in self.space.sites:
            if site.name in concatenated and None in site.table:
                raise UserError(
                    f"{self.space.name}: {site.name} may be absent where it is concatenated, so that a width would be "
                    f"mixed: use one of the relaxations that run one option ({', '.join(SINGLE)})"
                )


class Draw(NamedTuple):
    """What an estimator draws for one step.

    Attributes:
        gates: for `Supernet.forward`.
        involved: (D, M) of booleans, the options whose parameters this step may move; None means all of them.
    """

    gates: Gates
    involved: torch.Tensor | None = None


Estimator = Callable[[ArchitectureParameters, GateTable, float, int, int], Draw]
"""(parameters, gate table, temperature, seed, step) -> what runs."""


def softmax(parameters: ArchitectureParameters, table: GateTable, temperature: float, seed: int, step: int) -> Draw:
    """All options run, weighted by their probabilities at that temperature (DARTS, Liu et al. 2019, has it at 1)."""
    del seed, step
    return Draw(_soft_gates(table, (parameters.masked() / temperature).softmax(1)))


def gumbel(parameters: ArchitectureParameters, table: GateTable, temperature: float, seed: int, step: int) -> Draw:
    """All options, weighted by softmax((logits + Gumbel noise) / temperature) (Jang et al. 2017; FBNet)."""
    noisy = parameters.masked() + _gumbel(parameters, seed, step)
    return Draw(_soft_gates(table, (noisy / temperature).softmax(1)))


def gumbel_hard(parameters: ArchitectureParameters, table: GateTable, temperature: float, seed: int, step: int) -> Draw:
    """The option with the largest noisy logit; the gradient is that of its soft weight (straight-through).

    The soft weights of the others get no gradient, as their outputs are not computed.
    """
    noisy = parameters.masked() + _gumbel(parameters, seed, step)
    chosen = noisy.detach().argmax(1).tolist()
    return Draw(_sampled_gates(table, (noisy / temperature).softmax(1), [(option,) for option in chosen]))


def binary(parameters: ArchitectureParameters, table: GateTable, temperature: float, seed: int, step: int) -> Draw:
    """One option drawn from p runs; its gate's gradient is weighted by 1/p: dL/da_i = <dy, f(x)> (delta_i - p_i)."""
    del temperature
    chosen = parameters.sample(seed, step)
    gates = {}
    for gate, weights in table.weights(parameters.probabilities(), [(option,) for option in chosen]):
        ((option, weight),) = weights.items()
        gates[gate] = ((option,), [Sampled(True, weight.log())])
    return Draw(gates)


def binary_full(parameters: ArchitectureParameters, table: GateTable, temperature: float, seed: int, step: int) -> Draw:
    """One option drawn from p runs, the others forward only: dL/da_i = sum_j <dy, f_j(x)> p_j (delta_ij - p_i)."""
    del temperature
    chosen = parameters.sample(seed, step)
    support = [
        (option, *(other for other in range(size) if other != option))
        for option, size in zip(chosen, table.space.sizes, strict=True)
    ]
    return Draw(_sampled_gates(table, parameters.probabilities(), support))


def binary_two(parameters: ArchitectureParameters, table: GateTable, temperature: float, seed: int, step: int) -> Draw:
    """Two options drawn from p without replacement; one of them, drawn again, runs and the other runs forward only.

    Their probabilities are renormalised over the pair, and nothing but the pair's parameters may move.
    """
    del temperature
    with torch.no_grad():
        noise = _gumbel(parameters, seed, step)
        masked = parameters.masked()
        # The two largest noisy logits are a draw without replacement; which is active is a draw of its own.
        pair = (masked + noise).topk(min(2, masked.shape[1]), 1).indices
        again = _gumbel(parameters, seed, step, "active").gather(1, pair)
        first = (masked.gather(1, pair) + again).argmax(1, keepdim=True)
        ordered = torch.cat((pair.gather(1, first), pair.gather(1, pair.shape[1] - 1 - first)), 1)
        support = [
            tuple(dict.fromkeys(row[:size])) for row, size in zip(ordered.tolist(), table.space.sizes, strict=True)
        ]
    involved = torch.zeros_like(parameters.absent)
    involved.scatter_(1, pair, True)
    involved &= ~parameters.absent
    renormalised = parameters.masked().masked_fill(~involved, -torch.inf).softmax(1)
    return Draw(_sampled_gates(table, renormalised, support), involved)


RELAXATIONS: dict[str, Estimator] = {
    "softmax": softmax,
    "gumbel": gumbel,
    "gumbel_hard": gumbel_hard,
    "binary": binary,
    "binary_two": binary_two,
    "binary_full": binary_full,
}
"""Relaxations by the name users type."""


def thresholds(parameters: ArchitectureParameters, table: GateTable, temperature: float, seed: int, step: int) -> Draw:
    """The most probable option of every decision as a soft weight of one, with the gradient of its probability.

    For `supernet.thresholds.ThresholdParameters`, whose super-kernels run once whatever the weights are.
    """
    del seed, step
    p = (parameters.masked() / temperature).softmax(1)
    hard = torch.zeros_like(p)
    for decision, option in enumerate(parameters.most_probable()):
        hard[decision, option] = 1.0
    return Draw(_soft_gates(table, hard + p - p.detach()))


OF_WEIGHTS: dict[str, Estimator] = {"thresholds": thresholds}
"""Relaxations of parameters that are read off the weights, by the name users type."""

SINGLE = ("gumbel_hard", "binary")
"""Those that run one option per decision."""

SOFT = ("softmax", "gumbel", "thresholds")
"""Those whose weights train as a mixture too; with the others weights train on paths drawn from p."""


class Relaxation:
    """One of `RELAXATIONS` for a space.

    Args:
        name: which.
        parameters: the architecture parameters.
        seed: of what is drawn.

    Raises:
        UserError: unknown name, or the space has options of different widths where outputs would be mixed.
    """

    def __init__(self, name: str, parameters: ArchitectureParameters, seed: int) -> None:
        self.estimator = choose("relaxation", name, RELAXATIONS | OF_WEIGHTS)
        self.name = self.estimator.__name__
        self.parameters = parameters
        self.seed = seed
        self.table = GateTable(parameters.space)
        if self.name not in SINGLE:
            self.table.check_mixable()

    @property
    def soft(self) -> bool:
        """Whether weights train as a mixture of all options."""
        return self.name in SOFT

    def draw(self, step: int, temperature: float = 1.0) -> Draw:
        """The gates of a step; gradients of their weights reach the parameters."""
        return self.estimator(self.parameters, self.table, temperature, self.seed, step)

    def path(self, step: int) -> Architecture:
        """An architecture drawn from p, for a step of the weights; never the draw of the architecture's own step."""
        return self.parameters.sample(self.seed, -1 - step)


@torch.no_grad()
def settle(logits: torch.Tensor, before: torch.Tensor, involved: torch.Tensor | None) -> None:
    """After an optimizer step of a sampled pair: nothing else moved, and the pair's share of p is what it was.

    ProxylessNAS's rescaling: both logits are shifted so that the sum of their exponentials is unchanged. What momentum
    or weight decay did to the options that were not involved is undone.

    Args:
        logits: (D, M), after the step; changed in place.
        before: (D, M), before it.
        involved: (D, M) of booleans; None leaves everything as it is.
    """
    if involved is None:
        return
    held = ~involved
    shift = torch.logsumexp(before.masked_fill(held, -torch.inf), 1, keepdim=True)
    shift = shift - torch.logsumexp(logits.masked_fill(held, -torch.inf), 1, keepdim=True)
    logits.copy_(torch.where(involved, logits + shift, before))


def _soft_gates(table: GateTable, weights: torch.Tensor) -> Gates:
    everything = [tuple(range(size)) for size in table.space.sizes]
    return {gate: (tuple(row), list(row.values())) for gate, row in table.weights(weights, everything)}


def _sampled_gates(table: GateTable, weights: torch.Tensor, support: Sequence[Sequence[int]]) -> Gates:
    """The first option of each decision's support is active; the others of it run forward."""
    gates: dict[str, tuple[Sequence[int], Sequence[Weight]]] = {}
    for gate, row in table.weights(weights, support):
        given, options = table.gates[gate]
        active = options[tuple(support[decision][0] for decision in given)]
        if active is not None:
            gates[gate] = tuple(row), [Sampled(option == active, weight) for option, weight in row.items()]
    return gates


def _gumbel(parameters: ArchitectureParameters, seed: int, step: int, what: str = "gumbel") -> torch.Tensor:
    """(D, M) of standard Gumbel noise, drawn on the host, so that every device draws alike."""
    generator = torch.Generator().manual_seed(_seed(what, seed, step))
    noise = torch.empty(parameters.absent.shape).exponential_(generator=generator).log_().neg_()
    return noise.to(parameters.logits.device, non_blocking=True).to(parameters.logits.dtype)


def _seed(what: str, seed: int, step: int) -> int:
    return random.Random(f"{what} {seed} {step}").getrandbits(63)
