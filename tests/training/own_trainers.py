"""Trainers as a user would write them, each a few lines outside of our packages."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parameters_to_vector
from torch.optim import Optimizer

from config_file.fields import option
from config_file.options import options, part_of
from config_file.run_folder import RunFolder
from supernet import Architecture, Network
from supernet.controllers import FactorisedController
from training import Context, PathTrainer, Trainer, TrainingStep
from training.data.split import divide
from training.initialise import initialise


def distance(outputs: Tensor, soft: Tensor) -> Tensor:
    """Of the outputs from the answers of a teacher, both (B, classes): cross-entropy with its probabilities."""
    return F.cross_entropy(outputs, soft.softmax(1))


class Sandwich(Trainer):
    """The largest path learns the labels, the smallest and two random ones learn from its outputs (Yu et al. 2020)."""

    passes_per_step = 4

    def paths(self, number: int) -> list[Architecture]:
        space = self.context.space
        rng = Random(f"sandwich {self.context.seed} {number}")
        return [tuple(size - 1 for size in space.sizes), (0,) * len(space.sizes), space.sample(rng), space.sample(rng)]

    def step(self, number: int) -> TrainingStep:
        largest, *others = self.paths(number)
        label = self.context.task_pass(largest)
        answers: list[Tensor] = []

        def teach(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            loss, outputs = label(x, y)
            answers[:] = [outputs.detach()]
            return loss, outputs

        def learn(path: Architecture, x: Tensor) -> tuple[Tensor, Tensor]:
            outputs = self.context.forward(x, path)
            return distance(outputs, answers[0]), outputs

        passes = [teach, *(lambda x, y, path=path: learn(path, x) for path in others)]
        return TrainingStep(passes, self.context.parameters_of([largest, *others]))


@options("Distillation")
class DistillationOptions:
    """The teacher's part in the loss."""

    kd_share: float = option(0.5, "share of the distance from the teacher in the loss", at_most=1, decides="training")


class Distilled(Trainer):
    """A share of the loss is the distance from a teacher: of a supernet's paths, or of one network."""

    Options = DistillationOptions

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.teacher = nn.Sequential(nn.Flatten(), nn.Linear(3 * context.data.resolution**2, len(context.data.classes)))
        initialise(self.teacher, 7)
        self.teacher.to(context.device).eval()

    def step(self, number: int) -> TrainingStep:
        choice, parameters = self.choice(number)
        share = part_of(self.context.options, DistillationOptions).kd_share

        def learn(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            outputs = self.context.forward(x, *choice)
            with torch.no_grad(), self.context.autocast():
                answers = self.teacher(x).float()
            return (1 - share) * self.context.loss(outputs, y) + share * distance(outputs, answers), outputs

        return TrainingStep([learn], parameters)

    def choice(self, number: int) -> tuple[tuple[Architecture, ...], list[nn.Parameter]]:
        if isinstance(self.context.model, Network):
            return (), list(self.context.model.parameters())
        path = self.context.space.sample(Random(f"distilled {self.context.seed} {number}"))
        return (path,), self.context.parameters_of([path])


class Auxiliary(Trainer):
    """A second classifier halfway, with 0.4 of the loss (DARTS, Liu et al. 2019, section 3.2)."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        network = context.model
        assert isinstance(network, Network)
        nodes = network.spec.nodes
        self.site = nodes[len(nodes) // 2].site
        channels = network.spec.shapes((3, 8, 8))[nodes[len(nodes) // 2 + 1].site][0][0]
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, len(context.data.classes)))
        initialise(self.head, context.seed)
        self.head.to(context.device)

    def parameters(self) -> list[nn.Parameter]:
        return list(self.head.parameters())

    def state_dict(self) -> dict[str, Any]:
        return self.head.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.head.load_state_dict(state)

    def step(self, number: int) -> TrainingStep:
        return TrainingStep([self.learn], [*self.context.model.parameters(), *self.head.parameters()])

    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        taps: dict[str, Any] = {self.site: None}
        outputs = self.context.forward(x, taps)
        with self.context.autocast():
            also = self.head(taps[self.site]).float()
        return self.context.loss(outputs, y) + 0.4 * self.context.loss(also, y), outputs


class Controlled(Trainer):
    """ENAS's turns (Pham et al. 2018): the controller's policy gradient, then the weights along a path of its own."""

    def __init__(self, context: Context) -> None:
        for_weights, self.judges = divide(context.images, 0.5, context.seed)
        super().__init__(replace(context, images=for_weights))
        self.controller = FactorisedController(context.space.sizes)
        self.optimizer = torch.optim.Adam(self.controller.parameters(), 0.1)
        self.baseline = torch.zeros(())

    def draw(self, kind: str, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(Random(f"{kind} {self.context.seed} {number}").getrandbits(63))
        return self.controller.sample(1, generator)

    def step(self, number: int) -> TrainingStep:
        path = tuple(self.draw("weights", number)[0].tolist())
        return TrainingStep([self.context.task_pass(path)], self.context.parameters_of([path]))

    def before(self, number: int, x: Tensor, y: Tensor, optimizer: Optimizer, lr: float) -> None:
        options = self.draw("controller", number)
        images, labels = next(self.judges.batches(32, seed=number, shuffle=True))
        with torch.no_grad():
            outputs = self.context.forward(images, tuple(options[0].tolist()))
            reward = (outputs.argmax(1) == labels).float().mean()
        logarithms = self.controller(options).log_probability
        self.optimizer.zero_grad()
        (-(reward - self.baseline) * logarithms.sum()).backward()
        self.optimizer.step()
        self.baseline = 0.9 * self.baseline + 0.1 * reward

    def state_dict(self) -> dict[str, Any]:
        return {
            "controller": self.controller.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "baseline": self.baseline,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.controller.load_state_dict(state["controller"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.baseline = state["baseline"]

    def describe(self) -> str:
        return f"a controller of {parameters_to_vector(self.controller.parameters()).numel()} parameters"

    def finish(self, run: RunFolder) -> None:
        best = self.controller.logits.masked_fill(self.controller.closed, -torch.inf).argmax(1)
        run.log(f"the controller prefers {' '.join(self.context.space.names(tuple(best.tolist())))}")


class Given:
    """A sampler whose paths are what the test says."""

    paths_per_step = 2
    given: object = None

    def paths(self, step: int) -> Any:
        return Given.given


def sampled(context: Context) -> Trainer:
    """A sampler of one's own needs no more than this."""
    return PathTrainer(context, Given())


def no_trainer(context: Context) -> tuple[Context, int]:
    return context, 1


class Broken(Trainer):
    """A pass that forgets its outputs, or raises, or a step that is missing, as the test says."""

    answer: object = None

    def step(self, number: int) -> TrainingStep:
        def run(x: Tensor, y: Tensor) -> Any:
            if isinstance(Broken.answer, Exception):
                raise Broken.answer
            return Broken.answer

        return TrainingStep([run], [])


class Stepless(Trainer):
    """What is abstract is not written."""
