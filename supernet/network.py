"""Network: a NetSpec as a module, and the walk through its layers that supernets use too."""

from collections.abc import Callable, Mapping, MutableMapping, Sequence
from math import prod
from typing import Any, NamedTuple

import torch
from torch import nn

from supernet.spec import INPUT, NetSpec

Function = Callable[..., torch.Tensor]

Taps = MutableMapping[str, torch.Tensor | None]
"""Sites by name, whose values a forward pass is asked for: it puts them in the place of None."""


class LayerCall(NamedTuple):
    """One call of a layout: where its value goes, what runs, what it reads and what is dropped afterwards."""

    site: str
    function: Function
    inputs: tuple[str, ...]
    merge: str
    last_read: tuple[str, ...] = ()


class Layout(NamedTuple):
    """The calls of a forward pass, in order. A chain has no dictionary of values to pay for."""

    is_chain: bool
    calls: tuple[LayerCall, ...]


def lay_out(calls: Sequence[LayerCall]) -> Layout:
    """Lay out a forward pass; every value is dropped after its last reader."""
    names = [INPUT, *(call.site for call in calls)]
    is_chain = all(call.inputs == (names[index],) for index, call in enumerate(calls))
    last_reader = {name: index for index, call in enumerate(calls) for name in call.inputs}
    dropping = tuple(
        call._replace(last_read=tuple(name for name in dict.fromkeys(call.inputs) if last_reader[name] == index))
        for index, call in enumerate(calls)
    )
    return Layout(is_chain, dropping)


def walk(layout: Layout, x: torch.Tensor, *extra: Any, taps: Taps | None = None) -> torch.Tensor:
    """Run a layout on x (B, C, H, W).

    Args:
        extra: is handed to every call.
        taps: is filled with the values of the sites it names; a site that is not there stays as it is.
    """
    if layout.is_chain and taps is None:
        for call in layout.calls:
            x = call.function(x, *extra)
        return x
    values = {INPUT: x}
    for site, function, inputs, merge, last_read in layout.calls:
        read = [values[name] for name in inputs]
        for name in last_read:
            del values[name]
        x = read[0] if len(read) == 1 else merged(read, merge)
        values[site] = x = function(x, *extra)
        if taps is not None and site in taps:
            taps[site] = x
    return x


def merged(maps: Sequence[torch.Tensor], merge: str) -> torch.Tensor:
    """Feature maps (B, C, H, W) or features (B, F) as one, see `supernet.spec.MERGES`."""
    if merge == "concat":
        return torch.cat([*maps], 1)
    return prod(maps[1:], start=maps[0]) if merge == "product" else sum(maps[1:], maps[0])


class Network(nn.Module):
    """One network alone, as it is retrained and exported.

    Args:
        spec: the network as data.
        in_channels: channels of the image.
        layers: per site the layer to use; None builds them with fresh weights.

    Forward: x (B, in_channels, H, W) -> logits (B, classes) at any resolution. Values inside the network are had with
    `taps = {"stage3/0": None}; network(x, taps)`, which puts the named sites' outputs into the mapping.
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
        self._layout: Layout | None = None

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_layout": None}  # it holds references to these very layers: a copy makes its own

    def forward(self, x: torch.Tensor, taps: Taps | None = None) -> torch.Tensor:
        if self._layout is None:
            nodes = self.spec.nodes
            self._layout = lay_out([LayerCall(n.site, self.layer(n.site), n.inputs, n.merge) for n in nodes])
        return walk(self._layout, x, taps=taps)

    def layer(self, site: str) -> nn.Module:
        """The layer at a site."""
        return self.layers[_module_name(site)]


def _module_name(site: str) -> str:
    """Names of ONNX and of counters that trace are paths: a slash inside a module's name would lead them astray."""
    return site.replace("/", "_")
