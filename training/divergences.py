"""Divergences: distances of the answers of a network that learns from those of one that teaches.

An entry of `DIVERGENCES` is called with the options and gives a function (outputs (B, O), taught (B, O)) -> scalar, a
mean over images in nats of two sets of logits. No gradient goes to what taught.

The alpha-divergence of the teacher's p from the student's q (AlphaNet, Wang et al. 2021) is

    D_alpha(p || q) = 1 / (alpha * (alpha - 1)) * sum_i q_i * ((p_i / q_i)^alpha - 1)

with KL(p || q) at alpha 1 and KL(q || p) at 0. A negative alpha weighs classes of which the student is too sure, a
positive one those that it misses; the adaptive divergence is the greater of two. (p / q)^alpha has no bound, so it is
clipped (the paper: -1, 1, clipped at 5). The gradient is that of the f-divergence,

    -sum_i q_i * rho(p_i / q_i) * grad log q_i,    rho(t) = t * f'(t) - f(t),    here (p_i / q_i)^alpha / alpha,

in which what is clipped is a weight and still teaches.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.options import options, part_of

Divergence = Callable[[Tensor, Tensor], Tensor]


def kullback_leibler(outputs: Tensor, taught: Tensor) -> Tensor:
    """KL(softmax(taught) || softmax(outputs)), both (B, O), mean over images: scalar, in nats."""
    student, teacher = F.log_softmax(outputs, dim=1), F.log_softmax(taught.detach(), dim=1)
    return F.kl_div(student, teacher, reduction="batchmean", log_target=True)


def adaptive_alpha(outputs: Tensor, taught: Tensor, least: float, most: float, clip: float) -> Tensor:
    """The greater of two clipped alpha-divergences, image by image; both (B, O): scalar, mean over images, in nats."""
    (low, low_pull), (high, high_pull) = (alpha_divergence(outputs, taught, alpha, clip) for alpha in (least, most))
    first = low > high
    value, pull = torch.where(first, low, high), torch.where(first, low_pull, high_pull)
    return (value + pull - pull.detach()).mean()


def alpha_divergence(outputs: Tensor, taught: Tensor, alpha: float, clip: float) -> tuple[Tensor, Tensor]:
    """The clipped alpha-divergence of the teacher from the student, both (B, O): its values (B,), without a gradient,
    and a quantity (B,) whose gradient is theirs.
    """
    log_q, log_p = F.log_softmax(outputs, dim=1), F.log_softmax(taught.detach(), dim=1)
    q, log_ratio = log_q.detach().exp(), log_p - log_q.detach()
    if alpha == 0:
        weighted = q * log_ratio.clamp(max=math.log(clip))
        values = -weighted
    elif alpha == 1:
        weighted = log_p.exp()  # q * (p / q)
        values = weighted * log_ratio
    else:
        power = (alpha * log_ratio).exp().clamp(max=clip)
        weighted, values = q * power / alpha, q * (power - 1) / (alpha * (alpha - 1))
    return values.sum(1), -(weighted * log_q).sum(1)


def _kl(options: Any) -> Divergence:  # noqa: ARG001 - every divergence is made alike
    return kullback_leibler


def _alpha(options: Any) -> Divergence:
    return partial(adaptive_alpha, least=options.alpha_min, most=options.alpha_max, clip=options.alpha_clip)


DIVERGENCES: dict[str, Callable[[Any], Divergence]] = {"kl": _kl, "alpha": _alpha}
"""By the name of --divergence."""

_ALPHA = {"divergence": ("alpha",)}


@options("Distillation")
class DivergenceOptions:
    """The distance of a student's answers from a teacher's."""

    divergence: str = option(
        "kl",
        "how far a student's answers are from the teacher's: {names} (kl: Kullback-Leibler; alpha: the greater of two "
        "clipped alpha-divergences, AlphaNet)",
        metavar="NAME",
        names=DIVERGENCES,
        decides="training",
    )
    alpha_min: float = option(
        -1.0, "alpha: of the divergence that punishes what is too sure", only=_ALPHA, decides="training"
    )
    alpha_max: float = option(
        1.0, "alpha: of the divergence that punishes what is missed", only=_ALPHA, decides="training"
    )
    alpha_clip: float = option(
        5.0, "alpha: greatest (p / q)^alpha that counts", above=0, only=_ALPHA, decides="training"
    )

    def rules(self) -> None:
        """Raises UserError where the two alphas are in the wrong order."""
        if self.alpha_min > self.alpha_max:
            raise UserError(f"--alpha-min {self.alpha_min:g} must be at most --alpha-max {self.alpha_max:g}")


def make_divergence(options: Any) -> Divergence:
    """The divergence that the options name. Raises UserError for an unknown name."""
    settings = part_of(options, DivergenceOptions)
    return choose("divergence", settings.divergence, DIVERGENCES)(settings)
