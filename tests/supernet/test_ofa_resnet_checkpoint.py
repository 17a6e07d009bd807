"""Once-for-all's ResNet-50: its layout and forward pass, written here once more on tensors of random values."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from supernet import Supernet, build_space
from supernet.once_for_all import architecture_in_form
from supernet.pretrained import load_pretrained
from supernet.testing import difference
from tests.supernet.test_ofa_checkpoint import Layout, State, normed, rounded

STEM, STAGES, DEPTHS, STRIDES = 32, (48, 64, 96, 128), (4, 3, 3, 3), (1, 2, 2, 2)
FACTORS = (0.65, 0.8, 1.0)


def resnet() -> State:
    layout = Layout()

    def layer(name: str, out: int, into: int, kernel: int = 1) -> None:
        layout.conv(f"{name}.conv.conv", out, into, kernel, kernel)
        layout.norm(f"{name}.bn.bn", out)

    inner = rounded(STEM // 2)
    layer("input_stem.0", inner, 3, 3)
    layer("input_stem.1.conv", inner, inner, 3)
    layer("input_stem.2", STEM, inner, 3)
    number, into = 0, STEM
    for width, depth in zip(STAGES, DEPTHS, strict=True):
        mid = rounded(round(width * 0.35))
        for index in range(depth):
            name = f"blocks.{number}"
            layer(f"{name}.conv1", mid, into)
            layer(f"{name}.conv2", mid, mid, 3)
            layer(f"{name}.conv3", width, mid)
            if index == 0:
                layer(f"{name}.downsample", width, into)
            number, into = number + 1, width
    layout.state["classifier.linear.linear.weight"] = torch.randn(10, into, generator=layout.draw)
    layout.state["classifier.linear.linear.bias"] = torch.randn(10, generator=layout.draw)
    return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in layout.state.items()}


def run(state: State, x: Tensor, depths: list[int], expands: list[float], widths: list[int]) -> Tensor:
    """A subnet in eval mode; for small images, whose stem and pooling keep the size."""

    def layer(x: Tensor, name: str, out: int, stride: int = 1) -> Tensor:
        weight = state[f"{name}.conv.conv.weight"][:out, : x.shape[1]]
        return normed(F.conv2d(x, weight, None, stride, weight.shape[-1] // 2), state, f"{name}.bn.bn")

    inner = rounded(rounded(STEM * FACTORS[widths[0]]) // 2)
    x = F.relu(layer(x, "input_stem.0", inner))
    if depths[0] == 2:
        x = x + F.relu(layer(x, "input_stem.1.conv", inner))
    x = F.relu(layer(x, "input_stem.2", rounded(STEM * FACTORS[widths[1]])))
    x = F.max_pool2d(x, 3, 1, 1)
    number = 0
    for stage, most in enumerate(DEPTHS):
        out = rounded(STAGES[stage] * FACTORS[widths[2 + stage]])
        for index in range(most):
            name, number = f"blocks.{number}", number + 1
            if index >= most - 2 + depths[1 + stage]:
                continue
            stride = STRIDES[stage] if index == 0 else 1
            mid = rounded(round(out * expands[number - 1]))
            shortcut = x
            if index == 0:
                pooled = F.avg_pool2d(x, stride, stride, 0, ceil_mode=True)
                shortcut = layer(pooled, f"{name}.downsample", out)
            h = F.relu(layer(x, f"{name}.conv1", mid))
            h = F.relu(layer(h, f"{name}.conv2", mid, stride))
            x = F.relu(layer(h, f"{name}.conv3", out) + shortcut)
    return F.linear(
        x.mean((2, 3)),
        state["classifier.linear.linear.weight"][:, : x.shape[1]],
        state["classifier.linear.linear.bias"],
    )


def test_a_loaded_resnet_computes_what_once_for_all_does(tmp_path: Path) -> None:
    state = resnet()
    torch.save({"state_dict": state}, tmp_path / "ofa_resnet50")
    space = build_space("ofa_resnet50", resolution=16, num_classes=10, widths=(STEM, *STAGES), depths=DEPTHS)
    supernet = Supernet(space).double().eval()
    filled = load_pretrained(supernet, str(tmp_path / "ofa_resnet50"))
    assert {site.name for site in space.sites} - set(filled) == {"pool"}
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    rng = random.Random(1)
    for _ in range(5):
        depths = [rng.choice((0, 2)), *(rng.randint(0, 2) for _ in STAGES)]
        expands = [rng.choice((0.2, 0.25, 0.35)) for _ in range(sum(DEPTHS))]
        widths = [rng.randrange(3) for _ in range(6)]
        form = {"d": depths, "e": expands, "w": widths}
        with torch.no_grad():
            ours = supernet(x, architecture_in_form(form, space, "here"))
            assert difference(ours, run(state, x, depths, expands, widths)) <= 1e-10
