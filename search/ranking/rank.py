"""python -m search.rank --title first --truth nasbench_macro --architectures 1000

Is the ranking any good? Kendall's tau-b, Spearman's rho and the top-k regret of a supernet's scores (or of scores from
a CSV) against accuracies of networks trained alone, with bootstrap intervals, beside FLOPs and parameters as baselines
and the noise ceiling: one training seed against another. A supernet's scores are its accuracies, its losses, and what
each says of single options. Evaluations are kept; --resume goes on after an interruption.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from tqdm import tqdm

from config_file.errors import UserError
from config_file.fields import option
from config_file.files import atomic_path, atomic_write_text
from config_file.loader import parse
from config_file.options import options
from config_file.progress import progress
from config_file.run_folder import RunFolder
from config_file.run_options import RunOptions
from config_file.stages import find_stage
from lookup_tables import build_table
from search.archive import Archive
from search.evaluators.options import EvaluationOptions
from search.evaluators.prefix_evaluation import Node, tree_of
from search.evaluators.refitted_head import weights_in_words
from search.evaluators.workers import in_processes
from search.preparation import check_same_data, make_evaluator
from search.ranking.statistics import Estimate, Statistic, bootstrap, kendall_tau, spearman_rho, top_k_regret
from search.ranking.truth import Truth, load_truth, read_scores
from search.reporting.picture import ACCENT, INK, MUTED
from search.reporting.report import renew_report
from search.strategies.surrogate import Ridge, one_hot
from supernet import Architecture, SearchSpace
from supernet.metrics import counted_metrics
from supernet.spaces.options import SpaceOptions
from tasks import CLASSIFICATION, task_of
from training.data import load_data
from training.data.options import DataOptions
from training.device import choose_device, prepare_device
from training.supernet_file import load_supernet

EXAMPLES = (
    "python -m search.rank --title first --truth nasbench_macro --architectures 1000",
    "python -m search.rank --title first --truth trained_alone.csv",
    "python -m search.rank --output ranked --scores scores.csv --truth nasbench201",
)
TOP_K = (1, 5, 10)
SUPERNET, LOSS = "supernet", "supernet, by its loss"
EFFECTS, LOSS_EFFECTS = "supernet, main effects", "supernet, main effects of its loss"
_GROUP = "Ranking"


@options()
class RankOptions(EvaluationOptions, SpaceOptions, DataOptions, RunOptions):
    """Options of `python -m search.rank`."""

    stage: ClassVar[str] = "rank"

    truth: str = option(
        "nasbench_macro", "accuracies of networks trained alone: nasbench_macro, nasbench201 (files in the folder that "
        "NAS_SHARED_DATA names), FILE.npz of either, or FILE.csv with architecture and accuracy", group=_GROUP,
        metavar="TRUTH",
    )  # fmt: skip
    truth_dataset: str = option(
        "cifar10", "data set of nasbench201", group=_GROUP, choices=("cifar10", "cifar100", "ImageNet16-120")
    )
    scores: str | None = option(
        None, "rank these scores instead of a supernet's: CSV with architecture and score or accuracy", group=_GROUP,
        metavar="FILE.csv",
    )  # fmt: skip
    architectures: int = option(0, "networks of the truth, drawn uniformly; 0: all", group=_GROUP, at_least=0)
    resamples: int = option(1000, "of the bootstrap", group=_GROUP, at_least=10)
    supernet: str | None = option(
        None, "folder of the trained supernet; none: by --title", group="Run", metavar="FOLDER"
    )

    def rules(self) -> None:
        """Raises UserError where options of the groups contradict each other."""
        if len(self.eval_images) > 1:
            raise UserError("--eval-images: a ranking judges all networks on the same images, so give one number")


@dataclass(frozen=True)
class Row:
    """How well one kind of score ranks."""

    name: str
    tau: Estimate
    spearman: Estimate
    regret: list[Estimate]


def main(argv: Sequence[str] | None = None) -> int:
    """Rank; returns the exit status.

    Raises:
        UserError: bad options, a truth or scores that do not fit.
        KeyboardInterrupt: Ctrl-C; finished evaluations are kept.
    """
    options = parse(RankOptions, argv, "python -m search.rank", "Is the ranking of a supernet any good?", EXAMPLES)
    if options.scores is not None:
        truth = load_truth(options.truth, None, options.truth_dataset)
        scores = read_score_file(Path(options.scores), None)
        chosen = draw([a for a in truth.accuracy if a in scores], options)
        if options.plan:
            return _planned(chosen, truth)
        with RunFolder.open(options) as run:
            conclude(run, "scores", chosen, scores, truth, _costs(truth, chosen, None, 0), options, {})
        return 0
    source = find_stage(options, "supernet")
    trained = load_supernet(source, options.search_space)
    if task_of(trained.info) is not CLASSIFICATION:
        raise UserError(f"the supernet in {source} is of {task_of(trained.info).name}: search.rank ranks by accuracy")
    truth = load_truth(options.truth, trained.space, options.truth_dataset)
    chosen = draw([a for a in truth.accuracy if trained.space.is_valid(a)], options)
    resolution = options.resolution or trained.info["resolution"]
    if options.plan:
        channels = trained.space.input_shape[0]
        tree = tree_of(trained.space, chosen, (channels, resolution, resolution)) if options.prefix_sharing else None
        return _planned(chosen, truth, tree)
    device = choose_device(options.device)
    prepare_device(device, options.threads)
    data = load_data(options, resolution)
    check_same_data(data, trained.info, source)
    evaluator, fingerprints = make_evaluator(options, trained, data, options.eval_images[0], device, resolution)
    with RunFolder.open(options) as run:
        archive = Archive(run.file("archive.jsonl"), fingerprints)
        fresh = [architecture for architecture in chosen if architecture not in archive]
        bar: tqdm[Any] = progress(len(chosen), "ranking", "architecture")
        with bar:
            bar.update(len(chosen) - len(fresh))
            # All at once: each is handed out when it is ready, and the fewer there are, the fewer prefixes are shared.
            for result in in_processes(evaluator, options.workers, options.threads).evaluate(fresh) if fresh else ():
                archive.add(result)
                bar.update(1)
        scores = {a: archive[a].value(CLASSIFICATION.metric) for a in chosen if not archive[a].failed}
        kept = [a for a in chosen if a in scores]
        costs = _costs(truth, kept, trained.space, resolution)
        if len(kept) < 3:
            raise UserError(
                f"{len(chosen) - len(kept)} of {len(chosen)} evaluations failed (no finite loss): was the supernet in "
                f"{source} trained to the end?"
            )
        by_loss = {a: -archive[a].value("loss") for a in kept}
        others = {
            LOSS: by_loss,
            EFFECTS: main_effects(trained.space, scores),
            LOSS_EFFECTS: main_effects(trained.space, by_loss),
        }
        conclude(run, SUPERNET, kept, scores, truth, costs, options, others)
    return 0


def main_effects(space: SearchSpace, scores: Mapping[Architecture, float]) -> dict[Architecture, float]:
    """What the scores say of single options: ridge regression on the one-hot encoding, as the predictor strategy fits.

    How options work together, which a supernet may get more wrong than what each one does, is left out.
    """
    features = one_hot(space, list(scores))
    fitted = Ridge().fit(features, np.array(list(scores.values()))).predict(features)
    return dict(zip(scores, fitted.tolist(), strict=True))


def draw(architectures: Sequence[Architecture], options: RankOptions) -> list[Architecture]:
    """The networks that are ranked: all, or so many drawn uniformly with the seed.

    Raises:
        UserError: fewer than three have both a score and a truth.
    """
    if len(architectures) < 3:
        raise UserError(f"only {len(architectures)} architectures have a score and a truth: at least 3 can be ranked")
    ordered = sorted(architectures)
    if options.architectures and options.architectures < len(ordered):
        return Random(f"rank {options.random_seed}").sample(ordered, max(3, options.architectures))
    return ordered


def read_score_file(path: Path, space: SearchSpace | None) -> dict[Architecture, float]:
    """The column `score`, or else `accuracy`."""
    try:
        return read_scores(path, "score", space)
    except UserError:
        return read_scores(path, "accuracy", space)


def _planned(chosen: Sequence[Architecture], truth: Truth, tree: Node | None = None) -> int:
    print(f"plan of rank; nothing is started and nothing written\n{len(chosen):,} architectures of {truth.name}")
    if tree is not None:
        shared, alone = tree.layers()
        print(f"{shared:,} layers to evaluate instead of {alone:,}: what several networks begin with is computed once")
    return 0


def _costs(
    truth: Truth, chosen: Sequence[Architecture], space: SearchSpace | None, resolution: int
) -> dict[str, NDArray[np.float64]]:
    """{metric: (networks,)}: the truth's own, else counted where the space is known."""
    position = {architecture: index for index, architecture in enumerate(truth.accuracy)}
    rows = [position[architecture] for architecture in chosen]
    costs = {metric: values[rows] for metric, values in truth.costs.items()}
    if space is not None:
        for name in (metric.name for metric in counted_metrics()):
            if name not in costs:
                costs[name] = build_table(space, name, resolution).cost(chosen)
    return costs


