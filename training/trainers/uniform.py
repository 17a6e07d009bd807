"""Random paths: uniform, within a cost band, and attentive to the best or the worst of some candidates.

Attentive sampling (AttentiveNAS, Wang et al. 2021) trains, of some random candidates, the one that is expected to be
the best (best-up: the front is pushed) or the worst (worst-up: what lags behind is pulled along). As in the paper the
candidates of one path have about as many MACs, of a number that is drawn first, and a predictor tells them apart.
Without one MACs themselves stand in for the expectation, and the candidates are any.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options, part_of
from lookup_tables.counters import build_table
from lookup_tables.limits import Limits, as_architecture, limits_of
from lookup_tables.loading import tables_of
from supernet import Architecture, SearchSpace
from supernet.samplers import MOST_PATHS, Sampler, UniformSampler
from training.trainer import Context
from training.trainers.balanced import Sizes, by_macs
from training.trainers.paths import PathTrainer, WarmUpOptions, widest_first

BEST, WORST = "best-up", "worst-up"


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


@options("Training")
class AttentiveOptions:
    """Attention among random paths."""

    attentive: str | None = option(
        None,
        "random paths: of some candidates train the one that is expected to be the best or the worst (AttentiveNAS); "
        "none: any",
        choices=(BEST, WORST),
        decides="training",
    )
    attentive_by: str | None = option(
        None,
        "file of python -m search.predictor, whose predictions are expected; none: more MACs are better",
        metavar="FILE",
        only={"attentive": (BEST, WORST)},
        decides="training",
    )
    attentive_candidates: int = option(
        50,
        "random candidates per attentive path",
        at_least=2,
        at_most=10**5,
        only={"attentive": (BEST, WORST)},
        decides="training",
    )


Score = Callable[[Sequence[Architecture]], NDArray[np.float64]]
"""(N,) architectures -> (N,) numbers, more is better."""


PREDICTORS: dict[str, Callable[[Path, SearchSpace], Score]] = {}
"""What reads a file of --attentive-by: a function of file and space. Whoever has one enters it."""


class AttentiveSampler:
    """One path per step: of some that another sampler draws the one of greatest score, or of least.

    Args:
        draw: a sampler of one path per step, or of all candidates.
    """

    paths_per_step = 1

    def __init__(self, draw: Sampler, score: Score, candidates: int, which: str = BEST) -> None:
        self.draw, self.score, self.candidates, self.which = draw, score, candidates, which

    def paths(self, step: int) -> list[Architecture]:
        """The architecture of this step; the same for the same (seed, step)."""
        draw = self.draw if self.draw.paths_per_step == self.candidates else Several(self.draw, self.candidates)
        drawn = draw.paths(step)
        scores = self.score(drawn)
        return [drawn[int(scores.argmax() if self.which == BEST else scores.argmin())]]


class AlikeSampler:
    """Some paths per step of about as many MACs: a band of them, each equally often, and uniform within it."""

    def __init__(self, bands: Sizes, count: int, seed: int) -> None:
        self.bands, self.paths_per_step, self.seed = bands, count, seed

    def paths(self, step: int) -> list[Architecture]:
        """The architectures of this step; the same for the same (seed, step)."""
        rng = np.random.default_rng(Random(f"alike {self.seed} {step}").getrandbits(64))
        draw = self.bands.draws[int(rng.integers(len(self.bands.draws)))]
        return [draw(rng) for _ in range(self.paths_per_step)]


class Several:
    """Some paths per step of a sampler that has one; each is drawn for a number of its own."""

    def __init__(self, draw: Sampler, count: int) -> None:
        self.draw, self.paths_per_step = draw, count

    def paths(self, step: int) -> list[Architecture]:
        """The architectures of this step; the same for the same (seed, step)."""
        return [self.draw.paths(step * self.paths_per_step + number)[0] for number in range(self.paths_per_step)]


def drawn(context: Context, limits: Limits | None = None) -> Sampler:
    """One random path per step, of those within limits, and attentive where the options say so."""
    space, settings = context.space, part_of(context.options, AttentiveOptions)
    sampler: Sampler = UniformSampler(space, context.seed)
    if limits is not None:
        sampler = ConstrainedSampler(limits, context.seed)
    if settings.attentive is None:
        return sampler
    if settings.attentive_by is not None:
        expect, many = _predictor(Path(settings.attentive_by).expanduser(), context), settings.attentive_candidates
        alike = sampler if limits is not None else AlikeSampler(by_macs(space), many, context.seed)
        return AttentiveSampler(alike, expect, many, settings.attentive)
    return AttentiveSampler(
        sampler, build_table(space, "flops", space.input_shape[1]).cost, settings.attentive_candidates,
        settings.attentive,
    )  # fmt: skip


def _predictor(file: Path, context: Context) -> Score:
    """The scores by which a file expects paths of a context to do.

    Raises:
        UserError: there is no such file, or nothing here reads it.
    """
    if not file.is_file():
        raise UserError(f"--attentive-by {file}: there is no such file; python -m search.predictor makes one")
    if not PREDICTORS:
        raise UserError(f"--attentive-by {file}: nothing here reads predictors; train_supernet.py does")
    *_, read = PREDICTORS.values()
    expect = read(file, context.supernet.space)
    return lambda paths: expect([context.whole(path) for path in paths])


@options("Training")
class UniformOptions(AttentiveOptions, WarmUpOptions):
    """Random paths."""

    paths_per_step: int = option(
        1,
        "uniform: random paths per step, on one batch, whose gradients are summed (once-for-all)",
        at_least=1,
        at_most=MOST_PATHS,
        decides="training",
    )


class Uniform(PathTrainer):
    """Random paths in each step, one of them (SPOS, Guo et al. 2020) or several, within --min-hc and --target-hc."""

    Options = UniformOptions
    keeps_limits = True

    def __init__(self, context: Context) -> None:
        count = part_of(context.options, UniformOptions).paths_per_step
        limits = self.band(context.options, context.space)
        if limits is not None and part_of(context.options, WarmUpOptions).warmup_blocks:
            raise UserError("--warmup-blocks begins with the widest networks, which --target-hc and --min-hc rule out")
        one = drawn(context, limits)
        super().__init__(context, widest_first(context, one if count == 1 else Several(one, count)))

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
