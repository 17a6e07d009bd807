"""A picture of how the probabilities of the options evolved."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from config_file.files import atomic_path
from supernet import SearchSpace


def draw_probabilities(path: Path, space: SearchSpace, rows: Sequence[Mapping[str, Any]], title: str) -> None:
    """A picture of how the probabilities evolved: one panel per option name, layers against epochs.

    `rows` are those of `metrics.jsonl`; those without probabilities are left out.
    """
    from matplotlib import colormaps  # noqa: PLC0415  # not every training draws
    from matplotlib.figure import Figure  # noqa: PLC0415

    epochs = [row for row in rows if any(key.startswith("p/") for key in row)]
    if not epochs:
        return
    names = list(dict.fromkeys(name for decision in space.decisions for name in decision.options))
    values = np.full((len(names), len(space.decisions), len(epochs)), np.nan)  # (option, layer, epoch)
    for layer, decision in enumerate(space.decisions):
        for name in decision.options:
            values[names.index(name), layer] = [row.get(f"p/{decision.name}/{name}", np.nan) for row in epochs]
    columns = min(4, len(names))
    lines = -(-len(names) // columns)
    height = max(2.2, 0.16 * len(space.decisions) + 0.6)
    figure = Figure(figsize=(2.9 * columns + 0.8, height * lines + 0.6), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False, sharex=True, sharey=True)
    for axis in axes.flat[len(names) :]:
        axis.set_visible(False)
    colours = colormaps["viridis"].with_extremes(bad="0.9")
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
