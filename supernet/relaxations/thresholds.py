"""Single-Path NAS's nested indicators (Stamoulis et al. 2019): norms of a kernel's parts against learned thresholds.

A kernel is its centre plus, where an indicator says so, the ring around it; and likewise its channels:

    w_k      = w_centre + 1(|w_ring|^2 > t_k) w_ring
    w_(k, e) = 1(|w_(k, first)|^2 > t_3) (w_(k, first) + 1(|w_(k, second)|^2 > t_6) w_(k, second))

Is the norm of the first half of the channels above a threshold (else the layer is skipped), that of the second half
(else expansion 3), that of the ring around the 3x3 (else kernel 3)? In the gradient an indicator is a sigmoid, for the
loss and for the cost alike.
"""

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from config_file.errors import UserError
from supernet.composites import InvertedResidual
from supernet.relaxations.estimators import StepGates, soft_gates
from supernet.relaxations.parameters import ArchitectureParameters
from supernet.sharing.super_kernel import SuperKernel
from supernet.supernet import Supernet

DECISIVE = 32.0  # steepness at which probabilities are as good as indicators


class ThresholdParameters(ArchitectureParameters):
    """Thresholds in place of logits: probabilities follow from the norms of the kernels' parts.

    `logits` holds (D, 3): per decision the thresholds of the ring, of the first and of the second half of the channels.
    Norms are mean squares of a part over that of the whole kernel. Thresholds start at 0: everything is used.

    Args:
        hard: loss and cost are those of the indicators, as in the paper, and each indicator is a sigmoid in the
            gradient alone, beside the others as they are. Otherwise the cost is that of the probabilities that the
            sigmoids make together, and their gradient is also the loss's.

    Raises:
        UserError: a decision is not that of one super-kernel of two kernel sizes and two expansions.
    """

    def __init__(self, supernet: Supernet, seed: int = 0, *, hard: bool = False) -> None:
        space = supernet.space
        super().__init__(space, seed)
        self.hard = hard
        self.logits = nn.Parameter(torch.zeros(len(space.sizes), 3))
        self._sites: dict[int, SuperKernel] = {}
        self._codes: dict[int, list[tuple[int, int] | None]] = {}  # per option (large kernel, all channels), None: skip
        for site in space.sites:
            shared = supernet.bank[site.name]
            if not site.given:
                continue
            if len(site.given) != 1 or not isinstance(shared, SuperKernel):
                raise UserError(f"{space.name}: {site.name} has no super-kernel; single_path has")
            blocks = [site.options[o] for o in site.table if o is not None]
            sizes = sorted({b.kernel for b in blocks if isinstance(b, InvertedResidual)})
            expands = sorted({b.expand for b in blocks if isinstance(b, InvertedResidual)})
            if len(sizes) != 2 or len(expands) != 2 or len(blocks) != space.sizes[site.given[0]]:
                raise UserError(f"{space.name}: {site.name}: thresholds need two kernel sizes and two expansions")
            self._sites[site.given[0]] = shared
            self._codes[site.given[0]] = [
                (sizes.index(b.kernel), expands.index(b.expand)) if isinstance(b, InvertedResidual) else None
                for b in blocks
            ]

    def masked(self) -> Tensor:
        """(D, M) log probabilities; minus infinity where a decision has no such option."""
        return self._log_probabilities(1.0)

    def _log_probabilities(self, steepness: float) -> Tensor:
        rows = []
        for decision in range(len(self.space.sizes)):
            codes = self._codes[decision]
            margins = steepness * (self._norms(decision) - self.logits[decision])
            # log P(indicator is 1) and log P(it is 0), of the ring, the first half and the second half.
            on, off = F.logsigmoid(margins), F.logsigmoid(-margins)
            skippable = None in codes
            row = []
            for code in codes:
                if code is None:  # a skip: the first half is not used, whatever the rest is
                    row.append(off[1])
                else:
                    row.append((on[0] if code[0] else off[0]) + (on[2] if code[1] else off[2]) + skippable * on[1])
            row += [self.logits.new_full((), -torch.inf)] * (self.absent.shape[1] - len(row))
            rows.append(torch.stack(row))
        return torch.stack(rows)

    def indicated(self, temperature: float = 1.0) -> Tensor:
        """(D, M) weights of the options, one-hot: products of indicators, each a sigmoid in the gradient alone."""
        rows = []
        for decision in range(len(self.space.sizes)):
            margins = self._norms(decision) - self.logits[decision]
            # g(x) = 1(x > t), dg/dt = d sigmoid(x - t)/dt: the difference below is zero and has that gradient.
            soft = torch.sigmoid(margins / temperature)
            on = (margins > 0).to(soft.dtype) + (soft - soft.detach())
            ring, first, second = (torch.stack((1 - indicator, indicator)) for indicator in on)
            codes = self._codes[decision]
            used = first[1] if None in codes else first.new_ones(())
            row = [first[0] if code is None else used * ring[code[0]] * second[code[1]] for code in codes]
            row += [self.logits.new_zeros(())] * (self.absent.shape[1] - len(row))
            rows.append(torch.stack(row))
        return torch.stack(rows)

    def priced(self) -> Tensor:
        """(D, M) weights by which cost is expected: what the indicators say, or the probabilities."""
        return self.indicated() if self.hard else self.probabilities()

    def _norms(self, decision: int) -> Tensor:
        kernel = self._sites[decision].kernel().detach().to(self.logits.dtype)
        # Mean squares of the ring and of both halves of the channels, over that of the whole kernel.
        squares = kernel.square().mean(1)  # (hidden, k, k)
        half, spare = len(squares) // 2, (squares.shape[-1] - 3) // 2
        inner = squares[:, spare : squares.shape[-1] - spare, spare : squares.shape[-1] - spare]
        ring = (squares.sum() - inner.sum()) / max(1, squares.numel() - inner.numel())
        whole = squares.mean().clamp_min(1e-12)
        return torch.stack((ring, squares[:half].mean(), squares[half:].mean())) / whole

    @torch.no_grad()
    def log_probabilities(self) -> list[np.ndarray]:
        """As for logits, of probabilities so steep that the most probable options are what the indicators say."""
        rows = self._log_probabilities(DECISIVE).double().log_softmax(1).cpu().numpy()
        return [row[:size] for row, size in zip(rows, self.space.sizes, strict=True)]


def thresholds(parameters: ArchitectureParameters, temperature: float, seed: int, step: int) -> StepGates:
    """The option of every decision that the indicators say as a soft weight of one, with the gradient of its own.

    For `ThresholdParameters`, whose super-kernels run once whatever the weights are.
    """
    del seed, step
    if isinstance(parameters, ThresholdParameters) and parameters.hard:
        return StepGates(soft_gates(parameters.space, parameters.indicated(temperature)))
    p = (parameters.masked() / temperature).softmax(1)
    hard = torch.zeros_like(p)
    for decision, option in enumerate(parameters.most_probable()):
        hard[decision, option] = 1.0
    return StepGates(soft_gates(parameters.space, hard + p - p.detach()))
