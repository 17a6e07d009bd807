"""Skips of what is derived: how many there are, when they take over, and where the search ends because of them.

Skips need no training, so that weights let them win first: a differentiable search of cells that runs on derives ever
more of them (Zela et al. 2020). DARTS+ (Liang et al. 2019) ends as soon as a normal cell has two.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from supernet import Architecture, SearchSpace
from supernet.cell_space import CellSpace

SKIPS = ("skip", "identity", "none", "skip_connect")
"""Names of options that leave a layer out."""

COLLAPSED = 0.5  # share of the layers that can be skipped, derived as skips, above which a search is said to collapse
COLLAPSED_CELL = 0.25  # the same of the edges of a normal cell: two of DARTS's eight are the most that P-DARTS keeps
FEWEST = 3  # layers that can be skipped, below which there is no such word


def skips(space: SearchSpace) -> dict[int, tuple[int, ...]]:
    """Per decision that can skip: the options that do."""
    found = {}
    for index, decision in enumerate(space.decisions):
        options = tuple(option for option, name in enumerate(decision.options) if name in SKIPS)
        if options and len(options) < len(decision.options):
            found[index] = options
    return found


def skip_counts(space: SearchSpace, derived: Architecture) -> dict[str, int]:
    """The number of skips of an architecture, by the name of its metric; {} where nothing can be skipped.

    Of cells that of each kind of cell, as "skips/normal", of other spaces "skips".
    """
    skippable = skips(space)
    if not skippable:
        return {}
    if not isinstance(space, CellSpace):
        return {"skips": sum(derived[decision] in options for decision, options in skippable.items())}
    counts = dict.fromkeys((f"skips/{node.kind}" for node in space.nodes), 0)
    for (kind, _), edges in space.kept(derived).items():
        counts[f"skips/{kind}"] += sum(edge.operation in SKIPS for edge in edges)
    return counts


def most_skips(space: SearchSpace, derived: Architecture) -> int:
    """The number that --max-skips limits: of a normal cell, where there are cells, or of the network."""
    counts = skip_counts(space, derived)
    return counts.get("skips/normal", max(counts.values(), default=0))


def skips_so_far(rows: Sequence[Mapping[str, Any]]) -> dict[str, list[int]]:
    """Per kind of cell, or "" of a network, the skips of each epoch, of the rows of `metrics.jsonl`."""
    found: dict[str, list[int]] = {}
    for row in rows:
        for name, value in row.items():
            what, _, kind = name.partition("/")
            if what == "skips":
                found.setdefault(kind, []).append(int(value))
    return found


def collapse_warning(space: SearchSpace, derived: Architecture, held: bool = False) -> str:
    """A line of warning where most layers that can be skipped are, or more than a quarter of a normal cell's edges; ""
    otherwise.

    With hard limits (`held`) a tight one may ask for that.
    """
    advice = "try more --a-warmup-epochs, a lower --a-lr, or a target that asks for more (--hc-mode constrained)"
    if held:
        advice = "if the limits do not ask for that, try more --a-warmup-epochs or a lower --a-lr"
    if isinstance(space, CellSpace):
        edges = sum(len(kept) for (kind, _), kept in space.kept(derived).items() if kind == "normal")
        skipped = most_skips(space, derived)
        if skipped <= COLLAPSED_CELL * edges:
            return ""
        return (
            f"  warning: skips are taking over: {skipped} of {edges} edges of the normal cell are; --max-skips ends "
            "before that, or " + advice
        )
    skippable = skips(space)
    skipped = sum(derived[decision] in options for decision, options in skippable.items())
    if len(skippable) < FEWEST or skipped <= COLLAPSED * len(skippable):
        return ""
    return (
        f"  warning: the search is collapsing to skip: of {len(skippable)} layers that can be skipped, {skipped} are; "
        + advice
    )
