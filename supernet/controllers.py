"""Controllers: distributions over architectures, one decision after the other, that a policy gradient trains.

Both controllers give, for option indices (N, D), the logarithm of their probability (N,) and the entropy (N,) of the
distributions they were drawn from. A decision that does not matter is -1: it is left out of both.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class FactorisedController(nn.Module):
    """Independent decisions: one logit per option."""

    closed: Tensor

    def __init__(self, sizes: Sequence[int]) -> None:
        super().__init__()
        most = max(sizes)
        self.logits = nn.Parameter(torch.zeros(len(sizes), most))  # (D, K), K options at most
        closed = torch.arange(most) >= torch.tensor(sizes)[:, None]
        self.register_buffer("closed", closed, persistent=False)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, D) option indices."""
        return torch.multinomial(self._logarithms().detach().exp(), n, replacement=True, generator=generator).T

    def forward(self, options: Tensor) -> tuple[Tensor, Tensor]:
        logarithms = self._logarithms()
        matters = options >= 0
        chosen = logarithms[torch.arange(len(logarithms)), options.clamp(min=0)]  # (N, D)
        entropy = -(logarithms.exp() * logarithms.masked_fill(self.closed, 0)).sum(1)  # (D,)
        return (matters * chosen).sum(1), (matters * entropy).sum(1)

    def _logarithms(self) -> Tensor:
        return self.logits.masked_fill(self.closed, -torch.inf).log_softmax(1)  # (D, K)


class LSTMController(nn.Module):
    """ENAS's controller (Pham et al. 2018): every decision sees the ones before it, logits are t·tanh(x / T)."""

    temperature, tanh_constant = 5.0, 2.5

    def __init__(self, sizes: Sequence[int], hidden: int = 64) -> None:
        super().__init__()
        self.sizes = tuple(sizes)
        self.begin = nn.Parameter(torch.zeros(hidden))
        self.embeddings = nn.ModuleList([nn.Embedding(size, hidden) for size in sizes])
        self.cell = nn.LSTMCell(hidden, hidden)
        self.heads = nn.ModuleList([nn.Linear(hidden, size) for size in sizes])
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -0.1, 0.1)

    def sample(self, n: int, generator: torch.Generator) -> Tensor:
        """(n, D) option indices."""
        with torch.no_grad():
            return self._run(n, None, generator)[0]

    def forward(self, options: Tensor) -> tuple[Tensor, Tensor]:
        _, log_probability, entropy = self._run(len(options), options, None)
        return log_probability, entropy

    def _run(self, n: int, options: Tensor | None, generator: torch.Generator | None) -> tuple[Tensor, Tensor, Tensor]:
        entering = self.begin.expand(n, -1)
        state = torch.zeros_like(entering), torch.zeros_like(entering)
        log_probability, entropy = torch.zeros(n), torch.zeros(n)
        chosen = []
        for decision, (head, embedding) in enumerate(zip(self.heads, self.embeddings, strict=True)):
            state = self.cell(entering, state)
            logits = self.tanh_constant * torch.tanh(head(state[0]) / self.temperature)
            logarithms = logits.log_softmax(1)
            if options is None:
                option = torch.multinomial(logarithms.exp(), 1, generator=generator).squeeze(1)
                matters = torch.ones(n, dtype=torch.bool)
            else:
                option = options[:, decision].clamp(min=0)
                matters = options[:, decision] >= 0
            chosen.append(option)
            log_probability = log_probability + matters * logarithms.gather(1, option[:, None]).squeeze(1)
            entropy = entropy - matters * (logarithms.exp() * logarithms).sum(1)
            entering = embedding(option)
        return torch.stack(chosen, dim=1), log_probability, entropy


CONTROLLERS: dict[str, type[FactorisedController] | type[LSTMController]] = {
    "factorised": FactorisedController,
    "lstm": LSTMController,
}