def compare(
    scores: Mapping[str, NDArray[np.float64]], truth: NDArray[np.float64], resamples: int, seed: int
) -> list[Row]:
    """One row per kind of score; all intervals from the same resampled networks."""

    def estimate(statistic: Statistic, values: NDArray[np.float64]) -> Estimate:
        return bootstrap(statistic, values, truth, resamples=resamples, seed=seed)

    return [
        Row(
            name,
            estimate(kendall_tau, values),
            estimate(spearman_rho, values),
            [estimate(top_k_regret(k), values) for k in TOP_K],
        )
        for name, values in scores.items()
    ]


def ceiling(seeds: NDArray[np.float64], resamples: int, seed: int) -> Row | None:
    """One training seed (as score) against another (as truth), the mean over pairs; None without two seeds.

    A network that lacks a seed is left out of that seed's pairs.
    """
    rows = []
    for a, b in combinations(range(seeds.shape[1]), 2):
        both = np.isfinite(seeds[:, a]) & np.isfinite(seeds[:, b])
        if both.sum() >= 3:
            rows += compare({"": seeds[both, a]}, seeds[both, b], resamples, seed)
    if not rows:
        return None

    def mean(estimates: Sequence[Estimate]) -> Estimate:
        return Estimate(*np.mean([(e.value, e.low, e.high) for e in estimates], axis=0).tolist())

    return Row(
        "noise ceiling: seed against seed",
        mean([row.tau for row in rows]),
        mean([row.spearman for row in rows]),
        [mean([row.regret[k] for row in rows]) for k in range(len(TOP_K))],
    )


