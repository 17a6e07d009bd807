"""What a training does (a Recipe, which never changes) and where it stands (a TrainingState, all that does)."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from config_file.gradient_options import GradientOptions
from config_file.options import RetrainOptions, SearchOptions, TrainSupernetOptions
from tasks import CLASSIFICATION, Task
from training.data import Split
from training.device import choose_amp, make_scaler, place
from training.ema import WeightAverage
from training.losses import Loss, make_loss
from training.optimizers import make_optimizer
from training.schedules import make_schedule

Options = TrainSupernetOptions | RetrainOptions
"""The stages that train."""


@dataclass(frozen=True)
class StepPlan:
    """One optimizer step: forward passes whose gradients are summed, and the parameters they reach.

    Attributes:
        forwards: each (B, C, H, W) -> outputs (B, O), all on the same batch.
        parameters: what is clipped, stepped and has its gradients dropped afterwards. Nothing else is touched.
    """

    forwards: Sequence[Callable[[Tensor], Tensor]]
    parameters: Sequence[Parameter]


@dataclass(frozen=True)
class Recipe:
    """How weights are fitted: pure functions of the step number, so that this is all a resumed run needs.

    Attributes:
        plan: step -> what it trains.
        loss: (outputs, targets) -> scalar.
        rate: step -> learning rate.
        images: what is learnt from.
        epochs: passes over the images.
        batch_size: images per step.
        seed: of order, augmentation and dropout.
        clip_grad_norm: largest norm of a step's gradient, 0 for no limit.
        device: where the model is.
        amp: number format of autocast, None for float32.
        channels_last: memory format of the images.
        before_step: called with (step, x, y) before each step, for what else is learnt beside the weights.
    """

    plan: Callable[[int], StepPlan]
    loss: Loss
    rate: Callable[[int], float]
    images: Split
    epochs: int
    batch_size: int
    seed: int
    clip_grad_norm: float
    device: torch.device
    amp: torch.dtype | None = None
    channels_last: bool = True
    before_step: Callable[[int, Tensor, Tensor], None] | None = None

    @property
    def task(self) -> Task:
        """What is predicted."""
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


class Totals:
    """Loss and metric, summed where they arise; nothing waits for the device until they are read."""

    def __init__(self, device: torch.device, task: Task = CLASSIFICATION) -> None:
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss x images, metric
        self.images = 0
        self.task = task

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Take in the mean loss () of a batch, its outputs (B, O) and targets."""
        measured = self.task.measure(outputs, targets).sum()
        self.sums += torch.stack((loss.double() * len(targets), measured.double()))
        self.images += len(targets)

    def read(self) -> tuple[float, float, int]:
        """(summed loss, summed metric, images); waits for the device."""
        loss, measured = self.sums.tolist()
        return loss, measured, self.images


class Stateful(Protocol):
    """Something that is trained beside the weights."""

    def state_dict(self) -> dict[str, Any]:
        """Tensors and primitives."""
        ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        ...


@dataclass
class TrainingState:
    """All that changes while training, and so what a checkpoint holds.

    Attributes:
        model: in training mode, on its device.
        optimizer: over all parameters of the model.
        scaler: of float16's loss, else None.
        average: moving average of the weights, or None.
        totals: of the epoch so far.
        beside: what is trained beside the weights (architecture parameters), or None.
        step: optimizer steps done; epoch and position in it follow.
        reported: what `totals` was when the last row of metrics was written.
        seconds: time spent, over all the times this training was resumed.
        validation: the latest validation's numbers.
        best: the best validation so far, as {"val_accuracy" or another metric's, "step"}.
    """

    model: nn.Module
    optimizer: Optimizer
    scaler: torch.amp.GradScaler | None
    average: WeightAverage | None
    totals: Totals
    beside: Stateful | None = None
    step: int = 0
    reported: tuple[float, float, int] = (0.0, 0.0, 0)
    seconds: float = 0.0
    validation: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)

    def state_dict(self) -> dict[str, Any]:
        """Tensors and primitives."""
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "beside": None if self.beside is None else self.beside.state_dict(),
            "totals": {"sums": self.totals.sums, "images": self.totals.images},
            "step": self.step,
            "reported": list(self.reported),
            "seconds": self.seconds,
            "validation": self.validation,
            "best": self.best,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from what `state_dict` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        if self.beside is not None:
            self.beside.load_state_dict(state["beside"])
        self.totals.sums.copy_(state["totals"]["sums"])
        self.totals.images = state["totals"]["images"]
        self.step = state["step"]
        self.reported = tuple(state["reported"])
        self.seconds = state["seconds"]
        self.validation = dict(state["validation"])
        self.best = dict(state["best"])


