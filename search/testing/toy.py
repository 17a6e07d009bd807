"""A search space small enough to enumerate, its costs, and a score that has an optimum to find."""

from collections.abc import Sequence

from lookup_tables import CostTable, build_table
from search.result import Result
from supernet import Architecture, Decision, SearchSpace, Site
from supernet.blocks import Conv, Head, Identity

RESOLUTION = 8


def toy_space(layers: int = 4, classes: int = 4) -> SearchSpace:
    """Up to `layers` convolutions, one of three each; the choice of a layer beyond the depth does not matter."""
    kernels = (1, 3, 5)
    depths = range(1, layers + 1)
    decisions = [Decision("depth", tuple(f"d{depth}" for depth in depths))]
    sites = [Site("stem", (Conv(4, 3, stride=2),), ("input",))]
    for layer in range(layers):
        decisions.append(Decision(f"layer{layer}", tuple(f"k{kernel}" for kernel in kernels)))
        beyond = len(kernels)
        table = tuple(choice if layer < depth else beyond for depth in depths for choice in range(len(kernels)))
        options = (*(Conv(4, kernel) for kernel in kernels), Identity())
        sites.append(Site(f"layer{layer}", options, (sites[-1].name,), given=(0, layer + 1), table=table))
    sites.append(Site("head", (Head(classes),), (sites[-1].name,)))
    return SearchSpace("toy", tuple(decisions), tuple(sites), (3, RESOLUTION, RESOLUTION))


def toy_tables(space: SearchSpace) -> dict[str, CostTable]:
    """Multiply-accumulates and parameters."""
    return {metric: build_table(space, metric, RESOLUTION) for metric in ("flops", "params")}


def toy_accuracy(architecture: Architecture) -> float:
    """Greatest (0.9) at the deepest network of kernels 3, 5, 3, 5, ..., and smooth towards it."""
    depth, *layers = architecture
    hits = sum(layer == 1 + position % 2 for position, layer in enumerate(layers[: depth + 1]))
    return 0.9 * (hits + 0.3 * depth) / (len(layers) + 0.3 * (len(layers) - 1))


def results_of(architectures: Sequence[Architecture]) -> list[Result]:
    """An evaluation of each."""
    return [Result(a, {"accuracy": (score := toy_accuracy(a)), "loss": 1 - score}) for a in architectures]
