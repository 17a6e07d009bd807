"""Search by a structure of the scores, whose exact fronts are known: measure, fit, measure the front, and again.

Scores of chains are nearly sums of what single options and neighbouring ones say (`search.structure`), and costs are
sums. So the best architecture within every budget follows exactly (`supernet.fronts`), and what is left to a search is
to learn the sums. After random architectures the structure is fitted to the ranks of everything measured; proposed is
what stands on the exact front of the fitted structure, and on those of draws from its posterior (Thompson 1933), which
are as different as the structure is uncertain. What is chosen in the end is chosen by the structure, where
cross-validation accepts one, and not by the luckiest of many noisy scores (`search.structured`).

Where costs or the space are no sums over decisions, or limits are bands, candidates are drawn within the limits, and
the best of them and of their neighbours by the structure are proposed.
"""

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from lookup_tables import CostTable
from lookup_tables.limits import as_architecture
from lookup_tables.network_costs import NetworkCosts
from search.pareto import non_dominated
from search.problem import Problem
from search.strategies.generation import Generational, Scores, Told
from search.strategies.shared_options import StartupOptions
from search.structure.calibration import calibrated
from search.structure.model import Fit, Structure, ranks
from search.structure.options import StructureOptions
from search.structure.selection import select
from supernet import Architecture
from supernet.decisions import DecisionSpace
from supernet.elimination import optimum
from supernet.fronts import TooManyLabelsError, exact_front

MOST_COSTS = 2
SHARE = 3  # of a round comes from one front: a third
WIDER = 1.3  # a posterior that has nothing new is widened by
TRIES = 40  # draws, for each round
POOL = 500  # candidates where fronts are not exact
FIRST_PENALTY, FIRST_DEVIATION = 1.0, 0.2  # while too few are known to choose these


@options("Structured")
class StructuredOptions(StartupOptions, StructureOptions):
    """Search by a structure of the scores."""

    structured_round: int = option(5, "structured: architectures between two fits", at_least=1, at_most=10**5)


class StructuredSearch(Generational):
    """Exact fronts of what is known of scores, measured.

    Raises:
        UserError: not one score, or more than two costs that are optimised.
    """

    Options = StructuredOptions
    random_start: ClassVar[str] = "startup"
    front: ClassVar[bool] = True
    score: ClassVar[str] = "structured"

    def __init__(self, problem: Problem, options: StructuredOptions, seed: int) -> None:
        super().__init__(problem, seed)
        measured = [number for number, objective in enumerate(self.objectives) if objective.name not in problem.tables]
        costs = {o.name: problem.tables[o.name] for o in self.objectives if o.name in problem.tables}
        if len(measured) != 1 or len(costs) > MOST_COSTS or any(o.maximise for o in self.objectives if o.name in costs):
            raise UserError(
                "--search-strategy structured has one objective that is measured, and as many as two costs that are "
                f"minimised, not {', '.join(map(str, self.objectives))}"
            )
        self._measured, self._fronts = measured[0], bool(costs)
        # Costs that are limited, not optimised, are axes of the front as well: what is best within the limits is on it.
        limited = {limit.table.name: limit.table for limit in self.limits.limits if limit in self.limits.binding}
        self._axes: list[CostTable] = list({**limited, **costs}.values())
        sums = not any(isinstance(table, NetworkCosts) for table in self._axes)
        bands = any(limit.lower > limit.table.minimum()[0] for limit in self.limits.binding)
        every = type(self.space).allows is DecisionSpace.allows
        self._exact = len(self._axes) <= MOST_COSTS and sums and every and not bands
        self._startup, self._round, self._trained = options.startup, options.structured_round, problem.trained
        self._scores: dict[Architecture, float] = {}

    def learn(self, told: Told) -> None:
        self._scores.update((architecture, scores[self._measured]) for architecture, scores in told)

    def remember(self, scores: Mapping[Architecture, Scores]) -> None:
        self._scores.update((a, scores[a][self._measured]) for a in self._scores if a in scores)

    def propose(self) -> list[Architecture]:
        if len(self.visited) < self._startup:
            return self.beginning(self._startup - len(self.visited))
        found: list[Architecture] = []
        if len(self._scores) > 1:
            found = self._promising(self._fitted())
            self.visited.update(found)
        return found + self.beginning(self._round - len(found))

    def _fitted(self) -> Fit:
        """The structure of everything that was measured, and of what was trained alone."""
        networks, scores = list(self._scores), np.array(list(self._scores.values()))
        selection = select(self.space, networks, scores, 0.0, trained=self._trained)
        if selection is not None:
            return selection.fit
        codes, form = self.space.encode(networks), "additive"
        fit = Fit.of(self.space, codes, ranks(scores), form, FIRST_PENALTY, FIRST_DEVIATION)
        return calibrated(fit, form, codes, self._trained, 1.0) if self._trained else fit

    def _promising(self, fit: Fit) -> list[Architecture]:
        """New ones from the front of the structure, and from those of draws, which widen as long as there are none."""
        generator = np.random.default_rng(self.rng.getrandbits(64))
        structure, spread = fit.structure, 1.0
        found: dict[Architecture, None] = {}
        for _ in range(TRIES):
            new = [a for a in self._best(structure) if a not in self.visited and a not in found]
            many = min(self._round - len(found), -(-self._round // SHARE))
            found |= dict.fromkeys(self.rng.sample(new, many) if len(new) > many else new)
            if len(found) >= self._round:
                break
            spread *= 1.0 if new else WIDER
            structure = fit.draw(generator, spread)
        return list(found)

    def _best(self, structure: Structure) -> list[Architecture]:
        """The front of a structure within the limits, canonical; with one objective the best one."""
        every: NDArray[np.intp] | None = None
        if self._exact:
            every = self._exactly(structure)
        if every is None or not len(every):
            return self._drawn(structure)
        if not self._fronts:
            every = every[[int(structure([*map(as_architecture, every)]).argmax())]]
        return list(dict.fromkeys(self.space.canonical(as_architecture(row)) for row in every))

    def _exactly(self, structure: Structure) -> NDArray[np.intp] | None:
        """(N, D) the front over all axes, as far as it is within the limits; None where it is too large."""
        sizes, factors = self.space.sizes, structure.factors()
        if not self._axes:
            return np.array([optimum(sizes, factors, largest=True)[1]], dtype=np.intp)
        try:
            choices = exact_front(sizes, factors, [table.factors for table in self._axes]).choices
        except TooManyLabelsError:
            return None
        return choices[self.limits.inside(choices)]

    def _drawn(self, structure: Structure) -> list[Architecture]:
        """The same among architectures drawn within the limits, and the neighbours of the best of these."""
        pool = list(dict.fromkeys(self.limits.draw(self.rng, POOL)))
        best = self._undominated(structure, pool)
        around = (self.space.canonical(other) for architecture in best for other in self.space.neighbours(architecture))
        pool = list(dict.fromkeys([*best, *(a for a in around if self.limits.allows(a))]))
        new = [a for a in pool if a not in self.visited]
        return self._undominated(structure, new)

    def _undominated(self, structure: Structure, pool: Sequence[Architecture]) -> list[Architecture]:
        if not pool:
            return []
        values = structure(pool)
        if not self._fronts:
            return [pool[int(values.argmax())]]
        optimised = [table for table in self._axes if any(o.name == table.name for o in self.objectives)]
        columns = [-values, *(table.cost(np.asarray(pool)) for table in optimised)]
        return [pool[position] for position in non_dominated(np.stack(columns, axis=1))]
