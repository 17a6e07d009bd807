"""python -m search.predictor train --search runs/first
python -m search.predictor predict --predictor predictors/first-accuracy.json --architecture '2 3 4 ...'
python -m search.predictor best --predictor predictors/first-accuracy.json --target-hc 300
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy.stats import kendalltau

from config_file.errors import UserError
from config_file.fields import option
from config_file.loader import parse
from config_file.options import options, was_given
from config_file.quantity import quantity
from config_file.subcommands import Command, run_command
from lookup_tables import CostTable
from lookup_tables.limits import Limits, limits_of
from lookup_tables.options import FLOPS_OR_MS, ConstraintOptions
from search.objectives import MEASURED, Objective, parse_objectives
from search.predictor.kept import SUFFIX, KeptPredictor, load, train
from search.preparation import tables_for
from search.problem import Problem
from search.reporting.finished_search import read_search
from search.reporting.predictors import in_words
from search.result import Result, comparable
from search.strategies.nsga import Nsga2, NsgaOptions
from search.warm_start import read_results
from supernet import Architecture, NetworkSpace
from supernet.saved import architecture_of, named_space
from supernet.spaces.options import SpaceOptions
from supernet.written import ABOUT, read_architecture

PROG = "python -m search.predictor"
POPULATION = 100


@options("Predictor")
class TrainOptions(SpaceOptions):
    """A predictor from results."""

    search: str | None = option(None, "folder of a finished search, or of its run", metavar="FOLDER")
    results: str | None = option(
        None, "or a file of results: archive.jsonl, results.csv, a CSV of DyNAS-T's or Neural Compressor's, or "
        "once-for-all's accuracies; of networks of --search-space at --resolution", metavar="FILE",
    )  # fmt: skip
    objective: str | None = option(
        None, "metric to predict: accuracy, loss, a cost, or a column; none: the first that was measured",
        metavar="NAME[:max|:min]",
    )  # fmt: skip
    num_classes: int = option(1000, "width of the classifier", group="Space", at_least=1, at_most=10**6)
    random_seed: int = option(0, "of the folds of cross-validation", at_least=0)
    output: str | None = option(None, "file to write; none: predictors/NAME-METRIC.json", metavar="FILE.json")


@options("Predictor")
class AskedOptions:
    """A predictor that was kept."""

    predictor: str | None = option(None, "file of a predictor", metavar="FILE.json")
    search_space: str | None = option(
        None, "module:callable, elastic:NETWORK: code of your own that its space is", metavar="NAME"
    )


@options("Predictor")
class PredictOptions(AskedOptions):
    """Networks to predict."""

    architecture: str | None = option(None, f"the network: {ABOUT}", metavar="ARCHITECTURE")
    results: str | None = option(None, "or results to compare with, as of train", metavar="FILE")


@options("Predictor")
class BestOptions(AskedOptions, ConstraintOptions):
    """The search for the best."""

    target_hc: float | None = option(  # type: ignore[assignment]
        None, "largest cost allowed; none: no limit", group="Constraint", unit=FLOPS_OR_MS, above=0
    )
    predictions: int = option(5_000, "networks that are predicted", at_least=1, at_most=10**7)
    top: int = option(3, "networks that are shown", at_least=1, at_most=1000)
    random_seed: int = option(0, "of the search", at_least=0)


def train_one(argv: Sequence[str]) -> None:
    """Train a predictor from the results of a search, and keep it."""
    asked = parse(
        TrainOptions,
        argv,
        prog=f"{PROG} train",
        description="Train a predictor from the results of a search, and keep it.",
        examples=[
            f"{PROG} train --search runs/first",
            f"{PROG} train --search-space ofa_mbv3 --resolution 224 --results acc.dict",
            f"{PROG} train --search-space ofa_mbv3 --results subnets.csv --objective latency",
        ],
    )
    if (asked.search is None) == (asked.results is None):
        raise UserError("give --search FOLDER, or --results FILE of networks of --search-space")
    space, objective, results, name = _of_search(asked) if asked.search else _of_file(asked)
    path = Path(asked.output or f"predictors/{name}-{objective.name}{SUFFIX}").expanduser()
    if path.suffix != SUFFIX:
        raise UserError(f"--output {path}: a predictor is a {SUFFIX} file")
    if path.exists():
        load(path, asked.search_space)  # refuses what is none of ours
    kept = train(space, objective, results, asked.random_seed)
    path.parent.mkdir(parents=True, exist_ok=True)
    kept.save(path)
    print(in_words(kept.row, [objective]))
    print(f"written to {path}; next: {PROG} best --predictor {path}, or search.py --warm-start {path}")


def predict(argv: Sequence[str]) -> None:
    """Predict a network, or compare predictions with results."""
    asked = parse(
        PredictOptions,
        argv,
        prog=f"{PROG} predict",
        description="Predict a network, or compare predictions with results.",
        examples=[
            f"{PROG} predict --predictor predictors/first-accuracy.json --architecture runs/first/search/best.json",
            f"{PROG} predict --predictor predictors/first-accuracy.json --results later.csv",
        ],
    )
    if (asked.architecture is None) == (asked.results is None):
        raise UserError("give --architecture NETWORK, or --results FILE to compare with")
    kept = _loaded(asked)
    if asked.results is not None:
        print(_compared(kept, read_results(asked.results, kept.space, [kept.objective])))
        return
    content = read_architecture(str(asked.architecture))
    print(_line(kept, kept.space.canonical(architecture_of(content, kept.space, "--architecture"))))
    print(f"predicted by {in_words(kept.row, [kept.objective])}")


def best(argv: Sequence[str]) -> None:
    """Find the network that is predicted to be the best within limits."""
    asked = parse(
        BestOptions,
        argv,
        prog=f"{PROG} best",
        description="Find the network that is predicted to be the best within limits.",
        examples=[
            f"{PROG} best --predictor predictors/first-accuracy.json --target-hc 300",
            f"{PROG} best --predictor predictors/first-accuracy.json --constraint 'params<=4' --top 10",
        ],
    )
    kept = _loaded(asked)
    tables = tables_for(asked, kept.space, kept.space.input_shape[1], (kept.objective,))  # type: ignore[arg-type]
    limits = limits_of(asked, kept.space, tables)
    limits.check()
    for title, found in (
        ("predicted best", _best_predicted(kept, limits, asked)),
        ("measured best", _best_known(kept, limits)),
    ):
        print(f"{title}{'' if found else ': none within the limits'}")
        for architecture in found[: asked.top]:
            print(f"  {_line(kept, architecture)}; {_costs(architecture, tables)}")
    print(f"predicted by {in_words(kept.row, [kept.objective])}; the best of many predictions is too good: measure it")


COMMANDS: dict[str, Command] = {"train": train_one, "predict": predict, "best": best}
"""By name: the word after `python -m search.predictor`."""


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command.

    Raises:
        UserError: an unknown command, or whatever the user can mend.
    """
    run_command(PROG, "Predictors that are kept.", COMMANDS, argv, "a predictor is written whole or not at all")


