"""python -m search.rank --title first --truth nasbench_macro --architectures 1000

Is the ranking any good? Kendall's tau-b of an evaluator's scores, such as a supernet's (or of scores from a CSV), over
all networks, within a budget and among the best, nDCG and the top-k regret, against accuracies of networks trained
alone. Beside them stand what is known without training: FLOPs, live FLOPs, parameters and the number of layers, each
difference with a paired bootstrap interval; and what trainings agree on, up to the ceiling that their noise leaves. A
supernet's scores are its accuracies, its losses, and what each says of single options; --score corrected adds what is
left of their error of size. Evaluations are kept; --resume goes on after an interruption.
"""

from collections.abc import Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from config_file.errors import UserError
from config_file.loader import parse
from config_file.options import was_given
from config_file.progress import progress
from config_file.quantity import quantity
from config_file.ranks import joined, number
from config_file.run_folder import RunFolder, Work, run_stage
from config_file.run_mark import continued
from search.archive import Archive
from search.engine import evaluated
from search.evaluators import Context, Evaluator, context_of, make_evaluator, measures_of
from search.evaluators.crew import MAIN, Crew, hired, judge_of
from search.evaluators.prefix_evaluation import PrefixNode, tree_of
from search.ranking.baselines import cost_of
from search.ranking.findings import check_scores, write_findings
from search.ranking.options import RankOptions
from search.ranking.scores import Scores, scores_of
from search.ranking.truth import Truth, load_truth, read_scores
from search.result import Result
from search.structure.calibration import read_trained
from supernet import Architecture, SearchSpace
from supernet.decisions import DecisionSpace
from supernet.saved import named_space
from tasks import CLASSIFICATION
from training.agreement import agree

