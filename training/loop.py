"""The training loop: one step, and the epochs around it with progress, metrics, checkpoints and Ctrl-C."""

import math
import time
from collections.abc import Callable

import torch
from torch import Tensor

from config_file.quantity import quantity
from config_file.ranks import gather
from training.checkpoint import Checkpoint
from training.device import seed_step
from training.distributed import Step, weighted
from training.faults import check_finite, diverged, explained, finite, skipped
from training.optimizers import update, zero_grad
from training.recipe import Recipe
from training.recipe_options import SKIP
from training.state import TrainingState
from training.stopping import Progress
from training.synchronised import synchronised
from training.trainer import Reporter, TrainingStep

ROWS_EVERY = 50  # steps between two rows of metrics, where an epoch is longer than that


def train_step(recipe: Recipe, state: TrainingState, x: Tensor, y: Tensor, *, asked: bool = False) -> Tensor | None:
    """One optimizer step on this rank's part of a batch, x (B, C, H, W), y (B,) or (B, O).

    The gradients of the step's passes are summed, not averaged, as FairNAS does; over pieces and ranks they are those
    of the mean over all images. Only the step's parameters are clipped (their norm as a whole) and stepped, and
    afterwards every gradient is None again. Nothing here waits for the device.

    Returns on how many ranks a stop is `asked` for, as a tensor (); None in one process.
    """
    number, rate = state.step, recipe.rate(state.step)
    trainer, ranks, skips = recipe.trainer, recipe.ranks, recipe.options.on_nan == SKIP
    with synchronised(ranks, recipe.options.sync_bn):
        with explained(recipe, len(x)):
            trainer.before(number, x, y, state.optimizer, rate)
        planned = trainer.step(number)
        step, totals = Step(ranks, trainer.modules(), keep=skips), state.totals.copy() if skips else None
        _run(recipe, state, planned, step, x, y)
    gradients = [p.grad for p in planned.parameters if p.grad is not None]
    stops = step.put_together(gradients, asked)
    state.step += 1
    if totals is not None and state.scaler is None and not finite(gradients):
        step.undo()
        state.totals = totals
        zero_grad(planned.parameters)
        skipped(recipe, state)
        return stops
    if state.scaler is not None:
        state.scaler.unscale_(state.optimizer)
    if recipe.options.clip_grad_norm:
        torch.nn.utils.clip_grad_norm_(planned.parameters, recipe.options.clip_grad_norm, foreach=True)
    update(state.optimizer, planned.parameters, rate, state.scaler)
    zero_grad(planned.parameters)
    if state.average is not None:
        state.average.update(number)
    return stops


def _run(recipe: Recipe, state: TrainingState, planned: TrainingStep, step: Step, x: Tensor, y: Tensor) -> None:
    """The passes of a step, forward and backward, on one piece of the batch after another."""
    ranks = recipe.ranks
    for done, piece in enumerate(ranks.split(x, y, recipe.batch_size), start=1):
        seed_step(recipe.device, recipe.options.random_seed, state.step, piece.number)
        for run in planned.passes:
            with explained(recipe, len(piece.x), run):
                loss, outputs = run(piece.x, piece.y)  # scalar, (B, O)
                scaled = weighted(loss, piece.share)
                (scaled if state.scaler is None else state.scaler.scale(scaled)).backward()
            state.totals.add(loss.detach(), outputs.detach(), piece.y)
        step.take_in(piece, last=done == ranks.accumulate)


