"""Learning rates as pure functions of the step: a resumed run needs to know nothing but where it stopped."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from config_file.errors import UserError, choose


@dataclass(frozen=True)
class ScheduleSettings:
    """Settings that a schedule may depend on; counts are optimizer steps after the warm-up.

    Attributes:
        steps: number of steps to spread the schedule over.
        decay_step: steps between two drops of the `step` schedule.
        decay_ratio: factor of one drop.
    """

    steps: int
    decay_step: int = 1
    decay_ratio: float = 1.0


def cosine(t: int, settings: ScheduleSettings) -> float:
    """Half a cosine from 1 to 0 without restarts (SGDR, Loshchilov and Hutter 2017)."""
    return 0.5 * (1.0 + math.cos(math.pi * min(t, settings.steps) / settings.steps))


def linear(t: int, settings: ScheduleSettings) -> float:
    """A straight line from 1 to 0, as SPOS trains."""
    return max(0.0, 1.0 - t / settings.steps)


def drops(t: int, settings: ScheduleSettings) -> float:
    """`decay_ratio` once every `decay_step` steps."""
    return settings.decay_ratio ** (t // settings.decay_step)


def constant(t: int, settings: ScheduleSettings) -> float:
    """Always 1."""
    del t, settings
    return 1.0


SCHEDULES: dict[str, Callable[[int, ScheduleSettings], float]] = {
    "cosine": cosine,
    "step": drops,
    "linear": linear,
    "constant": constant,
}


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
        name: key of `SCHEDULES`.
        lr: highest learning rate.
        epochs: length of the training.
        steps_per_epoch: optimizer steps in one epoch.
        warmup_epochs: the rate first rises linearly from lr/n to lr over the n steps of these epochs; the schedule
            spans what is left.
        decay_step: epochs between two drops of `step`, which needs it.
        decay_ratio: factor of one drop of `step`, which needs it.

    Raises:
        UserError: unknown name, or `step` without its numbers.
    """
    shape = choose("lr scheduler", name, SCHEDULES)
    if name == "step" and (decay_step is None or decay_ratio is None):
        raise UserError("--lr-scheduler step needs --decay-step (epochs) and --decay-ratio")
    warmup = round(warmup_epochs * steps_per_epoch)
    settings = ScheduleSettings(
        steps=max(1, epochs * steps_per_epoch - warmup),
        decay_step=max(1, round((decay_step or 0) * steps_per_epoch)),
        decay_ratio=decay_ratio or 1.0,
    )

    def rate(step: int) -> float:
        return lr * (step + 1) / warmup if step < warmup else lr * shape(step - warmup, settings)

    return rate
