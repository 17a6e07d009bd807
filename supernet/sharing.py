"""How the options of one site share their weights. A site of a supernet is one of these modules."""

from __future__ import annotations

from collections.abc import Sequence
from copy import deepcopy
from functools import partial
from typing import Any, NamedTuple, Protocol

import torch
from torch import nn

from supernet.blocks import Block, Identity
from supernet.gating import Mixed, Run, mix_outputs


class SharedWeights(Protocol):
    """What a supernet asks of the weights at one site."""

    def path(self, option: int) -> Run:
        """What runs when the option is chosen alone: x (B, C, H, W) -> (B, C', H', W')."""
        ...

    def mix(self, chosen: Sequence[int], recompute: bool = False) -> Mixed:
        """What runs several options: (x, one weight each) -> their mixture, see `supernet.gating`."""
        ...

    def tensors(self, option: int, in_channels: int) -> dict[str, torch.Tensor]:
        """Views of what the option uses, by their names in its own layer: writing to them writes the shared weights."""
        ...

    def layer(self, option: int, in_channels: int) -> nn.Module:
        """The option's layer with copies of its weights, batch-norm statistics and settings."""
        ...

    def weights(self, option: int) -> list[nn.Parameter]:
        """The parameters a step through the option may change."""
        ...


class OwnWeights(nn.Module):
    """Every option has weights of its own.

    Args:
        options: the blocks that can stand at the site.
        in_channels: the numbers of input channels the site can meet; more than one only where nothing has weights.
    """

    def __init__(self, options: Sequence[Block], in_channels: Sequence[int]) -> None:
        super().__init__()
        self.options = tuple(options)
        self.layers = nn.ModuleList(block.build(in_channels[0]) for block in options)
        if len(in_channels) > 1 and self.state_dict():
            raise ValueError(
                f"input widths {tuple(in_channels)}: options with weights of their own need one; slice them"
            )

    def path(self, option: int) -> Run:
        """What runs option alone: x (B, C, H, W) -> (B, C', H', W')."""
        return self.layers[option]

    def mix(self, chosen: Sequence[int], recompute: bool = False) -> Mixed:
        """What runs several options: (x, one weight each) -> their mixture, see `supernet.gating`."""
        norms = [partial(self.batch_norms, option) for option in chosen] if recompute else None
        return mix_outputs([self.path(option) for option in chosen], norms)

    def tensors(self, option: int, in_channels: int) -> dict[str, torch.Tensor]:
        """Parameters and buffers of the option's own layer, by their names there."""
        return dict(self.layers[option].state_dict())

    def layer(self, option: int, in_channels: int) -> nn.Module:
        """A copy of the option's own layer."""
        return deepcopy(self.layers[option])

    def weights(self, option: int) -> list[nn.Parameter]:
        """The parameters a step through the option may change."""
        return list(self.layers[option].parameters())

    def batch_norms(self, option: int) -> list[nn.BatchNorm2d]:
        """The batch norms that run with the option."""
        return [module for module in self.layers[option].modules() if isinstance(module, nn.BatchNorm2d)]


class _Link(NamedTuple):
    """Where one tensor of a skeleton comes from."""

    name: str
    """In the option's layer, such as "0.1.weight"."""
    attributes: dict[str, Any]
    """Of the skeleton's module that reads the tensor."""
    attribute: str
    held: dict[str, Any]
    """The shared module's parameters or buffers, which hold the largest option's tensor."""
    shape: tuple[int, ...]


class _Skeleton(NamedTuple):
    """An option's layer without storage, its tensors' sources and its batch norms beside the shared ones."""

    layer: nn.Module
    links: list[_Link]
    norms: list[tuple[nn.BatchNorm2d, nn.BatchNorm2d]]


