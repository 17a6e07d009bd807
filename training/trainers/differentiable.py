"""Weights and architecture parameters, trained in turns on two parts of the training images.

Before a step of the weights comes one of the architecture parameters (DARTS, Liu et al. 2019). Weights train on what
the relaxation mixes, or, with sampled gates, on a path drawn from the distribution (ProxylessNAS, Cai et al. 2019): as
cheap as a single-path step.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from torch import Tensor
from torch.optim import Optimizer

from config_file.run_folder import RunFolder
from supernet import Architecture
from training.data.split import divide
from training.differentiable_search.gradient import WeightUpdate
from training.differentiable_search.hardware import make_hardware
from training.differentiable_search.learner import ArchitectureLearner
from training.differentiable_search.options import GradientOptions, architecture_steps
from training.differentiable_search.report import report_epoch, save_learned
from training.trainer import Context, Reporter, Trainer, TrainingStep


class Differentiable(Trainer):
    """Architecture parameters beside the weights; --relaxation says how the two meet."""

    Options = GradientOptions
    keeps_limits = True
    validated = "paths of the learnt distribution"
    relaxation: ClassVar[str] = "binary_two"
    """The one it has unless --relaxation names another."""

    def __init__(self, context: Context) -> None:
        options = context.options
        for_weights, for_architecture = divide(context.images, options.a_portion, options.split_seed)
        super().__init__(replace(context, images=for_weights))
        steps = architecture_steps(options, options.epochs, self.context.steps_per_epoch)
        hardware = make_hardware(options, context.space, context.data.resolution, context.device, steps)
        self.learner = ArchitectureLearner(
            replace(context, images=for_architecture),
            hardware,
            relaxation=self.relaxation,
            epochs=options.epochs,
            steps_per_epoch=self.context.steps_per_epoch,
        )
        self._weights = list(context.supernet.parameters())

    def step(self, number: int) -> TrainingStep:
        if self.learner.relaxation.kind.soft:
            gates = self.learner.mixture(number)
            return TrainingStep([self.context.task_pass(gates)], self._weights)
        path = self.learner.relaxation.path(number)  # drawn from the distribution
        return TrainingStep([self.context.task_pass(path)], self.context.parameters_of([path]))

    def before(self, number: int, x: Tensor, y: Tensor, optimizer: Optimizer, lr: float) -> None:
        self.learner.step(number, (x, y, self.context.batch_size), partial(self._update, number, optimizer, lr))

    def _update(self, number: int, optimizer: Optimizer, lr: float) -> WeightUpdate:
        return WeightUpdate(self.step(number).parameters, optimizer, lr)

    def state_dict(self) -> dict[str, Any]:
        return self.learner.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.learner.load_state_dict(state)

    def paths_to_validate(self, count: int, steps: int) -> list[Architecture]:
        drawn = (self.learner.parameters.sample(self.context.seed, -1 - steps - index) for index in range(count - 1))
        return [self.learner.derive(), *drawn]

    def describe(self) -> str:
        return self.learner.describe()

    def record(self) -> dict[str, Any]:
        images = {"weights": len(self.context.images), "architecture": len(self.learner.images)}
        return {"train_parts": images | {"seed": self.context.options.split_seed}}

    def epoch_ended(self, step: int, reporter: Reporter) -> None:
        report_epoch(self.learner, reporter, step)
        if line := self.learner.end_epoch(step):
            reporter.log(line)

    def ended(self) -> bool:
        return self.learner.stopped

    def finish(self, run: RunFolder) -> None:
        save_learned(self.learner, run, {"order": self.context.options.a_order})


class Gumbel(Differentiable):
    """The same by the Gumbel softmax (Jang et al. 2017; FBNet, Wu et al. 2019)."""

    relaxation = "gumbel"
