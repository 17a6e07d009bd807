"""A search space, and a network of it, described: as data and as a table to read."""

from collections.abc import Sequence
from itertools import groupby
from math import log10
from textwrap import wrap
from typing import Any

import numpy as np

from config_file.errors import UserError
from supernet.auxiliary import auxiliary_head, place_of_head
from supernet.blocks import Identity, Shape
from supernet.cell_space import CellSpace
from supernet.decisions import Architecture
from supernet.drawn_costs import DRAWN, drawn_costs, limits_met
from supernet.elastic.space import ElasticSpace
from supernet.elimination import optimum
from supernet.genotype import genotype_of
from supernet.limit_text import parse_limits
from supernet.metrics import Metric, counted_metrics
from supernet.space import NetworkSpace, SearchSpace
from supernet.spec import INPUT, NetSpec, merged_shape

WHAT_IS_COUNTED = (
    "FLOPs, here and elsewhere, are multiply-accumulates (MACs) of convolution and linear layers, batch 1."
)


def describe(
    space: NetworkSpace, architecture: Architecture | None = None, constraint: str | None = None
) -> dict[str, Any]:
    """Everything that is known without training, as JSON.

    Counts are exact: MACs of convolution and linear layers for one image, learnable parameters, and whatever else is in
    `supernet.metrics`. Without an architecture they are null and `layers` is empty; `range` has the least and the
    greatest of the whole space, null where a space has no sites; so is `median`, of architectures that are drawn.
    `genotype` is the network as papers print cells; `auxiliary` counts the head that can train beside it, which is not
    among its own counts. `limits` says of each of `constraint` whether a network of the space keeps it, `elastic` of a
    network that became a space what can change (`searchable`) and what not (`kept`).
    """
    channels, height, width = space.input_shape
    metrics = counted_metrics()
    description: dict[str, Any] = {
        "search_space": space.name,
        "input_shape": [channels, height, width],
        "decisions": [{"name": decision.name, "options": list(decision.options)} for decision in space.decisions],
        "size": space.size,
        "num_canonical": space.num_canonical,
        "num_networks": space.num_networks if isinstance(space, SearchSpace) else None,
        "range": {
            metric.key: cost_range(space, metric) if isinstance(space, SearchSpace) else None for metric in metrics
        },
        "median": None,
        "limits": [],
        "elastic": None,
        "architecture": None,
        "names": None,
        "genotype": None,
        "auxiliary": None,
        **{metric.key: None for metric in metrics},
        "layers": [],
    }
    if isinstance(space, SearchSpace):
        costs = drawn_costs(space, metrics)
        description["median"] = {key: float(np.median(values)) for key, values in costs.items()}
        description["limits"] = limits_met(parse_limits(constraint), description["range"], costs)
    if isinstance(space, ElasticSpace) and space.origin is not None:
        description["elastic"] = {"searchable": space.origin.searchable, "kept": space.origin.kept}
    if architecture is not None:
        spec = space.decode(architecture)
        description |= {
            "architecture": list(architecture),
            "names": space.names(architecture),
            "genotype": None if (genotype := genotype_of(space, architecture)) is None else str(genotype),
            "auxiliary": _auxiliary(space, spec, space.image(architecture)),
            **{metric.key: spec.total(metric.of, space.image(architecture)) for metric in metrics},
            "layers": layers(space, architecture),
        }
    return description


def _auxiliary(space: NetworkSpace, spec: NetSpec, image: Shape) -> dict[str, Any] | None:
    if not isinstance(space, CellSpace):
        return None
    maps = {site: output for site, (_, output) in spec.shapes(image).items()}
    try:
        site, _ = place_of_head(maps)
    except UserError:  # the images are too small
        return None
    *_, (classes, _, _) = maps.values()
    head = auxiliary_head(classes, image[-1])
    return {"site": site} | {metric.key: metric.of(head, maps[site]) for metric in counted_metrics()}


def cost_range(space: SearchSpace, metric: Metric) -> list[float]:
    """The exact least and greatest cost of any architecture by a counted metric, by elimination."""
    factors = space.priced(metric.of)
    ends = [float(optimum(space.sizes, factors, largest)[0]) for largest in (False, True)]
    return [int(end) if end.is_integer() else end for end in ends]


def layers(space: NetworkSpace, architecture: Architecture) -> list[dict[str, Any]]:
    """One row per layer: site, op, block, input and output shape, MACs, params and further counts.

    The op is the option's name in the space where one decision chooses the layer. A skipped layer has a row as well,
    though the network leaves it out. A space without sites knows the layers of its networks only.
    """
    if not isinstance(space, SearchSpace):
        return _layers_of(space.decode(architecture), space.image(architecture))
    selected = space.select(architecture)
    outputs: dict[str, Shape] = {INPUT: space.image(architecture)}
    rows = []
    for site in space.sites:
        option = selected[site.gate_name]
        inputs = [outputs[name] for name in site.inputs if name in outputs]
        if option is None or not inputs:
            continue
        block, entering = site.options[option], merged_shape(inputs, site.merge)
        outputs[site.name] = block.output_shape(entering)
        if isinstance(block, Identity) and len(inputs) == 1 and not site.given:
            continue
        one = site.given[0] if len(site.given) == 1 else None
        row: dict[str, Any] = {
            "site": site.name,
            "op": block.label if one is None else space.decisions[one].options[architecture[one]],
            "block": type(block).__name__,
            "input_shape": list(entering),
            "output_shape": list(outputs[site.name]),
        }
        rows.append(row | {metric.key: metric.of(block, entering) for metric in counted_metrics()})
    return rows


