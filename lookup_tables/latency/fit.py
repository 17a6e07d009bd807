"""A latency table from measurements of whole networks, and its error by the number of them."""

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import NullFormatter, ScalarFormatter
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.fields import option
from config_file.files import atomic_path
from config_file.loader import parse
from config_file.options import options
from config_file.progress import progress
from config_file.readers.door import reading
from lookup_tables.cost_table import CostTable, Key, distinct_blocks
from lookup_tables.latency.accuracy import Accuracy, Vector, judge
from lookup_tables.latency.fitting import LEAST, Fit, fit_blocks
from lookup_tables.latency.measurements import Measurements, read_measurements
from lookup_tables.latency.probes import block_counts, timed_blocks
from lookup_tables.table_file import Entry
from lookup_tables.table_options import PROG, PlaceOptions, save_and_report, space_of, table_path
from supernet import Block, SearchSpace, Shape
from supernet.blocks import Conv
from supernet.metrics import LATENCY

FEATURES = ("dense MACs", "grouped MACs", "depthwise MACs", "elements read and written", "parameters", "operators")
SIZES = (30, 100, 300, 1000)
FOLDS = 5
REPEATS = 3
LEAST_HELD_OUT = 10


def block_features(keys: Sequence[Key]) -> Vector:
    """(P, len(FEATURES)) of blocks at input shapes. Depthwise MACs tell the kernels apart."""
    return np.array([_features(*key) for key in keys], dtype=np.float64).reshape(len(keys), len(FEATURES))


def _features(block: Block, shape: Shape) -> list[float]:
    dense = grouped = depthwise = elements = params = operators = 0
    for part, entering in block.primitives(shape):
        macs = part.macs(entering)
        if isinstance(part, Conv) and part.out_channels is None:
            depthwise += macs
        elif isinstance(part, Conv) and part.groups > 1:
            grouped += macs
        else:
            dense += macs
        elements += prod(entering) + prod(part.output_shape(entering))
        params += part.params(entering)
        operators += 1
    return [dense, grouped, depthwise, elements, params, operators]


class CurvePoint(NamedTuple):
    """Held-out error of fits to so many measurements: medians over repetitions, and the range of the error.

    Args:
        measurements: that each was fitted to.
        spearman, mape: medians; the latter in percent.
        least, most: MAPE of the best and of the worst repetition.
        held_out: networks that they were judged on.
    """

    measurements: int
    spearman: float
    mape: float
    least: float
    most: float
    held_out: int


class Problem(NamedTuple):
    """Measured networks as `fit_blocks` takes them: counts (N, P), features (P, F) and milliseconds (N,)."""

    counts: Vector
    features: Vector
    ms: Vector

    def fit(self, rows: NDArray[np.intp]) -> Fit:
        """Fit to some of the networks."""
        return fit_blocks(self.counts[rows], self.features, self.ms[rows])


def as_problem(space: SearchSpace, resolution: int, measurements: Measurements) -> Problem:
    """Measurements of a space's networks at a resolution, ready to be fitted to."""
    counts = block_counts(space, resolution, measurements.architectures)
    return Problem(counts, block_features(timed_blocks(space, resolution)), measurements.ms)


