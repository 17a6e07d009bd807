"""Sites: the places of a network where blocks stand and weights live. Plain data."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import NamedTuple

from torch import nn

from supernet.blocks import Block, Identity
from supernet.decisions import Decision, check_names
from supernet.spec import INPUT, MERGES

Choice = int | tuple[int, ...]
"""The option that stands at a gate, or the options that are mixed there."""


@dataclass(frozen=True)
class Site:
    """A place in the network whose weights are its own.

    Args:
        name: address of the weights, unique in the network.
        options: the distinct blocks that can stand here.
        inputs: earlier sites (or "input") that are read; those that are absent drop out.
        merge: "sum", "concat" or "product" of several inputs.
        given: the decisions it depends on.
        table: option index for every combination of `given` (row-major), or None: nothing stands here.
        gate: sites with the same gate are always given the same option; "" is the site's own name.
        sharing: how the options share weights, a name in `supernet.sharing.SHARING`.
    """

    name: str
    options: tuple[Block, ...]
    inputs: tuple[str, ...]
    merge: str = "sum"
    given: tuple[int, ...] = ()
    table: tuple[int | None, ...] = (0,)
    gate: str = ""
    sharing: str = "own"

    @property
    def gate_name(self) -> str:
        """The address of its choice: `gate`, or the site's own name."""
        return self.gate or self.name


class Placed(NamedTuple):
    """A site that is there: what was chosen for it and which sites it reads."""

    site: Site
    choice: Choice
    inputs: tuple[str, ...]


def tabulate(sizes: Sequence[int], rule: Callable[..., int | None]) -> tuple[int | None, ...]:
    """`Site.table` from a function of the option indices of its decisions."""
    return tuple(rule(*indices) for indices in product(*map(range, sizes)))


def check_sites(decisions: Sequence[Decision], sites: Sequence[Site]) -> None:
    """Raise ValueError, naming the culprit, if these cannot be the sites of a search space."""
    if not sites:
        raise ValueError("a search space needs at least one site")
    check_names("site", [INPUT, *(site.name for site in sites)])
    known = {INPUT}
    gates: dict[str, Site] = {}
    for site in sites:
        if not site.inputs or not known.issuperset(site.inputs):
            raise ValueError(f"{site.name}: its inputs must be sites before it")
        known.add(site.name)
        _check_site(site, decisions)
        first = gates.setdefault(site.gate_name, site)
        if (site.given, site.table) != (first.given, first.table):
            raise ValueError(f"{site.name}: shares the gate {site.gate_name!r} but not its table with {first.name}")
    output = sites[-1]
    if None in output.table or any(isinstance(block, Identity) for block in output.options):
        raise ValueError(f"{output.name}: the last site is the output, where a block must always stand")


def _check_site(site: Site, decisions: Sequence[Decision]) -> None:
    # A site's name becomes the name of a submodule.
    if not site.name or "." in site.name or hasattr(nn.ModuleDict, site.name):
        raise ValueError(f"a site cannot be called {site.name!r}")
    if site.merge not in MERGES:
        raise ValueError(f"{site.name}: unknown merge {site.merge!r} (choices: {', '.join(MERGES)})")
    if len(set(site.given)) < len(site.given) or not all(0 <= decision < len(decisions) for decision in site.given):
        raise ValueError(f"{site.name}: it depends on {site.given}, which must be different decisions of the space")
    combinations = prod(len(decisions[decision].options) for decision in site.given)
    if len(site.table) != combinations:
        raise ValueError(f"{site.name}: its table needs {combinations} entries, one per combination of choices")
    if any(option is not None and not 0 <= option < len(site.options) for option in site.table):
        raise ValueError(f"{site.name}: its table names an option that is not there")
