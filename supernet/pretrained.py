"""Start a supernet from torchvision's MobileNetV2, or SPOS's or once-for-all's published one: `--pretrained FILE`.

Sites of the supernet and layers of MobileNetV2 (Sandler et al. 2018) are paired in order, as many as possible, where an
option of the site has tensors of exactly the layer's names and shapes. That is the 3x3 inverted residual of expansion 6
(1 in the first block); of sliced weights it is the slice the option uses: of a super-kernel of 5x5 the centre.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple
from urllib.error import URLError

import torch

from config_file.errors import UserError
from supernet.blocks import Block
from supernet.composites import InvertedResidual
from supernet.elastic.space import ElasticSpace
from supernet.elastic.weights import BUILT, fill_elastic
from supernet.ofa_checkpoint import fill_ofa, is_ofa
from supernet.spos_checkpoint import fill_spos, is_spos
from supernet.supernet import Supernet

Tensors = Mapping[str, torch.Tensor]
"""The tensors of a layer, by their names in our blocks."""

Shapes = frozenset[tuple[str, torch.Size]]
"""Their names and shapes, by which layers are matched."""

TORCHVISION = "torchvision"
"""The source that stands for its weights, downloaded."""

KINDS = ("weight", "bias", "running_mean", "running_var")
PARTS = {3: ("expand", "depthwise", "project"), 2: ("depthwise", "project"), 1: ("",)}
"""Our names of a layer's convolutions, by their number."""


def load_pretrained(supernet: Supernet, source: str) -> dict[str, tuple[tuple[str, ...], str]]:
    """Fill the supernet's matching blocks from MobileNetV2, or all from SPOS's, once-for-all's or its own.

    Args:
        supernet: is changed in place.
        source: "torchvision" (its ImageNet weights, downloaded) or a file with the state dict of its `mobilenet_v2`,
            or of SPOS's or once-for-all's supernet (`supernet.spos_checkpoint`, `supernet.ofa_checkpoint`); of a
            network that became a space (`supernet.elastic`) its own state dict, or "built": what its builder gives.

    Returns:
        Per filled site the labels of the options that were filled, and the layer there that they were filled from.

    Raises:
        UserError: no such weights, or no inverted residual of the supernet has their shapes.
    """
    if isinstance(supernet.space, ElasticSpace):
        return fill_elastic(supernet, source, _own_state(supernet.space, source))
    state = _state_dict(source)
    if is_spos(state):
        return fill_spos(supernet, state, source)
    if is_ofa(state):
        return fill_ofa(supernet, state, source)
    layers = _layers(state, source)
    candidates = _candidates(supernet)
    pairs = _pairs([{_shapes(c.tensors) for c in found} for found in candidates.values()], layers)
    sites, names = list(candidates), list(layers)
    filled: dict[str, tuple[list[_Candidate], str]] = {}
    for site, layer in ((sites[site], names[layer]) for site, layer in pairs):
        filled[site] = [c for c in candidates[site] if _shapes(c.tensors) == _shapes(layers[layer])], layer
    if not any(isinstance(c.block, InvertedResidual) for found, _ in filled.values() for c in found):
        raise UserError(
            f"--pretrained {source}: no block of {supernet.space.name} has the shapes of one of MobileNetV2's "
            "(3x3 inverted residuals of expansion 6); train it without"
        )
    with torch.no_grad():
        for found, layer in filled.values():
            for candidate in found:
                for part, ours in candidate.tensors.items():
                    ours.copy_(layers[layer][part])
    return {
        site: (tuple(dict.fromkeys(c.block.label for c in found)), layer) for site, (found, layer) in filled.items()
    }


def _own_state(space: ElasticSpace, source: str) -> Mapping[str, torch.Tensor] | None:
    assert space.origin is not None
    network = space.origin.network
    if source == BUILT:
        return None
    if source == TORCHVISION and network.is_own:
        raise UserError(f"--pretrained torchvision has no weights of {network.name}: give a file, or {BUILT}")
    return _state_dict(source, network.name.rpartition(".")[2])


def _state_dict(source: str, network: str = "mobilenet_v2") -> Mapping[str, torch.Tensor]:
    if source == TORCHVISION:
        from supernet.torchvision_compat import torchvision  # noqa: PLC0415  # loads what only this needs

        weights = torchvision.models.get_model_weights(network)
        try:
            return dict(weights.DEFAULT.get_state_dict(progress=True, check_hash=True))
        except (URLError, OSError, RuntimeError) as error:
            reason = " ".join(str(error).split())
            raise UserError(
                f"--pretrained torchvision: cannot download its weights ({reason}); give the path of a file with them"
            ) from None
    return read_state_dict(source, "--pretrained", " (a path, or torchvision)")


