"""The cost of an architecture as part of the loss: penalties on the expected cost, and hard targets.

The expected cost is that of the distribution over architectures (`CostTable.expected` on probabilities, never on raw
logits), in the unit of the flags: millions for flops and params, ms for latency. A penalty bends the search towards a
cost; only `constrained` holds a limit: multipliers that adapt during the training, and a derivation that is exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from config_file.errors import UserError, choose


@dataclass(frozen=True)
class PenaltySettings:
    """Target and strengths that penalties read.

    Attributes:
        target: cost aimed at, the reference of ratios; in the unit of the flags.
        weight: of the additive forms.
        alpha: factor of FBNet's and ProxylessNAS's multiplicative forms.
        beta: exponent of the forms that have one.
        scale: weight (add) or exponent (mul) of NNI's forms.
    """

    target: float
    weight: float = 0.005
    alpha: float = 1.0
    beta: float = 0.6
    scale: float = 2.0


Penalty = Callable[[Tensor, Tensor, PenaltySettings], Tensor]
"""(loss, expected cost, settings) -> loss with the penalty; scalars."""


def squared(loss: Tensor, cost: Tensor, settings: PenaltySettings) -> Tensor:
    """OSNASLib's, two-sided: loss + weight * (cost - target)^2."""
    return loss + settings.weight * (cost - settings.target).square()


def hinge(loss: Tensor, cost: Tensor, settings: PenaltySettings) -> Tensor:
    """Nothing below the target: loss + weight * max(0, cost / target - 1)."""
    return loss + settings.weight * (cost / settings.target - 1).clamp_min(0)


def fbnet_mul(loss: Tensor, cost: Tensor, settings: PenaltySettings) -> Tensor:
    """FBNet's (Wu et al. 2019): loss * alpha * log(cost)^beta. The cost must exceed 1."""
    return loss * settings.alpha * cost.log().pow(settings.beta)


def fbnet_add(loss: Tensor, cost: Tensor, settings: PenaltySettings) -> Tensor:
    """The additive form of NNI's FBNet: loss + alpha * cost^beta."""
    return loss + settings.alpha * cost.pow(settings.beta)


def proxyless_mul(loss: Tensor, cost: Tensor, settings: PenaltySettings) -> Tensor:
    """ProxylessNAS's mul#log: alpha * loss * (log cost / log target)^beta. Cost and target must exceed 1."""
    return settings.alpha * loss * (cost.log() / math.log(settings.target)).pow(settings.beta)


def proxyless_add(loss: Tensor, cost: Tensor, settings: PenaltySettings) -> Tensor:
    """ProxylessNAS's add#linear: loss + weight * (cost - target) / target."""
    return loss + settings.weight * (cost - settings.target) / settings.target


NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda excess: excess,
    "positive": lambda excess: excess.clamp_min(0),
    "negative": lambda excess: excess.clamp_max(0),
    "absolute": torch.abs,
}
"""NNI's functions of cost / baseline - 1."""


def _nni_add(name: str) -> Penalty:
    def penalty(loss: Tensor, cost: Tensor, settings: PenaltySettings) -> Tensor:
        return loss + settings.scale * NONLINEARITIES[name](cost / settings.target - 1)

    return penalty


def _nni_mul(name: str) -> Penalty:
    def penalty(loss: Tensor, cost: Tensor, settings: PenaltySettings) -> Tensor:
        return loss * (1 + NONLINEARITIES[name](cost / settings.target - 1)).pow(settings.scale)

    return penalty


PENALTIES: dict[str, Penalty] = {
    "squared": squared,
    "hinge": hinge,
    "fbnet_mul": fbnet_mul,
    "fbnet_add": fbnet_add,
    "mul#log": proxyless_mul,
    "add#linear": proxyless_add,
    **{f"nni_add_{name}": _nni_add(name) for name in NONLINEARITIES},
    **{f"nni_mul_{name}": _nni_mul(name) for name in NONLINEARITIES},
}
"""Penalties by the name users type."""

LOGARITHMIC = {"fbnet_mul": ("smallest cost of the space",), "mul#log": ("smallest cost of the space", "target")}
"""Of what a penalty takes logarithms."""


