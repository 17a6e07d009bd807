"""python -m search.verdict --title first --searches 3 --epochs 30

Did the search help? Retrains what it found beside random networks of the same cost and a MobileNetV2 scaled to it, all
alike, and says how large the difference is, with an interval, and in words, "no" included. With one search that is said
of the network that was found; several (--searches) say it of searching. How often either is wrong: docs/claims.md. One
row per training; what is done is kept, so the same command with --resume goes on after an interruption.
"""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.files import append_sealed
from config_file.loader import parse
from config_file.quantity import quantity
from config_file.ranks import count, gather, joined, number, on_all
from config_file.readers.form import check_form
from config_file.readers.json_text import read_sealed_jsonl
from config_file.run_folder import RunFolder, Work, run_stage
from config_file.run_mark import continued, has_begun
from config_file.stages import command, find_stage
from search.comparison.contenders import Contender, line_up, table_of
from search.comparison.findings import write_findings
from search.comparison.options import VerdictOptions
from search.comparison.replicates import folders, replicate, searched
from search.reporting.finished_search import read_search
from tasks import CLASSIFICATION
from training.agreement import agree
from training.data import Data, load_data
from training.estimate import duration, step_seconds, warning
from training.retrain import prepare_network, retrain
from training.stage import MANY

_ROW = {"title": str, "arm": str, "network": int, "seed": int, "test_accuracy": float, "macs": int}
"""The form of a row of `trainings.jsonl`, as far as it is counted with."""

ABOUT = "Did the search help?"
EXAMPLES = (
    "python -m search.verdict --title first --epochs 30",
    "python -m search.verdict --title first --searches 5 --epochs 30",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the comparison; returns the exit status.

    Raises:
        UserError: bad options, no finished search, a folder that is taken.
        KeyboardInterrupt: Ctrl-C; finished trainings are kept, and so is the running one's checkpoint.
    """
    with joined():
        return _compare(continued(parse(VerdictOptions, argv, "python -m search.verdict", ABOUT, EXAMPLES)))


def _compare(options: VerdictOptions) -> int:
    source = find_stage(options, "search")
    finished = read_search(source, options.search_space)
    if finished.task is not CLASSIFICATION:
        raise UserError(f"{source} is of {finished.task.name}: search.verdict compares test accuracies of classifiers")
    table = table_of(options, finished)
    contenders = line_up(options, [finished], table)
    data = load_data(options, table.resolution)
    if options.plan:
        further = (options.searches - 1) * options.top_k * options.seeds
        recipe = prepare_network(contenders[0].spec, data, options).recipe  # refuses what a training would
        trainings = len(contenders) + further
        seconds = trainings * recipe.steps * step_seconds(recipe)
        each = f"{quantity(trainings, 'training')} of {quantity(options.epochs, 'epoch')}"
        print(f"plan of verdict: {each}, about {duration(seconds)}; nothing is started and nothing written")
        if further:
            for seed, folder in folders(options, source):
                print(f"  search of seed {seed}: {folder}{'' if searched(folder) else ', to be run first'}")
            print(f"  then these trainings, and {further} of what the further searches find:")
        for contender in contenders:
            print(f"  {contender.title:24s} {contender.name} {contender.metric.in_words(contender.cost)}")
        return 0

    def compare(run: RunFolder) -> None:
        searches = replicate(options, source)
        contenders = line_up(options, searches, table)
        rows_file = run.file("trainings.jsonl")
        for contender in contenders:
            run.run_inside(f"trainings/{contender.title}")
        done = on_all(lambda: [row["title"] for row in read_trainings(rows_file)])
        left = [c for c in contenders if c.title not in done and options.only in ("all", c.arm)]
        left = left[number() :: count()]  # of ranks each trains networks of its own
        if line := long_comparison(options, left, data):
            run.log(line)
        for contender in left:
            if all(row["title"] != contender.title for row in read_trainings(rows_file)):  # of another process since
                row = train(options, contender, data, run)
                with run.alone():
                    append_sealed(rows_file, row)
        gather(None)
        with run.alone() if number() == 0 else nullcontext():
            rows = read_trainings(rows_file) if number() == 0 else []
            if {row["title"] for row in rows} >= {contender.title for contender in contenders}:
                same_cost = len({contender.name for contender in contenders}) == 1
                write_findings(run, rows, options.searches, same_cost, options.search_space)

    agree(options, data)
    run_stage(options, lambda: Work(compare))
    return 0


def long_comparison(options: VerdictOptions, left: Sequence[Contender], data: Data) -> str | None:
    """A line where the trainings that are left take more than a day here; None without a look where they are short."""
    if not left:
        return None
    recipe = prepare_network(left[0].spec, data, options).recipe
    steps = len(left) * recipe.steps
    return warning(steps * step_seconds(recipe)) if steps >= MANY else None


def read_trainings(path: Path) -> list[dict[str, Any]]:
    """The rows of the trainings so far. Raises UserError where one is damaged or cannot be."""
    rows = read_sealed_jsonl(path)
    for line, row in enumerate(rows, start=1):
        check_form(row, _ROW, f"{path}, line {line}")
        if not 0 <= row["test_accuracy"] <= 1:
            raise UserError(
                f"{path}, line {line}: an accuracy of {row['test_accuracy']:g}; it is a fraction, from 0 to 1"
            )
    return rows


def train(options: VerdictOptions, contender: Contender, data: Data, run: RunFolder) -> dict[str, Any]:
    """Train one network, in a folder of its own, or go on with it; returns its row.

    Raises KeyboardInterrupt: Ctrl-C; its text says how to continue.
    """
    folder = run.path / "trainings" / contender.title
    one = replace(options, random_seed=contender.seed, output=str(folder), resume=False)
    started = has_begun(folder) and not options.overwrite
    run.log(f"training   {contender.title}: {contender.name} {contender.metric.in_words(contender.cost)}")
    with RunFolder.create(folder, one, options.overwrite, started) as training:
        try:
            result = retrain(contender.spec, data, one, training, about={"names": contender.names})
        except KeyboardInterrupt:
            only = "" if options.only == "all" else f" --only {options.only}"
            again = f"{command('verdict', options)}{only} --resume"
            raise KeyboardInterrupt(f"what is trained is kept; continue with: {again}") from None
    return {
        "title": contender.title,
        "arm": contender.arm,
        "network": contender.network,
        "seed": contender.seed,
        "test_accuracy": result.test.value,
        "macs": result.summary["macs"],
        "params": result.summary["params"],
        "cost": {contender.name: contender.cost},
        "seconds": result.summary["train"]["seconds"],
        "names": contender.names,
    }
