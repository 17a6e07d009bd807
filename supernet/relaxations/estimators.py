"""Estimators: the options that run in a step, their weights, and by these the gradient of the architecture parameters.

| name         | runs per decision      | gradient of the architecture parameters                                      |
|--------------|------------------------|------------------------------------------------------------------------------|
| softmax      | all                    | exact, of the mixture (which is not the network that is derived in the end)  |
| gumbel       | all                    | exact, of a randomly perturbed mixture (Jang et al. 2017)                    |
| gumbel_hard  | 1                      | straight-through: biased, see docs/differentiable.md                         |
| binary       | 1                      | <dy, f(x)> / p of the one that ran: unbiased where the loss is linear in it  |
| binary_two   | 2, one of them forward | ProxylessNAS's update of a sampled pair (Cai et al. 2019, appendix)          |
| binary_full  | all, all but 1 forward | ProxylessNAS's gate gradient, every option's output taken into account       |
| reinforce    | 1, on several paths    | score function: unbiased, of any space (Williams 1992; ProxylessNAS's RL)    |

Only the indices of the options that run cross from the device to the host, once per step.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import product
from typing import NamedTuple

import torch

from config_file.errors import UserError
from supernet.decisions import Architecture
from supernet.gating import Sampled, Weight
from supernet.relaxations.parameters import ArchitectureParameters, gumbel_noise
from supernet.space import SearchSpace
from supernet.supernet import Gates


class StepGates(NamedTuple):
    """The gates of one step, as an estimator draws them.

    Attributes:
        gates: for `Supernet.forward`.
        involved: (D, M) of booleans, the options whose parameters this step may move; None means all of them.
        priced: (D, M) weights at which this step's cost is expected; None: those of the parameters.
    """

    gates: Gates
    involved: torch.Tensor | None = None
    priced: torch.Tensor | None = None


Estimator = Callable[[ArchitectureParameters, float, int, int], StepGates]
"""(parameters, temperature, seed, step) -> the gates of the step."""

LossOf = Callable[[Gates | Architecture], torch.Tensor]
"""The task's loss () of a step's images, along gates or a path."""


def softmax(parameters: ArchitectureParameters, temperature: float, seed: int, step: int) -> StepGates:
    """All options run, weighted by their probabilities at that temperature (DARTS, Liu et al. 2019, has it at 1)."""
    del seed, step
    weights = (parameters.masked() / temperature).softmax(1)
    return StepGates(soft_gates(parameters.space, parameters.scaled(weights)))


def gumbel(parameters: ArchitectureParameters, temperature: float, seed: int, step: int) -> StepGates:
    """All options, weighted by softmax((logits + Gumbel noise) / temperature) (Jang et al. 2017; FBNet)."""
    # Jang et al. 2017, eq. 2: y_i = exp((log p_i + g_i) / t) / sum_j exp((log p_j + g_j) / t)
    noisy = parameters.masked() + gumbel_noise(parameters, seed, step)
    return StepGates(soft_gates(parameters.space, parameters.scaled((noisy / temperature).softmax(1))))


def gumbel_hard(parameters: ArchitectureParameters, temperature: float, seed: int, step: int) -> StepGates:
    """The option with the largest noisy logit; the gradient is that of its soft weight (straight-through).

    The soft weights of the others get no gradient, as their outputs are not computed.
    """
    # The largest of log p_i + g_i is a draw from p (the Gumbel-max trick); y_i of that option carries the gradient.
    noisy = parameters.masked() + gumbel_noise(parameters, seed, step)
    support = [(option,) for option in noisy.detach().argmax(1).tolist()]
    weights = parameters.scaled((noisy / temperature).softmax(1))
    return StepGates(_sampled_gates(parameters.space, weights, support))


def binary(parameters: ArchitectureParameters, temperature: float, seed: int, step: int) -> StepGates:
    """One option drawn from p runs; its gate's gradient is weighted by 1/p: dL/da_i = <dy, f(x)> (delta_i - p_i)."""
    del temperature
    support = [(option,) for option in parameters.draw(seed, step)]
    gates = {}
    for gate, weights in gate_weights(parameters.space, parameters.probabilities(), support):
        ((option, weight),) = weights.items()
        # d log p_j / d a_i = delta_ij - p_i, so that the gate's gradient <dy, f_j(x)> arrives as documented.
        gates[gate] = ((option,), [Sampled(True, weight.log())])
    return StepGates(gates)


def binary_full(parameters: ArchitectureParameters, temperature: float, seed: int, step: int) -> StepGates:
    """One option drawn from p runs, the others forward only: dL/da_i = sum_j <dy, f_j(x)> p_j (delta_ij - p_i)."""
    del temperature
    chosen = parameters.draw(seed, step)
    # Cai et al. 2019, eq. 4: dL/da_i = sum_j dL/dg_j p_j (delta_ij - p_i), the softmax of all logits behind the gates.
    support = [
        (option, *(other for other in range(size) if other != option))
        for option, size in zip(chosen, parameters.space.sizes, strict=True)
    ]
    return StepGates(_sampled_gates(parameters.space, parameters.probabilities(), support))


