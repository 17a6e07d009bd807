"""Supernet: a bank `site -> shared weights`. The architecture is an argument of forward; there is no active subnet."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from config_file.errors import UserError
from supernet.decisions import Architecture
from supernet.gating import Weight
from supernet.liveness import without_dead
from supernet.network import Function, LayerCall, Layout, Network, Taps, lay_out, walk
from supernet.sharing import SHARING
from supernet.sharing.own import SharedWeights
from supernet.sites import Choice, Site
from supernet.space import SearchSpace

Gates = Mapping[str, tuple[Sequence[int], Sequence[Weight]]]
"""Per gate the chosen options (on the host) and one weight for each (on the device, see `supernet.gating`)."""

LAYOUTS_KEPT = 128


class Supernet(nn.Module):
    """All networks of a space in one set of weights.

    Args:
        space: the search space.
        recompute: where gates mix options, keep no option's inner activations but run it again in the backward pass:
            about the memory of one path, for about a third more time.

    Forward takes x (B, C, H, W) at any resolution and either

    - an architecture: runs that one path, and a backward pass reaches that path's parameters only, so that those of
      unsampled blocks keep `grad is None` and neither momentum nor weight decay moves them; or
    - gates: per gate the options to run and a weight for each. Only those options are run. A one-hot gate equals the
      path.

    Output: logits (B, classes); `taps` are those of `Network`. Raises ValueError for an architecture or gates that are
    not of the space.
    """

    def __init__(self, space: SearchSpace, recompute: bool = False) -> None:
        super().__init__()
        self.space = space
        self.recompute = recompute
        channels = space.input_channels()
        self.bank = nn.ModuleDict({site.name: _shared(site, channels[site.name]) for site in space.sites})
        self._gates = {s.gate_name: len(s.options) for s in space.sites}
        self._layouts: OrderedDict[Any, Layout] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_layouts": OrderedDict()}  # they hold references into this bank: a copy makes its own

    def forward(self, x: torch.Tensor, path: Architecture | Gates, taps: Taps | None = None) -> torch.Tensor:
        if isinstance(path, tuple):
            return walk(self._layout(path), x, taps=taps)
        key = frozenset((gate, tuple(options)) for gate, (options, _) in path.items())
        return walk(self._layout(key), x, {gate: weights for gate, (_, weights) in path.items()}, taps=taps)

    def _layout(self, key: Architecture | frozenset[tuple[str, tuple[int, ...]]]) -> Layout:
        """The layout of an architecture or of gates, from a small cache of the last ones used."""
        if key in self._layouts:
            self._layouts.move_to_end(key)
            return self._layouts[key]
        chosen: Mapping[str, Choice | None]
        chosen = self._mixture(key) if isinstance(key, frozenset) else self.space.select(key)
        mixed = isinstance(key, frozenset)
        placed = self.space.trace(chosen)
        layout = lay_out(
            [
                LayerCall(site.name, self._call(site, choice, mixed), inputs, site.merge)
                for site, choice, inputs in (placed if mixed else without_dead(placed))
            ]
        )
        self._layouts[key] = layout
        if len(self._layouts) > LAYOUTS_KEPT:
            self._layouts.popitem(last=False)
        return layout

    def _mixture(self, gates: frozenset[tuple[str, tuple[int, ...]]]) -> dict[str, Choice]:
        for gate, options in gates:
            size = self._gates.get(gate, 0)
            if not options or not all(0 <= option < size for option in options):
                raise ValueError(f"{self.space.name}: options {options} cannot be mixed at gate {gate!r}")
        return dict(gates)

    def weights_at(self, site: str) -> SharedWeights:
        """The shared weights of one site."""
        return cast(SharedWeights, self.bank[site])

    def _call(self, site: Site, choice: Choice, mixed: bool) -> Function:
        if isinstance(choice, int):
            path = self.weights_at(site.name).path(choice)
            return (lambda x, _: path(x)) if mixed else path
        run, gate = self.weights_at(site.name).mix(choice, self.recompute), site.gate_name
        return lambda x, weights: run(x, weights[gate])

    def parameters_of(self, path: Architecture | Gates) -> list[nn.Parameter]:
        """The parameters a step along this path, or these gates, may change, in the order of the walk."""
        chosen: Mapping[str, Choice | None]
        if isinstance(path, tuple):
            chosen = self.space.select(path)
        else:
            chosen = {gate: tuple(options) for gate, (options, _) in path.items()}
        parameters: list[nn.Parameter] = []
        placed = self.space.trace(chosen)
        for site, choice, _ in without_dead(placed) if isinstance(path, tuple) else placed:
            for option in (choice,) if isinstance(choice, int) else choice:
                parameters += self.weights_at(site.name).weights(option)
        return parameters


def _shared(site: Site, in_channels: Sequence[int]) -> SharedWeights:
    if site.sharing not in SHARING:
        raise ValueError(f"{site.name}: unknown sharing {site.sharing!r} (choices: {', '.join(SHARING)})")
    try:
        return SHARING[site.sharing](site.options, in_channels)
    except ValueError as error:  # of a table of the user's own: each option may be fine, together they cannot share
        raise UserError(f"{site.name}: {error}") from None


@torch.no_grad()
def extract(supernet: Supernet, architecture: Architecture) -> Network:
    """A standalone network with copies of the path's weights and batch-norm statistics.

    Its output equals the supernet's for that architecture: relative 1e-5 in float32, 1e-10 in float64.
    """
    space = supernet.space
    spec = space.decode(architecture)
    shapes = spec.shapes(space.input_shape)
    layers: dict[str, nn.Module] = {}
    for site, choice, _ in space.trace(space.select(architecture)):
        assert isinstance(choice, int)
        layers[site.name] = supernet.weights_at(site.name).layer(choice, shapes[site.name][0][0])
    return Network(spec, space.input_shape[0], layers).train(supernet.training)