def _of_search(asked: TrainOptions) -> tuple[NetworkSpace, Objective, list[Result], str]:
    typed = asked.search_space if was_given(asked, "search_space") else None
    found = read_search(Path(str(asked.search)).expanduser(), typed)
    (objective,) = _one(parse_objectives(asked.objective, found.measures))
    known = [*found.measures, *found.metrics]
    if objective.name not in known:
        raise UserError(f"--objective {objective.name}: the search has {', '.join(known)}")
    return found.space, objective, comparable(found.results), found.name


def _of_file(asked: TrainOptions) -> tuple[NetworkSpace, Objective, list[Result], str]:
    space = named_space(asked, num_classes=asked.num_classes, resolution=asked.resolution)
    (objective,) = _one(parse_objectives(asked.objective, MEASURED))
    objective = Objective(objective.name, objective.maximise, measured=True)
    path = Path(str(asked.results)).expanduser()
    return space, objective, read_results(path, space, [objective]), path.stem


def _one(objectives: Sequence[Objective]) -> Sequence[Objective]:
    if len(objectives) != 1:
        raise UserError("--objective: a predictor is of one metric")
    return objectives


def _loaded(asked: AskedOptions) -> KeptPredictor:
    if asked.predictor is None:
        raise UserError(f"--predictor is missing: a file that {PROG} train wrote")
    return load(Path(asked.predictor).expanduser(), asked.search_space)


def _line(kept: KeptPredictor, architecture: Architecture) -> str:
    """A network with what is predicted of it, and what was measured."""
    objective, (value,) = kept.objective, kept.predict([architecture]).tolist()
    known = kept.known.get(architecture)
    measured = "" if known is None else f" (measured {objective.in_words(known)})"
    return f"{objective.name} {objective.in_words(value)}{measured}: {' '.join(kept.space.names(architecture))}"


def _compared(kept: KeptPredictor, results: Sequence[Result]) -> str:
    """The error on those results that it was not fitted to, in words."""
    values = {result.architecture: kept.objective.value(result) for result in results}
    new = {a: value for a, value in values.items() if a not in kept.known and np.isfinite(value)}
    if len(new) < 2:
        raise UserError(f"{len(new)} of {len(values)} networks there are new to the predictor: too few to compare")
    truth, predicted = np.array(list(new.values())), kept.predict(list(new))
    error, tau = float(np.sqrt(((predicted - truth) ** 2).mean())), float(kendalltau(predicted, truth).statistic)
    row = {**kept.row, "error": error, "spread": float(truth.std()), "tau": tau if np.isfinite(tau) else None}
    return in_words(row, [kept.objective], f"on {quantity(len(new), 'network')} that it was not fitted to")


def _best_predicted(kept: KeptPredictor, limits: Limits, asked: BestOptions) -> list[Architecture]:
    """The best that an evolution on predictions meets within the limits, best first."""
    objective = kept.objective
    sign = 1 if objective.maximise else -1
    start = _best_known(kept, limits)[:POPULATION]
    search = Nsga2(Problem(limits, (objective,)), NsgaOptions(population=POPULATION), asked.random_seed, start=start)
    scores: dict[Architecture, float] = {}
    left = asked.predictions
    while left and (batch := search.ask(left)):
        left -= len(batch)
        for architecture, value in zip(batch, kept.predict(batch).tolist(), strict=True):
            scores[architecture] = sign * value
            search.tell_scores(architecture, (sign * value,))
    return sorted(scores, key=lambda architecture: -scores[architecture])


def _best_known(kept: KeptPredictor, limits: Limits) -> list[Architecture]:
    """Those that it was fitted to within the limits, best first."""
    allowed = [architecture for architecture in kept.known if limits.allows(architecture)]
    return sorted(allowed, key=lambda a: -kept.known[a] if kept.objective.maximise else kept.known[a])


def _costs(architecture: Architecture, tables: dict[str, CostTable]) -> str:
    row = np.asarray([architecture])
    return ", ".join(f"{name} {table.metric.in_words(float(table.cost(row)[0]))}" for name, table in tables.items())
