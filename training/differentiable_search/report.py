"""What a person needs to trust a differentiable search: the distribution epoch by epoch, warnings, and a picture."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from config_file.files import atomic_path
from config_file.run_folder import RunFolder
from supernet import Architecture, SearchSpace
from training.differentiable_search.distribution_file import FILE, Distribution, save_distribution
from training.differentiable_search.learner import ArchitectureLearner
from training.trainer import Reporter

PICTURE = "probabilities.png"
SKIPS = ("skip", "identity", "none")
"""Names of options that leave a layer out."""

COLLAPSED = 0.5  # share of the layers that can be skipped, derived as skips, above which a search is said to collapse
FEWEST = 3  # layers that can be skipped, below which there is no such word


def report_epoch(learner: ArchitectureLearner, run: Reporter, step: int) -> None:
    """Write the state of the distribution after `step` steps to the metrics, TensorBoard and the log.

    The numbers: `p/<decision>/<option>`, `entropy/<decision>` and `entropy` (mean, nats), `temperature`, `skip_share`
    (mean probability of skipping, where that is an option), `derived/<decision>` (index), and per metric that counts
    `expected_<metric>`, `derived_<metric>` and, with hard limits, `multiplier_<metric>`, in the unit of the flags.
    """
    space = learner.supernet.space
    rows = learner.parameters.log_probabilities()
    derived = learner.derive()
    numbers: dict[str, float] = {"temperature": learner.temperature(max(0, step - 1))}
    entropies = []
    for decision, row, option in zip(space.decisions, rows, derived, strict=True):
        numbers |= {
            f"p/{decision.name}/{name}": float(np.exp(p)) for name, p in zip(decision.options, row, strict=True)
        }
        entropies.append(float(-(np.exp(row) * row).sum()))
        numbers[f"entropy/{decision.name}"] = entropies[-1]
        numbers[f"derived/{decision.name}"] = option
    numbers["entropy"] = float(np.mean(entropies))
    text = f"  entropy {numbers['entropy']:.3f} of {np.mean(np.log(space.sizes)):.3f}"
    skippable = _skips(space)
    if skippable:
        share = float(np.mean([np.exp(rows[decision][list(options)]).sum() for decision, options in skippable.items()]))
        numbers["skip_share"] = share
        text += f", skip {share:.1%}"
    if learner.hardware is not None:
        with torch.no_grad():
            expected = learner.hardware.expected(learner.parameters.by_decision()).tolist()
        reached = learner.hardware.costs(derived)
        for index, metric in enumerate(learner.hardware.targets):
            numbers[f"expected_{metric}"], numbers[f"derived_{metric}"] = expected[index], reached[metric]
            text += f", {metric} {expected[index]:.4g} expected, {reached[metric]:.4g} derived"
            if learner.hardware.multipliers is not None:
                numbers[f"multiplier_{metric}"] = float(learner.hardware.multipliers.values[index])
    run.metric(step, **numbers)
    run.log(f"{text}; derived {' '.join(space.names(derived))}")
    held = learner.hardware is not None and learner.hardware.multipliers is not None
    warning = collapse_warning(space, derived, held)
    if warning:
        run.log(warning)


def collapse_warning(space: SearchSpace, derived: Architecture, held: bool = False) -> str:
    """A line of warning where most layers that can be skipped are, "" otherwise.

    With hard limits (`held`) a tight one may ask for that.
    """
    skippable = _skips(space)
    skipped = sum(derived[decision] in options for decision, options in skippable.items())
    if len(skippable) < FEWEST or skipped <= COLLAPSED * len(skippable):
        return ""
    advice = "try more --a-warmup-epochs, a lower --a-lr, or a target that asks for more (--hc-mode constrained)"
    if held:
        advice = "if the limits do not ask for that, try more --a-warmup-epochs or a lower --a-lr"
    return (
        f"  warning: the search is collapsing to skip: of {len(skippable)} layers that can be skipped, {skipped} are; "
        + advice
    )


def _skips(space: SearchSpace) -> dict[int, tuple[int, ...]]:
    """Per decision that can skip: the options that do."""
    found = {}
    for index, decision in enumerate(space.decisions):
        options = tuple(option for option, name in enumerate(decision.options) if name in SKIPS)
        if options and len(options) < len(decision.options):
            found[index] = options
    return found


def distribution_of(learner: ArchitectureLearner, about: Mapping[str, Any]) -> Distribution:
    """What was learnt, to be saved."""
    hardware = learner.hardware
    derived = learner.derive()
    told = {
        "relaxation": learner.relaxation.name,
        "targets": {} if hardware is None else dict(hardware.targets),
        "hard": hardware is not None and hardware.multipliers is not None,
        "costs": {} if hardware is None else hardware.costs(derived),
    }
    return Distribution(learner.parameters.log_probabilities(), derived, told | dict(about))


def save_learnt(learner: ArchitectureLearner, run: RunFolder, about: Mapping[str, Any]) -> Distribution:
    """Write `architecture.json` and the picture into the run's folder, and what was derived into its log.

    Returns:
        What was written.
    """
    space = learner.supernet.space
    learnt = distribution_of(learner, about)
    title = f"{space.name}: probabilities of the options ({learner.relaxation.name})"
    draw_probabilities(run.file(PICTURE), space, run.metrics(), title)
    run.file(FILE)
    save_distribution(run.path, space, learnt)
    costs = ", ".join(f"{metric} {cost:.4g}" for metric, cost in learnt.about["costs"].items())
    run.log(f"derived: {' '.join(space.names(learnt.derived))}" + (f" ({costs})" if costs else ""))
    run.log(f"wrote {run.path / FILE} and {PICTURE}")
    return learnt


def draw_probabilities(path: Path, space: SearchSpace, rows: Sequence[Mapping[str, Any]], title: str) -> bool:
    """A picture of how the probabilities evolved: one panel per option name, layers against epochs.

    Args:
        path: where to write a PNG.
        space: whose decisions they are.
        rows: of `metrics.jsonl`; those without probabilities are left out.
        title: above the picture.

    Returns:
        Whether there was anything to draw.
    """
    import matplotlib as mpl  # noqa: PLC0415  # not every training draws

    mpl.use("Agg")
    import matplotlib.pyplot as plt  # noqa: PLC0415

    epochs = [row for row in rows if any(key.startswith("p/") for key in row)]
    if not epochs:
        return False
    names = list(dict.fromkeys(name for decision in space.decisions for name in decision.options))
    values = np.full((len(names), len(space.decisions), len(epochs)), np.nan)  # (option, layer, epoch)
    for layer, decision in enumerate(space.decisions):
        for name in decision.options:
            values[names.index(name), layer] = [row.get(f"p/{decision.name}/{name}", np.nan) for row in epochs]
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    height = max(2.2, 0.16 * len(space.decisions) + 0.6)
    figure, axes = plt.subplots(
        lines, columns, figsize=(2.9 * columns + 0.8, height * lines + 0.6), squeeze=False, sharex=True, sharey=True,
        layout="constrained",
    )  # fmt: skip
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    colours = plt.get_cmap("viridis").with_extremes(bad="0.9")
    for name, axis, panel in zip(names, axes.flat, values, strict=False):
        image = axis.imshow(
            np.ma.masked_invalid(panel), aspect="auto", vmin=0, vmax=1, cmap=colours, interpolation="nearest",
            extent=(0.5, len(epochs) + 0.5, len(space.decisions) - 0.5, -0.5),
        )  # fmt: skip
        axis.set_title(name, fontsize=9)
        axis.tick_params(labelsize=7)
        axis.xaxis.get_major_locator().set_params(integer=True, nbins=6)
    shown = list(range(0, len(space.decisions), 1 + len(space.decisions) // 24))
    for axis in axes[:, 0]:
        axis.set_yticks(shown, [re.sub("^stage", "", space.decisions[layer].name) for layer in shown], fontsize=6)
        axis.set_ylabel(
            "layer (stage/number)" if space.decisions[0].name.startswith("stage") else "decision", fontsize=8
        )
    figure.supxlabel("epoch", fontsize=8)
    figure.suptitle(title, fontsize=10)
    figure.colorbar(image, ax=list(axes.flat), label="probability", shrink=0.8)
    with atomic_path(path) as temporary:
        figure.savefig(temporary, dpi=110, format="png")
    plt.close(figure)
    return True
