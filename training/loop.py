"""The training loop: one step, and the epochs around it with progress, metrics, checkpoints and Ctrl-C."""

import math
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from types import FrameType
from typing import Self

import torch
from torch import Tensor
from tqdm import tqdm

from config_file.errors import UserError
from config_file.process import ONE_SIGNAL
from config_file.progress import progress
from config_file.ranks import compare, gather, share
from config_file.ranks import number as rank
from training.checkpoint import Checkpoint
from training.device import seed_step
from training.distributed import Step, fingerprint, weighted
from training.optimizers import LEARNING_RATES, update, zero_grad
from training.recipe import Recipe
from training.state import TrainingState
from training.trainer import Reporter


class DivergedError(UserError):
    """A training whose loss or weights are no numbers any more."""


ROWS_EVERY = 50  # steps between two rows of metrics, where an epoch is longer than that


def train_step(recipe: Recipe, state: TrainingState, x: Tensor, y: Tensor, *, asked: bool = False) -> Tensor | None:
    """One optimizer step on this rank's part of a batch, x (B, C, H, W), y (B,) or (B, O).

    The gradients of the step's passes are summed, not averaged, as FairNAS does; over pieces and ranks they are those
    of the mean over all images. Only the step's parameters are clipped (their norm as a whole) and stepped, and
    afterwards every gradient is None again. Nothing here waits for the device.

    Returns on how many ranks a stop is `asked` for, as a tensor (); None in one process.
    """
    number, rate = state.step, recipe.rate(state.step)
    trainer, ranks = recipe.trainer, recipe.ranks
    trainer.before(number, x, y, state.optimizer, rate)
    planned = trainer.step(number)
    step = Step(ranks, trainer.modules())
    for done, piece in enumerate(ranks.split(x, y, recipe.batch_size), start=1):
        seed_step(recipe.device, recipe.options.random_seed, number, piece.number)
        for run in planned.passes:
            loss, outputs = run(piece.x, piece.y)  # scalar, (B, O)
            scaled = weighted(loss, piece.share)
            (scaled if state.scaler is None else state.scaler.scale(scaled)).backward()
            state.totals.add(loss.detach(), outputs.detach(), piece.y)
        step.take_in(piece, last=done == ranks.accumulate)
    stops = step.put_together([p.grad for p in planned.parameters if p.grad is not None], asked)
    if state.scaler is not None:
        state.scaler.unscale_(state.optimizer)
    if recipe.options.clip_grad_norm:
        torch.nn.utils.clip_grad_norm_(planned.parameters, recipe.options.clip_grad_norm, foreach=True)
    update(state.optimizer, planned.parameters, rate, state.scaler)
    zero_grad(planned.parameters)
    if state.average is not None:
        state.average.update(number)
    state.step += 1
    return stops


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
        _check_finite(recipe, state, checkpoint)
        state.gather()
        _write(recipe, state, checkpoint)
        saved = time.monotonic()

    def late(row: bool) -> bool:
        """True where the last checkpoint is too old; of several ranks the first one tells, when a row is written."""
        if minutes is None or not (row or recipe.ranks.count == 1):
            return False
        return bool(share(time.monotonic() - saved >= 60 * minutes))

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


class Progress:
    """Steps with a bar in front of a person, which Ctrl-C or SIGTERM ends after the running one, saved.

    Args:
        description: in front of the bar, "" for no bar.
        noun: of a step.
        catch: False lets Ctrl-C break into a step.
    """

    def __init__(
        self,
        total: int,
        before: int,
        description: str,
        *,
        noun: str = "step",
        how_to_resume: str,
        catch: bool = True,
    ) -> None:
        self._total, self._noun, self._how_to_resume = total, noun, how_to_resume
        self._open = ExitStack()
        self._bar: tqdm[int] | None = None
        if description:
            self._bar = self._open.enter_context(progress(total, description, "step", initial=before))
        self._stop = self._open.enter_context(stop_signal()) if catch else threading.Event()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._open.close()

    def show(self, **numbers: float) -> None:
        """Numbers behind the bar."""
        if self._bar is not None:
            self._bar.set_postfix({name: f"{value:.3f}" for name, value in numbers.items()}, refresh=False)

    @property
    def asked(self) -> bool:
        """True once a stop is asked for in this process."""
        return self._stop.is_set()

    def done(self, step: int, save: Callable[[], None], *, due: bool, stop: bool | None = None) -> None:
        """Count a step as made, `step` of them by now; `save` where that is due or a stop is asked for.

        Args:
            stop: whether it is asked for; None: as `asked`.

        Raises:
            KeyboardInterrupt: it is asked for.
        """
        if self._bar is not None:
            self._bar.update()
        stop = self.asked if stop is None else stop
        if due or stop:
            save()
        if stop:
            raise KeyboardInterrupt(
                f"stopped after {self._noun} {step:,} of {self._total:,} and saved; go on with: {self._how_to_resume}"
            )


