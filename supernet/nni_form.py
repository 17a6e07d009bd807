"""Fixed architectures as NNI writes them, JSON of a choice per label: read, and written.

Version 1 has a list of booleans per label, one per candidate; version 2 names or indices, `[]` where an edge is not
kept, and of an input choice the labels of what it keeps (`normal_n2_p0`, `normal_n2_switch`); version 3's hub has the
labels `normal/op_2_0` and `normal/input_2_0`. Of spaces that are no cells the labels are those of the decisions, or any
with a number each, in the order of the decisions (`LayerChoice1`).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from config_file.errors import UserError
from supernet.decisions import Architecture, DecisionSpace
from supernet.genotype import Genotype, checked, genotype_of
from supernet.spaces.cells import DARTS_OPERATIONS, INPUTS, KINDS

NAMES = dict(
    zip(
        ("maxpool", "avgpool", "skipconnect", "sepconv3x3", "sepconv5x5", "dilconv3x3", "dilconv5x5"),
        DARTS_OPERATIONS,
        strict=True,
    )
)
"""Operations by the names that versions 1 and 2 give them, in their order, which is ours."""

VERSIONS = ("1", "2", "3")

_EDGE = re.compile(r"(normal|reduce)_n(\d{1,2})_p(\d{1,2})")
_SWITCH = re.compile(r"(normal|reduce)_n(\d{1,2})_switch")
_HUB = re.compile(r"(normal|reduce)/(op|input)_(\d{1,2})_(\d{1,2})")
_NUMBERED = re.compile(r"\D*(\d{1,5})")

_MACRO = ("width", "depth", "num_cells")
"""Labels of the hub's spaces that say how large the network is, not what its cells are."""


def is_cells(content: Any) -> bool:
    """True for the cells of a DARTS network in any version's form."""
    return isinstance(content, Mapping) and any(
        _EDGE.fullmatch(str(key)) or _HUB.fullmatch(str(key)) for key in content
    )


def is_choices(content: Any) -> bool:
    """True for labels with numbers, `LayerChoice1`, or with a list of booleans each."""
    return (
        isinstance(content, Mapping)
        and len(content) > 0
        and (all(_is_booleans(value) for value in content.values()) or all(map(_NUMBERED.fullmatch, map(str, content))))
    )


