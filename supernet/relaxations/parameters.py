"""Architecture parameters: a vector of logits per decision, whose softmax is a distribution over its options.

Decisions are independent. What is random in a step is a function of (seed, step) alone.
"""

import random
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from supernet.decisions import Architecture
from supernet.derivation import derive_filling, derive_within, independent
from supernet.elimination import Factor
from supernet.label_setting import Bound
from supernet.pinned import to_device
from supernet.space import SearchSpace
from supernet.supernet import Gates

INITIAL_SPREAD = 1e-3


class ArchitectureParameters(nn.Module):
    """The logits of all decisions of a space.

    Attributes:
        logits: (D, M) for D decisions of at most M options, which start at N(0, 1e-3) as in DARTS and ProxylessNAS;
            entries beyond a decision's options are never read.
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

    def scaled(self, weights: torch.Tensor) -> torch.Tensor:
        """(D, M) weights of the options of each decision as they are mixed, of those by which they compete."""
        return weights

    def priced(self) -> torch.Tensor:
        """(D, M) weights by which cost is expected: the probabilities."""
        return self.scaled(self.probabilities())

    def by_decision(self, weights: torch.Tensor | None = None) -> list[torch.Tensor]:
        """Per decision the weights of its options, as a cost table takes them; gradients reach the logits.

        Args:
            weights: (D, M); None: the probabilities.
        """
        rows = self.probabilities() if weights is None else weights
        return [row[:size] for row, size in zip(rows.unbind(), self.space.sizes, strict=True)]

    def log_probabilities(self) -> list[np.ndarray]:
        """Per decision of what is derived the log probabilities of its options, in float64 on the host."""
        return self.row_log_probabilities()

    @torch.no_grad()
    def row_log_probabilities(self) -> list[np.ndarray]:
        """Per row of logits the log probabilities of its options, in float64 on the host."""
        rows = self.masked().double().log_softmax(1).cpu().numpy()
        return [row[:size] for row, size in zip(rows, self.space.sizes, strict=True)]

    def most_probable(self) -> Architecture:
        """The architecture of greatest probability: the most probable option of every decision."""
        return tuple(int(row.argmax()) for row in self.log_probabilities())

    def objective(self) -> list[Factor]:
        """The sum of tables that is greatest for what is derived: the log probability of an architecture."""
        return independent(self.log_probabilities())

    @property
    def derived_sizes(self) -> tuple[int, ...]:
        """The sizes of the decisions of what is derived."""
        return self.space.sizes

    def best(self, objective: Sequence[Factor], limits: Sequence[Bound] = (), *, filling: bool = False) -> Architecture:
        """The architecture of the greatest objective within limits; with `filling` one that uses them, if there is one
        near by.

        Raises:
            UserError: nothing is within the limits.
        """
        return (derive_filling if filling else derive_within)(self.derived_sizes, objective, limits)

    def derive(self, limits: Sequence[Bound] = (), *, filling: bool = False) -> Architecture:
        """The most probable architecture, likewise."""
        return self.best(self.objective(), limits, filling=filling)

    def log_probability(self, architecture: Architecture) -> torch.Tensor:
        """(): log p of an architecture, the sum over its decisions; its gradient reaches the logits."""
        chosen = to_device(torch.tensor(architecture), self.logits.device).unsqueeze(1)
        return self.masked().log_softmax(1).gather(1, chosen).sum()

    def draw(self, seed: int, step: int) -> Architecture:
        """An option of every row of logits, drawn from their distributions; the same for the same (seed, step)."""
        with torch.no_grad():
            noisy = self.masked() + gumbel_noise(self, seed, step)
            return tuple(noisy.argmax(1).tolist())

    def route(self, drawn: Architecture) -> Architecture | Gates:
        """The form of a draw in which `Supernet.forward` takes it."""
        return drawn

    def sample(self, seed: int, step: int) -> Architecture:
        """An architecture drawn from the distribution; the same for the same (seed, step)."""
        return self.draw(seed, step)


def gumbel_noise(parameters: ArchitectureParameters, seed: int, step: int, what: str = "gumbel") -> torch.Tensor:
    """(D, M) of standard Gumbel noise, drawn on the host, so that every device draws alike."""
    generator = torch.Generator().manual_seed(_seed(what, seed, step))
    noise = torch.empty(parameters.absent.shape).exponential_(generator=generator).log_().neg_()
    return to_device(noise, parameters.logits.device).to(parameters.logits.dtype)


def _seed(what: str, seed: int, step: int) -> int:
    return random.Random(f"{what} {seed} {step}").getrandbits(63)
