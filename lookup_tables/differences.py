"""Differences between counters, explained: totals operator by operator, next to the elements that each handles.

A difference is explained when it is a whole number per element of an operator that only one of them counts.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from lookup_tables.cost_table import distinct_blocks
from lookup_tables.counters import CONVOLUTION, KINDS, LINEAR, OURS, TRACED, built, count
from supernet import Block, SearchSpace, Shape
from supernet.blocks import Identity
from supernet.layers import Residual, SqueezeExcitation

ACTIVATION, ADDITION, SCALING = "activation", "residual addition", "squeeze-excite scaling"

_KINDS: dict[type[nn.Module], str] = {
    **KINDS,
    nn.ReLU: ACTIVATION,
    nn.ReLU6: ACTIVATION,
    nn.Hardswish: ACTIVATION,
    Residual: ADDITION,
    SqueezeExcitation: SCALING,
}


class OperatorTotal(NamedTuple):
    """One kind of operator over the distinct blocks of a space: elements that enter and leave, and MACs by counter."""

    operator: str
    read: int
    written: int
    macs: Mapping[str, int]


def explain_difference(space: SearchSpace, counters: Iterable[str] = TRACED) -> list[OperatorTotal]:
    """Totals per operator over the distinct blocks of a space, by our own counter and by others."""
    names = (OURS, *counters)
    macs: dict[str, Counter[str]] = {name: Counter() for name in names}
    read: Counter[str] = Counter()
    written: Counter[str] = Counter()
    for block, shape in distinct_blocks(space, space.input_shape[1]):
        if isinstance(block, Identity):
            continue
        for name in names:
            macs[name].update(count(name, block, shape).by_operator)
        _add_elements(block, shape, read, written)
    known = list(dict.fromkeys(_KINDS.values()))
    others = sorted({operator for counted in macs.values() for operator in counted} - set(known))
    return [
        OperatorTotal(operator, read[operator], written[operator], {name: macs[name][operator] for name in names})
        for operator in [*known, *others]
        if written[operator] or operator in others
    ]


def params_difference(space: SearchSpace, counters: Iterable[str] = TRACED) -> list[str]:
    """Lines of text on whose count of parameters differs from ours, over the distinct blocks of a space."""
    blocks = distinct_blocks(space, space.input_shape[1])
    lines = []
    for counter in counters:
        differing = [block.label for block, at in blocks if count(counter, block, at).params != block.params(at)]
        verdict = f"DISAGREE on {', '.join(sorted(set(differing)))}" if differing else "agree on every block"
        lines.append(f"  {counter} and analytic {verdict}")
    return lines


def explanation(totals: Sequence[OperatorTotal], counter: str) -> list[str]:
    """The comparison of one counter's multiply-accumulates with ours, as lines of text."""
    lines = [f"  {'operator':24}{'elements written':>18}{'analytic':>18}{counter:>18}"]
    for total in totals:
        numbers = f"{total.written:18,}{total.macs[OURS]:18,}{total.macs[counter]:18,}"
        lines.append(f"  {total.operator:24}{numbers}   {_reason(total, counter)}".rstrip())
    counted = [total for total in totals if total.operator in (CONVOLUTION, LINEAR)]
    same = all(total.macs[OURS] == total.macs[counter] for total in counted)
    ours = sum(total.macs[OURS] for total in totals)
    excess = sum(total.macs[counter] for total in totals) - ours
    lines.append(
        f"  {counter} and analytic {'agree to the unit' if same else 'DISAGREE'} on convolution and linear layers; "
        f"{counter} counts {excess:,} more in all ({excess / max(ours, 1):.1%})"
    )
    return lines


def _reason(total: OperatorTotal, counter: str) -> str:
    theirs = total.macs[counter]
    excess = theirs - total.macs[OURS]
    if not theirs:
        return "not counted"
    if not excess:
        return "equal"
    if excess == total.read != total.written:
        return "1 per element read"
    if excess == total.read + total.written and total.read != total.written:
        return "1 per element read and 1 per element written"
    if total.written and excess % total.written == 0:
        return f"{excess // total.written} per element written"
    return ""


def _add_elements(block: Block, shape: Shape, read: Counter[str], written: Counter[str]) -> None:
    layer, image = built(block, shape)

    def note(module: nn.Module, inputs: tuple[Any, ...], output: torch.Tensor) -> None:
        read[_KINDS[type(module)]] += inputs[0].numel()
        written[_KINDS[type(module)]] += output.numel()

    for module in layer.modules():
        if type(module) in _KINDS:
            module.register_forward_hook(note)
    with torch.no_grad():
        layer(image)