def binary_two(parameters: ArchitectureParameters, temperature: float, seed: int, step: int) -> StepGates:
    """Two options drawn from p without replacement; one of them, drawn again, runs and the other runs forward only.

    Their probabilities are renormalised over the pair, and nothing but the pair's parameters may move: by the loss and
    by the pair's own expected cost.
    """
    del temperature
    with torch.no_grad():
        noise = gumbel_noise(parameters, seed, step)
        masked = parameters.masked()
        # The two largest noisy logits are a draw without replacement; which is active is a draw of its own.
        pair = (masked + noise).topk(min(2, masked.shape[1]), 1).indices
        again = gumbel_noise(parameters, seed, step, "active").gather(1, pair)
        first = (masked.gather(1, pair) + again).argmax(1, keepdim=True)
        ordered = torch.cat((pair.gather(1, first), pair.gather(1, pair.shape[1] - 1 - first)), 1)
        support = [
            tuple(dict.fromkeys(row[:size])) for row, size in zip(ordered.tolist(), parameters.space.sizes, strict=True)
        ]
    # The pair's probabilities are a softmax over its two logits, whose gradient is eq. 4 with two terms.
    involved = torch.zeros_like(parameters.absent)
    involved.scatter_(1, pair, True)
    involved &= ~parameters.absent
    renormalised = parameters.masked().masked_fill(~involved, -torch.inf).softmax(1)
    # The cost's value is that of p; what it would change by is asked of the pair: a split q makes it q c_i + (1-q) c_j.
    priced = parameters.probabilities().detach() + (renormalised - renormalised.detach())
    return StepGates(_sampled_gates(parameters.space, renormalised, support), involved, priced)


def score_function(parameters: ArchitectureParameters, loss_of: LossOf, paths: Sequence[Architecture]) -> torch.Tensor:
    """The mean loss () of some draws from p, whose gradient is that of the score function.

    Williams 1992; ProxylessNAS, section 3.3.2, has it beside its gates. Nothing passes through the paths, so that
    options may differ in width and a batch norm may follow.

    Args:
        paths: at least two; each one's baseline is the mean loss of the others, on the same images (Kool et al. 2019),
            which leaves it unbiased and needs no memory of earlier steps.
    """
    # grad_a E_p[L] = E_p[L grad_a log p(path)], estimated by 1/M sum_m (L_m - b_m) grad_a log p(path_m)
    losses = torch.stack([loss_of(parameters.route(path)) for path in paths])  # (M,)
    fixed, count = losses.detach(), len(paths)
    baselines = (fixed.sum() - fixed) / (count - 1)
    scores = torch.stack([parameters.log_probability(path) for path in paths])
    estimate = ((fixed - baselines) * scores.to(losses.dtype)).mean()
    return losses.mean() + (estimate - estimate.detach())


def soft_gates(space: SearchSpace, weights: torch.Tensor) -> Gates:
    """Gates at which every option runs, weighted; `weights`: (D, M) per decision and option.

    What is zero whatever it weighs is left out, where something else stands beside it.
    """
    everything, gates = [range(size) for size in space.sizes], {}
    for gate, row in gate_weights(space, weights, everything):
        running = {option: weight for option, weight in row.items() if option not in space.zeros[gate]} or row
        gates[gate] = tuple(running), list(running.values())
    return gates


def _sampled_gates(space: SearchSpace, weights: torch.Tensor, support: Sequence[Sequence[int]]) -> Gates:
    """The first option of each decision's support is active; the others of it run forward."""
    gates: dict[str, tuple[Sequence[int], Sequence[Weight]]] = {}
    for gate, row in gate_weights(space, weights, support):
        given, options = space.gates[gate]
        active = options[tuple(support[decision][0] for decision in given)]
        if active is not None:
            gates[gate] = tuple(row), [Sampled(option == active, weight) for option, weight in row.items()]
    return gates


def gate_weights(
    space: SearchSpace, probabilities: torch.Tensor, support: Sequence[Sequence[int]]
) -> Iterator[tuple[str, dict[int, torch.Tensor]]]:
    """Per gate that depends on a decision the probability of every option that can be selected, as scalars.

    Args:
        probabilities: (D, M).
        support: per decision the options to take into account.
    """
    width = probabilities.shape[1]
    scalars = probabilities.reshape(-1).unbind()
    for gate, (given, table) in space.gates.items():
        weights: dict[int, torch.Tensor] = {}
        combinations = product(*(support[decision] for decision in given)) if given else ()
        for combination in combinations:
            option = table[combination]
            if option is None:
                continue
            weight = scalars[given[0] * width + combination[0]]
            for decision, chosen in zip(given[1:], combination[1:], strict=True):
                weight = weight * scalars[decision * width + chosen]
            weights[option] = weights[option] + weight if option in weights else weight
        if weights:
            yield gate, weights


def check_mixable(space: SearchSpace, other: str) -> None:
    """Raises UserError, naming the site and another relaxation, where mixed options would differ in shape."""
    advice = f"mixed: use --relaxation {other}, whose gradient passes through no option"
    for site, (_, _, entries) in zip(space.sites, space.placed(), strict=True):
        if len({block.output_shape(shape) for block, shape in filter(None, entries)}) > 1:
            raise UserError(
                f"{space.name}: the options of {site.name} differ in width, and a width is chosen, never {advice}"
            )
    concatenated = {name for site in space.sites if site.merge == "concat" for name in site.inputs}
    for site in space.sites:
        if site.name in concatenated and None in site.table:
            raise UserError(
                f"{space.name}: {site.name} may be absent where it is concatenated, so that a width would be {advice}"
            )
