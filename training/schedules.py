"""Learning rates as pure functions of the step: a resumed run needs to know nothing but where it stopped."""

import math
from collections.abc import Callable

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


def make_schedule(
    name: str,
    lr: float,
    epochs: int,
    steps_per_epoch: int,
    *,
    warmup_epochs: float = 0,
    decay_step: float | None = None,
    decay_ratio: float | None = None,
) -> Callable[[int], float]:
    """The learning rate of every optimizer step.

    Args:
        lr: highest learning rate.
        warmup_epochs: the rate first rises linearly from lr/n to lr over the n steps of these epochs; the schedule
            spans what is left.
        decay_step: epochs between two drops of `step`; None: a third of them.
        decay_ratio: factor of one drop of `step`; None: 0.1.

    Raises:
        UserError: unknown name.
    """
    shape = choose("lr scheduler", name, SCHEDULES)
    warmup = round(warmup_epochs * steps_per_epoch)
    steps = max(1, epochs * steps_per_epoch - warmup)
    every = max(1, round((epochs / 3 if decay_step is None else decay_step) * steps_per_epoch))
    ratio = 0.1 if decay_ratio is None else decay_ratio

    def rate(step: int) -> float:
        return lr * (step + 1) / warmup if step < warmup else lr * shape(step - warmup, steps, every, ratio)

    return rate
