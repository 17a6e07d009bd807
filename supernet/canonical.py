"""Decisions that matter in an architecture, and the number of architectures that differ in one that does."""

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np

from supernet.elimination import Factor, Scope, align, count

MOST_TOGETHER = 4096
"""Combinations of other decisions that are looked at at once; where there are more, gates count one by one."""

Influence = tuple[tuple[int, Factor], ...]
"""Of one decision, per gate it acts on: the gate's position, the other decisions there, where among them it acts."""

ALWAYS: Influence = ((0, ((), np.array(True))),)


def influences(gates: Iterable[tuple[Scope, np.ndarray]], decisions: int) -> tuple[Influence, ...]:
    """The influence of each decision, from the tables of all gates (None: nothing stands there)."""
    found: list[list[tuple[int, Factor]]] = [[] for _ in range(decisions)]
    for position, (given, table) in enumerate(gates):
        codes = np.array([-1 if option is None else option for option in table.flat]).reshape(table.shape)
        for axis, decision in enumerate(given):
            acts = np.asarray(codes.max(axis) != codes.min(axis))
            found[decision].append((position, (given[:axis] + given[axis + 1 :], acts)))
    # One gate where it always acts settles it, and so do several at one of which it does in any case.
    return tuple(ALWAYS if _always(gates) else tuple(gates) for gates in found)


def _always(gates: Influence | list[tuple[int, Factor]]) -> bool:
    """Does the decision act at one gate or another, whatever the other decisions are?"""
    if any(acts.all() for _, (_, acts) in gates):
        return True
    front = tuple(dict.fromkeys(other for _, (scope, _) in gates for other in scope))
    sizes = {other: size for _, (scope, acts) in gates for other, size in zip(scope, acts.shape, strict=True)}
    if not gates or prod(sizes.values()) > MOST_TOGETHER:
        return False
    somewhere = np.zeros([sizes[other] for other in front], dtype=bool)
    for _, (scope, acts) in gates:
        somewhere |= align(scope, acts, front)
    return bool(somewhere.all())


def count_canonical(sizes: Sequence[int], influence: Sequence[Influence]) -> int:
    """Number of architectures in which every decision is 0 or matters, exactly.

    Whether a decision acts at any of its gates is passed from gate to gate by variables of two values: a table over the
    decisions of all its gates would be as large as the space where one decision acts on every layer.
    """
    variables = list(sizes)
    factors: list[tuple[int, Factor]] = []
    for decision, gates in enumerate(influence):
        if gates is ALWAYS:
            continue
        # One variable per gate: has the decision acted so far? It is the one before or whether the decision acts here.
        before: Scope = ()
        position = 0
        for position, (scope, acts) in gates:
            after = len(variables)
            variables.append(2)
            acts_so_far = np.stack([acts, np.ones_like(acts)], -1) if before else acts
            factors.append((position, ((*scope, *before, after), np.stack([~acts_so_far, acts_so_far], -1))))
            before = (after,)
        is_zero = np.arange(sizes[decision]) == 0
        allowed = np.stack([is_zero, np.ones_like(is_zero)], -1) if before else is_zero
        factors.append((position, ((decision, *before), allowed)))
    # In the order of the gates, so that few decisions are open at any time.
    return count(variables, [factor for _, factor in sorted(factors, key=lambda entry: entry[0])])