def read_state_dict(source: str, flag: str, hint: str = "") -> dict[str, torch.Tensor]:
    """The tensors of a file that torch.save wrote, by name: a state dict, or one under "state_dict" or "model".

    Raises:
        UserError: beginning with `flag`: no such file (and then `hint`), or one of something else.
    """
    path = Path(source).expanduser()
    if not path.is_file():
        raise UserError(f"{flag} {source}: no such file{hint}")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # torch raises a dozen kinds of errors for a file that is not its own
        raise UserError(f"{flag} {source}: not a file of weights that torch.load opens safely") from None
    for key in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise UserError(f"{flag} {source}: not a state dict")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _layers(state: Mapping[str, torch.Tensor], source: str) -> dict[str, Tensors]:
    """MobileNetV2's layers in order, each with its tensors under the names they have in our blocks."""
    grouped: dict[tuple[int, str], dict[tuple[int, ...], dict[str, torch.Tensor]]] = {}
    for name, tensor in state.items():
        match = re.fullmatch(r"(features|classifier)\.(\d+)((?:\.\w+)*)\.(\w+)", name)
        if match is None:
            raise UserError(f"--pretrained {source}: not the weights of torchvision's mobilenet_v2 ({name!r})")
        part, number, inner, kind = match.groups()
        if kind in KINDS:
            place = tuple(int(index) for index in re.findall(r"\d+", inner))
            key = (int(number) if part == "features" else 10**6, f"{part}.{number}")
            grouped.setdefault(key, {}).setdefault(place, {})[kind] = tensor
    if not grouped:
        raise UserError(f"--pretrained {source}: not the weights of torchvision's mobilenet_v2 (it is empty)")
    return {name: _named(modules) for (_, name), modules in sorted(grouped.items(), key=lambda entry: entry[0])}


def _named(modules: Mapping[tuple[int, ...], Mapping[str, torch.Tensor]]) -> Tensors:
    """The tensors of one layer: its modules are in order convolution and norm, over and over, or one linear layer."""
    ordered = [modules[place] for place in sorted(modules)]
    parts = PARTS.get(len(ordered) // 2, ("",))
    names = ["linear"] if len(ordered) == 1 else [f"{p}.{m}".lstrip(".") for p in parts for m in ("conv", "norm")]
    # Weights that are not MobileNetV2's have no such names and match nothing.
    return {
        f"{name}.{kind}": tensor
        for name, module in zip(names, ordered, strict=False)
        for kind, tensor in module.items()
    }


class _Candidate(NamedTuple):
    """An option at one input width, and the tensors that would be filled."""

    block: Block
    tensors: Tensors


def _candidates(supernet: Supernet) -> dict[str, list[_Candidate]]:
    """Per site every option with every input width it can have."""
    space = supernet.space
    found: dict[str, list[_Candidate]] = {}
    for site, (_, table) in zip(space.sites, space.factors(), strict=True):
        met = dict.fromkeys((block, shape[0]) for block, shape in filter(None, table.flat))
        found[site.name] = []
        for block, in_channels in met:
            tensors = supernet.weights_at(site.name).tensors(site.options.index(block), in_channels, writable=True)
            kept = {name: tensor for name, tensor in tensors.items() if name.rpartition(".")[2] in KINDS}
            if kept:
                found[site.name].append(_Candidate(block, kept))
    return found


def _shapes(tensors: Tensors) -> Shapes:
    return frozenset((name, tensor.shape) for name, tensor in tensors.items())


def _pairs(sites: Sequence[set[Shapes]], layers: Mapping[str, Tensors]) -> list[tuple[int, int]]:
    """As many (site, layer) pairs as possible, both in order (a longest common subsequence), the earliest of them."""
    wanted = [_shapes(tensors) for tensors in layers.values()]

    @cache
    def longest(site: int, layer: int) -> tuple[tuple[int, int], ...]:
        """The pairs from this site and this layer on."""
        if site == len(sites) or layer == len(wanted):
            return ()
        pair = [((site, layer), *longest(site + 1, layer + 1))] if wanted[layer] in sites[site] else []
        return max(*pair, longest(site, layer + 1), longest(site + 1, layer), key=len)

    return list(longest(0, 0))
