"""MF-NAS's command line and its YAML (configs/algo_*.yaml): the names of its algorithms and of their settings.

    python search.py --ss nb201 --optimizer MF-NAS --dataset cifar10 --n_run 500

What is left out means what it means there: the settings that it ships, with first-improvement local search as the first
stage, as in the paper. Any option of ours may stand beside its own, and wins.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from config_file.errors import UserError, choose
from config_file.foreign import Content, Form, section
from config_file.readers.yaml_text import read_mapping
from search.tabular import find_benchmark
from training.data.load import DATASETS

TOOL = "MF-NAS"
SPACES = {"nb201": "nasbench201", "nb101": "nasbench101", "nbasr": "nasbench_asr"}
FLAGS = {"ss", "optimizer", "dataset", "config_file", "n_run", "init_seed", "save_path"}
SWITCHES = {"verbose", "evaluate_after_search"}
RUNS, SEED = 500, 1
"""Its number of runs, and the seed of the first one."""

SECONDS = {"cifar10": 20_000, "cifar100": 40_000, "ImageNet16-120": 120_000}
"""The budgets of its published figures on NAS-Bench-201, for what has no end of its own."""
ASR_EVALUATIONS = 25
"""The budget of its configs/problem.yaml on NAS-Bench-ASR."""

RUNGS = {"nb201": "12,25,50,100,200", "nb101": "4,12,36,108", "nbasr": "10,20,30,40"}
CANDIDATES = {"nb201": 32, "nb101": 16, "nbasr": 16}

TRAINED = {"using_zc_metric": "false", "metric": "val_acc", "iepoch": "12"}
WARM_UP = {"warm_up": "false", "n_sample_warmup": "2000", "metric_warmup": "synflow"}
REA: dict[str, str | None] = {**TRAINED, "pop_size": "10", "tournament_size": "10", "prob_mutation": "1.0", **WARM_UP}
GA = {"pop_size": "10", "tournament_size": "2", "prob_c": "0.9", "prob_m": "1.0", "crossover_method": "2X"}
HALVED = {"list_iepoch": None, "n_candidate": None}
STAGES = {
    "optimizer_stage1": "FLS",
    "using_zc_metric_stage1": "true",
    "metric_stage1": "synflow",
    "max_eval_stage1": "2000",
    "using_zc_metric_stage2": "false",
    "metric_stage2": "val_acc",
    **HALVED,
}
ALGORITHMS: dict[str, dict[str, str | None]] = {
    "RS": {**TRAINED},
    "FLS": {**TRAINED},
    "BLS": {**TRAINED},
    "REA": REA,
    "REA+W": {**REA, "warm_up": "true"},
    "GA": {**TRAINED, **GA},
    "SH": {"using_zc_metric": "false", "metric": "val_acc", **HALVED},
    "MF-NAS": STAGES,
    "R-MF-NAS": STAGES,
}
"""{algorithm: {setting: what it ships, None: by the space}}."""
STAGED = ("MF-NAS", "R-MF-NAS")
HALVING = ("SH", *STAGED)
"""Those that end by themselves."""
FRONTS = ("PLS", "NSGA2", "LOMONAS", "MOSH", "MOF-NAS")
"""Its algorithms of several objectives, which are others than ours."""

OURS = {
    "RS": "random", "FLS": "local_search", "BLS": "local_search", "REA": "regularized_evolution",
    "REA+W": "regularized_evolution", "GA": "genetic",
}  # fmt: skip
LOCAL = {"FLS": "first", "BLS": "coded"}
OF_STRATEGY = {
    "regularized_evolution": {
        "pop_size": "re_population", "tournament_size": "re_sample", "prob_mutation": "re_mutations",
    },
    "genetic": {
        "pop_size": "ga_population", "tournament_size": "ga_tournament", "prob_c": "ga_crossover_prob",
        "prob_m": "ga_mutations", "crossover_method": "ga_crossover",
    },
}  # fmt: skip
SCORES = {"jacob_cov": "jacov"}
VALIDATION = ("val_acc", "val_per")
MOST = 10**6
"""Random architectures: the budget ends before."""

Found = Iterator[tuple[str, Any]]


def recognises(content: Content) -> bool:
    """True for a file with settings of one of its algorithms."""
    there = (own for name, keys in ALGORITHMS.items() if isinstance(own := content.get(name), Mapping) and keys)
    return any(not own.keys().isdisjoint({**TRAINED, **STAGES}) for own in there)


def options(content: Content) -> dict[str, Any]:
    """The options of the algorithm that a file sets: MF-NAS, where it sets several. Raises UserError."""
    name = TOOL if TOOL in content else next(name for name in ALGORITHMS if name in content)
    settings = _settings(content, name)
    return dict(_options(name, settings, settings["list_iepoch"] if name in HALVING else None))


def command(words: Sequence[str]) -> list[str] | None:
    """Its command line in our words; None where it is none of its: it names a space by --ss.

    Raises:
        UserError: what there is nothing of, a file that is none of its own, no table, or no budget where one is needed.
    """
    given, rest = _parted(words)
    if "ss" not in given:
        return None
    evaluator = choose("space of --ss", given["ss"], SPACES)
    short = next(key for key, ours in SPACES.items() if ours == evaluator)
    name = given.get("optimizer", TOOL)
    if name.upper() in FRONTS:
        raise UserError(f"--optimizer {name} searches a front in a way of its own: --search-strategy nsga2 is ours")
    name = choose("--optimizer", name, {known: known for known in ALGORITHMS})
    content: Content = read_mapping(given["config_file"]) if "config_file" in given else {}
    if content and not recognises(content):
        raise UserError(f"{given['config_file']} has no settings of an algorithm of {TOOL}")
    settings = _settings(content, name)
    benchmark = find_benchmark(evaluator, given.get("dataset") if short == "nb201" else None, _value(rest, "table"))
    rungs = _rungs(settings.get("list_iepoch") or RUNGS[short], benchmark.epochs) if name in HALVING else None
    found = {"evaluator": evaluator, "table_dataset": benchmark.dataset, **dict(_options(name, settings, rungs, short))}
    if name not in HALVING and not any(word.startswith(("--budget", "--max", "--evaluations")) for word in rest):
        found |= _budget(short, benchmark.dataset, name)
    found |= {"runs": given.get("n_run", RUNS), "random_seed": _integer(given, "init_seed", SEED - 1) + 1}
    if benchmark.dataset in DATASETS and ("--download" in rest or _value(rest, "data-path") is not None):
        found["dataset"] = benchmark.dataset  # of the images that scores read
    if "save_path" in given:
        found["root_path"] = given["save_path"]
    if _value(rest, "title") is None and _value(rest, "output") is None:
        found["title"] = "_".join([name, short, *([benchmark.dataset] if short == "nb201" else [])])
    flags = {key.replace("_", "-"): str(value) for key, value in found.items()}
    ours = [word for flag, value in flags.items() if _value(rest, flag) is None for word in (f"--{flag}", value)]
    ours += rest
    print(f"note: {TOOL}'s command is ours with {' '.join(ours)}", file=sys.stderr)
    return ours


def _parted(words: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """{flag of its own: value}, and the other words."""
    given: dict[str, str] = {}
    rest, left = [], iter(words)
    for word in left:
        flag, equals, value = word.partition("=")
        name = flag[2:].replace("-", "_") if flag.startswith("--") else ""
        name = "config_file" if name == "config" else name
        if name in FLAGS:
            given[name] = value if equals else next(left, "")
            if not given[name]:
                raise UserError(f"{flag} needs a value")
        elif name not in SWITCHES:
            rest.append(word)
    return given, rest


def _value(words: Sequence[str], name: str) -> str | None:
    """The value that our own words give to a flag."""
    found = None
    for word, following in zip(words, [*words[1:], ""], strict=False):
        if word == f"--{name}":
            found = following
        elif word.startswith(f"--{name}="):
            found = word.partition("=")[2]
    return found


def _settings(content: Content, name: str) -> dict[str, Any]:
    """The settings of an algorithm: those that it ships, with what a file says."""
    known = ALGORITHMS[name]
    own = section(content, name, known)
    return {**known, **{key: value for key, value in own.items() if value is not None}}


def _rungs(wanted: Any, there: Sequence[int]) -> list[str]:
    """Those numbers of epochs that a table has. Raises UserError where they are no numbers, or it has none of them."""
    epochs = wanted.split(",") if isinstance(wanted, str) else wanted
    if not isinstance(epochs, list) or not all(str(number).isdecimal() for number in epochs):
        raise UserError(f"list_iepoch holds numbers of epochs, not {wanted!r:.60}")
    left = [number for number in epochs if int(number) in there]
    if not left:
        raise UserError(f"the table has no results after {', '.join(epochs)} epochs")
    if left != epochs:
        missing = ", ".join(number for number in epochs if number not in left)
        print(
            f"note: adapted: the table has nothing after {missing} epochs, rungs are {', '.join(left)}", file=sys.stderr
        )
    return left


def _budget(short: str, dataset: str, name: str) -> dict[str, Any]:
    """The budget of its published figures. Raises UserError where none is known."""
    if short == "nb201":
        return {"budget_seconds": SECONDS[dataset]}
    if short == "nbasr":
        return {"random_iteration" if name == "RS" else "budget_evaluations": ASR_EVALUATIONS}
    raise UserError(
        f"--optimizer {name} has no end of its own: give --budget-seconds, --budget-epochs or another budget"
    )


def _options(name: str, settings: Mapping[str, Any], rungs: Any, short: str = "nb201") -> Found:
    """Our options for an algorithm; `rungs`: numbers of epochs, None where nothing says them."""
    stage = "_stage2" if name in STAGED else ""
    _check(str(settings[f"metric{stage}"]), str(settings[f"using_zc_metric{stage}"]))
    if name in HALVING:
        count = settings["n_candidate"] or CANDIDATES[short]
        yield "schedule", "halving"
        if rungs is not None:
            yield "fidelities", ",".join(rungs)
        yield from _halved(name, settings, count)
        return
    yield "fidelities", settings["iepoch"]
    yield "search_strategy", OURS[name]
    if name == "RS":
        yield "random_iteration", MOST
    yield from _of_strategy(name, settings)
    if str(settings.get("warm_up")).lower() == "true":
        yield from _first("random", settings["metric_warmup"], settings["n_sample_warmup"], settings["pop_size"])


def _halved(name: str, settings: Mapping[str, Any], count: Any) -> Found:
    """The candidates of a halving: random, or those of a first stage."""
    if name == "SH":
        yield "search_strategy", "random"
        yield "random_iteration", count
        return
    yield "search_strategy", "mf_nas" if name == TOOL else "r_mf_nas"
    first = choose("optimizer_stage1", str(settings["optimizer_stage1"]), {known: known for known in OURS})
    if str(settings["using_zc_metric_stage1"]).lower() != "true":
        raise UserError("using_zc_metric_stage1: the first stage is on a zero-cost score")
    yield from _first(OURS[first], settings["metric_stage1"], settings["max_eval_stage1"], count)
    if first in LOCAL:
        yield "ls_looks", settings["max_eval_stage1"]
    yield from _of_strategy(first, ALGORITHMS[first])  # as it sets them there, whatever the file says elsewhere


def _of_strategy(name: str, settings: Mapping[str, Any]) -> Found:
    """The options of one strategy."""
    if name in LOCAL:
        yield "ls_improvement", LOCAL[name]
    for key, ours in OF_STRATEGY.get(OURS[name], {}).items():
        yield ours, settings[key]


def _first(strategy: str, score: Any, evaluations: Any, best: Any) -> Found:
    """A first stage."""
    yield "first_stage", SCORES.get(str(score), score)
    yield "first_strategy", strategy
    yield "first_evaluations", evaluations
    yield "first_best", best


def _check(metric: str, zero_cost: str) -> None:
    """Raises UserError for another metric of trainings than the validation accuracy or error."""
    if zero_cost.lower() != "false":
        raise UserError("using_zc_metric: a search on a zero-cost score alone is --first-stage, or MF-NAS's first one")
    if metric not in VALIDATION:
        raise UserError(f"metric {metric!r}: a table's networks are judged on validation ({', '.join(VALIDATION)})")


def _integer(given: Mapping[str, str], name: str, default: int) -> int:
    text = given.get(name, str(default))
    if not text.isdecimal():
        raise UserError(f"--{name} takes an integer, not {text!r:.60}")
    return int(text)


MF_NAS = Form(TOOL, recognises, options)
