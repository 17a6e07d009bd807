"""`python search.py`: from a trained supernet to the architecture that is most accurate within the limits."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

from tqdm import tqdm

from config_file.errors import UserError
from config_file.gradient_options import parse_constraints
from config_file.loader import parse
from config_file.options import SearchOptions
from config_file.progress import progress
from config_file.run_folder import RunFolder
from config_file.stages import command, find_stage, stage_path
from lookup_tables import CostTable, build_table
from search import engine, plot, results_file
from search.archive import Archive
from search.constraints import IN_MILLIONS, Constraint, number
from search.evaluator import SupernetEvaluator
from search.finished_search import read_search
from search.front import write_front
from search.learning import learnt_distribution, train_first, with_constraints
from search.objectives import check_objectives, chosen_by
from search.report import write_report
from search.result import Result
from search.strategies import OF_A_FRONT, Strategy, make_differentiable, make_strategy, objectives_of
from supernet import SearchSpace
from supernet.spaces import SPACES
from training.data import Data, load_data
from training.device import choose_amp, choose_device, prepare_device
from training.planning import duration, peak_memory
from training.supernet_file import load_supernet

EXAMPLES = (
    "python search.py --title first --search-strategy evolution --info-metric flops --target-hc 60",
    "python search.py --title first --search-strategy random --random-iteration 500 --target-hc 60 --plan",
    "python search.py --title mine --directly-search --epochs 60 --target-hc 60 --hc-mode constrained",
    "python search.py --title first --resume",
)


@dataclass(frozen=True)
class Search:
    """Everything one search needs, ready to run."""

    options: SearchOptions
    space: SearchSpace
    resolution: int
    tables: Mapping[str, CostTable]
    constraint: Constraint
    strategy: Strategy
    evaluator: SupernetEvaluator
    fingerprints: Mapping[str, Any]

    @property
    def title(self) -> str:
        return f"{self.options.search_strategy} over {self.space.name} at {self.resolution} px"

    def describe(self) -> list[str]:
        """What will run, for people."""
        table, space = self.constraint.table, self.space
        assert table is not None
        metric = table.metric
        minimum, maximum = table.minimum()[0], table.maximum()[0]
        limits = f"{metric} of at most {number(self.constraint.upper, metric)}"
        if self.constraint.lower > 0:
            limits += f" and at least {number(self.constraint.lower, metric)}"
        images = self.evaluator.calibration_images
        calibration = f"BN re-calibrated on {images:,} training images" if images else "BN statistics of the supernet"
        most = self.strategy.budget
        budget = "as many evaluations as it asks for" if most is None else f"at most {most:,} evaluations"
        return [
            f"space      {space.name}: {space.size:,} encodings, {len(space.sizes)} decisions, {self.resolution} px",
            f"range      {metric} from {number(minimum, metric)} to {number(maximum, metric)}",
            f"limits     {limits}; {share(self.constraint.acceptance)} of the space",
            f"strategy   {self.options.search_strategy}, {budget}",
            f"evaluation {calibration}, accuracy on {self.evaluator.eval_images:,} validation images",
        ]


def main(argv: Sequence[str] | None = None) -> int:
    """Run the search stage; returns the exit status.

    Raises:
        UserError: an option, the supernet, the data or an archive that does not fit; no architecture within the limits.
        KeyboardInterrupt: Ctrl-C; its text says how to continue.
    """
    options = parse(
        SearchOptions, argv, "search.py", "Pick the most accurate architecture of a trained supernet.", EXAMPLES
    )
    options = with_constraints(options)
    if options.directly_search:
        options = train_first(options)
    path = stage_path(options) / "archive.jsonl"
    if options.resume and not path.is_file():
        raise UserError(f"nothing to resume: no {path}; without --resume it starts: {command('search', options)}")
    search = prepare(options)
    if options.plan:
        print("plan of search; nothing is started and nothing written")
        print("\n".join([*search.describe(), *estimate(search)]))
        return 0
    if options.resume:
        Archive(path, search.fingerprints)  # before the folder is opened: what is refused is left as it was
    with RunFolder.open(options) as folder:
        for line in search.describe():
            folder.log(line)
        archive = Archive(path, search.fingerprints)
        if len(archive):
            folder.log(f"resumed    {len(archive):,} evaluations are kept in {archive.path}")
            folder.truncate_metrics(len(archive))
        started = time.perf_counter()
        try:
            evaluate_all(search, archive, folder)
        except KeyboardInterrupt:
            again = f"{command('search', options)} --resume"
            raise KeyboardInterrupt(f"{len(archive):,} evaluations are kept; continue with: {again}") from None
        conclude(search, archive, folder, time.perf_counter() - started)
    return 0


def prepare(options: SearchOptions) -> Search:
    """Read the supernet and its data, build the tables, and find out whether the limits can be met.

    Raises UserError for anything that does not fit.
    """
    source = find_stage(options, "supernet")
    device = choose_device(options.device)
    prepare_device(device, options.threads)
    trained = load_supernet(source)
    space = trained.space
    check_same_space(options, space, source)
    resolution = options.resolution or trained.info.get("resolution") or space.input_shape[1]
    tables = {metric: build_table(space, metric, resolution) for metric in IN_MILLIONS}
    if options.lookup_table:
        table = CostTable.load(options.lookup_table, space, resolution, options.info_metric)
    else:
        table = build_table(space, options.info_metric, resolution, options.counter)
    unit = 1e6 if table.metric in IN_MILLIONS else 1.0
    lower = -math.inf if options.min_hc is None else options.min_hc * unit
    check_objectives(objectives_of(options), {*tables, table.metric})
    constraint = Constraint(space, table, upper=options.target_hc * unit, lower=lower)
    constraint.check("--constraint" if table.metric in parse_constraints(options.constraint) else "--target-hc")
    learnt = options.search_strategy == "differentiable"
    strategy = None if learnt else make_strategy(options.search_strategy, constraint, options)
    data = load_data(options, resolution)
    check_same_data(data, trained.info, source)
    supernet = trained.supernet.to(device)
    if strategy is None:
        distribution = learnt_distribution(options, source, supernet, data, device)
        strategy = make_differentiable(constraint, options, distribution)
    evaluator = SupernetEvaluator(
        supernet,
        data,
        calibration_images=options.calibration_images,
        eval_images=options.eval_images,
        batch_size=options.eval_batch_size,
        seed=options.random_seed,
        device=device,
        channels_last=options.channels_last,
        # auto is for training: a ranking is worth float32 unless asked otherwise
        amp=None if options.amp == "auto" else choose_amp(options.amp, device),
        prefix_sharing=options.prefix_sharing,
        memory=options.eval_memory,
    )
    fingerprints = {
        "space": space.macro_fingerprint,
        "weights": trained.info["sha256"],
        "images": data.split_record.get("sha256"),
        "mean and std": [data.mean, data.std],
        "resolution": resolution,
        **evaluator.settings,
    }
    return Search(
        options, space, resolution, {**tables, table.metric: table}, constraint, strategy, evaluator, fingerprints
    )


def check_same_space(options: SearchOptions, space: SearchSpace, source: Path) -> None:
    """Raises UserError where a flag asks for another space than the supernet was trained on."""
    recipe = space.describe()
    asked = {name: getattr(options, name) for name in ("search_space", "widths", "depths", "strides", "skip")}
    for name, value in asked.items():
        trained = recipe.get(name)
        if isinstance(trained, dict):  # the content of a file, which may have moved since
            trained = trained["name"] if value in SPACES else value
        if value is None:
            continue
        if (list(value) if isinstance(value, tuple) else value) != trained:
            raise UserError(f"--{name.replace('_', '-')} {value}: the supernet in {source} was trained with {trained}")


def check_same_data(data: Data, info: Mapping[str, Any], source: Path) -> None:
    """Raises UserError unless these are the images, split as they were when the supernet was trained.

    Otherwise the search would validate on images that the weights were fitted to.
    """
    if len(data.classes) != len(info["classes"]):
        raise UserError(f"{data.name} has {len(data.classes)} classes, the supernet in {source} {len(info['classes'])}")
    if data.split_record.get("sha256") != info["split"].get("sha256"):
        raise UserError(
            f"{data.name} is split differently than when the supernet in {source} was trained, which would validate on "
            "training images: give the same --dataset, --data-path, --train-portion and --split-seed"
        )


def evaluate_all(search: Search, archive: Archive, folder: RunFolder) -> None:
    """Run the strategy to its end, showing progress."""
    best: Result | None = engine.best_of(list(archive), search.constraint)
    bar: tqdm[Any] = progress(search.strategy.budget or 0, "searching", "architecture")
    with bar:

        def watch(result: Result, cached: bool) -> None:
            nonlocal best
            best = engine.best_of([result] if best is None else [best, result], search.constraint)
            bar.update(1)
            if best is not None:
                bar.set_postfix_str(f"best {100 * best.accuracy:.2f} %", refresh=False)
            if not cached:
                found = math.nan if best is None else best.accuracy
                folder.metric(len(archive), accuracy=result.accuracy, best_accuracy=found, **result.cost)

        proposals = engine.run(search.strategy, search.evaluator, archive, search.tables, watch)
    budget = search.strategy.budget
    if budget is not None and len(proposals) < budget:
        folder.log(
            f"stopped    after {len(proposals):,} of {budget:,}: no further architecture was found within the limits"
        )


def conclude(search: Search, archive: Archive, folder: RunFolder, seconds: float) -> None:
    """Write what the search found, and say it."""
    results = [engine.with_costs(result, search.tables) for result in archive]
    results_file.write_results(folder.path / "results.csv", results, search.constraint)
    options = search.options
    best = engine.best_of(results, search.constraint, chosen_by(objectives_of(options)))
    if best is None:
        if not results:
            raise UserError(f"no architecture was found within the limits: {search.describe()[2]}")
        raise UserError(
            f"all {len(results):,} evaluations failed (no finite loss): was the supernet in "
            f"{find_stage(search.options, 'supernet')} trained to the end?"
        )
    about = {
        "dataset": options.dataset,
        "search": {
            "strategy": options.search_strategy,
            "info_metric": search.constraint.table.metric if search.constraint.table else None,
            "target_hc": options.target_hc,
            "min_hc": options.min_hc,
            "evaluations": len(results),
            "random_seed": options.random_seed,
            "supernet_sha256": search.fingerprints["weights"],
        },
    }
    results_file.write_best(folder.path / "best.json", best, search.space, search.resolution, about)
    plot.draw(
        folder.path / "accuracy_vs_cost.png",
        results,
        best,
        search.constraint,
        f"{search.title}: {len(results):,} evaluations",
    )
    write_report(folder.path / "report.html", [read_search(folder.path)])
    failed = sum(result.failed for result in results)
    low, high = best.interval
    folder.log()
    folder.log(f"best       {' '.join(search.space.names(best.architecture))}")
    folder.log(
        f"accuracy   {100 * best.accuracy:.2f} % on {best.n_images:,} validation images, inherited weights "
        f"(95 % interval {100 * low:.2f} to {100 * high:.2f})"
    )
    folder.log("cost       " + ", ".join(f"{metric} {number(cost, metric)}" for metric, cost in best.cost.items()))
    folder.log(
        f"effort     {len(results):,} architectures evaluated{f', {failed} of them failed' if failed else ''}, "
        f"{sum(result.seconds for result in results):,.0f} s of evaluation, {seconds:,.0f} s in this session"
    )
    folder.log(f"files      {folder.path}/: best.json report.html results.csv accuracy_vs_cost.png archive.jsonl")
    folder.log(f"next       {command('retrain', options)}")
    if options.search_strategy in OF_A_FRONT:
        for line in write_front(folder.path / "front.csv", results, objectives_of(options), search.constraint):
            folder.log(line)


def estimate(search: Search) -> list[str]:
    """Time and memory, from a few evaluations that are really done."""
    rng = Random(search.options.random_seed)
    timed = [search.constraint.sample(rng) for _ in range(3)]
    seconds = [result.seconds for result in search.evaluator.evaluate([a for a in timed if a is not None])][
        1:
    ]  # the first one also loads the images
    budget = search.strategy.budget
    lines = []
    if seconds and budget:
        each = sum(seconds) / len(seconds)
        images = budget * (search.evaluator.calibration_images + search.evaluator.eval_images)
        lines.append(f"images     {images:,} forward, none backward")
        lines.append(
            f"time       about {duration(each * budget)}: {each:.2f} s per evaluation, timed on {len(seconds)}"
        )
    lines.append(f"memory     {peak_memory(search.evaluator.device)} at its highest so far")
    lines.append(f"writes     {stage_path(search.options)}")
    return lines


def share(fraction: float) -> str:
    """A share of a space in words."""
    if fraction == 1:
        return "all"
    return f"about {100 * fraction:.2g} %" if fraction > 0 else "less than 0.002 %"
