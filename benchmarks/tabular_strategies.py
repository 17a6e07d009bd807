"""Every search strategy on NAS-Bench-Macro: regret against evaluations, and fronts. No training.

    python -m benchmarks.tabular_strategies --seeds 200 --slow-seeds 60 --plot docs/strategies.png

With --keep FILE.npz what has run is kept, and more seeds are added to it.

Regret: the best mean accuracy (three trainings) of all 6,561 networks less the best one proposed, in points. The band
is a 95 % interval of the mean over seeds. Fronts: hypervolume of all that was measured, accuracy against FLOPs, as a
share of the true front's, of `predictor` and `nsga2` with the same seeds. The table is read from the folder that
NAS_SHARED_DATA names (default: ../shared/data). The last line is JSON; the exit status is 1 if regularised evolution
is clearly worse than its reference (field's code, population 20, sample 5).
"""

import argparse
import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = os.environ["OPENBLAS_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = "1"

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.stats import t as student

from config_file.errors import UserError, run_main
from lookup_tables import build_table
from lookup_tables.limits import Limits
from search.engine import with_costs
from search.evaluators import Columns, TableEvaluator
from search.objectives import ACCURACY, Objective
from search.pareto import hypervolume
from search.problem import Problem
from search.result import Result
from search.strategies import STRATEGIES
from supernet import Architecture, build_space

MARKS = (50, 100, 200, 400)
REFERENCES = {"random": (0.358, 0.248, 0.172, 0.115), "regularized_evolution": (0.210, 0.053, 0.009, 0.001)}
N = MARKS[-1]
ROUND = 20
FRONT = (ACCURACY, Objective("flops"))
FRONT_MARKS = (60, 100, 200)

COMPARED: dict[str, tuple[str, dict[str, Any]]] = {
    "random": ("random", {}),
    "grid": ("grid", {"grid_shuffle": True}),
    "evolution": ("evolution", {"population": 20, "parent_num": 5, "generation_num": 26}),
    "regularized_evolution": ("regularized_evolution", {"re_population": 20, "re_sample": 5}),
    "local_search": ("local_search", {}),
    "local_search best": ("local_search", {"ls_improvement": "best"}),
    "rl": ("rl", {}),
    "nsga2": ("nsga2", {"population": ROUND}),
    "nsga3": ("nsga3", {"population": ROUND}),
    "rl ppo": ("rl", {"rl_update": "ppo", "rl_lr": 0.05}),
    "rl lstm": ("rl", {"rl_controller": "lstm"}),
    "tpe": ("tpe", {}),
    "bayesian": ("bayesian", {}),
    "predictor": ("predictor", {"population": ROUND, "inner_evaluations": 1000}),
}
SLOW = ("rl ppo", "rl lstm", "tpe", "bayesian", "predictor")


@cache
def truth() -> tuple[Problem, dict[Architecture, Result]]:
    """The space with its FLOPs, and what its networks reached."""
    path = Path(os.environ.get("NAS_SHARED_DATA", "../shared/data")) / "nasbench_macro_cifar10.npz"
    if not path.is_file():
        raise UserError(f"needs {path}: NAS_SHARED_DATA must name its folder")
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    tables = {"flops": build_table(space, "flops", 32)}
    with np.load(path, allow_pickle=False) as file:
        evaluator = TableEvaluator(Columns(file["arch"], {"accuracy": file["mean_acc"] / 100}))
    results = {result.architecture: with_costs(result, tables) for result in evaluator.evaluate(list(evaluator.rows))}
    return Problem(Limits(space), tables=tables), results


def proposals(name: str, settings: Mapping[str, Any], seed: int, front: bool, evaluations: int = N) -> list[Result]:
    """All results of a search, in the order proposed."""
    problem, results = truth()
    strategy_class: Any = STRATEGIES[name]
    if front:
        problem = replace(problem, objectives=FRONT)
    strategy = strategy_class(problem, strategy_class.Options(**settings), seed)
    found: list[Result] = []
    while batch := strategy.ask(evaluations - len(found)):
        told = [results[architecture] for architecture in batch]
        strategy.tell(told)
        found += told
    return found


def regret(name: str, seed: int) -> tuple[list[float], float]:
    """(N,) points missing after each evaluation, and the seconds of the whole search."""
    torch.set_num_threads(1)
    started = time.process_time()
    strategy, settings = COMPARED[name]
    found = proposals(strategy, settings, seed, front=name.startswith("nsga"))
    seconds = time.process_time() - started
    best = max(result.value("accuracy") for result in truth()[1].values())
    curve = 100 * (best - np.maximum.accumulate([result.value("accuracy") for result in found]))
    return [*curve.tolist(), *[float(curve[-1])] * (N - len(curve))][:N], seconds


def volumes(seed: int) -> list[tuple[float, float]]:
    """Shares of the true front's hypervolume that (predictor, nsga2) reach with FRONT_MARKS evaluations."""
    results, most = truth()[1], FRONT_MARKS[-1]
    ours = proposals("predictor", {"population": ROUND, "inner_evaluations": 1000}, seed, True, most)
    theirs = proposals("nsga2", {"population": ROUND}, seed, True, most)
    whole = _values(list(results.values()))
    reference = whole.max(0)
    full = hypervolume(whole, reference.tolist())

    def share(found: list[Result]) -> float:
        return hypervolume(_values(found), reference.tolist()) / full

    return [(share(ours[:mark]), share(theirs[:mark])) for mark in FRONT_MARKS]


def _values(results: Sequence[Result]) -> NDArray[np.float64]:
    return np.array([[-objective.score(result) for objective in FRONT] for result in results])


def interval(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half the width of the 95 % interval of the mean over the first axis (Student)."""
    count = len(values)
    error = values.std(0, ddof=1) / np.sqrt(count) if count > 1 else np.full(values.shape[1:], np.nan)
    return np.asarray(student.ppf(0.975, max(count - 1, 1)) * error)


def draw(path: Path, curves: Mapping[str, NDArray[np.float64]]) -> None:
    """Mean regret with its band."""
    from matplotlib.figure import Figure  # noqa: PLC0415 - only with --plot

    figure = Figure(figsize=(10, 5), dpi=90, layout="constrained")
    axes = figure.subplots()
    steps = np.arange(1, N + 1)
    styles = ["-", "--", ":"]
    for number, (name, values) in enumerate(curves.items()):
        mean, half = values.mean(0), interval(values)
        (line,) = axes.plot(steps, mean, styles[number // 10 % 3], label=f"{name} ({len(values)})", linewidth=1.3)
        axes.fill_between(steps, np.maximum(mean - half, 1e-4), mean + half, color=line.get_color(), alpha=0.15, lw=0)
    for name, reference in REFERENCES.items():
        axes.plot(MARKS, reference, "kx" if name == "random" else "k+", label=f"reference: {name}", clip_on=False)
    axes.set(
        xlim=(10, N), ylim=(5e-4, 2), yscale="log", xlabel="evaluations", ylabel="regret, points of accuracy",
        title="NAS-Bench-Macro, mean over seeds (their number in brackets), 95 % band",
    )  # fmt: skip
    axes.legend(fontsize=8, frameon=False, loc="upper left", bbox_to_anchor=(1.01, 1))
    axes.grid(alpha=0.3, which="both")
    figure.savefig(path)


def read_kept(path: Path | None) -> dict[str, Any]:
    """By strategy (seeds, N + 1): regret after each evaluation, and the seconds of the search."""
    if path is None or not path.is_file():
        return {}
    with np.load(path, allow_pickle=False) as file:
        return dict(file.items())


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seeds", type=int, default=200, help="seeds of each strategy (default: 200)")
    parser.add_argument("--slow-seeds", type=int, default=20, help=f"seeds of {', '.join(SLOW)} (default: 20)")
    parser.add_argument("--front-seeds", type=int, default=30, help="paired seeds of the fronts (default: 30)")
    parser.add_argument("--strategies", nargs="+", choices=COMPARED, default=list(COMPARED), help="default: all")
    parser.add_argument("--workers", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--keep", type=Path, metavar="FILE.npz", help="curves of finished strategies; continued")
    parser.add_argument("--plot", type=Path, help="write the curves to this PNG")
    options = parser.parse_args(argv)
    truth()
    kept = read_kept(options.keep)
    summary: dict[str, object] = {"benchmark": "tabular_strategies"}
    rows = {}
    print(f"{'regret after':24}{'seeds':>6}" + "".join(f"{mark:>17}" for mark in MARKS) + "   s/search", flush=True)
    with ProcessPoolExecutor(options.workers) as pool:
        for name in options.strategies:
            seeds = options.slow_seeds if name in SLOW else options.seeds
            done = kept.get(name, np.empty((0, N + 1)))
            if len(done) < seeds:
                runs = list(pool.map(partial(regret, name), range(len(done), seeds)))
                kept[name] = np.concatenate([done, [[*curve, second] for curve, second in runs]])
                if options.keep:
                    np.savez(options.keep, **kept)
            at = kept[name][:, [mark - 1 for mark in MARKS]]
            mean, half, seeds = at.mean(0), interval(at), len(at)
            seconds = float(np.median(kept[name][:, -1]))
            shown = "".join(f"{m:>9.3f} ±{h:6.3f}" for m, h in zip(mean, half, strict=True))
            print(f"{name:24}{seeds:6d}{shown}{seconds:11.2f}", flush=True)
            rows[name] = {
                "seeds": seeds,
                "regret": mean.round(4).tolist(),
                "half_width": half.round(4).tolist(),
                "seconds": round(seconds, 3),
            }
        paired = np.array(list(pool.map(volumes, range(options.front_seeds))))  # (seeds, marks, 2)
    difference = paired[..., 0] - paired[..., 1]
    half = interval(difference)
    fronts = {}
    for number, mark in enumerate(FRONT_MARKS):
        ours, theirs = paired[:, number].mean(0)
        print(
            f"hypervolume after {mark}: predictor {ours:.4f}, nsga2 {theirs:.4f} of the true front's, difference "
            f"{difference[:, number].mean():+.4f} ± {half[number]:.4f} ({len(paired)} seeds)"
        )
        fronts[mark] = {
            "predictor": round(float(ours), 5),
            "nsga2": round(float(theirs), 5),
            "difference": round(float(difference[:, number].mean()), 5),
            "half_width": round(float(half[number]), 5),
        }
    if options.plot:
        draw(options.plot, {name: kept[name][:, :N] for name in options.strategies})
    summary |= {"marks": MARKS, "strategies": rows, "hypervolume": fronts, "passed": True}
    if "regularized_evolution" in rows:
        row = rows["regularized_evolution"]
        low = np.array(row["regret"]) - np.array(row["half_width"])
        summary["passed"] = bool((low <= REFERENCES["regularized_evolution"]).all())
    print(json.dumps(summary))
    return 0 if summary["passed"] else 1


if __name__ == "__main__":
    run_main(main, sys.argv[1:])
