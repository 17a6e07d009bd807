"""The cost of an architecture as part of the loss: penalties on the expected cost, and hard targets.

The expected cost is that of the distribution over architectures (`CostTable.expected` on probabilities, never on raw
logits), in the unit of the flags: millions for flops and params, ms for latency. A penalty bends the search towards a
cost; only `constrained` holds a limit: multipliers that adapt during the training, and a derivation that is exact.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from config_file.errors import UserError

Penalty = Callable[[Tensor, Tensor, float, Any], Tensor]
"""(loss, expected cost, target, options) -> loss with the penalty; scalars. The target is the reference of ratios."""


def squared(loss: Tensor, cost: Tensor, target: float, options: Any) -> Tensor:
    """OSNASLib's, two-sided: loss + weight * (cost - target)^2."""
    return loss + options.hc_weight * (cost - target).square()


def hinge(loss: Tensor, cost: Tensor, target: float, options: Any) -> Tensor:
    """Nothing below the target: loss + weight * max(0, cost / target - 1)."""
    return loss + options.hc_weight * (cost / target - 1).clamp_min(0)


def fbnet_mul(loss: Tensor, cost: Tensor, _: float, options: Any) -> Tensor:
    """FBNet's (Wu et al. 2019): loss * alpha * log(cost)^beta. The cost must exceed 1."""
    return loss * options.hc_alpha * cost.log().pow(options.hc_beta)


def fbnet_add(loss: Tensor, cost: Tensor, _: float, options: Any) -> Tensor:
    """The additive form of NNI's FBNet: loss + alpha * cost^beta."""
    return loss + options.hc_alpha * cost.pow(options.hc_beta)


def proxyless_mul(loss: Tensor, cost: Tensor, target: float, options: Any) -> Tensor:
    """ProxylessNAS's mul#log: alpha * loss * (log cost / log target)^beta. Cost and target must exceed 1."""
    return options.hc_alpha * loss * (cost.log() / math.log(target)).pow(options.hc_beta)


def proxyless_add(loss: Tensor, cost: Tensor, target: float, options: Any) -> Tensor:
    """ProxylessNAS's add#linear: loss + weight * (cost - target) / target."""
    return loss + options.hc_weight * (cost - target) / target


NONLINEARITIES: dict[str, Callable[[Tensor], Tensor]] = {
    "linear": lambda excess: excess,
    "positive": lambda excess: excess.clamp_min(0),
    "negative": lambda excess: excess.clamp_max(0),
    "absolute": torch.abs,
}
"""NNI's functions of cost / baseline - 1."""


def _nni_add(name: str) -> Penalty:
    return lambda loss, cost, target, options: loss + options.hc_scale * NONLINEARITIES[name](cost / target - 1)


def _nni_mul(name: str) -> Penalty:
    return lambda loss, cost, target, options: (
        loss * (1 + NONLINEARITIES[name](cost / target - 1)).pow(options.hc_scale)
    )


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


def make_penalty(options: Any, target: float, minimum: float) -> Callable[[Tensor, Tensor], Tensor]:
    """The penalty of --hc-loss as a function (loss, expected cost) -> loss.

    Args:
        target: cost aimed at, in the unit of the flags.
        minimum: the smallest cost of the space, in the same unit; no expected cost is below it.

    Raises:
        UserError: a logarithm of something that is not above 1.
    """
    penalty = PENALTIES[options.hc_loss]
    values = {"smallest cost of the space": minimum, "target": target}
    for what in LOGARITHMIC.get(options.hc_loss, ()):
        if not values[what] > 1:
            raise UserError(
                f"--hc-loss {options.hc_loss} takes a logarithm: the {what} must exceed 1, in the unit of --target-hc, "
                f"and is {values[what]:.4g}; use a finer unit, or another form such as squared, hinge or add#linear"
            )
    return lambda loss, cost: penalty(loss, cost, target, options)


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
        device: torch.device | None = None,
    ) -> None:
        self.targets = torch.tensor(targets, dtype=torch.float64, device=device)
        self.values = torch.zeros_like(self.targets)
        self.rate, self.damping, self.fill, self.bound = rate, damping, fill, bound

    def penalised(self, loss: Tensor, costs: Tensor) -> Tensor:
        """The loss with the terms of the expected costs (K,): the augmented Lagrangian of `g_k <= 0`, minimised."""
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
        return {"values": self.values}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.values = state["values"].to(self.values.device)
