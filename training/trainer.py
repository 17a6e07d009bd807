"""Trainer: the interface of what a training step trains.

A step is a few passes over one batch, whose gradients are summed, and the parameters that they reach. A pass owns its
loss, so that a step can distil from a teacher, from another pass of its own, or weigh in an auxiliary head:

    class Distilled(Trainer):
        def step(self, number):
            return TrainingStep([self.distil], list(self.context.model.parameters()))

        def distil(self, x, y):
            outputs = self.context.forward(x)
            return kl_div(outputs.log_softmax(1), self.teacher(x).softmax(1), reduction="batchmean"), outputs
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from config_file.run_folder import RunFolder
from supernet import Architecture, SearchSpace, Supernet
from supernet.samplers import UniformSampler
from supernet.supernet import Gates
from training.data import Data, Split
from training.device import autocast
from training.distributed import ALONE, Ranks
from training.image_size import fit_images
from training.losses import Loss
from training.schedules import make_schedule

Pass = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""(x (B, C, H, W), targets (B,) or (B, O)) -> (loss (), outputs (B, O)). Backward starts at the loss."""


@dataclass(frozen=True)
class TrainingStep:
    """One optimizer step.

    Attributes:
        passes: run one after the other on the same images, each with its backward; their gradients are summed. The
            images are a batch, or one piece of it after another (`training.distributed`), all passes on each.
        parameters: what is clipped, stepped and has its gradients dropped afterwards. Nothing else is touched.
    """

    passes: Sequence[Pass]
    parameters: Sequence[Parameter]


