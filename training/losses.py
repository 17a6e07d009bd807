"""What a training minimises. A loss is a function (logits (B, classes), labels (B,)) -> scalar tensor."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

from config_file.errors import UserError, choose
from config_file.plugins import guarded, is_reference, load_object

Loss = Callable[[Tensor, Tensor], Tensor]


def cross_entropy(label_smoothing: float = 0.0) -> Loss:
    """Cross-entropy with the label spread over all classes by `label_smoothing` (Szegedy et al. 2016)."""

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        return F.cross_entropy(logits, labels, label_smoothing=label_smoothing)

    return loss


LOSSES: dict[str, Callable[[float], Loss]] = {"cross_entropy": cross_entropy}


def make_loss(name: str, label_smoothing: float = 0.0) -> Loss:
    """A loss by its name in `LOSSES`, or "package.module:callable" for one of the user's own.

    The user's callable is the loss itself: (logits, labels) -> scalar; it does its own smoothing.

    Raises:
        UserError: unknown name, a callable that cannot be loaded, or smoothing outside [0, 1).
    """
    if not 0.0 <= label_smoothing < 1.0:
        raise UserError(f"--label-smoothing {label_smoothing} must lie in [0, 1)")
    if is_reference(name):
        return _own_loss(name)
    return choose("loss", name, LOSSES)(label_smoothing)


def _own_loss(reference: str) -> Loss:
    call = guarded(reference, load_object(reference))

    def loss(logits: Tensor, labels: Tensor) -> Tensor:
        value = call(logits, labels)
        if not isinstance(value, Tensor) or value.shape != ():
            found = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"a {type(value).__name__}"
            raise UserError(f"--loss {reference} returned {found}; it must return a tensor of shape (), such as a mean")
        if torch.is_grad_enabled() and logits.requires_grad and not value.requires_grad:
            raise UserError(
                f"--loss {reference} returned a tensor without gradient: it must be computed from the logits"
            )
        return value

    return loss
