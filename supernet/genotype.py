"""Genotypes: cells as the papers print them, `Genotype(normal=[('sep_conv_3x3', 0), ...], ...)`, read and written.

Two pairs (operation, what it reads) per node, in the order of the nodes; 0 and 1 are the cell before the last and the
last one, 2 is the first node. The text is parsed, never evaluated. What is no cell of `darts`, as NASNet's and
AmoebaNet's cells in this form, which have more nodes and operations, brings a space of its own.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple

from config_file.errors import UserError
from supernet.cell_space import CellNode, CellSpace
from supernet.decisions import Architecture, DecisionSpace
from supernet.spaces.cell_operations import OPERATIONS, check_operation
from supernet.spaces.cells import DARTS, DARTS_OPERATIONS, INPUTS, KINDS, CellTable

FIELDS = ("normal", "normal_concat", "reduce", "reduce_concat")
MOST_CHARACTERS, MOST_NODES = 20_000, 12

_BEGINS = re.compile(r"\s*(?:\w+\s*=\s*)?Genotype\s*\(")
_TOKEN = re.compile(
    r"\s*(?:(?P<text>'[\w.]{1,64}'|\"[\w.]{1,64}\")|(?P<number>\d{1,4})|(?P<word>\w{1,64})|(?P<mark>[()\[\],=]))"
)

Pair = tuple[str, int]


@dataclass(frozen=True)
class Genotype:
    """The cells of a network.

    Args:
        normal, reduce: two pairs (operation, number of what it reads) per node.
        normal_concat, reduce_concat: numbers of the nodes that make a cell's output.
    """

    normal: tuple[Pair, ...]
    normal_concat: tuple[int, ...]
    reduce: tuple[Pair, ...]
    reduce_concat: tuple[int, ...]

    def __str__(self) -> str:
        values = {name: list(getattr(self, name)) for name in FIELDS}
        return f"Genotype({', '.join(f'{name}={value}' for name, value in values.items())})"

    def pairs(self, kind: str) -> tuple[Pair, ...]:
        """The pairs of "normal" or "reduce" cells."""
        return self.normal if kind == "normal" else self.reduce

    @property
    def table(self) -> CellTable:
        """The cell space that it is of: `darts`, or else one with just as many nodes and operations as it needs."""
        nodes, used = len(self.normal) // 2, {name for name, _ in (*self.normal, *self.reduce)}
        everything = tuple(range(len(INPUTS), len(INPUTS) + nodes))
        twice = any(a[1] == b[1] for pairs in (self.normal, self.reduce) for a, b in _by_node(pairs))
        concats = [
            () if concat == everything else tuple(map(str, concat))
            for concat in (self.normal_concat, self.reduce_concat)
        ]
        if nodes == DARTS.nodes and used <= {*DARTS_OPERATIONS} and not twice and not any(concats):
            return DARTS
        further = tuple(name for name in OPERATIONS if name in used and name not in DARTS_OPERATIONS)
        normal, reduce = (concat or tuple(map(str, everything)) for concat in concats)
        return CellTable(
            DARTS.name, DARTS_OPERATIONS + further, nodes, repeat=twice, concat=normal, reduce_concat=reduce
        )

    @property
    def record(self) -> dict[str, Any]:
        """The network as files hold one: its space, and its cells."""
        table = self.table
        return {
            "space_options": {"search_space": table.name if table is DARTS else table.to_dict()},
            "genotype": str(self),
        }


class _Token(NamedTuple):
    kind: str
    text: str


def is_genotype(text: str) -> bool:
    """True for text that begins as one."""
    return _BEGINS.match(text) is not None


def parse_genotype(text: str, where: str) -> Genotype:
    """The genotype that a text is.

    Raises:
        UserError: it is none: a bracket is missing, an operation unknown, an edge leads forward; begins with `where`.
    """
    begins = _BEGINS.match(text)
    if begins is None or len(text) > MOST_CHARACTERS:
        raise UserError(f"{where}: not a genotype, Genotype(normal=[('sep_conv_3x3', 0), ...], normal_concat=...)")
    reader = _Reader(text[begins.end() :], where)
    values = dict(reader.fields())
    if missing := [name for name in FIELDS if name not in values]:
        raise UserError(f"{where}: the genotype lacks {', '.join(missing)}")
    return checked(Genotype(**values), where)


class _Reader:
    """A genotype behind its opening bracket, read token by token."""

    def __init__(self, text: str, where: str) -> None:
        self.where = where
        self.tokens: list[_Token] = []
        position, text = 0, text.rstrip()
        while position < len(text):
            match = _TOKEN.match(text, position)
            if match is None:
                raise UserError(f"{where}: a genotype does not go on with {text[position:].strip()[:20]!r}")
            self.tokens.append(_Token(str(match.lastgroup), match[str(match.lastgroup)]))
            position = match.end()

    def take(self, *expected: str) -> str:
        """The next token, which is one of these marks, words or kinds. Raises UserError where it is not."""
        token = self.tokens.pop(0) if self.tokens else _Token("mark", "its end")
        if token.text not in expected and token.kind not in expected:
            what = " or ".join(expected)
            raise UserError(f"{self.where}: a genotype has {what} where this one has {token.text}")
        return token.text

    def fields(self) -> Iterator[tuple[str, Any]]:
        """Its four fields, each by its name or all in their order."""
        for place in range(len(FIELDS)):
            name = FIELDS[place]
            if self.tokens and self.tokens[0].kind == "word" and self.tokens[0].text in FIELDS:
                name = self.take("word")
                self.take("=")
            yield name, self.numbers() if name.endswith("concat") else tuple(self.items(self.pair))
            if self.take(",", ")") == ")":
                break
            if self.tokens and self.tokens[0].text == ")":  # behind a last comma
                self.take(")")
                break
        if self.tokens:
            raise UserError(f"{self.where}: the genotype ends before {self.tokens[0].text}")

    def items(self, item: Callable[[], Any]) -> Iterator[Any]:
        """Items in brackets, with commas in between."""
        ends = {"[": "]", "(": ")"}[self.take("[", "(")]
        while not (self.tokens and self.tokens[0].text == ends):
            yield item()
            if not (self.tokens and self.tokens[0].text == ends):
                self.take(",")
        self.take(ends)

    def pair(self) -> Pair:
        """('sep_conv_3x3', 0)"""
        opens = self.take("(", "[")
        name = self.take("text").strip("'\"")
        self.take(",")
        source = int(self.take("number"))
        self.take(")" if opens == "(" else "]")
        return name, source

    def numbers(self) -> tuple[int, ...]:
        """[2, 3, 4, 5], or range(2, 6)"""
        if self.tokens and self.tokens[0].text == "range":
            self.take("range")
            ends = [int(number) for number in self.items(lambda: self.take("number"))]
            if len(ends) != 2 or ends[1] > len(INPUTS) + MOST_NODES:
                raise UserError(f"{self.where}: the output is of nodes such as range(2, 6)")
            return tuple(range(*ends))
        return tuple(self.items(lambda: int(self.take("number"))))


def checked(genotype: Genotype, where: str) -> Genotype:
    """The genotype. Raises UserError, beginning with `where`, if no network has such cells."""
    nodes = len(genotype.normal) // 2
    if not 1 <= nodes <= MOST_NODES or {len(genotype.normal), len(genotype.reduce)} != {2 * nodes}:
        raise UserError(f"{where}: both cells of a genotype have two operations per node, and 1 to {MOST_NODES} nodes")
    for kind in KINDS:
        for place, (name, source) in enumerate(genotype.pairs(kind)):
            node = len(INPUTS) + place // 2
            try:
                check_operation(name)
            except UserError as error:
                raise UserError(f"{where}: {kind} node {node}: {error}") from None
            if source >= node:
                raise UserError(f"{where}: {kind} node {node} reads {source}, which is not before it")
        concat = genotype.normal_concat if kind == "normal" else genotype.reduce_concat
        if not concat or len({*concat}) < len(concat) or not {*concat} <= {*range(len(INPUTS), len(INPUTS) + nodes)}:
            raise UserError(f"{where}: the output of {kind} cells is of nodes 2 to {nodes + 1}, each once")
    return genotype


def architecture_of_genotype(genotype: Genotype, space: DecisionSpace, where: str) -> Architecture:
    """The architecture of a space of cells. Raises UserError, beginning with `where`, if it has no such cells."""
    if not isinstance(space, CellSpace):
        raise UserError(f"{where}: a genotype is of a space of cells, such as darts, which {space.name} is not")
    known = {(node.kind, node.name): node for node in space.nodes}
    kept = {
        (kind, str(number)): edges
        for kind in KINDS
        for number, edges in enumerate(_by_node(genotype.pairs(kind)), start=len(INPUTS))
    }
    if known.keys() != kept.keys():
        names = " ".join(node.name for node in space.nodes if node.kind == KINDS[0])
        raise UserError(f"{where}: the cells of {space.name} have the nodes {names}")
    chosen = {
        gate: option for key, edges in kept.items() for gate, option in _at_gates(known[key], edges, space, where)
    }
    concats = {"normal": genotype.normal_concat, "reduce": genotype.reduce_concat}
    for kind, outputs in space.outputs:
        if {*map(str, concats[kind])} != {*outputs}:
            raise UserError(f"{where}: the output of {kind} cells of {space.name} is of nodes {', '.join(outputs)}")
    try:
        return space.keeping(chosen)
    except ValueError as error:
        raise UserError(f"{where}: {error}") from None


def _at_gates(node: CellNode, edges: Sequence[Pair], space: CellSpace, where: str) -> Iterator[tuple[str, int]]:
    """(gate, option) of both edges of a node, in the order of what they read."""
    options = space.decisions[node.picks[0].operations[0]].options
    picks = node.picks if len(node.picks) > 1 else node.picks * len(edges)
    for name, source in edges:
        if name not in options:
            raise UserError(f"{where}: {space.name} has no {name} (operations: {', '.join(options)})")
        if str(source) not in node.picks[0].sources:
            raise UserError(f"{where}: {node.kind} node {node.name} of {space.name} cannot read {source}")
    ordered = sorted((source, options.index(name)) for name, source in edges)
    for pick, (source, option) in zip(picks, ordered, strict=False):
        yield pick.gates[pick.sources.index(str(source))], option


def genotype_of(space: DecisionSpace, architecture: Architecture) -> Genotype | None:
    """The cells of an architecture; None where they cannot be written so."""
    if not isinstance(space, CellSpace):
        return None
    pairs: dict[str, list[Pair]] = {kind: [] for kind in KINDS}
    for (kind, name), edges in space.kept(architecture).items():
        number = len(INPUTS) + len(pairs[kind]) // 2
        if name != str(number) or len(edges) != 2 or not all(edge.source.isdecimal() for edge in edges):
            return None
        pairs[kind] += [(edge.operation, int(edge.source)) for edge in edges]
    outputs = {kind: tuple(map(int, names)) for kind, names in space.outputs}
    return Genotype(tuple(pairs["normal"]), outputs["normal"], tuple(pairs["reduce"]), outputs["reduce"])


def _by_node(pairs: Sequence[Pair]) -> list[tuple[Pair, Pair]]:
    return [both for place, both in enumerate(pairwise(pairs)) if place % 2 == 0]
