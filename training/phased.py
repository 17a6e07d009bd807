"""The trainer of a supernet in phases: each a trainer of its own, on a part of the space, as `training.phases` says."""

from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import Parameter
from torch.optim import Optimizer

from config_file.errors import UserError
from config_file.quantity import quantity
from config_file.run_folder import RunFolder
from supernet import Architecture, SearchSpace, extract
from supernet.channel_order import sort_channels
from supernet.narrowed import Narrowed
from supernet.supernet import Gates
from training.device import place
from training.extremes import extremes
from training.image_size import AtItsImageSize
from training.phases import Phase
from training.schedules import make_schedule
from training.trainer import Context, Pass, Reporter, Trainer, TrainingStep
from training.trainers import Factory
from training.trainers.around import Around, AroundContext
from training.trainers.paths import PathTrainer
from training.trainers.taught import taught_by


@dataclass(frozen=True)
class NarrowContext(AroundContext):
    """A context of a part of the space; architectures are those of the part, weights those of the whole.

    Attributes:
        part: the part.
    """

    part: Narrowed | None = None

    @property
    def narrowed(self) -> Narrowed:
        """The part."""
        assert self.part is not None
        return self.part

    @property
    def space(self) -> SearchSpace:
        return self.narrowed.space

    def whole(self, path: Architecture) -> Architecture:
        return self.within.whole(self.narrowed.widen(path))

    def forward(self, x: Tensor, *choice: Any) -> Tensor:
        return self.within.forward(x, *map(self._widened, choice))

    def task_pass(self, *choice: Any) -> Pass:
        return self.within.task_pass(*map(self._widened, choice))

    def parameters_of(self, paths: Sequence[Architecture | Gates]) -> list[Parameter]:
        return self.within.parameters_of([self._widened(path) for path in paths])

    def _widened(self, choice: Any) -> Any:
        """A path of the whole space; gates name options of its sites already."""
        return self.narrowed.widen(choice) if isinstance(choice, tuple) else choice