def conclude(
    run: RunFolder,
    name: str,
    chosen: Sequence[Architecture],
    scores: Mapping[Architecture, float],
    truth: Truth,
    costs: Mapping[str, NDArray[np.float64]],
    options: RankOptions,
    others: Mapping[str, Mapping[Architecture, float]],
) -> None:
    """Say and write what was found, of `others`, further scores, too: `rank.json`, `scores.csv` and `ranking.png`."""
    values = np.array([scores[a] for a in chosen])
    further = {other: np.array([found[a] for a in chosen]) for other, found in others.items()}
    accuracy = np.array([truth.accuracy[a] for a in chosen])
    rows = compare({name: values, **further, **costs}, accuracy, options.resamples, options.random_seed)
    if truth.seeds is not None:
        position = {architecture: index for index, architecture in enumerate(truth.accuracy)}
        top = ceiling(truth.seeds[[position[a] for a in chosen]], options.resamples, options.random_seed)
        rows += [] if top is None else [top]
    best = max((row for row in rows[1:] if row.name in costs), key=lambda row: row.tau.value, default=None)
    weights = weights_in_words(options.refit_head)
    networks, tau = f"{len(chosen):,} networks of {truth.name}", f"Kendall τ {rows[0].tau.words()}"
    words = [f"{networks}{f', {weights}' if name == SUPERNET else ''}: {tau}."]
    if best is not None:
        better = rows[0].tau.low > best.tau.high
        worse = rows[0].tau.high < best.tau.low
        verdict = "better" if better else "worse" if worse else "not shown to be better"
        words.append(f"The order is {verdict} than that by {best.name} alone (τ {best.tau.words()}).")
    run.log(f"{'scores':36s}{'Kendall tau-b':26s}{'Spearman':26s}" + "".join(f"{f'regret top {k}':24s}" for k in TOP_K))
    for row in rows:
        regrets = "".join(f"{regret.words(2):24s}" for regret in row.regret)
        run.log(f"{row.name:36s}{row.tau.words():26s}{row.spearman.words():26s}{regrets}")
    for line in words:
        run.log(line)
    axis = f"score: {name}"
    if name == SUPERNET:
        values = 100 * values
        axis = f"score: validation accuracy, {weights} (%)"
    _picture(run.file("ranking.png"), values, accuracy, f"{networks}: {tau}", axis)
    lines = [f"{' '.join(map(str, a))},{scores[a]:.6f},{truth.accuracy[a]:.4f}" for a in chosen]
    atomic_write_text(run.file("scores.csv"), "\n".join(["architecture,score,truth", *lines]) + "\n")
    shown = [
        {
            "name": row.name,
            "tau": row.tau.words(),
            "spearman": row.spearman.words(),
            "regret": [regret.words(2) for regret in row.regret],
            "numbers": asdict(row),
        }
        for row in rows
    ]
    content: dict[str, Any] = {
        "truth": truth.name, "networks": len(chosen), "words": words, "top_k": list(TOP_K), "rows": shown,
    }  # fmt: skip
    atomic_write_text(run.file("rank.json"), json.dumps(content, indent=1) + "\n")
    for line in renew_report(run.path, options.search_space):
        run.log(line)


def _picture(path: Path, scores: NDArray[np.float64], truth: NDArray[np.float64], title: str, axis: str) -> None:
    figure = Figure(figsize=(6.4, 5.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    axes.scatter(scores, truth, s=10, color=INK, alpha=0.35, linewidths=0)
    best = int(np.argmax(scores))
    axes.plot(scores[best], truth[best], "*", color=ACCENT, markersize=14, label="greatest score")
    axes.set_xlabel(axis, color=INK)
    axes.set_ylabel("accuracy trained alone (%)", color=INK)
    axes.set_title(title, fontsize=9, color=MUTED, loc="left")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#e4e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    axes.legend(frameon=False, loc="lower right")
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=150)
