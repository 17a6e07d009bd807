"""The networks of the comparison: what the search found, random ones of the same cost, and a scaled MobileNetV2."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import numpy as np

from config_file.errors import UserError
from config_file.options import was_given
from config_file.quantity import quantity
from lookup_tables import CostTable, build_table, load_tables
from lookup_tables.limits import Limit, Limits
from search.comparison.options import BASELINE, FOUND, RANDOM, VerdictOptions
from search.comparison.scaled_baseline import scaled_mobilenetv2
from search.objectives import chosen_by
from search.reporting.finished_search import FinishedSearch
from supernet import Architecture, NetSpec
from supernet.metrics import FLOPS, Metric, metric_called
from supernet.space import with_sites
from training.architecture import space_of_training

SAME_COST = 0.03
"""Random networks cost at most this much less or more than the found one."""


@dataclass(frozen=True)
class Contender:
    """One training of the comparison; its cost, which the table calls `name`, in raw units of `metric`."""

    name: str
    metric: Metric
    cost: float
    arm: str
    network: int
    seed: int
    spec: NetSpec
    names: list[str]

    @property
    def title(self) -> str:
        return f"{self.arm}-{self.network}-seed{self.seed}"


def table_of(options: VerdictOptions, finished: FinishedSearch) -> CostTable:
    """The costs that the search was limited in, of the networks as `retrain.py` would train them: wider, if asked.

    Raises:
        UserError: they were measured, and their table is not where it was and not given, or of other networks than
            these; or the search decided the image size, at one of which everything is compared.
    """
    if with_sites(finished.space).images is not None:
        name = finished.space.name
        raise UserError(f"the search decided the image size of {name}, and search.verdict compares at one")
    asked = options.resolution if was_given(options, "resolution") else None
    resolution = asked or finished.best["resolution"]
    image = {"resolution": resolution, "in_channels": finished.space.input_shape[0]}
    if (classes := finished.best["space_options"].get("num_classes")) is not None:
        image["num_classes"] = classes
    space = with_sites(space_of_training(finished.best, options, image, finished.name))
    name = finished.metrics[0]
    if metric_called(name).count is not None:
        return build_table(space, name, resolution)
    tables = load_tables(options.lookup_table or finished.options.get("lookup_table"), space, resolution)
    if name not in tables:
        raise UserError(f"the search was limited in {name}: give its table again, --lookup-table FILE.json")
    return tables[name]


def line_up(options: VerdictOptions, searches: Sequence[FinishedSearch], table: CostTable) -> list[Contender]:
    """The trainings to compare: the same for the same options and searches.

    Every training of an arm has another seed, so that none repeats another. Of a network outside the searched space
    only counts are known: where the cost was measured, the baseline has as many multiply-accumulates as the best one
    found.

    Raises UserError where no random network costs about the same.
    """
    space, contenders = with_sites(table.space), []

    def add(arm: str, which: int, number: int, architecture: Architecture) -> None:
        cost, seed = float(table.cost([architecture])[0]), options.random_seed + number
        spec, names = space.decode(architecture), space.names(architecture)
        contenders.append(Contender(table.name, table.metric, cost, arm, which, seed, spec, names))

    found = [architecture for finished in searches for architecture in best_of(finished, options.top_k)]
    for which, architecture in enumerate(found):
        for number in range(options.seeds):
            add(FOUND, which, which * options.seeds + number, architecture)
    for number, architecture in enumerate(random_networks(options, found, table)):
        add(RANDOM, number, number, architecture)
    counted = FLOPS if table.metric.count is None else table.metric
    shape = (space.input_shape[0], table.resolution, table.resolution)

    def count(spec: NetSpec) -> float:
        return spec.total(counted.of, shape)

    target = float(np.mean([count(space.decode(architecture)) for architecture in found]))
    spec, multiplier = scaled_mobilenetv2(space, count, target)
    names = [f"width x{multiplier:g}"]
    return contenders + [
        Contender(counted.name, counted, count(spec), BASELINE, 0, options.random_seed + number, spec, names)
        for number in range(options.seeds)
    ]


def best_of(finished: FinishedSearch, count: int) -> list[Architecture]:
    """The architecture that the search chose and, if more are wanted, the next best that are other networks."""
    space, found = finished.space, [finished.chosen]
    by = chosen_by(finished.objectives, finished.measures)
    within = [result for _, result in finished.inside]
    for result in sorted(within, key=lambda result: (-by.score(result), result.architecture)):
        if len(found) < count and space.network_key(result.architecture) not in map(space.network_key, found):
            found.append(result.architecture)
    if len(found) < count:
        raise UserError(f"--top-k {count}: the search {finished.name} has {quantity(len(found), 'network')} to retrain")
    return found


def random_networks(options: VerdictOptions, found: Sequence[Architecture], table: CostTable) -> list[Architecture]:
    """Random ones that cost about what the found ones do, one after the other: in turn somewhat less, and more.

    Where nothing costs less (or more), all are from the other side. They differ from each other and from what was
    found, as long as there are such.
    """
    space, rng = table.space, Random(f"verdict {options.random_seed}")
    taken = {space.canonical(architecture) for architecture in found}
    drawn = []
    for number in range(options.random_networks):
        cost = float(table.cost([found[number % len(found)]])[0])
        below = Limits(space, [Limit(table, upper=cost, lower=cost * (1 - SAME_COST))])
        above = Limits(space, [Limit(table, upper=cost * (1 + SAME_COST), lower=cost)])
        sides = (below, above) if number // len(found) % 2 == 0 else (above, below)
        tries = (limits.sample(rng, exclude) for exclude in (taken, ()) for limits in sides)
        network = next((network for network in tries if network is not None), None)
        if network is None:
            raise UserError(f"no random architecture costs within {SAME_COST:.0%} of {table.metric.in_words(cost)}")
        taken.add(network)
        drawn.append(network)
    return drawn