@dataclass(frozen=True)
class Context:
    """Everything that a trainer can build upon.

    Attributes:
        data: its test split is not for training.
        images: of `data`, those that may be trained on.
        model: what is trained, on its device: a supernet, or one network.
        loss: the one that the options name.
        amp: number format of autocast, None for float32.
        ranks: the processes that train the model together.
    """

    options: Any
    data: Data
    images: Split
    model: nn.Module
    loss: Loss
    device: torch.device
    amp: torch.dtype | None = None
    ranks: Ranks = ALONE

    @property
    def batch_size(self) -> int:
        """Images of a batch, those of all ranks together."""
        size: int = min(self.options.batch_size, len(self.images))
        return size

    @property
    def modules(self) -> list[nn.Module]:
        """The networks that images pass in training mode, for the statistics of their batch norms."""
        return [self.model]

    @property
    def supernet(self) -> Supernet:
        """The model, where it is a supernet."""
        assert isinstance(self.model, Supernet)
        return self.model

    @property
    def space(self) -> SearchSpace:
        """The search space, where the model is a supernet."""
        return self.supernet.space

    def whole(self, path: Architecture) -> Architecture:
        """A path of `space`, which may be a part, as one of the supernet's."""
        return path

    @property
    def seed(self) -> int:
        """The seed of everything that is drawn."""
        seed: int = self.options.random_seed
        return seed

    @property
    def steps_per_epoch(self) -> int:
        """Full batches of the images; a last one that is not full is left out, as BN would take its statistics from
        too few images.
        """
        return max(1, len(self.images) // self.options.batch_size)

    def autocast(self) -> AbstractContextManager[object]:
        """The number format of forward passes, for networks beside the model."""
        return autocast(self.device, self.amp)

    def forward(self, x: Tensor, *choice: Any) -> Tensor:
        """The model's outputs (B, O) in float32; of a supernet along `choice`, an architecture or gates.

        Where the space decides the image size, images are brought to that of the architecture.
        """
        if choice and isinstance(choice[0], tuple):
            x = fit_images(x, self.space, choice[0])
        with self.autocast():
            outputs: Tensor = self.model(x, *choice)
            return outputs.float()

    def task_pass(self, *choice: Any) -> Pass:
        """The pass that minimises the loss of the options; of a supernet along `choice`, an architecture or gates."""

        def run(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            outputs = self.forward(x, *choice)
            return self.loss(outputs, y), outputs

        run.__doc__ = spelt(choice)
        return run

    def parameters_of(self, paths: Sequence[Architecture | Gates]) -> list[Parameter]:
        """The supernet's parameters on these paths or gates, each once."""
        return list(dict.fromkeys(p for path in paths for p in self.supernet.parameters_of(path)))


def spelt(choice: Sequence[Any]) -> str:
    """The way of a pass in words, for whom it fails: along an architecture, a mixture, or the whole network."""
    if not choice:
        return "the network"
    return f"the path {','.join(map(str, choice[0]))}" if isinstance(choice[0], tuple) else "a mixture of options"


class Reporter(Protocol):
    """Takes what a training says, lines and numbers after so many steps: a `RunFolder`, or nobody (`Silent`)."""

    def log(self, text: str = "") -> None: ...

    def metric(self, step: int, **values: float) -> None: ...


class Silent:
    """A reporter that keeps nothing, for trainings inside of something else."""

    def log(self, text: str = "") -> None: ...

    def metric(self, step: int, **values: float) -> None: ...


class Trainer(ABC):
    """The passes and parameters of every step of a training. Only `step` has to be written.

    `step` is a function of the step's number, the context and the state, which is saved with every checkpoint: then a
    resumed training is the same, bit for bit. `training.testing.TrainerSuite` holds a trainer to that. One that has
    options of its own carries their class as `Options`.

    Attributes:
        context: as it was given, with `images` being those that the weights are fitted on.
        keeps_limits: whether it does anything with --target-hc and --min-hc; with others they are refused.
        passes_per_step: said to people, and recorded.
        validated: the paths of `paths_to_validate`, in words.
    """

    keeps_limits: ClassVar[bool] = False
    passes_per_step: int = 1
    validated: ClassVar[str] = "random paths"

    def __init__(self, context: Context) -> None:
        self.context = context

    @abstractmethod
    def step(self, number: int) -> TrainingStep:
        """The passes and parameters of step `number`, from 0."""

    def before(self, number: int, x: Tensor, y: Tensor, optimizer: Optimizer, lr: float) -> None:  # noqa: B027 - optional
        """Train what is trained beside the weights, before their `optimizer` steps them at `lr` on (x, y).

        Of several ranks (x, y) is this one's part of the batch; what comes of images is to be made alike on all before
        it is used: gradients by `context.ranks.gradient`, accuracies and rewards by `context.ranks.mean`.
        """

    def modules(self) -> list[nn.Module]:
        """All networks that are trained, whose batch norms are alike on all ranks: attributes that are modules too."""
        return [*self.context.modules, *(value for value in vars(self).values() if isinstance(value, nn.Module))]

    def schedule(self, steps_per_epoch: int) -> Callable[[int], float]:
        """The learning rate of every step; that of the options."""
        return make_schedule(self.context.options, steps_per_epoch)

    def passes(self, steps: int) -> int:
        """The number of passes of the first `steps` steps."""
        return steps * self.passes_per_step

    def parameters(self) -> list[Parameter]:
        """Parameters beside the model's that the weights' optimizer steps too, such as those of an auxiliary head."""
        return []

    def state_dict(self) -> dict[str, Any]:
        """Tensors and primitives: all that changes, beside the model and its optimizer."""
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - optional
        """Go on from what `state_dict` gave."""

    def paths_to_validate(self, count: int, steps: int) -> list[Architecture]:
        """Paths of the supernet that a validation looks at, `count` of them; `steps` is the length of the training."""
        del steps
        sampler = UniformSampler(self.context.space, self.context.seed)
        # Steps that no training reaches, so that these are not just the paths it began with.
        return [sampler.paths(-1 - index)[0] for index in range(count)]

    def describe(self) -> str:
        """One line for the log, "" for none."""
        return ""

    def fingerprint(self) -> str:
        """All that its course depends on beside options and images, such as a teacher's weights; "" for nothing."""
        return ""

    def record(self) -> dict[str, Any]:
        """Further facts about the images, for the description of the split."""
        return {}

    def epoch_ended(self, step: int, reporter: Reporter) -> None:  # noqa: B027 - optional
        """Report what is learned beside the weights, after `step` steps."""

    def ended(self) -> bool:
        """True where the training ends here, asked between two epochs, before its last step."""
        return False

    def finish(self, run: RunFolder) -> None:  # noqa: B027 - optional
        """Write what was learned beside the weights."""
