"""The sandwich rule: on one batch the largest network, the smallest and some random ones (Yu and Huang 2019).

What lies between two networks that work tends to work. The largest learns the labels; by in-place distillation the
others learn its answers on the same batch instead, which no gradient reaches (BigNAS, Yu et al. 2020; with the
alpha-divergence: AlphaNet, Wang et al. 2021). The gradients are summed, and one optimizer step follows.
"""

from collections.abc import Callable

from torch import Tensor

from config_file.fields import option
from config_file.options import options, part_of
from supernet import Architecture
from supernet.samplers import MOST_PATHS, Sampler
from tasks import CLASSIFICATION
from training.divergences import Divergence, make_divergence
from training.extremes import Extremes, extremes
from training.trainer import Context, Pass, TrainingStep
from training.trainers.paths import PathTrainer
from training.trainers.uniform import AttentiveOptions, Several, drawn


@options("Training")
class SandwichOptions(AttentiveOptions):
    """The sandwich rule."""

    sandwich_random: int = option(
        2, "sandwich: random paths beside the largest and the smallest", at_least=0, at_most=MOST_PATHS,
        decides="training",
    )  # fmt: skip
    distill_in_place: bool = option(
        True,
        "sandwich: the other paths learn the answers of the largest, by --divergence, instead of the labels",
        decides="training",
    )


class SandwichSampler:
    """The largest path, the smallest, and those of another sampler; where all are one network, that one."""

    def __init__(self, ends: Extremes, between: Sampler) -> None:
        self.ends, self.between = ends, between
        self.single = ends.smallest == ends.largest
        self.paths_per_step = 1 if self.single else 2 + between.paths_per_step

    def paths(self, step: int) -> list[Architecture]:
        """The architectures of this step, the largest first."""
        if self.single:
            return [self.ends.largest]
        return [self.ends.largest, self.ends.smallest, *self.between.paths(step)]


class Sandwich(PathTrainer):
    """The largest, the smallest and random paths, the others taught by the largest."""

    Options = SandwichOptions
    validated = "paths (the smallest, the largest and random ones)"

    def __init__(self, context: Context) -> None:
        settings = part_of(context.options, SandwichOptions)
        between = Several(drawn(context), settings.sandwich_random)
        self.ends = extremes(context.space)
        super().__init__(context, SandwichSampler(self.ends, between))
        self.divergence = taught_loss(context) if settings.distill_in_place else None

    def step(self, number: int) -> TrainingStep:
        largest, *others = paths = self.paths(number)
        if self.divergence is None:
            return super().step(number)
        answers: list[Tensor] = []
        passes = [self._teach(largest, answers), *(self._learn(path, answers) for path in others)]
        return TrainingStep(passes, self.context.parameters_of(paths))

    def _teach(self, path: Architecture, answers: list[Tensor]) -> Pass:
        learn = self.context.task_pass(path)

        def run(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            loss, outputs = learn(x, y)
            answers[:] = [outputs.detach()]
            return loss, outputs

        return run

    def _learn(self, path: Architecture, answers: list[Tensor]) -> Pass:
        assert self.divergence is not None
        divergence: Callable[[Tensor, Tensor], Tensor] = self.divergence

        def run(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            del y
            outputs = self.context.forward(x, path)
            return divergence(outputs, answers[0]), outputs

        return run

    def paths_to_validate(self, count: int, steps: int) -> list[Architecture]:
        return [*self.ends, *super().paths_to_validate(count, steps)][:count]

    def describe(self) -> str:
        """The ends in words."""
        others = "the labels" if self.divergence is None else "its answers"
        names = {which: " ".join(self.context.space.names(end)) for which, end in self.ends._asdict().items()}
        shown = ", ".join(f"{which} {text if len(text) < 80 else text[:77] + '...'}" for which, text in names.items())
        return f"sandwich: the largest learns the labels, the others {others}; {shown}"


def taught_loss(context: Context) -> Divergence:
    """The distance of outputs from a teacher's, both (B, O): the divergence, or for points the loss itself."""
    return make_divergence(context.options) if context.data.task is CLASSIFICATION else context.loss