def make_recipe(options: Options, images: Split, device: torch.device, plan: Callable[[int], StepPlan]) -> Recipe:
    """The recipe that a stage's options describe.

    Raises:
        UserError: an unknown schedule or loss.
    """
    steps_per_epoch = max(1, len(images) // options.batch_size)
    return Recipe(
        plan=plan,
        loss=make_loss(options.loss, options.label_smoothing, images.task),
        rate=make_schedule(
            options.lr_scheduler,
            options.lr,
            options.epochs,
            steps_per_epoch,
            warmup_epochs=options.warmup_epochs,
            decay_step=options.decay_step,
            decay_ratio=options.decay_ratio,
        ),
        images=images,
        epochs=options.epochs,
        batch_size=options.batch_size,
        seed=options.random_seed,
        clip_grad_norm=options.clip_grad_norm,
        device=device,
        amp=choose_amp(options.amp, device),
        channels_last=options.channels_last,
    )


def make_state(
    options: Options, model: nn.Module, device: torch.device, ema_decay: float = 0.0, task: Task = CLASSIFICATION
) -> TrainingState:
    """The start of a training: moves the model to its device and memory format, and sets BN's momentum.

    Raises:
        UserError: an unknown optimizer.
    """
    model = place(model, device, options.channels_last)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = options.bn_momentum
    model.train()
    optimizer = make_optimizer(
        options.optimizer,
        model.parameters(),
        options.lr,
        options.momentum,
        options.weight_decay,
        alpha=options.alpha,
        beta=options.beta,
        decay_vectors=options.decay_vectors,
    )
    return TrainingState(
        model=model,
        optimizer=optimizer,
        scaler=make_scaler(choose_amp(options.amp, device), device),
        average=WeightAverage(model, ema_decay) if ema_decay else None,
        totals=Totals(device, task),
    )


def trajectory(options: Options | SearchOptions) -> dict[str, Any]:
    """The options that decide the course of a training, by flag: with another value, going on is another training."""
    names = [*TRAJECTORY]
    if getattr(options, "sample_strategy", "") in DIFFERENTIABLE:
        names += GRADIENT_TRAJECTORY
    elif getattr(options, "target_hc", None) is not None or getattr(options, "min_hc", None) is not None:
        names += CONSTRAINT_TRAJECTORY
    return {"--" + name.replace("_", "-"): getattr(options, name) for name in names if hasattr(options, name)}


TRAJECTORY = (
    "epochs", "batch_size", "optimizer", "lr", "weight_decay", "momentum", "alpha", "beta", "decay_vectors",
    "lr_scheduler", "warmup_epochs", "decay_step", "decay_ratio", "loss", "label_smoothing", "clip_grad_norm",
    "bn_momentum", "ema_decay", "random_seed", "sample_strategy", "init", "train_on", "pretrained",
    "dataset", "train_portion", "split_seed", "flip", "resolution",
)  # fmt: skip

DIFFERENTIABLE = ("differentiable", "differentiable_gumbel")
"""Sample strategies that train architecture parameters beside the weights."""

CONSTRAINT_TRAJECTORY = ("info_metric", "target_hc", "min_hc", "lookup_table", "counter")

GRADIENT_TRAJECTORY = (
    *(entry.name for entry in fields(GradientOptions) if entry.name not in ("a_epochs", "a_samples")),
    "info_metric", "target_hc", "lookup_table", "counter",
)  # fmt: skip
