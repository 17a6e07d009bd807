"""Losses: functions (outputs (B, O), targets) -> scalar tensor, which a training minimises.

Targets are labels (B,) of a classification, or coordinates (B, O) of landmarks, as shares of width and height. An entry
of `LOSSES` is called with the options of the stage and gives a loss; one that has options of its own carries their
class as `Options`. A task names the losses that train it; a loss that fits further tasks names them as `tasks`, and one
that neither side speaks of fits them all.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from config_file.errors import UserError, choose
from config_file.plugins import guarded, is_reference, load_object, reference_of
from tasks import CLASSIFICATION, TASKS, Task

Loss = Callable[[Tensor, Tensor], Tensor]

WIDTH, CURVATURE = 10.0, 2.0
SIDE = 112.0
"""Of the wing loss: its constants are lengths in pixels of a face this wide."""


def cross_entropy(options: Any) -> Loss:
    """Cross-entropy with the label spread over all classes by --label-smoothing (Szegedy et al. 2016)."""
    return partial(F.cross_entropy, label_smoothing=options.label_smoothing)


def wing(options: Any) -> Loss:  # noqa: ARG001 - every loss is made alike
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


def l2(options: Any) -> Loss:  # noqa: ARG001 - every loss is made alike
    """Squared distance, summed over the coordinates of an image, mean over images: NNI's for PFLD, without angles."""

    def loss(outputs: Tensor, targets: Tensor) -> Tensor:
        return (outputs - targets).square().sum(1).mean()

    return loss


LOSSES: dict[str, Callable[[Any], Loss]] = {"cross_entropy": cross_entropy, "wing": wing, "l2": l2}


def make_loss(options: Any, task: Task = CLASSIFICATION) -> Loss:
    """The loss that `options.loss` names: in `LOSSES`, or "package.module:callable"; None is the task's first.

    The user's callable is the loss itself: (outputs, targets) -> scalar; it does its own smoothing.

    Raises:
        UserError: unknown name, a loss of another task, or a callable that cannot be loaded.
    """
    fitting = losses_of(task)
    if options.loss is None and not fitting:
        raise UserError(f"no loss is for {task.name}: give --loss module:callable")
    name = options.loss or fitting[0]
    if is_reference(name):
        return _checked(name, load_object(name))
    make = choose("loss", name, LOSSES)
    if name not in fitting:
        raise UserError(f"--loss {name} is not for {task.name}: {' or '.join(fitting)}, or module:callable")
    reference = reference_of(name, make, "training")
    return make(options) if reference is None else _checked(reference, guarded(reference, make)(options))


def losses_of(task: Task) -> list[str]:
    """The names of the losses that train a task, its default first."""
    spoken_of = {name for other in TASKS.values() for name in other.losses}
    others = [name for name in LOSSES if name not in task.losses]

    def fits(name: str) -> bool:
        tasks = getattr(LOSSES[name], "tasks", None)
        return name not in spoken_of if tasks is None else task.name in tasks

    return [*task.losses, *filter(fits, others)]


def _checked(reference: str, own: Loss) -> Loss:
    """A loss of the user's own, whose exceptions become one line, and which must give a scalar with a gradient."""
    call = guarded(reference, own)

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
