"""A trainer of one's own: the sandwich rule with in-place distillation (Yu et al. 2020)."""

from random import Random

from torch import Tensor
from torch.nn import functional as F

from supernet import Architecture
from training import Trainer, TrainingStep
from training.trainers import TRAINERS


class Sandwich(Trainer):
    """The first path learns the labels, the last and two random ones learn from its outputs."""

    passes_per_step = 4

    def step(self, number: int) -> TrainingStep:
        space, rng = self.context.space, Random(f"sandwich {self.context.seed} {number}")
        last = tuple(size - 1 for size in space.sizes)
        first, *others = [(0,) * len(space.sizes), last, space.sample(rng), space.sample(rng)]
        label = self.context.task_pass(first)
        taught: list[Tensor] = []

        def teach(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            loss, outputs = label(x, y)
            taught[:] = [outputs.detach().softmax(1)]
            return loss, outputs

        def learn(path: Architecture, x: Tensor) -> tuple[Tensor, Tensor]:
            outputs = self.context.forward(x, path)
            return F.cross_entropy(outputs, taught[0]), outputs

        passes = [teach, *(lambda x, y, path=path: learn(path, x) for path in others)]
        return TrainingStep(passes, self.context.parameters_of([first, *others]))


TRAINERS["sandwich"] = Sandwich