def genotype_in(content: Mapping[str, Any], where: str) -> Genotype:
    """The cells that a file of NNI says.

    Raises:
        UserError: it is of another space, or does not say all of them; begins with `where`.
    """
    hub = any(_HUB.fullmatch(str(key)) for key in content)
    known = (_HUB,) if hub else (_EDGE, _SWITCH)
    for key in content:
        if not any(form.fullmatch(str(key)) for form in known) and key not in _MACRO:
            raise UserError(f"{where}: {key!r} is no label of the cells of DARTS")
    read = _hub_pairs if hub else _switched_pairs
    pairs = {kind: tuple(pair for node in read(content, kind, where) for pair in node) for kind in KINDS}
    outputs = {kind: tuple(range(len(INPUTS), len(INPUTS) + len(pairs[kind]) // 2)) for kind in KINDS}
    return checked(Genotype(pairs["normal"], outputs["normal"], pairs["reduce"], outputs["reduce"]), where)


def _hub_pairs(content: Mapping[str, Any], kind: str, where: str) -> list[list[tuple[str, int]]]:
    found: dict[int, dict[int, dict[str, Any]]] = {}
    for key, value in content.items():
        if (match := _HUB.fullmatch(str(key))) and match[1] == kind:
            found.setdefault(int(match[3]), {}).setdefault(int(match[4]), {})[match[2]] = value
    nodes = []
    for node in sorted(found):
        pairs = []
        for place in (0, 1):
            said = found[node].get(place, {})
            source = said.get("input")
            source = source[0] if isinstance(source, list) and len(source) == 1 else source
            if len(found[node]) != 2 or type(source) is not int or not isinstance(said.get("op"), (str, int)):
                labels = f"{kind}/op_{node}_{place} and {kind}/input_{node}_{place}"
                raise UserError(f"{where}: it lacks a node's {labels}, a name and a number")
            pairs.append((_operation(said["op"], kind, node, where), source))
        nodes.append(pairs)
    return nodes


def _switched_pairs(content: Mapping[str, Any], kind: str, where: str) -> list[list[tuple[str, int]]]:
    edges: dict[int, dict[int, Any]] = {}
    for key, value in content.items():
        if (match := _EDGE.fullmatch(str(key))) and match[1] == kind:
            edges.setdefault(int(match[2]), {})[int(match[3])] = value
    nodes = []
    for node in sorted(edges):
        kept = _switched(content.get(f"{kind}_n{node}_switch"), kind, node, edges[node], where)
        nodes.append([(_operation(edges[node][source], kind, node, where), source) for source in kept])
    return nodes


def _switched(switch: Any, kind: str, node: int, edges: Mapping[int, Any], where: str) -> list[int]:
    """The inputs that a node keeps."""
    names = {f"{kind}_n{node}_p{source}": source for source in edges}
    kept: list[Any] = []
    if switch is None:  # a file without input choices says it by what stands at the edges
        kept = [source for source, value in sorted(edges.items()) if _stands(value)]
    elif _is_booleans(switch):
        kept = [source for source, there in zip(sorted(edges), switch, strict=False) if there]
    elif isinstance(switch, list):
        kept = [names.get(one, one) if isinstance(one, str) else one for one in switch]
    if len(kept) != 2 or not all(type(source) is int and source in edges for source in kept):
        raise UserError(f"{where}: {kind}_n{node}_switch says two of the edges {', '.join(names)}")
    return kept


def _stands(value: Any) -> bool:
    return any(value) if isinstance(value, list) else value not in (None, "none")


def _operation(value: Any, kind: str, node: int, where: str) -> str:
    """The operation that a name, an index or a list of booleans says."""
    if isinstance(value, list) and _is_booleans(value) and sum(value) == 1:
        value = value.index(True)
    if isinstance(value, str):
        return NAMES.get(value, value)
    if type(value) is int and 0 <= value < len(DARTS_OPERATIONS):
        return DARTS_OPERATIONS[value]
    raise UserError(f"{where}: {kind} node {node}: {value!r:.40} is no operation of DARTS ({', '.join(NAMES)})")


def architecture_in_choices(content: Mapping[str, Any], space: DecisionSpace, where: str) -> Architecture:
    """The architecture of a space that is no cells: a choice per decision.

    Raises:
        UserError: it is of another space; begins with `where`.
    """
    labels = [decision.name for decision in space.decisions]
    if set(content) != set(labels):
        labels = sorted(content, key=lambda label: [int(number) for number in re.findall(r"\d{1,9}", label)])
    if len(labels) != len(space.decisions):
        raise UserError(f"{where}: {space.name} has {len(space.decisions)} decisions, the file {len(labels)} labels")
    chosen: list[str | int] = []
    for label, decision in zip(labels, space.decisions, strict=True):
        value = content[label]
        if _is_booleans(value):
            if len(value) != len(decision.options) or sum(value) != 1:
                raise UserError(f"{where}: {label}: one of {len(decision.options)} candidates is true")
            value = value.index(True)
        chosen.append(value[0] if isinstance(value, list) and len(value) == 1 else value)
    try:
        return space.parse(chosen)
    except UserError as error:
        raise UserError(f"{where}: {error}") from None


def in_form(space: DecisionSpace, architecture: Architecture, version: str) -> dict[str, Any]:
    """An architecture as a version of NNI writes it.

    Args:
        version: "1", "2" or "3".

    Raises:
        UserError: cells that are not those of `darts`, which versions 1 and 2 cannot write.
    """
    genotype = genotype_of(space, architecture)
    if genotype is None:
        rows = zip(space.decisions, architecture, strict=True)
        if version == "1":
            return {
                f"LayerChoice{number}": _booleans(option, len(decision.options))
                for number, (decision, option) in enumerate(rows, start=1)
            }
        return {decision.name: decision.options[option] for decision, option in rows}
    if version == "3":
        return _in_hub_form(genotype)
    used = {name for kind in KINDS for name, _ in genotype.pairs(kind)}
    if unknown := sorted(used - {*DARTS_OPERATIONS}):
        raise UserError(f"version {version} of NNI's form has no {', '.join(unknown)}")
    return _in_switched_form(genotype, version)


def _in_hub_form(genotype: Genotype) -> dict[str, Any]:
    form: dict[str, Any] = {}
    for kind in KINDS:
        for number, (name, source) in enumerate(genotype.pairs(kind)):
            label = f"{number // 2 + len(INPUTS)}_{number % 2}"
            form[f"{kind}/op_{label}"] = name
            form[f"{kind}/input_{label}"] = [source]
    return form


def _in_switched_form(genotype: Genotype, version: str) -> dict[str, Any]:
    theirs = {ours: name for name, ours in NAMES.items()}
    form: dict[str, Any] = {}
    for kind in KINDS:
        pairs = genotype.pairs(kind)
        for number in range(len(INPUTS), len(INPUTS) + len(pairs) // 2):
            first = 2 * (number - len(INPUTS))
            kept = {source: name for name, source in pairs[first : first + 2]}
            labels = [f"{kind}_n{number}_p{source}" for source in range(number)]
            for source, label in enumerate(labels):
                if version == "1":
                    option = DARTS_OPERATIONS.index(kept[source]) if source in kept else -1
                    form[label] = _booleans(option, len(DARTS_OPERATIONS))
                else:
                    form[label] = theirs[kept[source]] if source in kept else []
            form[f"{kind}_n{number}_switch"] = (
                [source in kept for source in range(number)]
                if version == "1"
                else [labels[source] for source in sorted(kept)]
            )
    return form


def _booleans(chosen: int, count: int) -> list[bool]:
    return [option == chosen for option in range(count)]


def _is_booleans(value: Any) -> bool:
    return isinstance(value, Sequence) and bool(value) and all(type(one) is bool for one in value)
