"""python -m search.zero_cost --title first --search-space proxylessnas --dataset digits --zero-cost synflow,nwot

Networks of a space, drawn uniformly or those of an earlier search, scored before any training and ranked: every score
and cost in scores.csv, the networks with the greatest sum of logarithms of ranks first, and how far the scores agree
with each other, with FLOPs and, where a file says it, with accuracies. --resume goes on after an interruption.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from contextlib import closing
from functools import partial
from random import Random
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.fields import option
from config_file.files import atomic_write_text
from config_file.loader import parse
from config_file.options import options
from config_file.quantity import quantity
from config_file.run_folder import RunFolder, Work, run_stage
from config_file.run_options import RunOptions
from lookup_tables.limits import Limits
from lookup_tables.network_costs import counted_costs
from search.archive import Archive
from search.corrected import log_rank
from search.evaluators import Context, Evaluator
from search.evaluators.zero_cost import ZERO_COST, ZeroCostOptions, scores_of
from search.proxies import SCORES
from search.ranking.rank import evaluate_all
from search.ranking.statistics import kendall_tau
from search.result import Result
from search.warm_start import read_results
from supernet import Architecture, NetworkSpace
from supernet.spaces.options import SpaceOptions
from training.data.options import DataOptions

EXAMPLES = (
    "python -m search.zero_cost --title first --search-space proxylessnas --dataset digits --zero-cost synflow,nwot",
    "python -m search.zero_cost --title first --search-space nasbench_macro --dataset digits --architectures 500",
    "python -m search.zero_cost --title first --of runs/first/search/archive.jsonl --zero-cost snip,zico",
)
SHOWN = 10
MOST = 10**6
"""Architectures of a space that is scored as a whole."""

Vector = NDArray[np.float64]


@options("Untrained")
class UntrainedOptions(ZeroCostOptions, SpaceOptions, DataOptions, RunOptions):
    """Options of `python -m search.zero_cost`."""

    stage: ClassVar[str] = "zero_cost"

    architectures: int = option(
        100, "networks of the space, of encodings drawn uniformly; 0: all of it", at_least=0, at_most=10**7
    )
    of: str | None = option(
        None, "score the networks of an earlier search instead: its archive.jsonl or results.csv, whose accuracies the "
        "scores are compared with", metavar="FILE"
    )  # fmt: skip
    workers: int = option(1, "processes that score; same results in the same order", at_least=1, at_most=1024)


def main(argv: Sequence[str] | None = None) -> int:
    """Score and rank; returns the exit status.

    Raises:
        UserError: bad options, or networks that are not of the space.
        KeyboardInterrupt: Ctrl-C; finished scores are kept.
    """
    asked = parse(UntrainedOptions, argv, "python -m search.zero_cost", "What do untrained networks tell?", EXAMPLES)
    context = Context(asked)
    space = context.space
    if not isinstance(space, NetworkSpace):
        raise UserError(f"{space.name} has decisions only, no networks to score")
    earlier = read_results(asked.of, space) if asked.of else []
    chosen = [result.architecture for result in earlier] or drawn(asked, space)
    scores = scores_of(context)
    if asked.plan:
        words = f"{quantity(len(chosen), 'network')} of {space.name}, scored by {', '.join(scores)}"
        print(f"plan of zero_cost; nothing is started and nothing written\n{words}")
        return 0
    run_stage(asked, lambda: Work(partial(score_all, asked, space, chosen, earlier, ZERO_COST(context))))
    return 0


def drawn(asked: UntrainedOptions, space: NetworkSpace) -> list[Architecture]:
    """The networks to score, canonical: so many that differ, of encodings drawn uniformly, or all.

    Raises:
        UserError: all of a space that is too large to be listed.
    """
    if asked.architectures and asked.architectures < space.num_canonical:
        return Limits(space).sample_distinct(Random(f"zero_cost {asked.random_seed}"), asked.architectures)
    if space.size > MOST:
        raise UserError(
            f"--architectures 0: {space.name} has {space.size:,}, and all of at most {MOST:,} can be scored"
        )
    return [a for a in space.enumerate() if space.canonical(a) == a]


def score_all(
    asked: UntrainedOptions,
    space: NetworkSpace,
    chosen: Sequence[Architecture],
    earlier: Sequence[Result],
    evaluator: Evaluator,
    run: RunFolder,
) -> None:
    """Score the networks, as far as they are not known, and write how they rank."""
    with closing(evaluator):
        archive = Archive(run.file("archive.jsonl"), evaluator.fingerprints)
        results = evaluate_all(asked, evaluator, archive, chosen)
    _write(run, asked, space, results, {result.architecture: result for result in earlier})


def columns_of(
    asked: UntrainedOptions, space: NetworkSpace, results: Sequence[Result]
) -> tuple[dict[str, Vector], dict[str, Vector]]:
    """The scores, greater being better and the worst there is where there is none; and the costs, in raw units."""
    names = list(dict.fromkeys(metric for result in results for metric in result.metrics))
    scores = {name: np.array([_greater_is_better(name, result.value(name)) for result in results]) for name in names}
    networks = [result.architecture for result in results]
    resolution = asked.resolution or space.input_shape[1]
    return scores, {name: table.cost(networks) for name, table in counted_costs(space, resolution).items()}


def _write(
    run: RunFolder,
    asked: UntrainedOptions,
    space: NetworkSpace,
    results: Sequence[Result],
    earlier: Mapping[Architecture, Result],
) -> None:
    scores, costs = columns_of(asked, space, results)
    joined: Vector = np.sum([log_rank(column) for column in scores.values()], axis=0)  # as AZ-NAS joins scores
    order = np.argsort(-joined, kind="stable")
    failed = sum(result.failed for result in results)
    if failed:
        run.log(f"{quantity(failed, 'network')} without a number for one of the scores, ranked as the worst by it")
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    several = ["log_ranks"] if len(scores) > 1 else []
    writer.writerow(["place", "architecture", "indices", *scores, *several, *costs, "seconds"])
    for place, row in enumerate(order.tolist(), start=1):
        numbers = [f"{column[row]:.9g}" if np.isfinite(column[row]) else "" for column in scores.values()]
        joint = [f"{joined[row]:.6g}"] if len(scores) > 1 else []
        architecture = results[row].architecture
        names, indices = (" ".join(map(str, part)) for part in (space.names(architecture), architecture))
        cells = [*numbers, *joint, *(f"{column[row]:.9g}" for column in costs.values()), f"{results[row].seconds:.4g}"]
        writer.writerow([place, names, indices, *cells])
    atomic_write_text(run.file("scores.csv"), table.getvalue())
    for line in _agreement(scores, joined, costs, results, earlier):
        run.log(line)
    for place, row in enumerate(order[:SHOWN].tolist(), start=1):
        run.log(f"{place:4d}  {' '.join(space.names(results[row].architecture))}")
    run.log(f"files      {run.path}/: scores.csv archive.jsonl")


def _agreement(
    scores: Mapping[str, Vector],
    joined: Vector,
    costs: Mapping[str, Vector],
    results: Sequence[Result],
    earlier: Mapping[Architecture, Result],
) -> list[str]:
    """Kendall's tau between every score and every cost, and accuracies where there are some."""
    against = dict(costs)
    measured = [earlier[result.architecture].value("accuracy") if earlier else np.nan for result in results]
    if np.isfinite(measured).all() and len(measured) > 1:
        against["accuracy"] = np.array(measured)
    rows = dict(scores) | ({"all, by log ranks": joined} if len(scores) > 1 else {})
    lines = [f"{'Kendall tau-b with':24s}" + "".join(f"{name:>18s}" for name in [*scores, *against])]
    for name, values in rows.items():
        taus = (kendall_tau(values, other) for other in (*scores.values(), *against.values()))
        lines.append(f"{name:24s}" + "".join(f"{tau:18.3f}" for tau in taus))
    return lines


def _greater_is_better(name: str, value: float) -> float:
    """A score so that more is better; the worst there is where it is no number."""
    if np.isnan(value):
        return -np.inf
    return value if SCORES[name].maximise else -value