class Sliced(nn.Module):
    """Options of one structure are slices of the largest: its first channels and the centre of its kernels.

    Options are grouped by the names of their tensors; within a group the largest one holds the weights. With a 5x5,
    expansion-6 inverted residual as the largest this is Single-Path NAS's super-kernel; with several output widths it
    is an elastic width. Options of another structure (a 1x1 skip beside inverted residuals) have weights of their own.

    A step moves the whole tensor: momentum and weight decay reach the slices that were not sampled too, because they
    share a tensor with the ones that were.
    """

    def __init__(self, options: Sequence[Block], in_channels: Sequence[int]) -> None:
        super().__init__()
        self.options = tuple(options)
        widest = max(in_channels)
        self.layers = nn.ModuleList()
        self.group: list[int | None] = []
        structures: dict[tuple[str, ...], list[int]] = {}
        with torch.device("meta"):
            sketches = [block.build(widest) for block in options]
        for option, sketch in enumerate(sketches):
            names = tuple(sketch.state_dict())
            if names:
                structures.setdefault(names, []).append(option)
        owner: dict[int, int] = {}
        for members in structures.values():
            largest = max(members, key=lambda option: sum(p.numel() for p in sketches[option].parameters()))
            room = {name: tensor.shape for name, tensor in sketches[largest].state_dict().items()}
            for option in members:
                owner[option] = len(self.layers)
                for name, tensor in sketches[option].state_dict().items():
                    if any(need > have for need, have in zip(tensor.shape, room[name], strict=True)):
                        raise ValueError(
                            f"{options[option]} is not a slice of {options[largest]}: add one that holds both"
                        )
            self.layers.append(options[largest].build(widest))
        self.group = [owner.get(option) for option in range(len(options))]
        self._skeletons: dict[tuple[int, int], _Skeleton] = {}

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_skeletons": {}}  # they point into this bank: a copy makes its own

    def _skeleton(self, option: int, in_channels: int) -> _Skeleton:
        """What runs the option once its tensors are set.

        Setting the tensors of such a skeleton directly is far cheaper per step than `torch.func.functional_call`.
        """
        key = option, in_channels
        if key not in self._skeletons:
            with torch.device("meta"):
                layer = self.options[option].build(in_channels)
            links, norms = [], []
            group = self.group[option]
            if group is not None:
                for name, module in layer.named_modules():
                    source = self.layers[group].get_submodule(name)
                    if isinstance(module, nn.BatchNorm2d) and isinstance(source, nn.BatchNorm2d):
                        norms.append((module, source))
                    for kind in ("_parameters", "_buffers"):
                        for tensor_name, tensor in getattr(module, kind).items():
                            if tensor is not None:
                                path = f"{name}.{tensor_name}" if name else tensor_name
                                held = getattr(source, kind)
                                links.append(_Link(path, module.__dict__, tensor_name, held, tuple(tensor.shape)))
            self._skeletons[key] = _Skeleton(layer, links, norms)
        return self._skeletons[key]

    def path(self, option: int) -> Run:
        """What runs the option alone; its input width is read from x."""
        if isinstance(self.options[option], Identity):
            return _pass

        def run(x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C', H', W')
            layer, links, norms = self._skeleton(option, x.shape[1])
            if layer.training != self.training:
                layer.train(self.training)
            _copy_settings(norms)
            for _, attributes, name, held, shape in links:
                attributes[name] = crop(held[name], shape)  # an instance attribute is found before a parameter
            return layer(x)

        return run

    def mix(self, chosen: Sequence[int], recompute: bool = False) -> Mixed:
        """What runs several options: (x, one weight each) -> their mixture, see `supernet.gating`."""
        norms = [partial(self.batch_norms, option) for option in chosen] if recompute else None
        return mix_outputs([self.path(option) for option in chosen], norms)

    def tensors(self, option: int, in_channels: int) -> dict[str, torch.Tensor]:
        """The option's slices, by their names in its own layer."""
        links = self._skeleton(option, in_channels).links
        return {link.name: crop(link.held[link.attribute].detach(), link.shape) for link in links}

    def layer(self, option: int, in_channels: int) -> nn.Module:
        """The option's layer with copies of its slices."""
        with torch.device("meta"):
            layer = self.options[option].build(in_channels)
        copies = {name: tensor.clone() for name, tensor in self.tensors(option, in_channels).items()}
        layer.load_state_dict(copies, assign=True)
        norms = self._skeleton(option, in_channels).norms
        targets = [module for module in layer.modules() if isinstance(module, nn.BatchNorm2d)]
        _copy_settings([(target, source) for target, (_, source) in zip(targets, norms, strict=True)])
        return layer

    def weights(self, option: int) -> list[nn.Parameter]:
        """The shared parameters a step through the option may change."""
        group = self.group[option]
        return [] if group is None else list(self.layers[group].parameters())

    def batch_norms(self, option: int) -> list[nn.BatchNorm2d]:
        """The shared batch norms, whose settings are the option's while it runs."""
        group = self.group[option]
        modules = () if group is None else self.layers[group].modules()
        return [module for module in modules if isinstance(module, nn.BatchNorm2d)]


def _copy_settings(norms: Sequence[tuple[nn.BatchNorm2d, nn.BatchNorm2d]]) -> None:
    for target, source in norms:
        target.__dict__.update(eps=source.eps, momentum=source.momentum, training=source.training)


def _pass(x: torch.Tensor) -> torch.Tensor:
    return x


def crop(tensor: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """A view: the first channels of the first two dimensions, the centre of a kernel's last two."""
    if tensor.shape == shape:
        return tensor
    for dimension, size in enumerate(shape):
        spare = tensor.shape[dimension] - size
        if spare:
            tensor = tensor.narrow(dimension, spare // 2 if dimension >= 2 else 0, size)
    return tensor


SHARING: dict[str, type[OwnWeights] | type[Sliced]] = {"own": OwnWeights, "sliced": Sliced}
"""Ways of sharing, by the name a `Site` gives."""
