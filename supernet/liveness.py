"""Live costs: what a network's blocks cost as far as a path from the image to the output uses them.

A block that a decision chose is dead where all that it reads is zeros or nothing, or where nothing up to the output
reads it. What no decision chooses, such as the stem, always counts. A chain has no dead blocks. A cell may have some:
many of NAS-Bench-201's networks (Dong and Yang 2020) hold a convolution that nothing reads, and counting every edge
charges them for it.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from supernet.blocks import Block, Shape, Zero
from supernet.decisions import Architecture
from supernet.elimination import Coded, Factor, align, coded_table
from supernet.sites import Placed, Site
from supernet.space import SearchSpace
from supernet.spec import INPUT, NetSpec

SKIPS = ("skip", "identity", "none")
"""Names of options that leave a layer out, though a projection may stand where the shape changes."""


def without_dead(placed: Sequence[Placed]) -> list[Placed]:
    """The sites that change a network's output, of those that `SearchSpace.trace` lays out for one of its paths.

    Zeros add nothing to a sum, and what only zeros or nothing read need not run. What reads zeros does: behind a batch
    norm's shift they are none.
    """
    zeros = {p.site.name for p in placed if isinstance(p.choice, int) and isinstance(p.site.options[p.choice], Zero)}
    summed = [
        p._replace(inputs=tuple(name for name in p.inputs if name not in zeros) or p.inputs[:1])
        if p.site.merge == "sum"
        else p
        for p in placed
    ]
    wanted = {summed[-1].site.name}
    for p in reversed(summed):
        if p.site.name in wanted:
            wanted.update(p.inputs)
    return [p for p in summed if p.site.name in wanted]


def live_costs(
    space: SearchSpace,
    architectures: Sequence[Architecture] | NDArray[np.integer],
    count: Callable[[Block, Shape], float],
    shape: Shape | None = None,
) -> NDArray[np.float64]:
    """The cost of live blocks.

    Args:
        architectures: (N, D) option indices.
        count: (block, (C, H, W) of its input) -> cost, such as `Metric.of`.
        shape: (C, H, W) of the image; none: the space's own.

    Returns:
        (N,) in the unit of `count`.
    """
    codes = np.asarray(architectures).reshape(-1, len(space.sizes))
    total = np.zeros(len(codes))
    for live, (scope, table) in zip(_live(space, codes), space.priced(count, shape), strict=True):
        total += live * table[tuple(codes[:, decision] for decision in scope)]
    return total


def live_total(spec: NetSpec, count: Callable[[Block, Shape], float], shape: Shape) -> float:
    """The cost of one network's blocks on a path from the image to the output; 0 where there is none.

    Args:
        count: (block, (C, H, W) of its input) -> cost, such as `Metric.of`.
        shape: (C, H, W) of the image.
    """
    carries = {INPUT: True}
    for node in spec.nodes:
        carries[node.site] = not isinstance(node.block, Zero) and any(carries[name] for name in node.inputs)
    wanted = {spec.nodes[-1].site}
    for node in reversed(spec.nodes):
        if node.site in wanted:
            wanted.update(name for name in node.inputs if carries[name])
    entering = spec.shapes(shape)
    live = (node for node in spec.nodes if node.site in wanted and carries[node.site])
    return float(sum(count(node.block, entering[node.site][0]) for node in live))


def layers(space: SearchSpace, architectures: Sequence[Architecture] | NDArray[np.integer]) -> NDArray[np.float64]:
    """(N, D) option indices -> (N,) numbers of live layers with weights that a decision chose, and not as a skip."""
    codes = np.asarray(architectures).reshape(-1, len(space.sizes))
    total = np.zeros(len(codes))
    for live, (scope, table) in zip(_live(space, codes), layer_factors(space), strict=True):
        total += live * table[tuple(codes[:, decision] for decision in scope)]
    return total


def longest_path(space: SearchSpace, architectures: NDArray[np.integer]) -> NDArray[np.float64]:
    """(N, D) option indices -> (N,) layers, as `layers` counts them, on the path that has most of them; 0 without one.

    Its bins are what "Efficient few-shot NAS by counting the number of nonlinear functions" (AAAI 2025) draws by.
    """
    longest = {INPUT: np.zeros(len(architectures))}
    sites = zip(space.sites, _standing(space, architectures), layer_factors(space), strict=True)
    for site, stands, (scope, table) in sites:
        before = np.max([longest[name] for name in site.inputs], axis=0)
        here = table[tuple(architectures[:, decision] for decision in scope)]
        longest[site.name] = np.where(stands, before + here, -np.inf)
    return np.maximum(longest[space.sites[-1].name], 0.0)


def layer_factors(space: SearchSpace) -> list[Factor]:
    """Per site 1.0 where a layer with weights stands that a decision chose, and not as a skip, else 0.0."""
    return [_layer_factor(space, site, placed) for site, placed in zip(space.sites, space.placed(), strict=True)]


def _layer_factor(space: SearchSpace, site: Site, placed: Coded) -> Factor:
    if not site.given:
        return (), np.zeros(())
    scope, learns = placed.map(lambda entry: float(entry is not None and entry[0].params(entry[1]) > 0))
    if len(site.given) == 1:
        (decision,) = site.given
        if decision not in scope:
            scope, learns = (*scope, decision), learns[..., None]
        chosen = np.array([float(name not in SKIPS) for name in space.decisions[decision].options])
        learns = learns * align((decision,), chosen, scope)
    return coded_table(scope, learns).map(float)


def _live(space: SearchSpace, codes: NDArray[np.integer]) -> list[NDArray[np.bool_]]:
    """Per site, in their order, (N,): is it fixed, or does a path from the image to the output lead through it?"""
    # 1. Forwards: a site carries the image on if a block but Zero stands there and one of its inputs does.
    carries = {INPUT: np.ones(len(codes), dtype=bool)}
    for site, stands in zip(space.sites, _standing(space, codes), strict=True):
        carries[site.name] = stands & np.any([carries[name] for name in site.inputs], axis=0)
    # 2. Backwards from the output: wanted is what a wanted site reads.
    wanted = {name: np.zeros(len(codes), dtype=bool) for name in carries}
    wanted[space.sites[-1].name][:] = True
    for site in reversed(space.sites):
        for name in site.inputs:
            wanted[name] |= wanted[site.name] & carries[site.name]
    return [(carries[site.name] & wanted[site.name]) | (not site.given) for site in space.sites]


def _standing(space: SearchSpace, codes: NDArray[np.integer]) -> Iterator[NDArray[np.bool_]]:
    for site in space.sites:
        given, table = space.gates[site.gate_name]
        passes = np.array([_passes(site, option) for option in table.flat]).reshape(table.shape)
        yield passes[tuple(codes[:, decision] for decision in given)] & np.ones(len(codes), dtype=bool)


def _passes(site: Site, option: int | None) -> bool:
    return option is not None and not isinstance(site.options[option], Zero)
