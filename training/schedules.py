"""Learning rates as pure functions of the step: a resumed run needs to know nothing but where it stopped."""

import math
from collections.abc import Callable
from typing import Any

from config_file.errors import choose


def cosine(t: int, steps: int, *_: float) -> float:
    """Half a cosine from 1 to 0 without restarts (SGDR, Loshchilov and Hutter 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * min(t, steps) / steps))


def linear(t: int, steps: int, *_: float) -> float:
    """A straight line from 1 to 0, as SPOS trains."""
    return max(0.0, 1.0 - t / steps)


def drops(t: int, steps: int, every: int, ratio: float) -> float:  # noqa: ARG001 - every schedule is called alike
    """`ratio` once every `every` steps."""
    return ratio ** (t // every)


def constant(*_: float) -> float:
    """Always 1."""
    return 1.0


SCHEDULES: dict[str, Callable[[int, int, int, float], float]] = {
    "cosine": cosine,
    "step": drops,
    "linear": linear,
    "constant": constant,
}
"""(step after the warm-up, steps to spread the schedule over, steps between two drops, factor of a drop) -> factor."""


def make_schedule(options: Any, steps_per_epoch: int) -> Callable[[int], float]:
    """The learning rate of every optimizer step.

    It first rises linearly from lr/n to lr over the n steps of --warmup-epochs; the schedule spans what is left.

    Raises:
        UserError: unknown name.
    """
    shape = choose("lr scheduler", options.lr_scheduler, SCHEDULES)
    lr, epochs = options.lr, options.epochs
    warmup = round(options.warmup_epochs * steps_per_epoch)
    steps = max(1, epochs * steps_per_epoch - warmup)
    every = max(1, round((epochs / 3 if options.decay_step is None else options.decay_step) * steps_per_epoch))
    ratio = 0.1 if options.decay_ratio is None else options.decay_ratio

    def rate(step: int) -> float:
        found: float = lr * (step + 1) / warmup if step < warmup else lr * shape(step - warmup, steps, every, ratio)
        return found

    return rate
