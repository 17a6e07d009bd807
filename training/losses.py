"""What a training minimises. A loss is a function (outputs (B, O), targets) -> scalar tensor.

Targets are labels (B,) of a classification, or coordinates (B, O) of landmarks, as shares of width and height.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from config_file.errors import UserError, choose
from config_file.plugins import guarded, is_reference, load_object
from tasks import CLASSIFICATION, Task

Loss = Callable[[Tensor, Tensor], Tensor]

WIDTH, CURVATURE = 10.0, 2.0
SIDE = 112.0
"""Of the wing loss: its constants are lengths in pixels of a face this wide."""


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """Cross-entropy with the label spread over all classes by `label_smoothing` (Szegedy et al. 2016)."""

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    return loss


def wing(label_smoothing: float = 0.0) -> Loss:  # noqa: ARG001 - every loss is made alike
    """Wing loss (Feng et al. 2018): w·ln(1 + |d|/ε) for |d| < w, else |d| - C, mean over coordinates; w 10, ε 2.

    The paper gives lengths in pixels; coordinates here are shares of the image, so d is taken in pixels of an image of
    112 x 112, PFLD's, whatever the resolution is. C joins the two pieces.
    """
    offset = WIDTH - WIDTH * math.log1p(WIDTH / CURVATURE)

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        distance = SIDE * (outputs - targets).abs()
        near = WIDTH * torch.log1p(distance / CURVATURE)
        return torch.where(distance < WIDTH, near, distance - offset).mean()

    return loss


def l2(label_smoothing: float = 0.0) -> Loss:  # noqa: ARG001 - every loss is made alike
    """Squared distance, summed over the coordinates of an image, mean over images: NNI's for PFLD, without angles."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().sum(1).mean()

    return loss


LOSSES: dict[str, Callable[[float], Loss]] = {"cross_entropy": cross_entropy, "wing": wing, "l2": l2}


def make_loss(name: str | None, label_smoothing: float = 0.0, task: Task = CLASSIFICATION) -> Loss:
    """A loss by its name in `LOSSES`, or "package.module:callable" for one of the user's own; None is the task's.

    The user's callable is the loss itself: (outputs, targets) -> scalar; it does its own smoothing.

    Raises:
        UserError: unknown name, a loss of another task, a callable that cannot be loaded, or smoothing outside [0, 1).
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise UserError(f"--label-smoothing {label_smoothing} must lie in [0, 1)")
    name = name or task.losses[0]
    if is_reference(name):
        return _own_loss(name)
    made = choose("loss", name, LOSSES)(label_smoothing)
    if name not in task.losses:
        raise UserError(f"--loss {name} is not for {task.name}: {' or '.join(task.losses)}, or module:callable")
    return made


def _own_loss(reference: str) -> Loss:
    call = guarded(reference, load_object(reference))

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        value = call(outputs, targets)
        if not isinstance(value, Tensor) or value.shape != ():
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise UserError(f"--loss {reference} returned {found}; it must return a tensor of shape (), such as a mean")
        if torch.is_grad_enabled() and outputs.requires_grad and not value.requires_grad:
            raise UserError(
                f"--loss {reference} returned a tensor without gradient: it must be computed from the outputs"
            )
        return value

    return loss
