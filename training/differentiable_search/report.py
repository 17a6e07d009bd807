"""The course of a differentiable search: the distribution epoch by epoch, and in the end its file and a picture."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from config_file.run_folder import RunFolder
from supernet.cell_space import CellSpace
from training.differentiable_search.distribution_file import (
    EPOCH,
    EPOCHS,
    FILE,
    Distribution,
    save_distribution,
)
from training.differentiable_search.learner import ArchitectureLearner
from training.differentiable_search.picture import draw_probabilities
from training.differentiable_search.skipping import collapse_warning, skip_counts, skips, skips_so_far
from training.trainer import Reporter

PICTURE = "probabilities.png"
DECIDED = 0.9  # share of the greatest entropy, above which what is derived is no decision yet
STILL = 0.5  # move of a logit, at its pace so far until the end, below which nothing is chosen


def report_epoch(learner: ArchitectureLearner, run: Reporter, step: int) -> None:
    """Write the state of the distribution after `step` steps to a file, the metrics, TensorBoard and the log.

    The numbers: `p/<decision>/<option>`, `entropy/<decision>` and `entropy` (mean, nats), `temperature`, `skip_share`
    (mean probability of skipping, where that is an option), `derived/<decision>` (index), `skips`, of cells
    `skips/<kind>` (number of skips derived), and per metric that counts `expected_<metric>`, `derived_<metric>` and,
    with hard limits, `multiplier_<metric>`, in the unit of the flags. Of cells, probabilities are those of the edges.
    """
    space, learnt = learner.supernet.space, learner.parameters.space
    rows = learner.parameters.row_log_probabilities()
    derived = learner.derive()
    numbers: dict[str, float] = {"temperature": learner.temperature(max(0, step - 1))}
    entropies = []
    for decision, row in zip(learnt.decisions, rows, strict=True):
        numbers |= {
            f"p/{decision.name}/{name}": float(np.exp(p)) for name, p in zip(decision.options, row, strict=True)
        }
        entropies.append(float(-(np.exp(row) * row).sum()))
        numbers[f"entropy/{decision.name}"] = entropies[-1]
    numbers |= {f"derived/{decision.name}": n for decision, n in zip(space.decisions, derived, strict=True)}
    numbers["entropy"] = float(np.mean(entropies))
    greatest = float(np.mean(np.log(learnt.sizes)))
    text = f"  entropy {numbers['entropy']:.3f} of {greatest:.3f}"
    skippable = skips(learnt)
    if skippable:
        share = float(np.mean([np.exp(rows[decision][list(options)]).sum() for decision, options in skippable.items()]))
        numbers["skip_share"] = share
        text += f", skip {share:.1%}"
    numbers |= (counts := skip_counts(space, derived))
    if isinstance(space, CellSpace):
        text += "".join(f", {n} skips in the {name.partition('/')[2]} cell" for name, n in counts.items())
    if learner.hardware is not None:
        with torch.no_grad():
            weights = learner.parameters.by_decision(learner.parameters.priced())
            expected = learner.hardware.expected(weights).tolist()
        reached = learner.hardware.costs(derived)
        for index, metric in enumerate(learner.hardware.targets):
            numbers[f"expected_{metric}"], numbers[f"derived_{metric}"] = expected[index], reached[metric]
            text += f", {metric} {expected[index]:.4g} expected, {reached[metric]:.4g} derived"
            if learner.multipliers is not None:
                multipliers = learner.multipliers.units * learner.multipliers.values
                numbers[f"multiplier_{metric}"] = float(multipliers[index])
    run.metric(step, **numbers)
    if isinstance(run, RunFolder):
        save_epoch(learner, run, step)
    run.log(f"{text}; derived {' '.join(space.names(derived))}")
    if warning := stall_warning(learner, step):
        run.log(warning)
    # The edges of a cell hardly differ when what is derived of them is all skips.
    decided = isinstance(space, CellSpace) or numbers["entropy"] < DECIDED * greatest
    if decided and (warning := collapse_warning(space, derived, held=learner.multipliers is not None)):
        run.log(warning)


def learned_so_far(learner: ArchitectureLearner, about: Mapping[str, Any]) -> Distribution:
    """The distribution as it is, how it was learned, and `about`, further facts about it."""
    hardware, derived = learner.hardware, learner.derive()
    known = {
        "relaxation": learner.relaxation.name,
        "targets": {} if hardware is None else dict(hardware.targets),
        "hard": learner.multipliers is not None,
        "costs": {} if hardware is None else hardware.costs(derived),
    }
    return Distribution(learner.parameters.log_probabilities(), derived, known | dict(about))


def save_epoch(learner: ArchitectureLearner, run: RunFolder, step: int) -> None:
    """Write what was learned by the end of an epoch, after `step` steps, as `retrain.py --arc-checkpoint` reads it."""
    epoch = step // learner.steps_per_epoch
    run.file(EPOCHS)
    learned = learned_so_far(learner, {"epoch": epoch, "skips": skips_so_far(run.metrics())})
    save_distribution(run.path, learner.supernet.space, learned, EPOCH.format(epoch))


def save_learned(learner: ArchitectureLearner, run: RunFolder, about: Mapping[str, Any]) -> Distribution:
    """Write `architecture.json` and the picture into the run's folder, and what was derived into its log."""
    rows = run.metrics()
    space, learned = learner.supernet.space, learned_so_far(learner, {"skips": skips_so_far(rows)} | dict(about))
    derived, reached = learned.derived, learned.about["costs"]
    title = f"{space.name}: probabilities of the options ({learner.relaxation.name})"
    draw_probabilities(run.file(PICTURE), learner.parameters.space, rows, title)
    run.file(FILE)
    save_distribution(run.path, space, learned)
    costs = ", ".join(f"{metric} {cost:.4g}" for metric, cost in reached.items())
    run.log(f"derived: {' '.join(space.names(derived))}" + (f" ({costs})" if costs else ""))
    run.log(f"wrote {run.path / FILE} and {PICTURE}")
    return learned


def stall_warning(learner: ArchitectureLearner, step: int) -> str:
    """A line of warning where parameters have hardly moved after a tenth of their steps, or all of them; "" otherwise.

    It is said once at each, in the report of the epoch that reached it; `step` is that of the weights.
    """
    made, before = learner.made(step), learner.made(max(0, step - learner.steps_per_epoch))
    reached = any(before < share * learner.steps <= made for share in (0.1, 1.0))
    moved = learner.moved()
    if not reached or moved * learner.steps >= STILL * made:
        return ""
    advice = f"a larger --a-lr than {learner.rate:.3g} of {learner.optimizer_name}, --a-optimizer adam"
    if learner.hardware is not None and learner.multipliers is None:
        advice += ", or for the cost a larger --hc-weight or another --hc-loss"
    if learner.relaxation.scaled:
        advice = "--relaxation reinforce, which batch norms do not keep from the task's gradient"
    what = "threshold" if learner.relaxation.name.startswith("thresholds") else "logit"
    return (
        f"  warning: the search learns next to nothing: after {made:,} of {learner.steps:,} architecture steps no "
        f"{what} has moved by more than {moved:.2g} (from 1 on a choice shows); try {advice}"
    )