def fit(
    recipe: Recipe,
    state: TrainingState,
    reporter: Reporter,
    *,
    validate: Callable[[], dict[str, float]] | None = None,
    checkpoint: Checkpoint | None = None,
    enough: Callable[[TrainingState], bool] = lambda state: False,
    how_to_resume: str = "",
    description: str = "",
) -> None:
    """Train from `state.step` to the end of the recipe.

    Args:
        state: where to begin; holds the result afterwards.
        validate: gives numbers for the metrics, "val_" and the metric's name among them; None for no validation.
        checkpoint: where `state` is saved, and kept as the best after a validation that is better than all before; with
            None, Ctrl-C ends the training at once.
        enough: asked between two epochs whether the training ends here, before its last step.
        how_to_resume: command line that goes on after an interruption.
        description: in front of the progress bar, "" for no bar.

    Raises:
        DivergedError: the loss or a weight is not finite; the checkpoint before is left as it was.
        KeyboardInterrupt: Ctrl-C or SIGTERM, once the running step has ended and a checkpoint is written.
    """
    checkpoints = recipe.options.checkpoint_every * recipe.steps_per_epoch
    validations = recipe.options.validate_every * recipe.steps_per_epoch

    minutes, saved = recipe.options.checkpoint_minutes, time.monotonic()

    def save() -> None:
        nonlocal saved
        check_finite(recipe, state, checkpoint)
        state.gather()
        _write(recipe, state, checkpoint)
        saved = time.monotonic()

    def late(row: bool) -> bool:
        """True where the last checkpoint is too old; of several ranks the first one tells, when a row is written."""
        if minutes is None or not (row or recipe.ranks.count == 1):
            return False
        return bool(recipe.ranks.first(lambda: time.monotonic() - saved >= 60 * minutes))

    if not recipe.steps and validate is not None:
        state.validation = validate()
    with Progress(
        recipe.steps, state.step, description, how_to_resume=how_to_resume, catch=checkpoint is not None
    ) as steps:
        while state.step < recipe.steps and not (enough(state) or recipe.trainer.ended()):
            epoch, position = divmod(state.step, recipe.steps_per_epoch)
            started = clock = time.perf_counter()
            for x, y in recipe.batches(epoch, position):
                stops = train_step(recipe, state, x, y, asked=steps.asked)
                position += 1
                last = position == recipe.steps_per_epoch
                row = position % ROWS_EVERY == 0 or last
                if row:
                    steps.show(loss=_write_row(recipe, state, reporter, checkpoint))
                validated = validate is not None and (state.step % validations == 0 or state.step == recipe.steps)
                if validate is not None and validated:
                    state.validation = validate()
                    reporter.metric(state.step, **state.validation)
                    key = f"val_{recipe.task.metric}"
                    if recipe.task.better(state.validation[key], state.best.get(key, recipe.task.worst)):
                        state.best = {key: state.validation[key], "step": state.step}
                if last:
                    _end_epoch(recipe, state, reporter, validated, time.perf_counter() - started)
                    recipe.trainer.epoch_ended(state.step, reporter)
                now = time.perf_counter()
                state.seconds += now - clock
                clock = now
                ends = last and (recipe.trainer.ended() or state.step == recipe.steps)
                due = state.step % checkpoints == 0 or ends or state.is_best or late(row)
                steps.done(state.step, save, due=due, stop=_agreed(stops, row))
        if validate is not None and not state.validation:  # ended by the trainer before the first one
            state.validation = validate()


def _agreed(stops: Tensor | None, waited: bool) -> bool | None:
    """True where all ranks stop after this step, as any of them was asked to; None in one process.

    A GPU tells only where it is `waited` for anyway.
    """
    if stops is None:
        return None
    return bool((waited or stops.device.type == "cpu") and stops.item())


def _write_row(recipe: Recipe, state: TrainingState, reporter: Reporter, checkpoint: Checkpoint | None) -> float:
    """The means since the row before, none where all steps were skipped; returns the loss."""
    loss, measured, images = state.totals.read()
    if not math.isfinite(loss):
        diverged(recipe, state, checkpoint, "loss")
    before = state.reported
    count = images - before[2]
    sums = {"loss": loss - before[0], recipe.task.metric: measured - before[1]}
    means = {name: value / count for name, value in sums.items() if count}
    reporter.metric(state.step, epoch=state.step / recipe.steps_per_epoch, lr=recipe.rate(state.step - 1), **means)
    state.reported = loss, measured, images
    return means.get("loss", math.nan)


def _end_epoch(recipe: Recipe, state: TrainingState, reporter: Reporter, validated: bool, seconds: float) -> None:
    loss, measured, images = state.reported
    task, key = recipe.task, f"val_{recipe.task.metric}"
    text = f"epoch {state.step // recipe.steps_per_epoch}/{recipe.options.epochs}: " + ("" if images else "no loss")
    if images:
        text += f"loss {loss / images:.3f}, training {task.title} {task.show(measured / images, 1)}"
    validation = state.validation
    if validated:
        text += f", validation {task.title} {task.show(validation[key], 1)}"
        if f"{key}_min" in validation:
            text += f" ({task.show(validation[f'{key}_min'], 1)} to {task.show(validation[f'{key}_max'], 1)})"
        if "val_top5" in validation:
            text += f", top-5 {task.show(validation['val_top5'], 1)}"
    if state.skipped:
        text += f", {quantity(state.skipped, 'step')} skipped"
    if replaced := recipe.ranks.sum_of(recipe.images.replaced):
        text += f", {quantity(replaced, 'unreadable image')} replaced"
    reporter.log(f"{text}, {seconds:.1f} s")
    state.totals.clear()
    state.reported = (0.0, 0.0, 0)


def _write(recipe: Recipe, state: TrainingState, checkpoint: Checkpoint | None) -> None:
    if checkpoint is not None and recipe.ranks.number == 0:
        checkpoint.save(state)
        if state.is_best:
            checkpoint.keep_as_best()
    if recipe.ranks.count > 1:
        gather(None)  # a slow disk is no rank that hangs
