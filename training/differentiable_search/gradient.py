"""The gradient of the architecture parameters, of first or second order.

First order takes the weights as they are. Second order (DARTS, Liu et al. 2019, eq. 7 and 8) differentiates through one
step of the weights, w' = w - lr * (momentum + dL_train/dw + decay * w), with their Hessian-vector product as a central
difference: two more passes forward and backward for the training loss at w +- eps * dL_val/dw'.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from supernet.gating import statistics_kept

EPSILON = 0.01  # length of the two steps along dL_val/dw', as in DARTS

Gradient = Callable[[Sequence[Tensor]], Sequence[Tensor | None]]
"""The gradient of a loss with respect to tensors, at weights and architecture parameters as they are when it is called;
None for those that it does not reach."""


def of_loss(loss: Callable[[], Tensor]) -> Gradient:
    """The gradient of a loss () that is computed in this process."""
    return lambda inputs: torch.autograd.grad(loss(), inputs, allow_unused=True)


@dataclass(frozen=True)
class WeightUpdate:
    """The step of the weights that second order looks through.

    Of sgd, momentum and weight decay are taken into account, of other optimizers the plain gradient step.
    """

    parameters: Sequence[nn.Parameter]
    optimizer: Optimizer
    lr: float

    def drift(self, parameter: nn.Parameter, gradient: Tensor) -> Tensor:
        """The step of a parameter over lr, which is subtracted: momentum * m + dL_train/dw + decay * w."""
        group = self.optimizer.param_groups[0]
        drift = gradient + group.get("weight_decay", 0.0) * parameter
        buffer = self.optimizer.state[parameter].get("momentum_buffer") if parameter in self.optimizer.state else None
        return drift if buffer is None else drift + group.get("momentum", 0.0) * buffer


def first_order(logits: nn.Parameter, validation: Gradient) -> Tensor:
    """The gradient of the validation loss with respect to the logits. Weights get no gradient."""
    (gradient,) = validation([logits])
    assert gradient is not None, "the loss depends on the architecture"
    return gradient


def second_order(
    logits: nn.Parameter,
    model: nn.Module,
    step: WeightUpdate,
    training: Gradient,
    validation: Gradient,
    epsilon: float = EPSILON,
) -> Tensor:
    """The gradient of the validation loss after one step of the weights.

    Args:
        model: its batch norms take in no statistics here; its weights are left as they were, bit for bit.
        training: of the training loss; the same draw of gates each time.
        validation: of the validation loss, likewise.
        epsilon: length of the steps of the central difference; its error falls with the square of it, until rounding.
    """
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    with statistics_kept(lambda: norms):
        # eq. 7: w' = w - lr * (momentum * m + dL_train/dw + decay * w); weights of options that do not run stay.
        gradients = training(step.parameters)
        moved = [(p, g) for p, g in zip(step.parameters, gradients, strict=True) if g is not None]
        weights = [p for p, _ in moved]
        with torch.no_grad():
            drifts = [-step.lr * step.drift(p, g) for p, g in moved]
        # At w': the first term of eq. 7, dL_val(w', a)/da, and the direction v = dL_val(w', a)/dw' of the second.
        with _shifted(weights, drifts):
            gradient, *found = validation([logits, *weights])
        assert gradient is not None, "the loss depends on the architecture"
        directions = [torch.zeros_like(p) if d is None else d for p, d in zip(weights, found, strict=True)]
        # eq. 8: d2L_train/da dw . v is nearly (dL_train(w+)/da - dL_train(w-)/da) / 2 eps, w+- = w +- eps * v,
        # with eps = 0.01 / |v|.
        norm = torch.stack(torch._foreach_norm(directions)).norm()
        scale = epsilon / norm.clamp_min(1e-12)
        ends = []
        for sign in (1.0, -1.0):
            with _shifted(weights, [sign * scale * d for d in directions]):
                ends.append(first_order(logits, training))
        return gradient - step.lr * (ends[0] - ends[1]) / (2 * scale)


@contextmanager
def _shifted(parameters: Sequence[nn.Parameter], shifts: Sequence[Tensor]) -> Iterator[None]:
    """Inside, every parameter is moved by its shift; afterwards it is what it was, to the bit."""
    kept = [p.detach().clone() for p in parameters]
    with torch.no_grad():
        for p, shift in zip(parameters, shifts, strict=True):
            p.add_(shift)
    try:
        yield
    finally:
        with torch.no_grad():
            for p, before in zip(parameters, kept, strict=True):
                p.copy_(before)