def make_penalty(name: str, settings: PenaltySettings, minimum: float) -> Callable[[Tensor, Tensor], Tensor]:
    """A penalty as a function (loss, expected cost) -> loss.

    Args:
        name: a key of `PENALTIES`.
        settings: target and strengths.
        minimum: the smallest cost of the space, in the same unit; no expected cost is below it.

    Raises:
        UserError: unknown name, a target that is not positive, or a logarithm of something that is not above 1.
    """
    penalty = choose("hardware loss", name, PENALTIES)
    if not settings.target > 0:
        raise UserError(f"--target-hc {settings.target:g} must be above 0")
    values = {"smallest cost of the space": minimum, "target": settings.target}
    for what in LOGARITHMIC.get(name, ()):
        if not values[what] > 1:
            raise UserError(
                f"--hc-loss {name} takes a logarithm: the {what} must exceed 1, in the unit of --target-hc, and is "
                f"{values[what]:.4g}; use a finer unit, or another form such as squared, hinge or add#linear"
            )

    def penalised(loss: Tensor, cost: Tensor) -> Tensor:
        return penalty(loss, cost, settings)

    return penalised


class Multipliers:
    """Hard targets: an augmented Lagrangian whose multipliers are adapted by dual ascent during the training.

    Each constraint has an excess g = expected cost / target - 1. The loss gets max(0, multiplier + damping * g) * g,
    the factor without a gradient of its own, and after each step multiplier += rate * g, not below zero. Without the
    damping they chase each other, because the cost is linear in the probabilities.

    With `fill`, the factor of the constraint that is nearest to its target may be negative, so that what is allowed is
    also used: gradient searches drift to cheap architectures, which train faster. Several constraints pulling at once
    would push each other over their limits.

    Args:
        targets: upper limits, in the unit of the expected costs.
        rate: step of the dual ascent.
        damping: weight of the quadratic term.
        fill: whether to pull the tightest cost up to its target.
        bound: greatest absolute value of a multiplier.
    """

    def __init__(
        self,
        targets: Sequence[float],
        rate: float = 0.05,
        damping: float = 4.0,
        fill: bool = True,
        bound: float = 100.0,
    ) -> None:
        if not all(target > 0 for target in targets):
            raise UserError("a hard target must be above 0")
        self.targets = torch.tensor(targets, dtype=torch.float64)
        self.values = torch.zeros(len(targets), dtype=torch.float64)
        self.rate, self.damping, self.fill, self.bound = rate, damping, fill, bound

    def to(self, device: torch.device) -> Multipliers:
        """Move to a device, in place."""
        self.targets, self.values = self.targets.to(device), self.values.to(device)
        return self

    def penalised(self, loss: Tensor, costs: Tensor) -> Tensor:
        """The loss with the constraints' terms: the augmented Lagrangian of `g_k <= 0`, minimised.

        Args:
            loss: scalar.
            costs: (K,) expected costs; gradients flow through them.
        """
        excess = costs.to(torch.float64) / self.targets - 1  # g_k = E[cost_k] / target_k - 1
        with torch.no_grad():  # factor_k = max(0, multiplier_k + damping * g_k), held fixed in the gradient
            factors = self._at_least_zero(self.values + self.damping * excess, excess)
        return loss + (factors * excess).sum().to(loss.dtype)

    @torch.no_grad()
    def ascend(self, costs: Tensor) -> None:
        """Take in the costs (K,) of the step just made; nothing waits for the device."""
        excess = costs.to(torch.float64) / self.targets - 1
        # dual ascent: multiplier_k <- max(0, multiplier_k + rate * g_k)
        self.values = self._at_least_zero(self.values + self.rate * excess, excess)

    def _at_least_zero(self, values: Tensor, excess: Tensor) -> Tensor:
        lowest = torch.zeros_like(values)
        if self.fill:  # the constraint nearest to its target may pull, down to -bound
            lowest = torch.where(excess == excess.max(), torch.full_like(values, -self.bound), lowest)
        return torch.maximum(values, lowest).clamp(-self.bound, self.bound)

    def state_dict(self) -> dict[str, Any]:
        """Tensors."""
        return {"values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.values = state["values"].to(self.values.device)
