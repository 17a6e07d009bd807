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

RECENT = 0.9  # decay of the average in which multipliers are measured

Penalty = Callable[[Tensor, Tensor, float, Any], Tensor]
"""(loss, expected cost, target, options) -> loss with the penalty; scalars. The target is the reference of ratios."""


WEIGHTS = {"relative": 1.0, "hinge": 1.0, "squared": 0.005, "add#linear": 0.2}
"""Weights of the forms that have one, unless --hc-weight says another: of `squared` OSNASLib's, of `add#linear`
ProxylessNAS's. That of `squared` depends on the unit of the cost and the size of the networks, the others do not.
"""


def _weight(options: Any, form: str) -> float:
    return WEIGHTS[form] if options.hc_weight is None else float(options.hc_weight)


def relative(loss: Tensor, cost: Tensor, target: float, options: Any) -> Tensor:
    """Two-sided and without a unit: loss + weight * (cost / target - 1)^2."""
    return loss + _weight(options, "relative") * (cost / target - 1).square()


def hinge(loss: Tensor, cost: Tensor, target: float, options: Any) -> Tensor:
    """Nothing below the target: loss + weight * max(0, cost / target - 1)."""
    return loss + _weight(options, "hinge") * (cost / target - 1).clamp_min(0)


def squared(loss: Tensor, cost: Tensor, target: float, options: Any) -> Tensor:
    """OSNASLib's, two-sided: loss + weight * (cost - target)^2."""
    return loss + _weight(options, "squared") * (cost - target).square()


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
    return loss + _weight(options, "add#linear") * (cost - target) / target


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
    "relative": relative,
    "hinge": hinge,
    "squared": squared,
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
                f"and is {values[what]:.4g}; use a finer unit, or another form such as relative, hinge or add#linear"
            )
    return lambda loss, cost: penalty(loss, cost, target, options)


class Multipliers:
    """Hard targets: an augmented Lagrangian whose multipliers are adapted by dual ascent during the training.

    Each constraint has an excess g = expected cost / target - 1. The loss gets unit * max(0, u + damping * g) * g, the
    factor without a gradient of its own, and after each step u += rate * g, not below zero. Without the damping they
    chase each other, because the cost is linear in the probabilities.

    The unit is |dL/da| / |dg/da|, averaged over recent steps (`measure`): where dL/da + multiplier * dg/da = 0, a
    multiplier is at most that (Cauchy-Schwarz), whatever the loss, the cost and the number of logits. Hence the
    anti-windup: u stays within `bound`, and where damping * |g| exceeds 1 it rests, since the damping alone then moves
    the cost back, and what was added meanwhile would push it past its target for long.

    With `fill`, the factor of the constraint that is nearest to its target may be negative, so that what is allowed is
    also used: gradient searches drift to cheap architectures, which train faster. Several constraints pulling at once
    would push each other over their limits.

    Args:
        targets: upper limits, in the unit of the expected costs.
        rate: step of the dual ascent.
        damping: weight of the quadratic term.
        fill: whether to pull the tightest cost up to its target.
        bound: greatest absolute value of u.
    """

    def __init__(
        self,
        targets: Sequence[float],
        rate: float = 0.05,
        damping: float = 10.0,
        fill: bool = True,
        bound: float = 1.0,
        device: torch.device | None = None,
    ) -> None:
        self.targets = torch.tensor(targets, dtype=torch.float64, device=device)
        self.values = torch.zeros_like(self.targets)  # u
        self.units = torch.ones_like(self.targets)
        self.measured = torch.zeros_like(self.targets[0])  # weight of what the units were measured by, below 1
        self.rate, self.damping, self.fill, self.bound = rate, damping, fill, bound

    def factors(self, costs: Tensor) -> Tensor:
        """(K,): what multiplies the excess of each of the costs (K,)."""
        excess = self.excess(costs)
        return self.units * self._at_least_zero(self.values + self.damping * excess, excess)

    def excess(self, costs: Tensor) -> Tensor:
        """(K,): g_k = E[cost_k] / target_k - 1."""
        return costs.to(torch.float64) / self.targets - 1

    def penalised(self, loss: Tensor, costs: Tensor) -> Tensor:
        """The loss with the terms of the expected costs (K,): the augmented Lagrangian of `g_k <= 0`, minimised."""
        factors = self.factors(costs.detach())  # unit_k * max(0, u_k + damping * g_k), held fixed in the gradient
        return loss + (factors * self.excess(costs)).sum().to(loss.dtype)

    @torch.no_grad()
    def measure(self, gradient: Tensor, pulls: Tensor) -> None:
        """Take in the gradients of a step's loss without penalty, (...), and of each excess, (K, ...).

        Call it after `factors` or `penalised` of that step, and before `ascend`.
        """
        ratio = gradient.double().norm() / pulls.double().flatten(1).norm(dim=1).clamp_min(1e-12)
        # An average of decay 0.9 that starts at the first ratio (Adam's correction of the bias).
        measured = RECENT * self.measured + (1 - RECENT)
        self.units = (RECENT * self.measured * self.units + (1 - RECENT) * ratio) / measured
        self.measured = measured

    @torch.no_grad()
    def ascend(self, costs: Tensor) -> None:
        """Take in the costs (K,) of the step just made; nothing waits for the device."""
        excess = self.excess(costs)
        # dual ascent: u_k <- max(0, u_k + rate * g_k), at rest where the damping alone is enough
        moved = self._at_least_zero(self.values + self.rate * excess, excess)
        self.values = torch.where((self.damping * excess).abs() <= 1, moved.clamp(-self.bound, self.bound), self.values)

    def _at_least_zero(self, values: Tensor, excess: Tensor) -> Tensor:
        lowest = torch.zeros_like(values)
        if self.fill:  # the constraint nearest to its target may pull
            lowest = torch.where(excess == excess.max(), torch.full_like(values, -torch.inf), lowest)
        return torch.maximum(values, lowest)

    def state_dict(self) -> dict[str, Any]:
        return {"values": self.values, "units": self.units, "measured": self.measured}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for name in ("values", "units", "measured"):
            setattr(self, name, state[name].to(self.values.device))
