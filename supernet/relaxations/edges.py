"""Architecture parameters of cells: a logit for every operation on every edge, none among them.

All edges of a cell are mixed, though a node keeps but a few of its inputs in the end. Edges are shared by the cells of
a kind. What is derived (Liu et al. 2019, section 2.4): per node the inputs whose strongest operation is strongest, none
not counted, each with that operation.
"""

from dataclasses import replace
from itertools import chain

import numpy as np
import torch
from torch import Tensor, nn

from config_file.errors import UserError
from supernet.cell_space import CellSpace, Pick
from supernet.decisions import Architecture, Decision
from supernet.elimination import Factor
from supernet.gating import Sampled
from supernet.relaxations.parameters import INITIAL_SPREAD, ArchitectureParameters, gumbel_noise
from supernet.space import SearchSpace
from supernet.spaces.cell_operations import NONE
from supernet.supernet import Gates

NEVER = -1e9  # score of what is not derived


def edge_space(space: CellSpace) -> SearchSpace:
    """The space of all edges: one decision per gate, among its operations and none, whatever a node may keep.

    Its sites are those of the cells, so that its mixtures run in their supernet.

    Raises:
        UserError: more than the operations depends on what is kept, as the outputs of ENAS's cells do.
    """
    positions = {gate: place for place, gate in enumerate(chain.from_iterable(pick.gates for pick in space.picks))}
    options = {site.gate_name: len(site.options) for site in space.sites}
    for site in space.sites:
        if site.given and site.gate_name not in positions:
            raise UserError(
                f"{space.name}: {site.name} depends on which edges are kept, so that all of them cannot be mixed: take "
                "--sample-strategy enas or uniform"
            )
    decisions = []
    for pick in space.picks:
        names = space.decisions[pick.operations[0]].options
        decisions += [Decision(gate, (*names, *[NONE] * (options.get(gate, 0) - len(names)))) for gate in pick.gates]
    sites = [
        replace(site, given=(positions[site.gate_name],), table=tuple(range(len(site.options))))
        if site.gate_name in positions
        else site
        for site in space.sites
    ]
    return SearchSpace(space.name, tuple(decisions), tuple(sites), space.input_shape)


