"""A site whose options of one structure are slices of the largest of them."""

from collections.abc import Hashable, Sequence
from dataclasses import fields
from typing import Any, NamedTuple

import torch
from torch import nn

from supernet.blocks import Block, Identity
from supernet.gating import Forward
from supernet.layers import ChannelShuffle
from supernet.sharing.own import SharedWeights

WIDTHS = ("out_channels", "mid")
"""Fields of blocks that are numbers of channels."""


class Link(NamedTuple):
    """One tensor of an option's layer, and the shared tensor it is taken from."""

    name: str  # in the option's layer, such as "depthwise.conv.weight"
    attributes: dict[str, Any]  # of the skeleton's module that reads the tensor
    attribute: str
    held: dict[str, Any]  # the shared module's parameters or buffers: the largest option's tensors
    shape: tuple[int, ...]  # of the option's tensor

    @property
    def source(self) -> torch.Tensor:
        """The shared tensor."""
        return self.held[self.attribute]


class _Skeleton(NamedTuple):
    """An option's layer without storage, its tensors' sources and its batch norms beside the shared ones."""

    layer: nn.Module
    links: list[Link]
    norms: list[tuple[nn.BatchNorm2d, nn.BatchNorm2d]]


class Sliced(SharedWeights):
    """Options of one structure are slices of the largest: its first channels and the centre of its kernels.

    Options are grouped by the names of their tensors; within a group the largest one holds the weights. With a 5x5,
    expansion-6 inverted residual as the largest this is Single-Path NAS's super-kernel; with several output widths it
    is an elastic width. Options of another structure (a 1x1 skip beside inverted residuals) have weights of their own.

    A class derived from it says in `take` how else an option's tensor follows from the shared one (a kernel transform);
    parameters that this needs belong into `weights`.

    A step moves the whole tensor: momentum and weight decay reach the slices that were not sampled too, because they
    share a tensor with the ones that were.
    """

    def __init__(self, options: Sequence[Block], in_channels: Sequence[int]) -> None:
        super().__init__()
        self.options = tuple(options)
        widest = max(in_channels)
        self.layers = nn.ModuleList()
        self.group: dict[int, int] = {}  # per option with weights, the layer that it is a slice of
        structures: dict[Hashable, list[int]] = {}  # options that share, by what they have in common
        with torch.device("meta"):
            sketches = [block.build(widest) for block in options]
        for option, sketch in enumerate(sketches):
            if sketch.state_dict():
                structures.setdefault(self.structure(options[option], sketch), []).append(option)
        for members in structures.values():
            largest = max(members, key=lambda option: sum(p.numel() for p in sketches[option].parameters()))
            room = {name: tensor.shape for name, tensor in sketches[largest].state_dict().items()}
            for option in members:
                self.group[option] = len(self.layers)
                for name, tensor in sketches[option].state_dict().items():
                    if any(need > have for need, have in zip(tensor.shape, room[name], strict=True)):
                        raise ValueError(
                            f"{options[option]} is not a slice of {options[largest]}: add one that holds both"
                        )
            self.layers.append(options[largest].build(widest))
        self._skeletons: dict[tuple[int, int], _Skeleton] = {}

    def structure(self, block: Block, sketch: nn.Module) -> Hashable:
        """Things that an option has in common with those it shares with; `sketch` is its layer without storage."""
        # Behind a shuffle channels mean something else: what shuffles is no slice of what does not.
        shuffles = [name for name, module in sketch.named_modules() if isinstance(module, ChannelShuffle)]
        return (*sketch.state_dict(), *shuffles)

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_skeletons": {}}  # they point into this bank: a copy makes its own

    def _skeleton(self, option: int, in_channels: int) -> _Skeleton:
        """The option's layer, which runs once its tensors are set.

        Setting the tensors of such a skeleton directly is far cheaper per step than `torch.func.functional_call`.
        """
        key = option, in_channels
        if key not in self._skeletons:
            with torch.device("meta"):
                layer = self.options[option].build(in_channels)
            links, norms = [], []
            if option in self.group:
                for name, module in layer.named_modules():
                    if not (module._parameters or module._buffers):
                        continue  # an activation that the largest option may lack
                    source = self.holder(option).get_submodule(name)
                    if isinstance(module, nn.BatchNorm2d) and isinstance(source, nn.BatchNorm2d):
                        norms.append((module, source))
                    for kind in ("_parameters", "_buffers"):
                        for tensor_name, tensor in getattr(module, kind).items():
                            if tensor is not None:
                                path = f"{name}.{tensor_name}" if name else tensor_name
                                held = getattr(source, kind)
                                links.append(Link(path, module.__dict__, tensor_name, held, tuple(tensor.shape)))
            self._skeletons[key] = _Skeleton(layer, links, norms)
        return self._skeletons[key]

    def path(self, option: int) -> Forward:
        if isinstance(self.options[option], Identity):
            return lambda x: x

        def run(x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C', H', W')
            layer, links, norms = self._skeleton(option, x.shape[1])
            if layer.training != self.training:
                layer.train(self.training)
            _copy_settings(norms)
            for link in links:
                link.attributes[link.attribute] = self.take(link)  # an instance attribute is found before a parameter
            return layer(x)

        return run

    def take(self, link: Link) -> torch.Tensor:
        """The option's tensor, of `link.shape`, from the shared one; gradients pass through."""
        return crop(link.held[link.attribute], link.shape)

    @torch.no_grad()
    def tensors(self, option: int, in_channels: int, writable: bool = False) -> dict[str, torch.Tensor]:
        tensors = {}
        for link in self._skeleton(option, in_channels).links:
            tensor = self.take(link).detach()
            if not writable or tensor.untyped_storage().data_ptr() == link.source.untyped_storage().data_ptr():
                tensors[link.name] = tensor
        return tensors

    def layer(self, option: int, in_channels: int) -> nn.Module:
        with torch.device("meta"):
            layer = self.options[option].build(in_channels)
        copies = {name: tensor.clone() for name, tensor in self.tensors(option, in_channels).items()}
        layer.load_state_dict(copies, assign=True)
        norms = self._skeleton(option, in_channels).norms
        targets = [module for module in layer.modules() if isinstance(module, nn.BatchNorm2d)]
        _copy_settings([(target, source) for target, (_, source) in zip(targets, norms, strict=True)])
        return layer

    def holder(self, option: int) -> nn.Module:
        return self.layers[self.group[option]] if option in self.group else nn.Module()


class SlicedChannels(Sliced):
    """Options that differ in nothing but their numbers of channels are slices; all others have weights of their own."""

    def structure(self, block: Block, sketch: nn.Module) -> Hashable:
        kept = (getattr(block, field.name) for field in fields(block) if field.name not in WIDTHS)
        return (type(block), *kept)


def _copy_settings(norms: Sequence[tuple[nn.BatchNorm2d, nn.BatchNorm2d]]) -> None:
    for target, source in norms:
        target.__dict__.update(eps=source.eps, momentum=source.momentum, training=source.training)


def crop(tensor: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """A view: the first channels of the first two dimensions, the centre of a kernel's last two."""
    if tensor.shape == shape:
        return tensor
    for dimension, size in enumerate(shape):
        spare = tensor.shape[dimension] - size
        if spare:
            tensor = tensor.narrow(dimension, spare // 2 if dimension >= 2 else 0, size)
    return tensor