def _agreed(stops: Tensor | None, waited: bool) -> bool | None:
    """True where all ranks stop after this step, as any of them was asked to; None in one process.

    A GPU tells only where it is `waited` for anyway.
    """
    if stops is None:
        return None
    return bool((waited or stops.device.type == "cpu") and stops.item())


def _write_row(recipe: Recipe, state: TrainingState, reporter: Reporter, checkpoint: Checkpoint | None) -> float:
    """The means since the row before; returns the loss."""
    loss, measured, images = state.totals.read()
    if not math.isfinite(loss):
        _diverged(recipe, state, checkpoint, "loss")
    before = state.reported
    count = images - before[2]
    means = {"loss": (loss - before[0]) / count, recipe.task.metric: (measured - before[1]) / count}
    reporter.metric(state.step, epoch=state.step / recipe.steps_per_epoch, lr=recipe.rate(state.step - 1), **means)
    state.reported = loss, measured, images
    return means["loss"]


def _end_epoch(recipe: Recipe, state: TrainingState, reporter: Reporter, validated: bool, seconds: float) -> None:
    loss, measured, images = state.reported
    task, key = recipe.task, f"val_{recipe.task.metric}"
    text = f"epoch {state.step // recipe.steps_per_epoch}/{recipe.options.epochs}: loss {loss / images:.3f}, "
    text += f"training {task.title} {task.show(measured / images, 1)}"
    validation = state.validation
    if validated:
        text += f", validation {task.title} {task.show(validation[key], 1)}"
        if f"{key}_min" in validation:
            text += f" ({task.show(validation[f'{key}_min'], 1)} to {task.show(validation[f'{key}_max'], 1)})"
        if "val_top5" in validation:
            text += f", top-5 {task.show(validation['val_top5'], 1)}"
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


def _check_finite(recipe: Recipe, state: TrainingState, checkpoint: Checkpoint | None) -> None:
    """Before a checkpoint replaces the one before: loss and weights must be numbers."""
    if not math.isfinite(state.totals.read()[0]):
        _diverged(recipe, state, checkpoint, "loss")
    weights = [p.detach() for p in state.model.state_dict().values() if p.is_floating_point()]
    if not all(math.isfinite(norm) for norm in torch.stack(torch._foreach_norm(weights, math.inf)).tolist()):
        _diverged(recipe, state, checkpoint, "weights")
    if recipe.ranks.count > 1:
        compare({"weights and what is trained beside them": fingerprint(state.trained_tensors())})


def _diverged(recipe: Recipe, state: TrainingState, checkpoint: Checkpoint | None, what: str) -> None:
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


@contextmanager
def stop_signal() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets instead of breaking into a step; a second Ctrl-C interrupts at once.

    A process that was started to ignore a signal goes on ignoring it.
    """
    asked, asked_at = threading.Event(), 0.0
    process = os.getpid()
    if threading.current_thread() is not threading.main_thread():
        yield asked
        return

    def handle(number: int, frame: FrameType | None) -> None:
        nonlocal asked_at
        if os.getpid() != process:  # a forked data worker: it ends with its parent
            return
        if asked.is_set() and time.monotonic() - asked_at < ONE_SIGNAL:
            return
        if asked.is_set():
            if callable(outer := before[signal.Signals(number)]):
                outer(number, frame)
            raise KeyboardInterrupt
        asked.set()
        asked_at = time.monotonic()
        if rank() == 0:
            print("\nfinishing this step and saving; once more to stop at once", file=sys.stderr)

    heard = [number for number in (signal.SIGINT, signal.SIGTERM) if signal.getsignal(number) is not signal.SIG_IGN]
    before = {number: signal.signal(number, handle) for number in heard}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
