"""A supernet started from the network that its space was made of, channels sorted by importance.

A width keeps the first channels, so the most important ones come first: those whose weights in the layers that read
them have the greatest sum of absolute values (Cai et al. 2020, Once-for-all). Sorting changes the order of sums and
nothing else: the largest network computes what the network computes.
"""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from config_file.errors import UserError
from supernet.elastic.channels import Channels, Layout
from supernet.elastic.space import ElasticSpace, Origin
from supernet.elastic.units import Unit
from supernet.supernet import Supernet
from supernet.torch_blocks import Linear, PlainConv

BUILT = "built"
"""The source that stands for the weights that the network is built with."""

Tensors = Mapping[str, Tensor]


def fill_elastic(supernet: Supernet, source: str, tensors: Tensors | None) -> dict[str, tuple[tuple[str, ...], str]]:
    """Fill a supernet of an elastic space with the weights of its network, sorted.

    Args:
        supernet: is changed in place.
        source: where they are from, for messages.
        tensors: the network's state dict, but for outputs of another number of classes, which are then left as they
            are; None: what the network is built with.

    Returns:
        Per filled site the labels of the options that were filled, and the path of the network's layer there.

    Raises:
        UserError: the tensors are not those of the network.
    """
    space = supernet.space
    assert isinstance(space, ElasticSpace)
    assert space.origin is not None
    origin = space.origin
    last = list(origin.sites)[-1]
    channels, resolution, _ = space.input_shape
    classes = origin.sites[last].shape[0]
    built = origin.network.build(classes, channels, resolution, storage=tensors is None).state_dict()
    if tensors is None:
        tensors = built
    outputs = [f"{path}." for _, path in origin.sites[last].parts]
    left = _misfits(built, tensors, outputs, source)
    filled = {}
    with torch.no_grad():
        ordered = {name: tensor for name, tensor in sorted_channels(origin, tensors).items() if name not in left}
        for site, unit in origin.sites.items():
            held: nn.Module = supernet.weights_at(site).layers[0] if unit.parts else nn.Module()
            done = [_fill(held, part, path, ordered) for part, path in unit.parts]
            if done and all(done):
                filled[site] = tuple(dict.fromkeys(block.label for block in _site_options(space, site))), unit.name
    return filled


def _site_options(space: ElasticSpace, site: str) -> tuple:
    return next(other.options for other in space.sites if other.name == site)


def _misfits(built: Tensors, given: Tensors, outputs: list[str], source: str) -> set[str]:
    """The tensors of the outputs where the classes are others. Raises UserError for what does not fit besides."""
    lacking, strange = built.keys() - given.keys(), given.keys() - built.keys()
    for what, names in (("lacks", lacking), ("has an unexpected", strange)):
        names = {name for name in names if not name.endswith("num_batches_tracked")}
        if names:
            raise UserError(f"--pretrained {source}: not the network's weights: it {what} {min(names)}")
    other = {name for name, tensor in built.items() if name in given and given[name].shape != tensor.shape}
    for name in sorted(other):
        if not name.startswith(tuple(outputs)):
            shapes = f"{list(given[name].shape)}, expected {list(built[name].shape)}"
            raise UserError(f"--pretrained {source}: not the network's weights: {name} is {shapes}")
    return {name for name in given if other and name.startswith(tuple(outputs))}


def _fill(held: nn.Module, part: str, path: str, tensors: Tensors) -> bool:
    layer = held.get_submodule(part) if part else held
    values = {name: tensors.get(f"{path}.{name}") for name in layer.state_dict()}
    for name, tensor in layer.state_dict().items():
        value = values[name]
        if value is None and name != "num_batches_tracked":
            return False
        if value is not None:
            tensor.copy_(value)
    return True


def sorted_channels(origin: Origin, tensors: Tensors) -> dict[str, Tensor]:
    """The tensors of a network with the channels of every group in the order of their importance.

    Args:
        tensors: its state dict, which may have outputs for another number of classes.
    """
    channels, ordered = origin.channels, dict(tensors)
    order = {number: _order(score, channels, number) for number, score in _importance(origin, tensors).items()}
    for unit in origin.sites.values():
        reads = _reads(unit, channels)
        gives = channels.layouts[unit.name]
        for _, path in unit.parts:
            is_first = path == unit.steps[0].module
            for name, tensor in _of(tensors, path):
                if tensor.ndim:
                    tensor = (
                        tensor[_index(gives, channels, order)] if len(tensor) == _width(gives, channels) else tensor
                    )
                    if is_first and tensor.ndim > 1 and _mixes(unit):
                        tensor = tensor[:, _index(reads, channels, order)]
                    ordered[name] = tensor
    return ordered


def _of(tensors: Tensors, path: str) -> Iterator[tuple[str, Tensor]]:
    for name, tensor in tensors.items():
        if name.rpartition(".")[0] == path:
            yield name, tensor


def _mixes(unit: Unit) -> bool:
    """True where every output reads every input: a linear layer or a convolution without groups."""
    first = unit.first
    return isinstance(first, Linear) or (
        isinstance(first, PlainConv) and first.out_channels is not None and first.groups == 1
    )


def _reads(unit: Unit, channels: Channels) -> Layout:
    return tuple(piece for name in unit.inputs for piece in channels.layouts[name])


def _importance(origin: Origin, tensors: Tensors) -> dict[int, Tensor]:
    """Per group that can change the sum of absolute weights with which each channel is read; (width,)."""
    channels = origin.channels
    found = {n: torch.zeros(g.width) for n, g in enumerate(channels.groups) if not g.fixed and channels.group(n) == n}
    for unit in origin.sites.values():
        weight = tensors.get(f"{unit.name}.weight")
        if not _mixes(unit) or weight is None:
            continue
        read = weight.detach().abs().transpose(0, 1).flatten(1).sum(1)  # per input channel
        start = 0
        for piece in _reads(unit, channels):
            size = channels.groups[piece.group].width
            if piece.group in found:
                found[piece.group] += read[start : start + size * piece.repeat].reshape(size, -1).sum(1)
            start += size * piece.repeat
    return found


def _order(score: Tensor, channels: Channels, number: int) -> Tensor:
    """Channels from the most important on; grouped convolutions keep those of a group together."""
    multiple = channels.groups[number].multiple
    groups = score.reshape(-1, multiple).sum(1).argsort(descending=True, stable=True)
    return (groups[:, None] * multiple + torch.arange(multiple)).flatten()


def _width(layout: Layout, channels: Channels) -> int:
    return sum(channels.groups[piece.group].width * piece.repeat for piece in layout)


def _index(layout: Layout, channels: Channels, order: Mapping[int, Tensor]) -> Tensor:
    """The place that each channel of a tensor is taken from; (channels,)."""
    parts, start = [], 0
    for piece in layout:
        width = channels.groups[piece.group].width
        places = order.get(piece.group, torch.arange(width))
        parts.append(start + (places[:, None] * piece.repeat + torch.arange(piece.repeat)).flatten())
        start += width * piece.repeat
    return torch.cat(parts)