def cross_validated(problem: Problem, seed: int = 0) -> Accuracy:
    """Predictions of every network by a fit to the other folds, judged together.

    Raises:
        UserError: too few measurements.
    """
    # Every network is predicted once, by the fit to the folds that it is not in.
    order = np.random.default_rng(seed).permutation(len(problem.ms))
    predicted = np.empty(len(problem.ms))
    if len(order) - -(-len(order) // FOLDS) < LEAST:
        raise UserError(f"{len(order)} measurements are too few to fit block costs to and to hold some out")
    for fold in range(FOLDS):
        held_out = order[fold::FOLDS]
        predicted[held_out] = problem.fit(np.setdiff1d(order, held_out)).predict(problem.counts[held_out])
    return judge(predicted, problem.ms)


def learning_curve(
    problem: Problem, seed: int = 0, sizes: Sequence[int] = SIZES, repeats: int = REPEATS, show_progress: bool = False
) -> list[CurvePoint]:
    """Held-out error by number of measurements, on random halves and smaller parts of them.

    Args:
        sizes: numbers of measurements; those that leave fewer than LEAST_HELD_OUT to judge on are left out. Where none
            is left, half of the measurements are fitted to, but no fewer than LEAST.
        repeats: random choices of each.
    """
    total = len(problem.ms)
    usable = [size for size in sizes if LEAST <= size <= total - LEAST_HELD_OUT] or [max(LEAST, total // 2)]
    jobs = [(size, repeat) for size in usable for repeat in range(repeats)]
    found: dict[int, list[Accuracy]] = {size: [] for size in usable}
    for size, repeat in progress(jobs, "fitting", "fit") if show_progress else jobs:
        order = np.random.default_rng([seed, repeat]).permutation(total)
        predicted = problem.fit(order[:size]).predict(problem.counts[order[size:]])
        found[size].append(judge(predicted, problem.ms[order[size:]]))
    points = []
    for size, accuracies in found.items():
        spearman, mape, held_out = zip(*accuracies, strict=True)
        point = CurvePoint(size, float(np.median(spearman)), float(np.median(mape)), min(mape), max(mape), held_out[0])
        points.append(point)
    return points


def fit_table(
    space: SearchSpace, resolution: int, measurements: Measurements, *, device: str | None = None, seed: int = 0
) -> CostTable:
    """A latency table from measured networks.

    An entry's count is the number of measured networks that hold the block: with 0, its value is the prior's alone.

    Args:
        device: what was measured, in words.
        seed: of the folds of its self-check.

    Raises:
        UserError: too few measurements, or all the same.
    """
    problem = as_problem(space, resolution, measurements)
    check = cross_validated(problem, seed)  # of fits to fewer networks than the table's own
    fit = fit_blocks(*problem)
    times = dict(zip(timed_blocks(space, resolution), fit.values, strict=True))
    # In how many measured networks each block stands; identities take no time and have no column.
    held = dict(zip(times, (problem.counts > 0).sum(0), strict=True))
    entries = {}
    for key in distinct_blocks(space, resolution):
        value = float(times.get(key, 0.0))
        entries[key] = Entry(value, value, 0, int(held.get(key, 0)))
    return CostTable(
        space,
        LATENCY,
        resolution,
        entries,
        counted="milliseconds per image, solved for from measured networks",
        counter="fit",
        counter_version="1",
        device=device,
        offset=fit.offset,
        self_check=check.self_check(f"{FOLDS}-fold cross-validation"),
    )


def draw_learning_curve(path: Path, curves: Mapping[str, Sequence[CurvePoint]], title: str) -> None:
    """Write a PNG with one line per curve; the shade is the range over repetitions.

    Args:
        curves: by what they are called.
    """
    figure = Figure(figsize=(10, 4.2), layout="constrained")
    error, rank = figure.subplots(1, 2)
    figure.suptitle(title, x=0.012, ha="left", fontsize=12, fontweight="bold")
    for name, points in curves.items():
        sizes = [point.measurements for point in points]
        (line,) = error.plot(sizes, [point.mape for point in points], marker="o", label=name)
        low, high = ([getattr(point, end) for point in points] for end in ("least", "most"))
        error.fill_between(sizes, low, high, color=line.get_color(), alpha=0.15, linewidth=0)
        rank.plot(sizes, [point.spearman for point in points], marker="o", color=line.get_color(), label=name)
    error.set_ylabel("mean absolute error, held out (%)")
    error.set_ylim(bottom=0)
    rank.set_ylabel("Spearman, held out")
    for axes in (error, rank):
        axes.set_xscale("log")
        axes.set_xticks(sorted({point.measurements for points in curves.values() for point in points}))
        axes.xaxis.set_major_formatter(ScalarFormatter())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xlabel("measured networks")
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    if len(curves) > 1:
        rank.legend(frameon=False, fontsize=8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=130)


@options("Table")
class FitOptions(PlaceOptions):
    """A latency table from measured networks."""

    measurements: str | None = option(
        None, "measured networks: the columns architecture (names or indices) and ms", metavar="FILE.csv"
    )
    device: str | None = option(None, "what they were measured on, in words", metavar="NAME")
    random_seed: int = option(0, "of the parts that are held out", at_least=0, at_most=2**32 - 1)


def fit(argv: Sequence[str]) -> None:
    """Solve for per-block latencies from measured networks, and say the held-out error."""
    options = parse(
        FitOptions,
        argv,
        prog=f"{PROG} fit",
        description="Solve for the latency of every block from measurements of whole networks.",
        examples=[
            f"{PROG} fit --measurements measured.csv --search-space proxylessnas --resolution 224 --device 'Pixel 8'"
        ],
    )
    if options.measurements is None:
        raise UserError("--measurements FILE.csv is missing: the measured networks")
    space = space_of(options)
    resolution = space.input_shape[1]
    path = table_path(options, space.name, "latency", str(resolution))
    measurements = read_measurements(options.measurements, space)
    with reading(options.measurements, "cannot be explained by costs of blocks"):
        table = fit_table(space, resolution, measurements, device=options.device, seed=options.random_seed)
        curve = learning_curve(as_problem(space, resolution, measurements), options.random_seed, show_progress=True)
    save_and_report(table, path)
    unmeasured = sum(entry.count == 0 for entry in table.entries.values())
    print(f"fitted to {len(measurements.ms):,} networks; {unmeasured} of {len(table.entries)} blocks stand in none")
    print(f"{'measured':>10}{'Spearman':>10}{'MAPE %':>9}{'(range)':>16}   held out")
    for point in curve:
        span = f"({point.least:.2f}-{point.most:.2f})"
        print(f"{point.measurements:10,}{point.spearman:10.3f}{point.mape:9.2f}{span:>16}   {point.held_out:,}")
    picture = path.with_suffix(".png")
    draw_learning_curve(picture, {options.device or "held out": curve}, f"latency fit of {space.name}")
    print(f"wrote {picture}")
