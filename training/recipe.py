"""Recipe: the fixed settings of a training."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor

from config_file.errors import UserError
from config_file.fields import options_of
from config_file.options import deciding
from lookup_tables.options import ConstraintOptions
from training.trainer import Trainer


class Recipe:
    """The settings of a training; functions of the step number, so that a resumed run needs them and its state only.

    Args:
        trainer: says what each step trains, and on which images.
        until: the epochs after which it is left, its schedule as it was; none: all of them.

    Attributes:
        images: those that weights are fitted on.
        ranks: the processes that train together.
        batch_size: images of a batch, those of all ranks together.
        rate: step -> learning rate.
        steps_per_epoch, steps: optimizer steps of an epoch, and of the whole training.

    Raises:
        UserError: an unknown schedule, or a batch too small for the pieces it is split into.
    """

    def __init__(self, trainer: Trainer, until: int | None = None) -> None:
        context, options = trainer.context, trainer.context.options
        self.trainer, self.options = trainer, options
        self.images, self.task = context.images, context.images.task
        self.device, self.amp = context.device, context.amp
        self.ranks, self.batch_size = context.ranks, context.batch_size
        self.ranks.check(self.batch_size, synchronised=options.sync_bn)
        if options.sync_bn and getattr(options, "recompute", False):
            raise UserError("--sync-bn: not with --recompute, whose second pass no other rank takes part in")
        self.steps_per_epoch = context.steps_per_epoch
        self.steps: int = (options.epochs if until is None else until) * self.steps_per_epoch
        self.rate = trainer.schedule(self.steps_per_epoch)

    def batches(self, epoch: int, start: int = 0) -> Iterator[tuple[Tensor, Tensor]]:
        """This rank's part of the batches of an epoch from position `start` on: x (B, C, H, W), y (B,) or (B, O)."""
        return self.images.batches(
            self.options.batch_size,
            seed=self.options.random_seed,
            epoch=epoch,
            shuffle=True,
            augment=True,
            start=start,
            drop_last=len(self.images) >= self.options.batch_size,
            device=self.device,
            channels_last=self.options.channels_last,
            part=self.ranks.part,
        )


def trajectory(options: Any) -> dict[str, Any]:
    """The options that decide the course of a training, by flag: with another value, going on is another training.

    Those of costs count where something is limited, or a trainer has options of its own for costs.
    """
    deciders = deciding(options, "training")
    if "--hc-mode" in deciders:
        return deciders
    deciders.pop("--constraint", None)  # of what is derived and searched later, not of the paths that are trained
    if any(deciders.get(flag) is not None for flag in ("--target-hc", "--min-hc")):
        return deciders
    costs = {spec.flag for spec in options_of(ConstraintOptions).values()}
    return {flag: value for flag, value in deciders.items() if flag not in costs}
