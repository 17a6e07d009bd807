"""Faults of a training: numbers that are none, and a lack of memory; each is one line that says a way on."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from config_file.errors import UserError, out_of_memory
from config_file.quantity import quantity
from config_file.ranks import compare
from training.checkpoint import Checkpoint
from training.distributed import fingerprint
from training.optimizers import LEARNING_RATES
from training.recipe import Recipe
from training.state import TrainingState
from training.trainer import Pass


class DivergedError(UserError):
    """A training whose loss or weights are no numbers any more."""


@contextmanager
def explained(recipe: Recipe, images: int, run: Pass | None = None) -> Iterator[None]:
    """Inside, a lack of memory is one line: of a pass over so many images, None: of what is trained beside the weights.

    Raises:
        UserError: memory is used up; the line names the path and the batch, and the pieces that would do.
    """
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
    else:
        return
    where = "the step beside the weights" if run is None else f"a pass along {run.__doc__ or 'a path of your own'}"
    pieces, number = recipe.ranks.accumulate, f"rank {recipe.ranks.number}, " if recipe.ranks.count > 1 else ""
    ways = "a smaller --resolution"
    if images >= 4:
        ways = (
            f"--accumulate {2 * pieces} gives the same gradient in pieces of {images // 2} (batch norms then see "
            f"{images // 2} images at a time, not {images}), and may be given with --resume; or {ways}"
        )
    raise UserError(
        f"out of memory ({number}{recipe.device}) in {where}, over {quantity(images, 'image')} of a batch of "
        f"{recipe.batch_size}: {ways}"
    )


def finite(gradients: Sequence[Tensor]) -> bool:
    """True where all gradients are numbers; waits for the device."""
    norms = torch._foreach_norm(list(gradients), math.inf)
    return not norms or bool(torch.stack(norms).isfinite().all())


def skipped(recipe: Recipe, state: TrainingState) -> None:
    """Count a step that was left out. Raises DivergedError where too many were."""
    state.skipped += 1
    if state.skipped > recipe.options.most_skipped:
        *first, last = _remedies(recipe)
        raise DivergedError(
            f"the gradients of {state.skipped} steps, the last one step {state.step:,}, were NaN or infinite, over "
            f"--most-skipped {recipe.options.most_skipped}: try {', '.join(first)} or {last}"
        )


def check_finite(recipe: Recipe, state: TrainingState, checkpoint: Checkpoint | None) -> None:
    """Before a checkpoint replaces the one before: loss and weights must be numbers."""
    if not math.isfinite(state.totals.read()[0]):
        diverged(recipe, state, checkpoint, "loss")
    weights = [p.detach() for p in state.model.state_dict().values() if p.is_floating_point()]
    if not all(math.isfinite(norm) for norm in torch.stack(torch._foreach_norm(weights, math.inf)).tolist()):
        diverged(recipe, state, checkpoint, "weights")
    if recipe.ranks.count > 1:
        compare({"weights and what is trained beside them": fingerprint(state.trained_tensors())})


def diverged(recipe: Recipe, state: TrainingState, checkpoint: Checkpoint | None, what: str) -> None:
    """Raise DivergedError: what is no number, where, ways on, and what is kept."""
    epoch, position = divmod(state.step - 1, recipe.steps_per_epoch)
    kept = "; there was no checkpoint yet"
    if checkpoint is not None and checkpoint.path.is_file():
        kept = f"; the last good checkpoint is kept in {checkpoint.path.parent}"
    *first, last = _remedies(recipe)
    raise DivergedError(
        f"the {what} became NaN or infinite in epoch {epoch + 1}, by step {position + 1} of {recipe.steps_per_epoch}: "
        f"try {', '.join(first)} or {last}{kept}"
    )


def _remedies(recipe: Recipe) -> list[str]:
    """Ways out of a divergence, from the values that the training has."""
    options = recipe.options
    ways = [f"a lower --lr (it is {options.lr:g})"]
    usual = LEARNING_RATES.get(options.optimizer, options.usual_lr)
    if options.lr > usual:
        ways[0] = f"a lower --lr (it is {options.lr:g}, {options.optimizer} takes about {usual:g})"
    if options.warmup_epochs < options.epochs:
        begun = options.warmup_epochs
        ways.append(f"more --warmup-epochs (they are {begun:g})" if begun else "--warmup-epochs 1")
    limit = options.clip_grad_norm
    ways.append(f"a lower --clip-grad-norm (it is {limit:g})" if limit else "a limit, as --clip-grad-norm 5")
    if recipe.amp is not None:
        ways.append("--amp off")
    return ways
