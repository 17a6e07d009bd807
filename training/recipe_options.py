"""Options of every training: how weights are fitted, of a supernet or of one network."""

from functools import partial
from typing import Any, ClassVar

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options, was_given
from config_file.run_options import RunOptions
from supernet.spaces.options import SpaceOptions
from training.data.options import DataOptions
from training.losses import LOSSES
from training.optimizers import LEARNING_RATES, OPTIMIZERS
from training.schedules import SCHEDULES

SKIP = "skip"

# Another value makes another training of it.
course = partial(option, decides="training")


def learning_rate(usual: float, elsewhere: str = "") -> Any:
    """The option --lr of a stage whose usual rate, by sgd, is given; `elsewhere`: words on where it is another."""
    rates = ", ".join(f"{name} {rate}" for name, rate in {"sgd": f"{usual:g}{elsewhere}", **LEARNING_RATES}.items())
    meaning = f"learning rate after warm-up; none: that of the optimizer ({rates})"
    return course(None, meaning, group="Training", above=0, derived=True)


@options("Training")
class TrainingOptions:
    """Epochs, optimizer, schedule and loss, of a supernet or of one network."""

    epochs: int = course(120, "passes over the training images", at_least=0, at_most=10**6)
    optimizer: str = course("sgd", "{names}", metavar="NAME", names=OPTIMIZERS)
    usual_lr: ClassVar[float] = 0.045
    lr: float | None = learning_rate(usual_lr)
    weight_decay: float = course(4e-5, "L2 penalty", at_least=0)
    momentum: float = course(0.9, "of sgd and rmsprop", at_least=0, below=1, only={"optimizer": ("sgd", "rmsprop")})
    alpha: float | None = course(
        None, "smoothing of rmsprop; none: 0.99", at_least=0, below=1, only={"optimizer": ("rmsprop",)}
    )
    beta: float | None = course(
        None, "first beta of adam, adamw; none: 0.9", at_least=0, below=1, only={"optimizer": ("adam", "adamw")}
    )
    lr_scheduler: str = course("cosine", "{names}", metavar="NAME", names=SCHEDULES)
    warmup_epochs: float = course(0.0, "linear warm-up before the schedule", at_least=0)
    decay_step: int | None = course(
        None,
        "step schedule: between two drops; none: a third of the training",
        unit="epochs",
        at_least=1,
        only={"lr_scheduler": ("step",)},
    )
    decay_ratio: float | None = course(
        None, "step schedule: factor of a drop; none: 0.1", above=0, at_most=1, only={"lr_scheduler": ("step",)}
    )
    loss: str | None = option(
        None,
        "{names} or module:callable; none: cross_entropy, for landmarks wing",
        metavar="NAME",
        names=LOSSES,
        decides="training learning",
    )
    label_smoothing: float = option(0.1, "of the cross entropy", at_least=0, below=1, decides="training learning")
    decay_vectors: bool = course(True, "weight decay also on biases and on BN's scales and shifts (SPOS itself: false)")
    clip_grad_norm: float = course(5.0, "largest norm of a step's gradient; 0: no limit", at_least=0)
    bn_momentum: float = course(0.1, "weight of the newest batch in BN's running statistics", above=0, at_most=1)
    accumulate: int = option(
        1,
        "pieces that each process takes its part of a batch in, one after another: the same gradient, in less memory; "
        "batch norms see a piece at a time",
        at_least=1,
        at_most=2**20,
    )
    sync_bn: bool = course(False, "under torchrun: batch norms see the images of all ranks (one piece of each)")
    rank_patience: float = option(
        45.0, "under torchrun: after which another rank is taken to hang that does not come to the end of a step",
        unit="s", above=0, at_most=10**6,
    )  # fmt: skip
    on_nan: str = option(
        "stop",
        "where a step's gradient is no number: stop, or skip the step and leave everything as it was (float16 skips "
        "what overflows in any case)",
        choices=("stop", SKIP),
    )
    most_skipped: int = option(
        10, "steps that are skipped before it stops after all", at_least=1, only={"on_nan": (SKIP,)}
    )
    checkpoint_every: int = option(1, "between two checkpoints", unit="epochs", at_least=1)
    checkpoint_minutes: float | None = option(
        None, "after which the next one is due within an epoch too; none: at the end of epochs alone", unit="min",
        above=0, at_most=10**6,
    )  # fmt: skip
    checkpoints_kept: int = option(
        1, "the newest checkpoints that are kept: last.pt, and before it last.1.pt, last.2.pt ...", at_least=1,
        at_most=100,
    )  # fmt: skip
    validate_every: int = option(1, "between two validations", unit="epochs", at_least=1)

    def rules(self) -> None:
        """Let the learning rate follow from the optimizer; raise UserError where options contradict each other."""
        if self.lr is None or not was_given(self, "lr"):
            object.__setattr__(self, "lr", LEARNING_RATES.get(self.optimizer, self.usual_lr))
        if self.epochs == 0 and getattr(self, "pretrained", None) is None:
            raise UserError("--epochs must be at least 1, not 0 (0 keeps the weights of --pretrained as they are)")
        if self.warmup_epochs > self.epochs:
            raise UserError(f"--warmup-epochs {self.warmup_epochs:g} must be at most --epochs {self.epochs}")


@options()
class FittingOptions(TrainingOptions, SpaceOptions, DataOptions, RunOptions):
    """Everything that fitting weights needs to know; part of every stage that trains."""
