"""Recipe: the fixed settings of a training."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from config_file.fields import options_of
from config_file.options import deciding
from lookup_tables.options import ConstraintOptions
from tasks import Task
from training.data import Split
from training.recipe_options import FittingOptions
from training.schedules import make_schedule
from training.trainer import Trainer


@dataclass(frozen=True)
class Recipe:
    """The settings of a training; functions of the step number, so that a resumed run needs them and its state only.

    Attributes:
        trainer: says what each step trains, and on which images.
        rate: step -> learning rate.
        epochs: passes over the images.
        batch_size: images per step.
        seed: of order, augmentation and dropout.
        clip_grad_norm: largest norm of a step's gradient, 0 for no limit.
        device: where the model is.
        amp: number format of autocast, None for float32.
        channels_last: memory format of the images.
        checkpoint_every, validate_every: epochs from one to the next.
    """

    trainer: Trainer
    rate: Callable[[int], float]
    epochs: int
    batch_size: int
    seed: int
    clip_grad_norm: float
    device: torch.device
    amp: torch.dtype | None = None
    channels_last: bool = True
    checkpoint_every: int = 1
    validate_every: int = 1

    @property
    def images(self) -> Split:
        """The images that weights are fitted on."""
        return self.trainer.context.images

    @property
    def task(self) -> Task:
        """The task of the images."""
        return self.images.task

    @property
    def steps_per_epoch(self) -> int:
        """A last batch that is not full is left out, as BN would take its statistics from too few images."""
        return max(1, len(self.images) // self.batch_size)

    @property
    def steps(self) -> int:
        """Optimizer steps of the whole training."""
        return self.epochs * self.steps_per_epoch

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of an epoch from position `start` on: x (B, C, H, W), y (B,) or (B, O)."""
        return self.images.batches(
            self.batch_size,
            seed=self.seed,
            epoch=epoch,
            shuffle=True,
            augment=True,
            start=start,
            drop_last=len(self.images) >= self.batch_size,
            device=self.device,
            channels_last=self.channels_last,
        )


def make_recipe(options: FittingOptions, trainer: Trainer) -> Recipe:
    """The recipe that a stage's options describe.

    Raises:
        UserError: an unknown schedule.
    """
    images = trainer.context.images
    return Recipe(
        trainer=trainer,
        rate=make_schedule(
            options.lr_scheduler,
            options.lr,
            options.epochs,
            max(1, len(images) // options.batch_size),
            warmup_epochs=options.warmup_epochs,
            decay_step=options.decay_step,
            decay_ratio=options.decay_ratio,
        ),
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.random_seed,
        clip_grad_norm=options.clip_grad_norm,
        device=trainer.context.device,
        amp=trainer.context.amp,
        channels_last=options.channels_last,
        checkpoint_every=options.checkpoint_every,
        validate_every=options.validate_every,
    )


def trajectory(options: Any) -> dict[str, Any]:
    """The options that decide the course of a training, by flag: with another value, going on is another training.

    Those of costs count where something is limited, or a trainer has options of its own for costs.
    """
    deciders = deciding(options, "training")
    if "--hc-mode" in deciders or any(deciders.get(flag) is not None for flag in ("--target-hc", "--min-hc")):
        return deciders
    costs = {spec.flag for spec in options_of(ConstraintOptions).values()}
    return {flag: value for flag, value in deciders.items() if flag not in costs}
