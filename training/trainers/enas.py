"""ENAS (Pham et al. 2018): the weights along paths of a controller, in turns with the controller, which is rewarded.

Before a step of the weights on a path that the controller draws, paths that it draws for itself are run on images that
no weight is fitted on; their accuracy is the reward of its policy gradient.
"""

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from config_file.options import part_of
from config_file.quantity import quantity
from config_file.run_folder import RunFolder
from supernet import Architecture
from supernet.gating import statistics_kept
from training.controller import EnasOptions, PolicyLearner
from training.controller_file import FILE, save_controller
from training.data.endless import EndlessBatches
from training.data.split import divide
from training.device import seed_step
from training.trainer import Context, Reporter, Trainer, TrainingStep

DRAWS = 20  # of the controller, that its entropy is said of


class Enas(Trainer):
    """A controller of architectures beside the weights."""

    Options = EnasOptions
    validated = "paths of the controller"

    def __init__(self, context: Context) -> None:
        options = part_of(context.options, EnasOptions)
        for_weights, self._judges = divide(context.images, options.enas_portion, context.options.split_seed)
        super().__init__(replace(context, images=for_weights))
        self.learner = PolicyLearner(context.space, options, context.seed)
        self._batches = EndlessBatches(
            self._judges,
            context.options.batch_size,
            seed=context.seed,
            device=context.device,
            channels_last=context.options.channels_last,
            part=context.ranks.part,
        )
        self._norms = [module for module in context.model.modules() if isinstance(module, nn.BatchNorm2d)]
        self._judged: list[tuple[Architecture, Tensor]] = []  # whose rewards the learner is still to be told
        self._rewards: list[float] = []  # of this epoch

    def step(self, number: int) -> TrainingStep:
        path = self.learner.draw("weights", number)
        return TrainingStep([self.context.task_pass(path)], self.context.parameters_of([path]))

    def before(self, number: int, x: Tensor, y: Tensor, optimizer: Optimizer, lr: float) -> None:
        for sample in range(self._due(number), self._due(number + 1)):
            drawn = self.learner.draw("controller", sample)
            self._judged.append((drawn, self._judge(drawn, sample)))
            if len(self._judged) == self.learner.lacking:
                self._tell()

    def _tell(self) -> None:
        """Tell the learner the rewards since it was told last; the device is waited for once.

        It draws from the same distribution until it has all those of an update.
        """
        judged, self._judged = self._judged, []
        rewards: list[float] = torch.stack([reward for _, reward in judged]).tolist() if judged else []
        for (drawn, _), reward in zip(judged, rewards, strict=True):
            self._rewards.append(reward)
            self.learner.reward(drawn, reward)

    def _due(self, number: int) -> int:
        """The samples of the controller that are drawn before step `number` of the weights."""
        options = self.learner.options
        since = max(0, number - round(options.enas_warmup_epochs * self.context.steps_per_epoch))
        if options.enas_steps is None:
            return since
        return since * options.enas_steps * options.enas_samples // self.context.steps_per_epoch

    @torch.no_grad()
    def _judge(self, drawn: Architecture, sample: int) -> Tensor:
        """The task's metric () of a path on one batch, greater is better; batch norms use it, and keep nothing."""
        context, task = self.context, self.context.data.task

        def metric(x: Tensor, y: Tensor) -> Tensor:
            return task.measure(context.forward(x, drawn), y).double().mean()

        seed_step(context.device, context.seed, -1 - sample)
        with statistics_kept(lambda: self._norms):
            batch = *self._batches[sample], self._batches.batch_size
            measured = context.ranks.mean(metric, *batch, context.modules)
        return measured if task.maximise else -measured

    def state_dict(self) -> dict[str, Any]:
        self._tell()
        return {"learner": self.learner.state_dict(), "rewards": self._rewards}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self._judged = []
        self.learner.load_state_dict(state["learner"])
        self._rewards = list(state["rewards"])

    def paths_to_validate(self, count: int, steps: int) -> list[Architecture]:
        return [self.learner.draw("weights", steps + index) for index in range(count)]

    def describe(self) -> str:
        options, weights = self.learner.options, sum(p.numel() for p in self.learner.controller.parameters())
        per_epoch = self._due(self.context.steps_per_epoch * 10**6) / 10**6 / options.enas_samples
        return (
            f"controller: {options.enas_controller} of {weights:,} parameters, adam at {options.enas_lr:g}, about "
            f"{per_epoch:.3g} updates per epoch, each of {quantity(options.enas_samples, 'sample')}, rewarded on "
            f"{quantity(len(self._judges), 'training image')} of their own"
        )

    def record(self) -> dict[str, Any]:
        images = {"weights": len(self.context.images), "controller": len(self._judges)}
        return {"train_parts": images | {"seed": self.context.options.split_seed}}

    def epoch_ended(self, step: int, reporter: Reporter) -> None:
        self._tell()
        learner, space = self.learner, self.context.space
        drawn = [learner.draw("report", step, index) for index in range(DRAWS)]
        options, matters = torch.tensor(drawn), torch.from_numpy(space.encode(drawn)) >= 0
        with torch.no_grad():
            entropy = float(learner.controller(options, matters).entropy.mean())
        greatest = float((matters * torch.tensor(space.sizes).log()).sum(1).mean())
        numbers = {"controller_entropy": entropy, "controller_updates": learner.updates}
        text = f"  controller: {quantity(learner.updates, 'update')}, entropy {entropy:.2f} of {greatest:.2f}"
        if self._rewards:
            numbers |= {"reward": sum(self._rewards) / len(self._rewards), "baseline": learner.baseline or math.nan}
            text += f", reward {numbers['reward']:.3f}, baseline {numbers['baseline']:.3f}"
        if learner.connections:
            numbers["connections"] = float(options[:, learner.connections].float().mean())
            text += f", {numbers['connections']:.0%} of the connections"
        self._rewards = []
        reporter.metric(step, **numbers)
        reporter.log(text)

    def finish(self, run: RunFolder) -> None:
        learner, options = self.learner, self.learner.options
        run.file(FILE)
        about = {"updates": learner.updates, "samples": learner.updates * options.enas_samples}
        save_controller(run.path, self.context.space, options.enas_controller, learner.controller, about)
        run.log(f"wrote {run.path / FILE}; search.py --search-strategy controller ranks what it draws")
