"""Copies of layers are those of `copy.deepcopy`."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from torch import nn

from supernet import Supernet, build_space
from supernet.composites import InvertedResidual, ShuffleBlock
from supernet.copying import copied


class Odd(nn.Module):
    """Everything that a module may have: ties, lists of its own parts, buffers that are None, hooks, nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.nothing, self.norm = nn.Linear(3, 3), nn.Sequential(), nn.BatchNorm1d(3, momentum=0.3)
        self.again = self.one
        self.tied = nn.Linear(3, 3)
        self.tied.weight = self.one.weight
        self.register_buffer("missing", None)
        self.parts, self.shape, self.words = [self.one], (3, (3, 1)), {"a": {"b"}}
        self.none: nn.Module | None = None
        self.tied.bias.requires_grad_(False)
        self.norm.eval()
        self.heard: list[int] = []
        self.register_forward_hook(hook)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.norm(self.tied(self.nothing(self.one(x))) + self.again(x))


def hook(module: nn.Module, given: object, answer: torch.Tensor) -> torch.Tensor:
    module.heard.append(len(answer))  # type: ignore[union-attr, operator]
    return answer + 1


def structure(module: nn.Module) -> list[tuple[object, ...]]:
    """Names, types and settings of the parts, and which of them and of their tensors are the same."""
    parts = dict(module.named_modules(remove_duplicate=False))
    tensors = [*module.named_parameters(remove_duplicate=False), *module.named_buffers(remove_duplicate=False)]
    first: dict[int, int] = {}
    same = [first.setdefault(id(thing), len(first)) for thing in (*parts.values(), *(t for _, t in tensors))]
    return [
        *((name, type(part), part.training, part.extra_repr()) for name, part in parts.items()),
        *((name, type(t), t.requires_grad, t.dtype, t.stride(), t.detach().numpy().tobytes()) for name, t in tensors),
        tuple(same),
    ]


def modules() -> list[nn.Module]:
    space = build_space("nasbench_macro", resolution=8, num_classes=3, widths=[2, 2, 2, 2, 2])
    blocks = (InvertedResidual(4, 3, 2, act="hswish", se=True), ShuffleBlock(8, xception=True))
    return [
        Odd(),
        nn.Sequential(),
        nn.Conv2d(2, 2, 3).to(memory_format=torch.channels_last),
        Supernet(space),
        *(block.build(4) for block in blocks),
    ]


@pytest.mark.parametrize("number", range(6))
def test_as_deepcopy(number: int) -> None:
    module = modules()[number]
    before, expected, made = structure(module), deepcopy(module), copied(module)
    assert structure(made) == structure(expected) == before
    mine = {t.data_ptr() for t in module.state_dict().values()}
    assert mine.isdisjoint(t.data_ptr() for t in made.state_dict().values())
    assert {id(part) for part in module.modules()}.isdisjoint(id(part) for part in made.modules())
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.zero_()
    made.train(not made.training)
    assert structure(module) == before


def test_what_is_no_module_is_copied_too() -> None:
    module = Odd()
    made = copied(module)
    assert isinstance(made, Odd)
    assert made.parts[0] is made.one is made.again
    assert made.words == {"a": {"b"}}
    assert made.words["a"] is not module.words["a"]
    x = torch.randn(4, 3)
    assert torch.equal(made(x), deepcopy(module)(x))
    assert (made.heard, module.heard) == ([4], [])
