"""Network: a NetSpec as a module, and the walk that supernets use too."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from supernet.spec import INPUT, NetSpec

Call = Callable[..., torch.Tensor]


class Step(NamedTuple):
    """One call of a plan: where its value goes, what runs, what it reads and what is dropped afterwards."""

    site: str
    call: Call
    inputs: tuple[str, ...]
    merge: str
    last_read: tuple[str, ...] = ()


class Plan(NamedTuple):
    """What a forward pass runs. For a chain only `calls` is used: no dictionary of values to pay for."""

    is_chain: bool
    calls: tuple[Call, ...]
    steps: tuple[Step, ...]


def make_plan(steps: Sequence[Step]) -> Plan:
    """Lay out a forward pass; every value is dropped after its last reader."""
    calls = tuple(step.call for step in steps)
    names = [INPUT, *(step.site for step in steps)]
    if all(step.inputs == (names[index],) for index, step in enumerate(steps)):
        return Plan(True, calls, ())
    last_reader = {name: index for index, step in enumerate(steps) for name in step.inputs}
    return Plan(
        False,
        calls,
        tuple(
            step._replace(last_read=tuple(name for name in dict.fromkeys(step.inputs) if last_reader[name] == index))
            for index, step in enumerate(steps)
        ),
    )


def walk(plan: Plan, x: torch.Tensor, *extra: Any) -> torch.Tensor:
    """Run a plan on x (B, C, H, W); `extra` is handed to every call."""
    if plan.is_chain:
        for call in plan.calls:
            x = call(x, *extra)
        return x
    values = {INPUT: x}
    for site, call, inputs, merge, last_read in plan.steps:
        read = [values[name] for name in inputs]
        for name in last_read:
            del values[name]
        x = read[0] if len(read) == 1 else torch.cat(read, 1) if merge == "concat" else sum(read[1:], read[0])
        values[site] = x = call(x, *extra)
    return x


class Network(nn.Module):
    """One network alone: what retraining trains and export hands over.

    Args:
        spec: the network as data.
        in_channels: channels of the image.
        layers: per site the layer to use; None builds them with fresh weights.

    Forward: x (B, in_channels, H, W) -> logits (B, classes) at any resolution.
    """

    def __init__(self, spec: NetSpec, in_channels: int = 3, layers: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.spec = spec
        self.in_channels = in_channels
        if layers is None:
            # Channels do not depend on the resolution: any size will do.
            shapes = spec.shapes((in_channels, 1, 1))
            layers = {node.site: node.block.build(shapes[node.site][0][0]) for node in spec.nodes}
        self.layers = nn.ModuleDict({_module_name(node.site): layers[node.site] for node in spec.nodes})
        if len(self.layers) < len(spec.nodes):
            raise ValueError("two sites differ in nothing but / and _")
        self._plan: Plan | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_plan": None}  # a plan holds references to these very layers: a copy makes its own

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self._plan is None:
            nodes = self.spec.nodes
            self._plan = make_plan([Step(n.site, self.layer(n.site), n.inputs, n.merge) for n in nodes])
        return walk(self._plan, x)

    def layer(self, site: str) -> nn.Module:
        """The layer at a site."""
        return self.layers[_module_name(site)]


def _module_name(site: str) -> str:
    """Names of ONNX and of counters that trace are paths: a slash inside a module's name would lead them astray."""
    return site.replace("/", "_")