def _layers_of(spec: NetSpec, image: Shape) -> list[dict[str, Any]]:
    entering = [shape for shape, _ in spec.shapes(image).values()]
    return [
        row | {metric.key: metric.of(node.block, shape) for metric in counted_metrics()}
        for row, node, shape in zip(spec.layers(image), spec.nodes, entering, strict=True)
    ]


def as_text(description: dict[str, Any]) -> str:
    """The description as lines to read."""
    channels, height, width = description["input_shape"]
    decisions = description["decisions"]
    size, canonical, networks = (description[key] for key in ("size", "num_canonical", "num_networks"))
    facts = [
        ("search space", f"{description['search_space']}, for images of {channels}x{height}x{width}"),
        ("decisions", str(len(decisions))),
        ("size", f"{_exactly(size)} architectures"),
    ]
    if canonical != size:
        facts.append(("", f"{_exactly(canonical)} without decisions that do not matter"))
    if networks is not None:
        facts.append(("networks", f"{_exactly(networks)} distinct"))
    facts += [
        (metric.label, _range_in_words(description["range"][metric.key], description["median"][metric.key]))
        for metric in counted_metrics()
        if description["range"][metric.key] is not None
    ]
    facts += [("limit", _limit_in_words(row)) for row in description["limits"]]
    elastic = description["elastic"]
    lines = [f"{name:14}{text}" for name, text in facts]
    lines += [
        "",
        *(
            _aligned([("decision", "options"), *_decision_rows(decisions)], "<<")
            if elastic is None
            else _elastic_rows(elastic)
        ),
    ]
    return "\n".join([*lines, *_network(description), "", WHAT_IS_COUNTED])


def _network(description: dict[str, Any]) -> list[str]:
    if description["architecture"] is None:
        return []
    names = wrap(" ".join(description["names"]), 109, break_long_words=False, break_on_hyphens=False)
    lines = ["", "architecture", *(f"  {line}" for line in names)]
    if description["genotype"] is not None:
        lines += ["", description["genotype"]]
    lines += ["", *_layer_table(description)]
    if (head := description["auxiliary"]) is not None:
        counts = ", ".join(f"{head[metric.key]:,} {metric.label}" for metric in counted_metrics())
        lines += ["", f"beside it in training, if asked for: an auxiliary head at {head['site']} of {counts}"]
    return lines


def _range_in_words(ends: Sequence[float], median: float) -> str:
    return "{:,} to {:,} over the whole space".format(*ends) + f", median about {float(f'{median:.3g}'):,.0f}"


def _limit_in_words(row: dict[str, Any]) -> str:
    if not row["met"]:
        drawn = f", as far as {DRAWN:,} networks tell" if row["limit"].count("<=") > 1 else ""
        return f"{row['limit']}: cannot be met{drawn}"
    few = f"less than {100 / DRAWN:g} %" if not row["share"] else f"about {100 * row['share']:.2g} %"
    return f"{row['limit']}: can be met, by {few} of the architectures"


def _elastic_rows(found: dict[str, Any]) -> list[str]:
    """Lines of what became searchable of a network, and what did not."""
    rows = [("searchable", "options", "of")]
    rows += [(row["decision"], " ".join(row["options"]), _few(row["layers"])) for row in found["searchable"]]
    lines = _aligned(rows, "<<<")
    if found["kept"]:
        lines += ["", *_aligned([("kept", "because"), *((_few(r["layers"]), r["why"]) for r in found["kept"])], "<<")]
    return lines


def _few(layers: Sequence[str]) -> str:
    return " ".join(layers[:4]) + (f" and {len(layers) - 4} more" if len(layers) > 4 else "")


def _exactly(number: int) -> str:
    return f"{number:,} (~10^{log10(number):.1f})" if number >= 10**6 else f"{number:,}"


def _decision_rows(decisions: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """Neighbours with the same options in one row."""
    rows = []
    for options, run in groupby(decisions, key=lambda decision: decision["options"]):
        names = [decision["name"] for decision in run]
        name = names[0] if len(names) == 1 else f"{names[0]} to {names[-1]} ({len(names)})"
        rows.append((name, " ".join(options)))
    return rows


def _layer_table(description: dict[str, Any]) -> list[str]:
    metrics = counted_metrics()

    def counts(row: dict[str, Any]) -> list[str]:
        return [f"{row[metric.key]:,}" for metric in metrics]

    rows = [("layer", "op", "output", *(metric.label for metric in metrics))]
    rows += [
        (row["site"], row["op"], "x".join(map(str, row["output_shape"])), *counts(row)) for row in description["layers"]
    ]
    rows.append(("total", "", "", *counts(description)))
    lines = _aligned(rows, "<<<" + ">" * len(metrics))
    rule = "-" * max(map(len, lines))
    return [lines[0], rule, *lines[1:-1], rule, lines[-1]]


def _aligned(rows: Sequence[tuple[str, ...]], sides: str) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, side, width in zip(row, sides, widths, strict=True)).rstrip()
        for row in rows
    ]