class Former:
    """The largest network as it was at the end of a phase, which teaches later ones.

    Its batch norms take the statistics of each batch, as in once-for-all: those that a supernet keeps are mixed.
    """

    def __init__(self, context: Context) -> None:
        self.context, self.path = context, extremes(context.space).largest
        self.network: nn.Module | None = None

    def take(self) -> nn.Module:
        """Keep a copy of what the supernet holds."""
        context = self.context
        alone = place(extract(context.supernet, self.path), context.device, context.options.channels_last)
        for layer in alone.eval().requires_grad_(requires_grad=False).modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.train()
                layer.momentum = 0.0  # nothing of it moves
        self.network = AtItsImageSize(alone, context.supernet.space, self.path)
        return self.network

    @torch.no_grad()
    def answers(self, x: Tensor) -> Tensor:
        """Images (B, C, H, W) -> outputs (B, O)."""
        assert self.network is not None, "a phase is taught by an earlier one"
        outputs: Tensor = self.network(x)
        return outputs

    def state_dict(self) -> dict[str, Any]:
        """Its weights; {} before it was taken."""
        return {} if self.network is None else self.network.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Hold what was taken, if it was."""
        self.network = None
        if state:
            self.take().load_state_dict(state)


class Phased(Trainer):
    """One trainer after another, on the weights that the one before has left.

    Where a phase begins, the optimizer forgets its moments; all else is a function of the step's number, so that a
    training goes on the same from the middle of a phase and from between two.

    Args:
        make: gives for the options of a phase what makes its trainer.

    Raises:
        UserError: a phase draws something that there is not, or by a trainer that learns more than weights.
    """

    def __init__(self, phases: Sequence[Phase], make: Callable[[Any], Factory], context: Context) -> None:
        super().__init__(context)
        self.phases = phases
        self.formers = {phase.former: Former(context) for phase in phases if phase.former is not None}
        self.trainers = [self._trainer(phase, make) for phase in phases]
        self.starts = [phase.start * context.steps_per_epoch for phase in phases]
        self.passes_per_step = self.trainers[0].passes_per_step
        for name, value in (
            ("validated", self.trainers[-1].validated),
            ("keeps_limits", all(trainer.keeps_limits for trainer in self.trainers)),
        ):
            setattr(self, name, value)

    def _trainer(self, phase: Phase, make: Callable[[Any], Factory]) -> Trainer:
        part = phase.narrowed(self.context.space)
        context: Context = NarrowContext.of(self.context, part=part, options=phase.options)
        if phase.former is not None:
            context = taught_by(context, self.formers[phase.former].answers)
        try:
            made = make(phase.options)(context)
        except UserError as error:
            raise UserError(f"--phases: {phase.name}: {error}") from None
        inside = made
        while isinstance(inside, Around):
            inside = inside.trainer
        if not isinstance(inside, PathTrainer):
            raise UserError(
                f"--phases: {phase.name}: --sample-strategy {phase.options.sample_strategy} learns more than weights; "
                "a phase draws paths"
            )
        return made

    def phase_of(self, number: int) -> int:
        """The place of the phase that a step belongs to."""
        return max(0, bisect_right(self.starts, number) - 1)

    def step(self, number: int) -> TrainingStep:
        return self.trainers[self.phase_of(number)].step(number)

    def before(self, number: int, x: Tensor, y: Tensor, optimizer: Optimizer, lr: float) -> None:
        place = self.phase_of(number)
        if number == self.starts[place]:
            self._begin(place, optimizer)
        self.trainers[place].before(number, x, y, optimizer, lr)

    def _begin(self, place: int, optimizer: Optimizer) -> None:
        # 1. The phase before has ended: what it has come to may teach.
        if place and (former := self.formers.get(self.phases[place - 1].name)) is not None:
            former.take()
        # 2. The weights go on as they are, the optimizer anew.
        optimizer.state.clear()
        # 3. What the narrower layers of this phase keep are the channels that matter.
        if self.phases[place].sort_channels:
            settled = sum(phase.sort_channels for phase in self.phases[:place])
            if not sort_channels(self.context.supernet, settled):
                raise UserError(
                    f"--phases: {self.phases[place].name}: no layer of {self.context.space.name} has narrower ones as "
                    "its first channels, which sort_channels could sort"
                )

    def schedule(self, steps_per_epoch: int) -> Callable[[int], float]:
        rates = [make_schedule(phase.options, steps_per_epoch) for phase in self.phases]

        def rate(step: int) -> float:
            place = self.phase_of(step)
            return rates[place](step - self.starts[place])

        return rate

    def passes(self, steps: int) -> int:
        ends = [*self.starts[1:], max(steps, self.starts[-1])]
        return sum(
            trainer.passes(max(0, min(steps, end) - start))
            for trainer, start, end in zip(self.trainers, self.starts, ends, strict=True)
        )

    def parameters(self) -> list[Parameter]:
        return list(dict.fromkeys(p for trainer in self.trainers for p in trainer.parameters()))

    def state_dict(self) -> dict[str, Any]:
        return {
            "trainers": [trainer.state_dict() for trainer in self.trainers],
            "formers": {name: former.state_dict() for name, former in self.formers.items()},
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        for trainer, saved in zip(self.trainers, state["trainers"], strict=True):
            trainer.load_state_dict(saved)
        for name, former in self.formers.items():
            former.load_state_dict(state["formers"][name])

    def paths_to_validate(self, count: int, steps: int) -> list[Architecture]:
        last = self.phases[-1].narrowed(self.context.space)
        return [last.widen(path) for path in self.trainers[-1].paths_to_validate(count, steps)]

    def fingerprint(self) -> str:
        return " ".join(filter(None, (trainer.fingerprint() for trainer in self.trainers)))

    def describe(self) -> str:
        """The phases in words."""
        return "phases: " + ", ".join(map(self._in_words, range(len(self.phases))))

    def _in_words(self, place: int) -> str:
        phase, trainer = self.phases[place], self.trainers[place]
        paths = quantity(trainer.passes_per_step, "path")
        taught = f", taught by {phase.former}" if phase.former else ""
        return f"{phase.name} ({quantity(phase.epochs, 'epoch')}, {phase.options.sample_strategy}, {paths}{taught})"

    def epoch_ended(self, step: int, reporter: Reporter) -> None:
        place = self.phase_of(step - 1)
        self.trainers[place].epoch_ended(step, reporter)
        if step in self.starts[1:]:
            reporter.log(f"next phase: {self._in_words(place + 1)}")

    def finish(self, run: RunFolder) -> None:
        self.trainers[-1].finish(run)