class EdgeParameters(ArchitectureParameters):
    """The logits of the edges of cells, one row per gate: `space` is that of all edges, `cells` the one searched."""

    def __init__(self, cells: CellSpace, seed: int = 0) -> None:
        super().__init__(edge_space(cells), seed)
        self.cells = cells
        # Operations that can be derived: those that an edge's decision has, none never.
        names = [cells.decisions[pick.operations[0]].options for pick in cells.picks for _ in pick.gates]
        most = self.absent.shape[1]
        kept = [[place < len(row) and row[place] != NONE for place in range(most)] for row in names]
        self.kept: Tensor
        self.register_buffer("kept", torch.tensor(kept), persistent=False)
        firsts = np.cumsum([0, *(len(pick.gates) for pick in cells.picks)]).tolist()
        self._picks: list[tuple[Pick, int]] = list(zip(cells.picks, firsts, strict=False))

    # ---- the network that runs

    def route(self, drawn: Architecture) -> Gates:
        """One option at every gate, as `Supernet.forward` takes it."""
        plain = self.logits.new_zeros(())
        return {
            decision.name: ((option,), [Sampled(True, plain)])
            for decision, option in zip(self.space.decisions, drawn, strict=True)
        }

    # ---- what is derived

    def objective(self) -> list[Factor]:
        """Per kept edge the logarithm of its operation's weight, over the decisions of inputs and operation.

        The greatest sum keeps per node the edges whose strongest operations are strongest.
        """
        return self._factors(self._log_weights())

    def sample(self, seed: int, step: int) -> Architecture:
        """An architecture derived from perturbed logarithms of the weights (the Gumbel-max trick, edge by edge)."""
        return self.best(self._factors(self._log_weights() + gumbel_noise(self, seed, step)))

    @torch.no_grad()
    def _log_weights(self) -> Tensor:
        log_p = self.masked().double().log_softmax(1)
        return log_p + self.scaled(torch.ones_like(log_p)).log()

    def _factors(self, given: Tensor) -> list[Factor]:
        scores = given.masked_fill(~self.kept, NEVER).cpu().numpy()
        factors: list[Factor] = []
        for pick, first in self._picks:
            for place, decision in enumerate(pick.operations):
                rows = [scores[first + positions[place]] for positions in pick.kept]
                size = len(self.cells.decisions[decision].options)
                table = np.stack(rows)[:, :size]
                if pick.inputs is None:
                    factors.append(((decision,), table[0]))
                else:
                    factors.append(((pick.inputs, decision), table))
        return factors

    @property
    def derived_sizes(self) -> tuple[int, ...]:
        return self.cells.sizes

    # ---- as a distribution over decisions

    def by_decision(self, weights: Tensor | None = None) -> list[Tensor]:
        """Per decision of the cells the weights of its options, as a cost table takes them; gradients reach the logits.

        They are marginal: a pair of inputs weighs the product of its edges' strongest operations, and an operation what
        it weighs on the edges that can be kept there, without none, averaged over the pairs.

        Args:
            weights: (G, M) of the edges; None: the probabilities.
        """
        rows = self.scaled(self.probabilities()) if weights is None else weights
        kept = rows * self.kept  # (G, M)
        strengths = kept.amax(1)
        shares = kept / kept.sum(1, keepdim=True).clamp_min(torch.finfo(kept.dtype).tiny)
        found: dict[int, Tensor] = {}
        for pick, first in self._picks:
            pairs = torch.stack(
                [torch.stack([strengths[first + place] for place in positions]).prod() for positions in pick.kept]
            )
            pairs = pairs / pairs.sum()
            if pick.inputs is not None:
                found[pick.inputs] = pairs
            for place, decision in enumerate(pick.operations):
                there = torch.stack([shares[first + positions[place]] for positions in pick.kept])
                found[decision] = (pairs[:, None] * there).sum(0)[: len(self.cells.decisions[decision].options)]
        return [found[decision] for decision in range(len(self.cells.decisions))]

    @torch.no_grad()
    def log_probabilities(self) -> list[np.ndarray]:
        rows = self.by_decision(self.scaled(self.probabilities().double()))
        return [np.log(np.maximum(row.cpu().numpy(), 1e-300)) for row in rows]


class NormalisedEdges(EdgeParameters):
    """Edges that compete: per node a softmax over its inputs scales what they carry (PC-DARTS, Xu et al. 2020, eq. 3).

    `logits` has one column more, of the edges' own. Where only some channels pass through the operations, what an edge
    weighs would else fluctuate with the channels that were taken.
    """

    def __init__(self, cells: CellSpace, seed: int = 0) -> None:
        super().__init__(cells, seed)
        own = torch.randn(len(self.logits), generator=torch.Generator().manual_seed(seed)) * INITIAL_SPREAD
        self.logits = nn.Parameter(torch.cat((self.logits.detach(), own[:, None]), 1))  # (G, M + 1)
        nodes = [number for number, node in enumerate(cells.nodes) for pick in node.picks for _ in pick.gates]
        together = torch.tensor(nodes)[:, None] == torch.tensor(nodes)
        self.together: Tensor
        self.register_buffer("together", together, persistent=False)  # (G, G): do two edges enter one node?

    def masked(self) -> Tensor:
        return self.logits[:, :-1].masked_fill(self.absent, -torch.inf)

    def scaled(self, weights: Tensor) -> Tensor:
        own = self.logits[:, -1].to(weights.dtype)  # (G,)
        among = own.expand(len(own), -1).masked_fill(~self.together, -torch.inf).logsumexp(1)
        return weights * (own - among).exp()[:, None]
