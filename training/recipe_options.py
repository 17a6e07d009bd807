"""Options of every training: how weights are fitted, of a supernet or of one network."""

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from config_file.run_options import RunOptions
from supernet.spaces.options import SpaceOptions
from training.data.options import DataOptions
from training.losses import LOSSES
from training.optimizers import OPTIMIZERS
from training.schedules import SCHEDULES


@options("Training")
class TrainingOptions:
    """Epochs, optimizer, schedule and loss, of a supernet or of one network."""

    epochs: int = option(120, "passes over the training images", at_least=1, decides="training")
    optimizer: str = option("sgd", "{names}", metavar="NAME", names=OPTIMIZERS, decides="training")
    lr: float = option(0.045, "learning rate after warm-up", above=0, decides="training")
    weight_decay: float = option(4e-5, "L2 penalty", at_least=0, decides="training")
    momentum: float = option(0.9, "of sgd and rmsprop", at_least=0, below=1, decides="training")
    alpha: float | None = option(None, "smoothing of rmsprop; none: 0.99", at_least=0, below=1, decides="training")
    beta: float | None = option(None, "first beta of adam, adamw; none: 0.9", at_least=0, below=1, decides="training")
    lr_scheduler: str = option("cosine", "{names}", metavar="NAME", names=SCHEDULES, decides="training")
    warmup_epochs: float = option(0.0, "linear warm-up before the schedule", at_least=0, decides="training")
    decay_step: int | None = option(
        None,
        "step schedule: between two drops; none: a third of the training",
        unit="epochs",
        at_least=1,
        decides="training",
    )
    decay_ratio: float | None = option(
        None, "step schedule: factor of a drop; none: 0.1", above=0, at_most=1, decides="training"
    )
    loss: str | None = option(
        None,
        "{names} or module:callable; none: cross_entropy, for landmarks wing",
        metavar="NAME",
        names=LOSSES,
        decides="training learning",
    )
    label_smoothing: float = option(0.1, "of the cross entropy", at_least=0, below=1, decides="training learning")
    decay_vectors: bool = option(
        True, "weight decay also on biases and on BN's scales and shifts (SPOS itself: false)", decides="training"
    )
    clip_grad_norm: float = option(
        5.0, "largest norm of a step's gradient; 0: no limit", at_least=0, decides="training"
    )
    bn_momentum: float = option(
        0.1, "weight of the newest batch in BN's running statistics", above=0, at_most=1, decides="training"
    )
    checkpoint_every: int = option(1, "between two checkpoints", unit="epochs", at_least=1)
    validate_every: int = option(1, "between two validations", unit="epochs", at_least=1)

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        if self.warmup_epochs > self.epochs:
            raise UserError(f"--warmup-epochs {self.warmup_epochs:g} must be at most --epochs {self.epochs}")


@options()
class FittingOptions(TrainingOptions, SpaceOptions, DataOptions, RunOptions):
    """Everything that fitting weights needs to know; part of every stage that trains."""
