"""The networks of the comparison: what the search found, random ones of the same cost, and a scaled MobileNetV2."""

from dataclasses import dataclass
from random import Random

from config_file.errors import UserError
from lookup_tables import CostTable, build_table, load_tables
from lookup_tables.limits import Limit, Limits
from search.comparison.options import BASELINE, FOUND, RANDOM, VerdictOptions
from search.comparison.scaled_baseline import scaled_mobilenetv2
from search.objectives import chosen_by
from search.reporting.finished_search import FinishedSearch
from supernet import Architecture, NetSpec
from supernet.metrics import FLOPS, Metric, metric_called

SAME_COST = 0.03
"""Random networks cost at most this much less than the found one, and never more."""


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
    """The costs that the search was limited in.

    Raises:
        UserError: they were measured, and their table is not where it was and not given.
    """
    space, resolution = finished.space, finished.best["resolution"]
    name = finished.best["search"]["info_metric"]
    if metric_called(name).count is not None:
        return build_table(space, name, resolution)
    tables = load_tables(options.lookup_table or finished.options.get("lookup_table"), space, resolution)
    if name not in tables:
        raise UserError(f"the search was limited in {name}: give its table again, --lookup-table FILE.json")
    return tables[name]


def line_up(options: VerdictOptions, finished: FinishedSearch, table: CostTable) -> list[Contender]:
    """The trainings to compare: the same for the same options and search.

    Of a network outside the searched space only counts are known: where the cost was measured, the baseline has as many
    multiply-accumulates as the best one found.
    """
    space = finished.space
    found = [finished.chosen]
    by = chosen_by(finished.objectives, finished.measures)
    within = [result for _, result in finished.inside]
    for result in sorted(within, key=lambda result: (-by.score(result), result.architecture)):
        if len(found) < options.top_k:
            known = {space.network_key(architecture) for architecture in found}
            if space.network_key(result.architecture) not in known:
                found.append(result.architecture)
    seeds = [options.random_seed + offset for offset in range(options.seeds)]
    contenders = []

    def add(arm: str, which: int, seed: int, architecture: Architecture) -> None:
        cost = float(table.cost([architecture])[0])
        spec, names = space.decode(architecture), space.names(architecture)
        contenders.append(Contender(table.name, table.metric, cost, arm, which, seed, spec, names))

    for which, architecture in enumerate(found):
        for seed in seeds:
            add(FOUND, which, seed, architecture)
    rng = Random(f"verdict {options.random_seed}")
    for index, architecture in enumerate(found):
        cost = float(table.cost([architecture])[0])
        same = Limits(space, [Limit(table, upper=cost, lower=cost * (1 - SAME_COST))])
        for number, seed in enumerate(seeds):  # another network for each: what is asked is how good a random one is
            drawn = same.sample(rng)
            if drawn is None:
                raise UserError(f"no random architecture costs within {SAME_COST:.0%} of {table.metric.in_words(cost)}")
            add(RANDOM, index * len(seeds) + number, seed, drawn)
    counted = FLOPS if table.metric.count is None else table.metric
    shape = (space.input_shape[0], table.resolution, table.resolution)

    def count(spec: NetSpec) -> float:
        return spec.total(counted.of, shape)

    spec, multiplier = scaled_mobilenetv2(space, count, count(space.decode(found[0])))
    names = [f"width x{multiplier:g}"]
    return contenders + [
        Contender(counted.name, counted, count(spec), BASELINE, 0, seed, spec, names) for seed in seeds
    ]
