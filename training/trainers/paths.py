"""Trainers that run sampled paths: uniform (within a cost band too), strictly fair, or of a sampler of your own.

Strict fairness as FairNAS defines it (Chu et al. 2021): on one batch, n single-path backward passes in which every
candidate of every layer is used, exactly once where layers have equally many; the gradients are summed, not averaged;
one optimizer step follows.
"""

from dataclasses import replace
from random import Random
from typing import Any

import numpy as np

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options, part_of
from lookup_tables.limits import Limits, as_architecture, limits_of
from lookup_tables.loading import tables_of
from supernet import Architecture, SearchSpace
from supernet.samplers import FairSampler, Sampler, UniformSampler
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


class ConstrainedSampler:
    """One path per step, uniform over all encodings within limits: SPOS's sampling by FLOPs (Guo et al. 2020) without
    bins; a pure function of (seed, step).

    Raises:
        UserError: nothing is within the limits; says the exact range of the space.
    """

    paths_per_step = 1

    def __init__(self, limits: Limits, seed: int) -> None:
        self.limits, self.seed = limits, seed
        limits.check()

    def paths(self, step: int) -> list[Architecture]:
        """The architecture of this step; the same for the same (seed, step)."""
        rng = np.random.default_rng(Random(f"constrained {self.seed} {step}").getrandbits(64))
        return list(map(as_architecture, self.limits.encodings(rng, 1)))


class Uniform(PathTrainer):
    """One path per step (SPOS, Guo et al. 2020), of those within --min-hc and --target-hc."""

    keeps_limits = True

    def __init__(self, context: Context) -> None:
        sampler: Sampler = UniformSampler(context.space, context.seed)
        limits = self.band(context.options, context.space)
        if limits is not None:
            sampler = ConstrainedSampler(limits, context.seed)
        super().__init__(context, sampler)

    @staticmethod
    def band(options: Any, space: SearchSpace) -> Limits | None:
        """The limits of the paths; None: none. Raises UserError where nothing is within them, without any image."""
        if options.target_hc is None and options.min_hc is None:
            return None
        tables = tables_of(options, space, space.input_shape[1], [options.info_metric])
        # --constraint is for what is derived and searched later, not for the paths that are trained.
        limits = limits_of(replace(options, constraint=None), space, tables)
        limits.check()
        return limits

    def paths_to_validate(self, count: int, steps: int) -> list[Architecture]:
        del steps
        return [self.paths(-1 - index)[0] for index in range(count)]  # of no step that a training reaches


@options("Training")
class FairOptions:
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
        super().__init__(context, FairSampler(context.space, context.seed, multiple=passes == "multiple"))


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