EXAMPLES = (
    "python -m search.rank --title first --truth nasbench_macro --architectures 1000",
    "python -m search.rank --title first --truth trained_alone.csv",
    "python -m search.rank --output ranked --scores scores.csv --truth nasbench201",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Rank; returns the exit status.

    Raises:
        UserError: bad options, a truth or scores that do not fit.
        KeyboardInterrupt: Ctrl-C; finished evaluations are kept.
    """
    with joined():
        options = parse(RankOptions, argv, "python -m search.rank", "Is the ranking of a supernet any good?", EXAMPLES)
        return _rank(continued(options))


def _rank(options: RankOptions) -> int:
    if options.scores is not None:
        typed = named_space(options, resolution=options.resolution) if was_given(options, "search_space") else None
        truth = load_truth(options.truth, typed, options.truth_dataset)
        given = read_scores(Path(options.scores), ("score", "accuracy"), typed or truth.space)
        chosen = networks(options, truth, [a for a in truth.accuracy if a in given])
        check_score(options, truth, typed)
        scores = Scores("scores", chosen, given)
        check_scores(scores.by_name())
        if options.plan:
            return _planned(chosen, truth)
        pixels = 0 if typed is None else typed.input_shape[1]
        run_stage(options, lambda: Work(lambda run: write_findings(run, scores, truth, options, typed, pixels)))
        return 0
    context = context_of(options.evaluator, options)
    space = context.space
    if context.needs_supernet and context.task is not CLASSIFICATION:
        raise UserError(
            f"the supernet in {context.source} is of {context.task.name}: search.rank ranks by {CLASSIFICATION.metric}"
        )
    truth = load_truth(options.truth, space, options.truth_dataset)
    check_score(options, truth, space)
    chosen = networks(options, truth, [a for a in truth.accuracy if space.is_valid(a)])
    if options.plan:
        make_evaluator(options.evaluator, context)  # refuses what a ranking would
        return _planned(chosen, truth, _tree(options, context, chosen))

    def work() -> Work:
        evaluator = make_evaluator(options.evaluator, context)
        agree(options, None, evaluator=dict(evaluator.fingerprints))
        return Work(partial(rank, options, context, truth, chosen, evaluator))

    run_stage(options, work)
    return 0


def rank(
    options: RankOptions,
    context: Context,
    truth: Truth,
    chosen: Sequence[Architecture],
    evaluator: Evaluator,
    run: RunFolder,
) -> None:
    """Evaluate the networks, as far as they are not known, and write how their scores rank.

    Of ranks those after the first evaluate only.
    """
    with closing(evaluator), hired({MAIN: evaluator}) as crew:
        if number():
            return
        archive = Archive(run.file("archive.jsonl"), evaluator.fingerprints)
        kept = [result for result in evaluate_all(options, evaluator, archive, chosen, crew) if not result.failed]
    if len(kept) < 3:
        failed = f"{len(chosen) - len(kept)} of {len(chosen)}"
        raise UserError(f"{failed} evaluations failed (no finite loss){context.doubt}")
    measures = measures_of(options.evaluator, context)
    scores = scores_of(options.evaluator, evaluator.method, context.space, measures, kept)
    write_findings(run, scores, truth, options, context.space, context.resolution)


def check_score(options: RankOptions, truth: Truth, space: DecisionSpace | None = None) -> None:
    """Raises UserError where scores shall be corrected for a cost that nothing says, or by trainings that are none."""
    if options.calibrate and space is not None:
        read_trained(Path(options.calibrate), space)
    counted = isinstance(space, SearchSpace) or truth.space is not None
    if options.score == "corrected" and not counted and cost_of(truth.costs) is None:
        raise UserError(
            f"--score corrected: nothing says what the networks of {truth.name} cost (a column flops would)"
        )


def networks(options: RankOptions, truth: Truth, architectures: Sequence[Architecture]) -> list[Architecture]:
    """The networks that are ranked: all, or so many drawn uniformly with the seed.

    Raises:
        UserError: fewer than three have both a score and a truth, or all have the same truth.
    """
    if len(architectures) < 3:
        raise UserError(f"only {len(architectures)} architectures have a score and a truth: at least 3 can be ranked")
    ordered = sorted(architectures)
    if options.architectures and options.architectures < len(ordered):
        ordered = Random(f"rank {options.random_seed}").sample(ordered, options.architectures)
    if len({truth.accuracy[a] for a in ordered}) == 1:
        raise UserError(
            f"all {len(ordered):,} networks of {truth.name} have the same accuracy: there is nothing to rank"
        )
    return ordered


def evaluate_all(
    options: Any, evaluator: Evaluator, archive: Archive, chosen: Sequence[Architecture], crew: Crew | None = None
) -> list[Result]:
    """The results of all, of which those are evaluated that the archive does not have yet, showing progress."""
    fidelity = evaluator.fidelities[-1]
    fresh = [architecture for architecture in chosen if archive.find(architecture, fidelity) is None]
    bar: tqdm[Any] = progress(len(chosen), "ranking", "architecture")
    with bar:
        bar.update(len(chosen) - len(fresh))
        workers = judge_of(crew, MAIN, evaluator, options)
        # All at once: each is handed out when it is ready, and the fewer there are, the fewer prefixes are shared.
        for result in evaluated(workers, fresh, fidelity) if fresh else ():
            archive.add(result)
            bar.update(1)
    found = (archive.find(architecture, fidelity) for architecture in chosen)
    return [result for result in found if result is not None]


def _tree(options: RankOptions, context: Context, chosen: Sequence[Architecture]) -> PrefixNode | None:
    space = context.space
    if not (context.needs_supernet and options.prefix_sharing and isinstance(space, SearchSpace)):
        return None
    return tree_of(space, chosen, (space.input_shape[0], context.resolution, context.resolution))


def _planned(chosen: Sequence[Architecture], truth: Truth, tree: PrefixNode | None = None) -> int:
    print(
        f"plan of rank; nothing is started and nothing written\n{quantity(len(chosen), 'architecture')} of {truth.name}"
    )
    for note in truth.notes:
        print(note)
    if tree is not None:
        shared, alone = tree.layers()
        print(f"{shared:,} layers to evaluate instead of {alone:,}: what several networks begin with is computed once")
    return 0
