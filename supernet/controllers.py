"""Controllers: distributions over architectures, one decision after the other, that a policy gradient trains.

What a controller makes of option indices (N, D) is `Judged`. A decision that does not matter is left out of it: its
`matters` is False.
"""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn


class Judged(NamedTuple):
    """Architectures as a controller sees them.

    Attributes:
        log_probability: (N,), summed over the decisions that matter.
        entropy: (N,), of the distributions that those were drawn from, summed alike.
        rows: per decision (N, options), the logarithms of its options' probabilities given the decisions before.
    """

    log_probability: Tensor
    entropy: Tensor
    rows: list[Tensor]


class Controller(nn.Module):
    """A distribution over option indices; `sizes` are the numbers of options of its decisions."""

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        self.sizes = tuple(sizes)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, D) option indices."""
        raise NotImplementedError

    def rows(self, options: Tensor) -> list[Tensor]:
        """Per decision (N, options): the logarithms of the probabilities, given the options (N, D) before it."""
        raise NotImplementedError

    def forward(self, options: Tensor, matters: Tensor | None = None) -> Judged:
        """Judge options (N, D); `matters` (N, D) says which decisions count, all of them unless it is given."""
        rows = self.rows(options)
        counts = torch.ones_like(options, dtype=torch.bool) if matters is None else matters
        chosen = [row.gather(1, options[:, d : d + 1]).squeeze(1) for d, row in enumerate(rows)]
        entropies = [-(row.exp() * row).sum(1) for row in rows]
        return Judged((counts * torch.stack(chosen, 1)).sum(1), (counts * torch.stack(entropies, 1)).sum(1), rows)


class FactorisedController(Controller):
    """Independent decisions: one logit per option."""

    closed: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__(sizes)
        most = max(sizes)
        self.logits = nn.Parameter(torch.zeros(len(sizes), most))  # (D, K), K options at most
        closed = torch.arange(most) >= torch.tensor(sizes)[:, None]
        self.register_buffer("closed", closed, persistent=False)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        return torch.multinomial(self._logarithms().detach().exp(), n, replacement=True, generator=generator).T

    def rows(self, options: Tensor) -> list[Tensor]:
        logarithms = self._logarithms()
        return [row[:size].expand(len(options), -1) for row, size in zip(logarithms, self.sizes, strict=True)]

    def _logarithms(self) -> Tensor:
        return self.logits.masked_fill(self.closed, -torch.inf).log_softmax(1)  # (D, K)


class LSTMController(Controller):
    """ENAS's controller (Pham et al. 2018): every decision sees the ones before it, logits are t·tanh(x / T)."""

    temperature, tanh_constant = 5.0, 2.5

    def __init__(self, sizes: Sequence[int], hidden: int = 64) -> None:
        super().__init__(sizes)
        self.begin = nn.Parameter(torch.zeros(hidden))
        self.embeddings = nn.ModuleList([nn.Embedding(size, hidden) for size in sizes])
        self.cell = nn.LSTMCell(hidden, hidden)
        self.heads = nn.ModuleList([nn.Linear(hidden, size) for size in sizes])
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        chosen: list[Tensor] = []
        with torch.no_grad():
            for row in self._run(n, chosen):  # which reads what was chosen before
                chosen.append(torch.multinomial(row.exp(), 1, generator=generator).squeeze(1))  # noqa: PERF401
        return torch.stack(chosen, dim=1)

    def rows(self, options: Tensor) -> list[Tensor]:
        return list(self._run(len(options), options.T))

    def _run(self, n: int, chosen: Sequence[Tensor] | Tensor) -> Iterator[Tensor]:
        """Per decision its row; the option (n,) chosen for it must be there before the next one is asked for."""
        entering = self.begin.expand(n, -1)
        state = torch.zeros_like(entering), torch.zeros_like(entering)
        for decision, (head, embedding) in enumerate(zip(self.heads, self.embeddings, strict=True)):
            state = self.cell(entering, state)
            yield (self.tanh_constant * torch.tanh(head(state[0]) / self.temperature)).log_softmax(1)
            entering = embedding(chosen[decision])


CONTROLLERS: dict[str, type[Controller]] = {"factorised": FactorisedController, "lstm": LSTMController}
