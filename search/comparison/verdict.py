"""python -m search.verdict --title first --top-k 1 --seeds 3 --epochs 30

Did the search help? Retrains what it found beside random networks of the same cost and a MobileNetV2 scaled to it, all
alike, and says how large the difference is, with an interval, and in words, "no" included. One row per training; what
is done is kept, so the same command with --resume goes on after an interruption.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from pathlib import Path
from random import Random
from typing import Any, ClassVar

import numpy as np
from scipy import stats

from config_file.errors import UserError
from config_file.fields import option
from config_file.files import append_jsonl, atomic_write_text, read_jsonl
from config_file.loader import parse
from config_file.options import options
from config_file.run_folder import RunFolder
from config_file.stages import command, find_stage, stage_path
from lookup_tables import CostTable, build_table, load_tables
from lookup_tables.limits import Limit, Limits
from search.comparison.scaled_baseline import scaled_mobilenetv2
from search.objectives import chosen_by
from search.reporting.finished_search import FinishedSearch, read_search
from search.reporting.report import renew_report
from search.result import comparable
from supernet import Architecture, NetSpec
from supernet.metrics import FLOPS, Metric, metric_called
from tasks import CLASSIFICATION
from training.data import load_data
from training.options import RetrainOptions
from training.retrain import retrain

FOUND, RANDOM, BASELINE = "found", "random", "mobilenetv2"
SAME_COST = 0.03  # random networks cost at most this much less than the found one, and never more

EXAMPLES = ("python -m search.verdict --title first --top-k 3 --seeds 3 --epochs 30",)


@options()
class VerdictOptions(RetrainOptions):
    """Options of `python -m search.verdict`: those of a retraining, which every network gets alike."""

    stage: ClassVar[str] = "verdict"

    top_k: int = option(1, "best architectures of the search that are retrained", group="Verdict", at_least=1)
    seeds: int = option(3, "trainings of each: seeds RANDOM_SEED, RANDOM_SEED + 1, ...", group="Verdict", at_least=2)
    lookup_table: str | None = option(
        None, "table of the cost that the search was limited in; none: the one it used", group="Verdict",
        metavar="[NAME=]FILE.json", repeat=True, flags=("lookup_table_path",), inherit=True,
    )  # fmt: skip
    only: str = option(
        "all", "train one arm of the comparison here, to share the work between processes", group="Verdict",
        choices=("all", FOUND, RANDOM, BASELINE), saved=False,
    )  # fmt: skip

    def rules(self) -> None:
        """Raises UserError where options of the groups contradict each other."""
        super().rules()
        if self.architecture is not None or self.init != "scratch":
            raise UserError("a verdict retrains what the search found, from scratch: no --architecture, no --init")


@dataclass(frozen=True)
class Contender:
    """One training of the comparison; its cost, which the table calls `name`, in raw units of `metric`."""

    name: str
    metric: Metric
    cost: float
    arm: str
    network: int
    seed: int
    spec: NetSpec
    names: list[str]

    @property
    def title(self) -> str:
        return f"{self.arm}-{self.network}-seed{self.seed}"


@dataclass(frozen=True)
class Difference:
    """Mean accuracy of the found networks minus that of others, in points, with its 95 % interval (Welch's t)."""

    mean: float
    low: float
    high: float
    p: float

    def words(self, others: str) -> str:
        """The verdict against `others`."""
        interval = f"{self.mean:+.2f} points (95 % interval {self.low:+.2f} to {self.high:+.2f})"
        if self.low > 0:
            return f"Yes: the search beats {others} by {interval}."
        if self.high < 0:
            return f"No: the search is worse than {others}: {interval}."
        return f"No difference shown against {others}: {interval}."


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison; returns the exit status.

    Raises:
        UserError: bad options, no finished search, a folder that is taken.
        KeyboardInterrupt: Ctrl-C; finished trainings are kept, and so is the running one's checkpoint.
    """
    options = parse(VerdictOptions, argv, "python -m search.verdict", "Did the search help?", EXAMPLES)
    source = find_stage(options, "search")
    finished = read_search(source, options.search_space)
    if finished.task is not CLASSIFICATION:
        raise UserError(f"{source} is of {finished.task.name}: search.verdict compares test accuracies of classifiers")
    best = finished.best
    contenders = line_up(options, finished, table_of(options, finished))
    if options.plan:
        print("plan of verdict; nothing is started and nothing written")
        for contender in contenders:
            print(f"  {contender.title:24s} {contender.name} {contender.metric.in_words(contender.cost)}")
        return 0
    folder = stage_path(options)
    rows_file = folder / "trainings.jsonl"
    data = load_data(options, best["resolution"])
    with RunFolder.open(options) as run:
        run.file(rows_file.name)
        for contender in contenders:
            run.run_inside(f"trainings/{contender.title}")
        for contender in contenders:
            if any(row["title"] == contender.title for row in read_rows(rows_file)):
                continue
            if options.only not in ("all", contender.arm):
                continue
            one = replace(
                options, random_seed=contender.seed, output=str(folder / "trainings" / contender.title), resume=False
            )
            started = (Path(one.output or "") / "config.yaml").is_file() and not options.overwrite
            cost = f"{contender.name} {contender.metric.in_words(contender.cost)}"
            run.log(f"training   {contender.title}: {cost}")
            with RunFolder.create(one.output or "", one, options.overwrite, started) as training:
                try:
                    result = retrain(contender.spec, data, one, training, about={"names": contender.names})
                except KeyboardInterrupt:
                    only = "" if options.only == "all" else f" --only {options.only}"
                    again = f"{command('verdict', options)}{only} --resume"
                    raise KeyboardInterrupt(f"what is trained is kept; continue with: {again}") from None
            append_jsonl(
                rows_file,
                {
                    "title": contender.title,
                    "arm": contender.arm,
                    "network": contender.network,
                    "seed": contender.seed,
                    "test_accuracy": result.test.value,
                    "macs": result.macs,
                    "params": result.params,
                    "cost": {contender.name: contender.cost},
                    "seconds": round(result.seconds, 1),
                    "names": contender.names,
                },
            )
        rows = read_rows(rows_file)
        if {row["title"] for row in rows} >= {contender.title for contender in contenders}:
            same_cost = len({contender.name for contender in contenders}) == 1
            conclude(run, rows, same_cost, options.search_space)
    return 0


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The finished trainings."""
    return read_jsonl(path) if path.is_file() else []


def table_of(options: VerdictOptions, finished: FinishedSearch) -> CostTable:
    """The costs that the search was limited in.

    Raises:
        UserError: they were measured, and their table is not where it was and not given.
    """
    space, resolution = finished.space, finished.best["resolution"]
    name = finished.best["search"]["info_metric"]
    if metric_called(name).count is not None:
        return build_table(space, name, resolution)
    tables = load_tables(options.lookup_table or finished.options.get("lookup_table"), space, resolution)
    if name not in tables:
        raise UserError(f"the search was limited in {name}: give its table again, --lookup-table FILE.json")
    return tables[name]


def line_up(options: VerdictOptions, finished: FinishedSearch, table: CostTable) -> list[Contender]:
    """Who is compared: the same for the same options and search.

    Of a network outside the searched space only counts are known: where the cost was measured, the baseline has as many
    multiply-accumulates as the best one found.
    """
    space = finished.space
    found = [finished.chosen]
    by = chosen_by(finished.objectives, finished.measures)
    within = [result for result in comparable(finished.results) if finished.allows(result)]
    for result in sorted(within, key=lambda result: (-by.score(result), result.architecture)):
        if len(found) < options.top_k:
            known = {space.network_key(architecture) for architecture in found}
            if space.network_key(result.architecture) not in known:
                found.append(result.architecture)
    seeds = [options.random_seed + offset for offset in range(options.seeds)]
    contenders = []

    def add(arm: str, which: int, seed: int, architecture: Architecture) -> None:
        cost = float(table.cost([architecture])[0])
        spec, names = space.decode(architecture), space.names(architecture)
        contenders.append(Contender(table.name, table.metric, cost, arm, which, seed, spec, names))

    for which, architecture in enumerate(found):
        for seed in seeds:
            add(FOUND, which, seed, architecture)
    rng = Random(f"verdict {options.random_seed}")
    for index, architecture in enumerate(found):
        cost = float(table.cost([architecture])[0])
        same = Limits(space, [Limit(table, upper=cost, lower=cost * (1 - SAME_COST))])
        for seed in seeds:  # another network for each training: what is asked is how good a random one is
            drawn = same.sample(rng)
            if drawn is None:
                raise UserError(f"no random architecture costs within {SAME_COST:.0%} of {table.metric.in_words(cost)}")
            which = index * len(seeds) + seed - options.random_seed
            add(RANDOM, which, seed, drawn)
    counted = FLOPS if table.metric.count is None else table.metric
    shape = (space.input_shape[0], table.resolution, table.resolution)

    def count(spec: NetSpec) -> float:
        return spec.total(counted.of, shape)

    spec, multiplier = scaled_mobilenetv2(space, count, count(space.decode(found[0])))
    names = [f"width x{multiplier:g}"]
    return contenders + [
        Contender(counted.name, counted, count(spec), BASELINE, 0, seed, spec, names) for seed in seeds
    ]


def difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Welch's t-test between accuracies (fractions); the unit of replication is one training."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # that accuracies are nearly identical is for the reader to see
        test = stats.ttest_ind(ours, theirs, equal_var=False)
    interval = test.confidence_interval(0.95)
    mean = 100 * (float(np.mean(ours)) - float(np.mean(theirs)))
    return Difference(mean, 100 * float(interval.low), 100 * float(interval.high), float(test.pvalue))


def conclude(
    run: RunFolder, rows: Sequence[dict[str, Any]], same_cost: bool = True, trusted: str | None = None
) -> None:
    """Say and write what the trainings show.

    Args:
        same_cost: also the baseline was scaled to the searched cost.
        trusted: the space that the command at hand names, see `supernet.saved`.
    """
    arms = {
        arm: list(group) for arm, group in groupby(sorted(rows, key=lambda row: row["arm"]), key=lambda row: row["arm"])
    }
    accuracy = {arm: [row["test_accuracy"] for row in arms[arm]] for arm in arms}
    run.log()
    for arm in (FOUND, RANDOM, BASELINE):
        values = np.array(accuracy[arm])
        macs = np.mean([row["macs"] for row in arms[arm]]) / 1e6
        run.log(
            f"{arm:12s} test accuracy {100 * values.mean():.2f} % "
            f"(sd {100 * values.std(ddof=1):.2f}, {len(values)} trainings, {macs:.2f} M multiply-accumulates)"
        )
    differences = {
        RANDOM: difference(accuracy[FOUND], accuracy[RANDOM]),
        BASELINE: difference(accuracy[FOUND], accuracy[BASELINE]),
    }
    words = [
        differences[RANDOM].words("random networks of the same cost"),
        differences[BASELINE].words(
            f"a MobileNetV2 of {'the same cost' if same_cost else 'as many multiply-accumulates'}"
        ),
    ]
    for line in words:
        run.log(line)
    content = {
        "verdict": words,
        "differences": {arm: vars(found) for arm, found in differences.items()},
        "trainings": list(rows),
    }
    atomic_write_text(run.file("verdict.json"), json.dumps(content, indent=1) + "\n")
    for line in renew_report(run.path, trusted):
        run.log(line)
