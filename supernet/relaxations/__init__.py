"""Relaxations: the ways in which a gradient reaches the parameters of an architecture.

A relaxation turns architecture parameters into gates: which options run, and with which weight. What a gate's weight is
comes from the tables of the sites that depend on the decision, so that sites may read several decisions.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import torch

from config_file.errors import UserError, choose
from supernet.cell_space import CellSpace
from supernet.decisions import Architecture
from supernet.relaxations import estimators
from supernet.relaxations.edges import EdgeParameters, NormalisedEdges
from supernet.relaxations.estimators import Estimator, LossOf, StepGates, check_mixable
from supernet.relaxations.parameters import ArchitectureParameters
from supernet.relaxations.thresholds import ThresholdParameters, thresholds
from supernet.space import SearchSpace
from supernet.supernet import Gates, Supernet


def of_logits(supernet: Supernet, seed: int) -> ArchitectureParameters:
    """Logits of their own, of all decisions; of cells, of all edges, which compete where connections are partial."""
    space = supernet.space
    if not isinstance(space, CellSpace):
        return ArchitectureParameters(space, seed)
    partial_connections = any(site.sharing == "partial" for site in space.sites)
    return (NormalisedEdges if partial_connections else EdgeParameters)(space, seed)


@dataclass(frozen=True)
class RelaxationKind:
    """A relaxation by name.

    Args:
        estimator: draws the gates of a step.
        single: it runs one option per decision, so that options of different widths are no trouble.
        soft: weights train as a mixture too; otherwise on paths drawn from the distribution.
        parameters: makes the parameters it is for, of a supernet and a seed.
        scored: the gradient is that of the score function, of the losses of several paths.
        scaled: that of the task reaches the parameters through the scale of the one option that runs, which a batch
            norm behind it undoes, unless outputs of several decisions are summed before (`Relaxation.scaled`).
        aliases: other spellings of its name.
    """

    estimator: Estimator
    single: bool = False
    soft: bool = False
    parameters: Callable[[Supernet, int], ArchitectureParameters] = of_logits
    scored: bool = False
    scaled: bool = False
    aliases: tuple[str, ...] = ()


RELAXATIONS: dict[str, RelaxationKind] = {
    "softmax": RelaxationKind(estimators.softmax, soft=True, aliases=("darts",)),
    "gumbel": RelaxationKind(estimators.gumbel, soft=True),
    "gumbel_hard": RelaxationKind(estimators.gumbel_hard, single=True, scaled=True, aliases=("gdas",)),
    "binary": RelaxationKind(estimators.binary, single=True, scaled=True),
    "binary_two": RelaxationKind(estimators.binary_two),
    "binary_full": RelaxationKind(estimators.binary_full),
    "reinforce": RelaxationKind(
        estimators.binary, single=True, scored=True, aliases=("rl", "RL", "score_function", "score-function")
    ),
    "thresholds": RelaxationKind(thresholds, soft=True, parameters=partial(ThresholdParameters, hard=True)),
    "thresholds_soft": RelaxationKind(thresholds, soft=True, parameters=ThresholdParameters),
}
"""Relaxations by the name users type."""


class Relaxation:
    """One of `RELAXATIONS` for a space.

    `scaled`: of this space too, the task's gradient is that of a scale which a batch norm may undo.

    Args:
        name, parameters: of the relaxation.
        seed: of what is drawn.

    Raises:
        UserError: unknown name, or the space has options of different widths where outputs would be mixed.
    """

    def __init__(self, name: str, parameters: ArchitectureParameters, seed: int) -> None:
        self.kind = choose("relaxation", name, RELAXATIONS)
        self.name = next(known for known, kind in RELAXATIONS.items() if kind is self.kind)
        self.parameters = parameters
        self.seed = seed
        self.scaled = self.kind.scaled and not _sums_choices(parameters.space)
        if isinstance(parameters, NormalisedEdges) and not self.kind.soft:
            raise UserError(
                f"--relaxation {self.name} runs one operation: with --partial-channels take softmax or gumbel"
            )
        if not self.kind.single:
            check_mixable(parameters.space, next(known for known, kind in RELAXATIONS.items() if kind.scored))

    def gates_at(self, step: int, temperature: float = 1.0) -> StepGates:
        """The gates of a step; gradients of their weights reach the parameters."""
        return self.kind.estimator(self.parameters, temperature, self.seed, step)

    def objective(self, loss_of: LossOf, step: int, temperature: float = 1.0, paths: int = 2) -> torch.Tensor:
        """The task's loss () of a step; its gradient with respect to the parameters is this relaxation's.

        Args:
            loss_of: the loss along gates or a path.
            paths: of the score function.
        """
        if not self.kind.scored:
            return loss_of(self.gates_at(step, temperature).gates)
        drawn = [self.parameters.draw(self.seed, step * paths + number) for number in range(paths)]
        return estimators.score_function(self.parameters, loss_of, drawn)

    def path(self, step: int) -> Architecture | Gates:
        """One draw from p as it is run, for a step of the weights; never the draw of the architecture's own step."""
        return self.parameters.route(self.parameters.draw(self.seed, -1 - step))


def _sums_choices(space: SearchSpace) -> bool:
    """True where what several decisions choose is summed, as the edges at a node of a cell are."""
    chosen = {site.name for site in space.sites if site.given}
    return any(site.merge == "sum" and len(chosen.intersection(site.inputs)) > 1 for site in space.sites)


@torch.no_grad()
def settle(logits: torch.Tensor, before: torch.Tensor, involved: torch.Tensor | None) -> None:
    """After an optimizer step of a sampled pair: nothing else moved, and the pair's share of p is what it was.

    ProxylessNAS's rescaling: both logits are shifted so that the sum of their exponentials is unchanged. What momentum
    or weight decay did to the options that were not involved is undone.

    Args:
        logits: (D, M), after the step; changed in place.
        before: (D, M), before it.
        involved: (D, M) of booleans; None leaves everything as it is.
    """
    if involved is None:
        return
    held = ~involved
    # log sum exp over the pair before, less that after: added to both, it leaves their share of p as it was.
    shift = torch.logsumexp(before.masked_fill(held, -torch.inf), 1, keepdim=True)
    shift = shift - torch.logsumexp(logits.masked_fill(held, -torch.inf), 1, keepdim=True)
    logits.copy_(torch.where(involved, logits + shift, before))
