"""Trainers that run sampled paths: strictly fair, or of a sampler of your own.

Strict fairness as FairNAS defines it (Chu et al. 2021): on one batch, n single-path backward passes in which every
candidate of every layer is used, exactly once where layers have equally many; the gradients are summed, not averaged;
one optimizer step follows.
"""

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options, part_of
from supernet import Architecture
from supernet.samplers import FairSampler, Sampler, WidestFirst
from training.trainer import Context, Trainer, TrainingStep


class PathTrainer(Trainer):
    """One pass along each path that a sampler gives for a step.

    The sampler has `paths_per_step`, and `paths(step)`, a list of as many architectures.

    Raises:
        UserError: the sampler gives anything else.
    """

    def __init__(self, context: Context, sampler: Sampler) -> None:
        super().__init__(context)
        self.sampler = sampler
        self.passes_per_step = sampler.paths_per_step
        self.paths(0)  # what is wrong with it is found out now

    def step(self, number: int) -> TrainingStep:
        paths = self.paths(number)
        return TrainingStep([self.context.task_pass(path) for path in paths], self.context.parameters_of(paths))

    def paths(self, step: int) -> list[Architecture]:
        """The architectures of a step."""
        name, space = f"--sample-strategy {self.context.options.sample_strategy}", self.context.space
        given = self.sampler.paths(step)
        if not isinstance(given, list | tuple) or len(given) != self.passes_per_step:
            raise UserError(
                f"{name}: paths({step}) must be a list of as many architectures as its paths_per_step says "
                f"({self.passes_per_step}), not {_shown(given)}"
            )
        for path in given:
            if not isinstance(path, tuple) or not space.is_valid(path):
                raise UserError(
                    f"{name}: {_shown(path)} is not an architecture of {space.name}, a tuple of {len(space.sizes)} "
                    "indices"
                )
        return list(given)


@options("Training")
class WarmUpOptions:
    """Blocks first, then their channels."""

    warmup_blocks: float = option(
        0.0,
        "uniform, fair: of a space that chooses channels train the widest alone for the first N epochs",
        unit="epochs",
        at_least=0,
        decides="training",
    )


def widest_first(context: Context, sampler: Sampler) -> Sampler:
    """The sampler, or one that begins with the widest channels, as the options say. Raises UserError."""
    epochs = part_of(context.options, WarmUpOptions).warmup_blocks
    if not epochs:
        return sampler
    return WidestFirst(sampler, context.space, round(epochs * context.steps_per_epoch))


@options("Training")
class FairOptions(WarmUpOptions):
    """Strict fairness where decisions have different numbers of options."""

    fair_passes: str = option(
        "largest",
        "fair: passes per step where decisions have unequal numbers of options: the largest number (each option at "
        "least once, equally often over time), or their least common multiple (equally often in every step)",
        choices=("largest", "multiple"),
        decides="training",
    )


class Fair(PathTrainer):
    """Strict fairness: on one batch as many paths as any decision has options, every option of each used."""

    Options = FairOptions

    def __init__(self, context: Context) -> None:
        passes = part_of(context.options, FairOptions).fair_passes
        sampler = FairSampler(context.space, context.seed, multiple=passes == "multiple")
        super().__init__(context, widest_first(context, sampler))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
