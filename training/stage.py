"""The stages that train: a training that is ready, and its course to the next command."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.ranks import on_all
from config_file.run_folder import RunFolder, Work, has_finished, run_stage
from config_file.run_mark import continued
from config_file.stages import command, stage_path
from training.agreement import agree
from training.checkpoint import LAST, Checkpoint
from training.data import Data
from training.distributed import fingerprint
from training.estimate import step_seconds, warning
from training.loop import fit
from training.options import RetrainOptions, TrainSupernetOptions
from training.recipe import Recipe, trajectory
from training.recipe_options import FittingOptions
from training.state import TrainingState
from training.trainer import Trainer

MANY = 5000
"""Passes from which on it is worth seconds to find out whether a training is long."""


@dataclass(frozen=True)
class Training:
    """A training that is ready to start, or has ended.

    Attributes:
        kind: "supernet" or "retrain", as in checkpoints.
        fingerprint: of the model, for its checkpoints.
        lines: for the log, the first about the data and the second about the model.
        validate: gives the numbers of a validation, None for none.
        title: in front of the progress bar.
    """

    kind: str
    options: FittingOptions
    data: Data
    recipe: Recipe
    state: TrainingState
    fingerprint: str
    lines: Sequence[str]
    validate: Callable[[], dict[str, float]] | None
    title: str

    @property
    def trainer(self) -> Trainer:
        """The trainer of the recipe."""
        return self.recipe.trainer

    @property
    def checkpoint(self) -> Checkpoint:
        """The latest checkpoint in the folder of the options."""
        path = stage_path(self.options) / "checkpoints" / LAST
        kept: int = self.options.checkpoints_kept
        return Checkpoint(path, self.kind, self.fingerprint, trajectory(self.options), kept=kept)

    def how(self, **more: Any) -> dict[str, Any]:
        """Settings and effort, for the description of what was trained."""
        recipe, settings = self.recipe, trajectory(self.options)
        return {
            **{flag.removeprefix("--").replace("-", "_"): value for flag, value in settings.items()},
            "steps": self.state.step,
            **more,
            "seconds": round(self.state.seconds, 1),
            "device": str(recipe.device),
            "amp": "off" if recipe.amp is None else str(recipe.amp),
        }

    def resume(self) -> None:
        """Go on from the checkpoint, if there is one."""
        checkpoint, state, ranks = self.checkpoint, self.state, self.recipe.ranks
        if not ranks.first(checkpoint.path.is_file):
            return
        if ranks.count == 1:
            checkpoint.load_into(state)
        else:  # one file for all of them: other nodes need not see it
            checkpoint.load_into(state, ranks.content(checkpoint.path))
        if not ranks.first(checkpoint.best.path.is_file) and not state.is_best:
            state.best = {}  # of a version without: the best is that from here on
        elif state.is_best and ranks.number == 0:  # it may have ended between the two files
            checkpoint.keep_as_best()

    def run(self, run: RunFolder) -> None:
        """Train to the end, reporting to `run`, with checkpoints."""
        if run.resumed:
            run.truncate_metrics(self.state.step)
            run.log(f"resumed after step {self.state.step:,} of {self.recipe.steps:,}")
        left = self.recipe.steps - self.state.step
        if self.trainer.passes(left) >= MANY and (line := warning(left * step_seconds(self.recipe))):
            run.log(line)
        fit(
            self.recipe,
            self.state,
            run,
            validate=self.validate,
            checkpoint=self.checkpoint,
            how_to_resume=f"{command(self.kind, self.options)} --resume",
            description=self.title,
        )


def run_training(
    options: TrainSupernetOptions | RetrainOptions,
    next_stage: str,
    prepare: Callable[[Any], tuple[Training, Callable[[RunFolder], None]]],
) -> Path:
    """Run a stage that trains, in its run folder, which is returned.

    Args:
        prepare: of the options makes everything ready without writing anything: the training, and what writes its
            results, the file that marks a finished stage last.

    Raises:
        UserError: bad options or data, a folder that is taken, a checkpoint that does not fit, divergence.
        KeyboardInterrupt: Ctrl-C, after the running step and a checkpoint.
    """
    options = continued(options)
    if on_all(lambda: has_finished(options)):
        print(f"{stage_path(options)} has finished already; next: {command(next_stage, options)}")
        return stage_path(options)

    def work() -> Work:
        training, finish = prepare(options)
        weights = fingerprint(training.state.trained_tensors())
        agree(options, training.data, weights=weights, trainer=training.trainer.fingerprint())

        def run(folder: RunFolder) -> None:
            training.run(folder)
            finish(folder)
            folder.log(f"next: {command(next_stage, options)}")

        return Work(run, training.lines, training.resume)

    return run_stage(options, work)
