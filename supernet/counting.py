"""The exact number of distinct networks of a chain space.

The space is read as a nondeterministic automaton over blocks. Its states are places between sites, together with the
options of the decisions that sites on both sides read; an identity is a silent move. Networks are its words, which the
subset construction counts once, however many architectures spell them.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import numpy as np

from supernet.blocks import Block, Identity
from supernet.elimination import Factor
from supernet.sites import Site

State = tuple[int, tuple[tuple[int, int], ...]]
"""Position of the next site, and the (decision, option) pairs that are settled and still to be read."""


def count_chain_networks(sites: Sequence[Site], gates: Mapping[str, Factor]) -> int:
    """Number of distinct networks of a space in which every site reads the one before it.

    For ProxylessNAS with `--skip identity` this is 1554^5 * 6: where the skips of a stage stand does not matter.
    """
    automaton = _Automaton(sites, gates)
    following = cache(automaton.following)
    total = 0
    words = Counter({automaton.closure({(0, ())}): 1})  # per set of states the number of words that lead to it
    while words:
        longer: Counter[frozenset[State]] = Counter()
        for states, number in words.items():
            if any(position == len(sites) for position, _ in states):
                total += number
            for after in following(states):
                longer[after] += number
        words = longer
    return total


class _Automaton:
    def __init__(self, sites: Sequence[Site], gates: Mapping[str, Factor]) -> None:
        self.sites = sites
        self.gates = gates
        self.last_read = {decision: position for position, site in enumerate(sites) for decision in site.given}
        self.moves = cache(lambda state: list(dict.fromkeys(self._moves(state))))

    def _moves(self, state: State) -> Iterator[tuple[Block, State]]:
        """The blocks that can stand at the next site, each with the state after it."""
        position, settled = state
        if position == len(self.sites):
            return
        site = self.sites[position]
        table = self.gates[site.gate_name][1]
        for options in np.ndindex(*table.shape):
            known = dict(settled)
            if any(known.setdefault(decision, o) != o for decision, o in zip(site.given, options, strict=True)):
                continue
            if (option := table[options]) is not None:
                kept = tuple(sorted((d, o) for d, o in known.items() if self.last_read[d] > position))
                yield site.options[option], (position + 1, kept)

    def closure(self, states: set[State]) -> frozenset[State]:
        """These states and those that identities lead to."""
        found, waiting = set(states), list(states)
        while waiting:
            for block, after in self.moves(waiting.pop()):
                if isinstance(block, Identity) and after not in found:
                    found.add(after)
                    waiting.append(after)
        return frozenset(found)

    def following(self, states: frozenset[State]) -> list[frozenset[State]]:
        """The sets of states one block further, one for each block."""
        reached: defaultdict[Block, set[State]] = defaultdict(set)
        for state in states:
            for block, after in self.moves(state):
                if not isinstance(block, Identity):
                    reached[block].add(after)
        return [self.closure(after) for after in reached.values()]
