"""TrainingState: everything that changes during a training, which is the content of a checkpoint."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from tasks import CLASSIFICATION, Task
from training.data import Data, Split
from training.device import choose_amp, place
from training.distributed import ALONE, Ranks, as_asked
from training.ema import WeightAverage
from training.losses import make_loss
from training.optimizers import make_optimizer
from training.recipe_options import FittingOptions
from training.trainer import Context, Trainer


class Totals:
    """Loss and metric, summed where they arise; nothing waits for the device until they are read."""

    def __init__(self, device: torch.device, task: Task = CLASSIFICATION, ranks: Ranks = ALONE) -> None:
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)  # loss x images, metric: of this rank
        self.images = 0
        self.task = task
        self._ranks = ranks

    def add(self, loss: Tensor, outputs: Tensor, targets: Tensor) -> None:
        """Take in the mean loss () of a batch, its outputs (B, O) and targets."""
        measured = self.task.measure(outputs, targets).sum()
        self.sums += torch.stack((loss.double() * len(targets), measured.double()))
        self.images += len(targets)

    def read(self) -> tuple[float, float, int]:
        """(summed loss, summed metric, images) of all ranks; waits for the device, and for the others."""
        loss, measured, images = self._ranks.total(self._all()).tolist()
        return loss, measured, round(images)

    def gather(self) -> None:
        """Let the first rank have the sums of all of them, and the others nothing."""
        if self._ranks.count > 1:
            self._set(self._ranks.total(self._all()))

    def copy(self) -> "Totals":
        """The same sums, which stay."""
        other = Totals(self.sums.device, self.task, self._ranks)
        other.sums.copy_(self.sums)
        other.images = self.images
        return other

    def clear(self) -> None:
        """Begin anew."""
        self.sums.zero_()
        self.images = 0

    def load(self, sums: Tensor, images: int) -> None:
        """Go on from the sums of all ranks."""
        self._set(torch.cat((sums, sums.new_tensor([images]))))

    def _all(self) -> Tensor:
        return torch.cat((self.sums, self.sums.new_tensor([self.images])))

    def _set(self, total: Tensor) -> None:
        self.clear()
        if self._ranks.number == 0:
            self.sums.copy_(total[:2])
            self.images = round(total[2].item())


@dataclass
class TrainingState:
    """All that changes while training, and so the content of a checkpoint.

    Attributes:
        model: in training mode, on its device.
        optimizer: over all parameters of the model, and those that the trainer adds.
        scaler: of float16's loss, which needs it to keep small gradients, else None.
        average: moving average of the weights, or None.
        totals: of the epoch so far.
        trainer: whose state, what it trains beside the weights, is saved too.
        step: optimizer steps done; epoch and position in it follow.
        reported: what `totals` was when the last row of metrics was written.
        seconds: time spent, over all the times this training was resumed.
        validation: the latest validation's numbers.
        best: the best validation so far, as {"val_accuracy" or another metric's, "step"}.
        skipped: steps that --on-nan skip has left out.
    """

    model: nn.Module
    optimizer: Optimizer
    scaler: torch.amp.GradScaler | None
    average: WeightAverage | None
    totals: Totals
    trainer: Trainer
    step: int = 0
    reported: tuple[float, float, int] = (0.0, 0.0, 0)
    seconds: float = 0.0
    validation: dict[str, float] = field(default_factory=dict)
    best: dict[str, float] = field(default_factory=dict)
    skipped: int = 0

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
            "average": None if self.average is None else self.average.state_dict(),
            "trainer": self.trainer.state_dict(),
            "totals": {"sums": self.totals.sums, "images": self.totals.images},
            "step": self.step,
            "reported": list(self.reported),
            "seconds": self.seconds,
            "validation": self.validation,
            "best": self.best,
            **({"skipped": self.skipped} if self.skipped else {}),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.scaler is not None and state["scaler"] is not None:
            self.scaler.load_state_dict(state["scaler"])
        if self.average is not None:
            self.average.load_state_dict(state["average"])
        self.trainer.load_state_dict(state["trainer"])
        self.totals.load(state["totals"]["sums"], state["totals"]["images"])
        self.step = state["step"]
        self.reported = tuple(state["reported"])
        self.seconds = state["seconds"]
        self.validation = dict(state["validation"])
        self.best = dict(state["best"])
        self.skipped = state.get("skipped", 0)

    def gather(self) -> None:
        """Let the first rank have all that is to be saved: what ranks do not have alike is what they measured."""
        self.totals.gather()

    def trained_tensors(self) -> list[Tensor]:
        """All that is trained, and alike on all ranks."""
        found: list[Tensor] = []
        pending: list[Any] = [self.trainer.state_dict(), self.model.state_dict()]
        while pending:
            value = pending.pop()
            if isinstance(value, Tensor):
                found.append(value)
            elif isinstance(value, Mapping | list | tuple):
                pending += value.values() if isinstance(value, Mapping) else value
        return found

    @property
    def is_best(self) -> bool:
        """True right after the best validation so far."""
        return self.best.get("step") == self.step

    def take_best(self, saved: Mapping[str, Any]) -> None:
        """Let what was trained be that of the saved state; everything else stays that of the end."""
        self.model.load_state_dict(saved["model"])
        if self.average is not None:
            self.average.load_state_dict(saved["average"])

    @property
    def trained(self) -> nn.Module:
        """The network to judge and to keep: the moving average, if there is one."""
        return self.model if self.average is None else self.average.network


def make_context(
    options: FittingOptions,
    data: Data,
    images: Split,
    model: nn.Module,
    device: torch.device,
    ranks: Ranks | None = None,
) -> Context:
    """The context of a training, with the model in training mode on its device, and BN's momentum set.

    Args:
        ranks: the processes that train it together; None: this one alone.

    Raises:
        UserError: an unknown loss or number format.
    """
    model = place(model, device, options.channels_last).train()
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = options.bn_momentum
    loss, amp = make_loss(options, data.task), choose_amp(options.amp, device)
    return Context(options, data, images, model, loss, device, amp, as_asked(options) if ranks is None else ranks)


def make_state(trainer: Trainer, ema_decay: float = 0.0) -> TrainingState:
    """The start of a training in a context of `make_context`; with `ema_decay` 0 without a moving average.

    Raises:
        UserError: an unknown optimizer.
    """
    context, options = trainer.context, trainer.context.options
    optimizer = make_optimizer(
        options.optimizer,
        [*context.model.parameters(), *trainer.parameters()],
        options.lr,
        options.momentum,
        options.weight_decay,
        alpha=options.alpha,
        beta=options.beta,
        decay_vectors=options.decay_vectors,
    )
    return TrainingState(
        model=context.model,
        optimizer=optimizer,
        scaler=torch.amp.GradScaler(context.device.type) if context.amp is torch.float16 else None,
        average=WeightAverage(context.model, ema_decay) if ema_decay else None,
        totals=Totals(context.device, context.data.task, context.ranks),
        trainer=trainer,
    )
