"""First estimates of time: a few images, twice as many again and again for some seconds, and the line through the last
two. What is timed is left as it was: weights, batch-norm statistics and random generators.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from training.checkpoint import restore_rng_states, rng_states
from training.optimizers import zero_grad
from training.recipe import Recipe

FIRST = 3.0
"""Seconds for an estimate."""

IMAGES = 32
"""Greatest number of images that it takes."""

LONG = 86400.0
"""Seconds after which a run is so long that it is said before it starts."""


def extrapolated(run: Callable[[int], None], images: int, device: torch.device, budget: float = FIRST) -> float:
    """Seconds that `run(images)` takes, from `run` on 2, 4, 8, ... images, as far as they fit in `budget` seconds.

    It ends at `IMAGES`, or at `images` themselves. Each size runs twice, and the faster run counts. The last doubling
    says what an image adds, which is at most its share of a whole run and taken to be at least half of that.
    """

    def timed(size: int) -> float:
        began = time.perf_counter()
        run(size)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - began

    started, size = time.perf_counter(), min(2, images)
    timed(size)  # kernels are chosen
    before, less, seconds = 0, 0.0, min(timed(size), timed(size))
    while size < min(images, IMAGES) and time.perf_counter() - started + 4 * seconds < budget:
        before, less, size = size, seconds, min(2 * size, images, IMAGES)
        seconds = min(timed(size), timed(size))
    share = seconds / size
    return seconds + min(max((seconds - less) / (size - before), share / 2), share) * (images - size)


def step_seconds(recipe: Recipe, budget: float = FIRST) -> float:
    """A first estimate of the seconds of a training step: of its first pass, times the number of passes."""
    trainer, device = recipe.trainer, recipe.device
    size = -(-recipe.batch_size // recipe.ranks.count)  # of one rank
    few = min(size, IMAGES)
    batches = recipe.images.batches(
        few, augment=True, limit=few, device=device, channels_last=recipe.options.channels_last
    )
    with untouched(trainer.context.model):
        x, y = next(batches)
        planned = trainer.step(0)

        def run(images: int) -> None:
            loss, _ = planned.passes[0](x[:images], y[:images])
            loss.backward()
            zero_grad(planned.parameters)

        return extrapolated(run, size, device, budget) * len(planned.passes)


@contextmanager
def untouched(model: nn.Module) -> Iterator[None]:
    """Inside, passes in training mode move neither the model's buffers nor a global random generator for good."""
    states, kept = rng_states(), [(buffer, buffer.clone()) for buffer in model.buffers()]
    try:
        yield
    finally:
        restore_rng_states(states)
        for buffer, before in kept:
            buffer.copy_(before)


def warning(seconds: float) -> str | None:
    """A line before a run that is long by a first estimate; None before others."""
    if seconds <= LONG:
        return None
    return (
        f"long       about {duration(seconds)} on this machine by a first estimate; --plan says more, --resume goes on"
    )


def duration(seconds: float) -> str:
    """A length of time for printing: "42 s", "7 min", "3.5 h", "2.1 days"."""
    for unit, size, most in (("s", 1, 120), ("min", 60, 7200), ("h", 3600, 172800)):
        if seconds < most:
            return f"{seconds / size:.1f} {unit}" if unit == "h" or seconds < 10 else f"{seconds / size:.0f} {unit}"
    return f"{seconds / 86400:.1f} days"
