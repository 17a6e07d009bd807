"""Once-for-all's published supernets: their layout and forward pass, written here once more, and loaded by name.

The published files cannot be had here: these are tensors of random values under the names that its source gives them.
"""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from config_file.errors import UserError
from supernet import Supernet, build_space
from supernet.once_for_all import architecture_in_form
from supernet.pretrained import load_pretrained
from supernet.testing import difference

State = dict[str, Tensor]
MBV3 = {"widths": (16, 16, 16, 24, 24, 32, 32, 40, 48), "depths": (3, 2, 3, 2, 3)}
STRIDES, ACTS, SQUEEZES = (2, 2, 2, 1, 2), ("relu", "relu", "hs", "hs", "hs"), (False, True, False, True, True)


class Layout:
    """Tensors as once-for-all names them, drawn at random."""

    def __init__(self, block: str = "conv") -> None:
        self.state: State = {}
        self.block = block
        self.draw = torch.Generator().manual_seed(7)

    def conv(self, name: str, *shape: int) -> None:
        self.state[f"{name}.weight"] = torch.randn(shape, generator=self.draw) * (2 / (shape[1] * shape[2] ** 2)) ** 0.5

    def norm(self, name: str, channels: int) -> None:
        for kind, low, high in (("weight", 0.5, 1.5), ("bias", -0.2, 0.2), ("running_mean", -0.2, 0.2)):
            self.state[f"{name}.{kind}"] = torch.empty(channels).uniform_(low, high, generator=self.draw)
        self.state[f"{name}.running_var"] = torch.empty(channels).uniform_(0.5, 1.5, generator=self.draw)
        self.state[f"{name}.num_batches_tracked"] = torch.tensor(3)

    def mobile(self, number: int, into: int, out: int, squeeze: bool) -> None:
        name, mid = f"blocks.{number}.{self.block}", into * 6
        self.conv(f"{name}.inverted_bottleneck.conv.conv", mid, into, 1, 1)
        self.norm(f"{name}.inverted_bottleneck.bn.bn", mid)
        self.conv(f"{name}.depth_conv.conv.conv", mid, 1, 7, 7)
        for size in (5, 3):
            matrix = torch.eye(size**2) + 0.1 * torch.randn(size**2, size**2, generator=self.draw)
            self.state[f"{name}.depth_conv.conv.{size + 2}to{size}_matrix"] = matrix
        self.norm(f"{name}.depth_conv.bn.bn", mid)
        if squeeze:
            inside = rounded(mid // 4)
            for part, shape in (("reduce", (inside, mid, 1, 1)), ("expand", (mid, inside, 1, 1))):
                self.conv(f"{name}.depth_conv.se.fc.{part}", *shape)
                self.state[f"{name}.depth_conv.se.fc.{part}.bias"] = torch.randn(shape[0], generator=self.draw)
        self.conv(f"{name}.point_linear.conv.conv", out, mid, 1, 1)
        self.norm(f"{name}.point_linear.bn.bn", out)


def rounded(value: float) -> int:
    new = max(8, int(value + 4) // 8 * 8)
    return new + 8 if new < 0.9 * value else new


def mbv3(block: str = "conv", classes: int = 10) -> State:
    stem, first, *stages, head, features = MBV3["widths"]
    layout = Layout(block)
    layout.conv("first_conv.conv", stem, 3, 3, 3)
    layout.norm("first_conv.bn", stem)
    layout.conv(f"blocks.0.{block}.depth_conv.conv", stem, 1, 3, 3)
    layout.norm(f"blocks.0.{block}.depth_conv.bn", stem)
    layout.conv(f"blocks.0.{block}.point_linear.conv", first, stem, 1, 1)
    layout.norm(f"blocks.0.{block}.point_linear.bn", first)
    number, into = 1, first
    for width, depth, squeeze in zip(stages, MBV3["depths"], SQUEEZES, strict=True):
        for _ in range(depth):
            layout.mobile(number, into, width, squeeze)
            number, into = number + 1, width
    layout.conv("final_expand_layer.conv", head, into, 1, 1)
    layout.norm("final_expand_layer.bn", head)
    layout.conv("feature_mix_layer.conv", features, head, 1, 1)
    layout.state["classifier.linear.weight"] = torch.randn(classes, features, generator=layout.draw)
    layout.state["classifier.linear.bias"] = torch.randn(classes, generator=layout.draw)
    return {name: tensor.double() if tensor.is_floating_point() else tensor for name, tensor in layout.state.items()}


def activated(x: Tensor, act: str) -> Tensor:
    return F.relu(x) if act == "relu" else x * F.relu6(x + 3) / 6


def normed(x: Tensor, state: State, name: str) -> Tensor:
    mean, var, weight, bias = (
        state[f"{name}.{kind}"][: x.shape[1]] for kind in ("running_mean", "running_var", "weight", "bias")
    )
    return F.batch_norm(x, mean, var, weight, bias)


def run_mbv3(state: State, x: Tensor, kernels: list[int], expands: list[int], depths: list[int]) -> Tensor:
    """A subnet of once-for-all's MobileNetV3 on tensors of its layout, in eval mode; for small images."""
    x = activated(normed(F.conv2d(x, state["first_conv.conv.weight"], padding=1), state, "first_conv.bn"), "hs")
    name = "blocks.0.conv"
    h = F.conv2d(x, state[f"{name}.depth_conv.conv.weight"], padding=1, groups=x.shape[1])
    h = F.conv2d(F.relu(normed(h, state, f"{name}.depth_conv.bn")), state[f"{name}.point_linear.conv.weight"])
    x = x + normed(h, state, f"{name}.point_linear.bn")
    number = 0
    for stage, (depth, most) in enumerate(zip(depths, MBV3["depths"], strict=True)):
        for layer in range(most):
            number += 1
            if layer >= depth:
                continue
            stride = 1 if layer or stage == 0 else STRIDES[stage]
            h = mobile(state, f"blocks.{number}.conv", x, kernels[number - 1], expands[number - 1], stride, ACTS[stage])
            x = x + h if stride == 1 and h.shape == x.shape else h
    x = activated(normed(F.conv2d(x, state["final_expand_layer.conv.weight"]), state, "final_expand_layer.bn"), "hs")
    x = F.conv2d(x.mean((2, 3), keepdim=True), state["feature_mix_layer.conv.weight"])
    return F.linear(activated(x, "hs").flatten(1), state["classifier.linear.weight"], state["classifier.linear.bias"])


def mobile(state: State, name: str, x: Tensor, kernel: int, expand: int, stride: int, act: str) -> Tensor:
    mid = rounded(x.shape[1] * expand)
    x = F.conv2d(x, state[f"{name}.inverted_bottleneck.conv.conv.weight"][:mid])
    x = activated(normed(x, state, f"{name}.inverted_bottleneck.bn.bn"), act)
    filters = state[f"{name}.depth_conv.conv.conv.weight"][:mid]
    for size in (5, 3):
        if kernel <= size:
            centre = filters[:, :, 1:-1, 1:-1].reshape(mid, -1)
            filters = (centre @ state[f"{name}.depth_conv.conv.{size + 2}to{size}_matrix"].T).view(mid, 1, size, size)
    x = F.conv2d(x, filters, None, stride, kernel // 2, groups=mid)
    x = activated(normed(x, state, f"{name}.depth_conv.bn.bn"), act)
    if f"{name}.depth_conv.se.fc.reduce.weight" in state:
        se, inside = f"{name}.depth_conv.se.fc", rounded(mid // 4)
        y = x.mean((2, 3), keepdim=True)
        y = F.relu(F.conv2d(y, state[f"{se}.reduce.weight"][:inside, :mid], state[f"{se}.reduce.bias"][:inside]))
        y = F.conv2d(y, state[f"{se}.expand.weight"][:mid, :inside], state[f"{se}.expand.bias"][:mid])
        x = x * F.relu6(y + 3) / 6
    x = F.conv2d(x, state[f"{name}.point_linear.conv.conv.weight"][:, :mid])
    return normed(x, state, f"{name}.point_linear.bn.bn")


def test_a_loaded_supernet_computes_what_once_for_all_does(tmp_path: Path) -> None:
    state = mbv3()
    torch.save({"state_dict": state}, tmp_path / "ofa_mbv3")
    space = build_space("ofa_mbv3", resolution=16, num_classes=10, **MBV3)
    supernet = Supernet(space).double().eval()
    filled = load_pretrained(supernet, str(tmp_path / "ofa_mbv3"))
    assert {site.name for site in space.sites} - set(filled) == {"pool"}
    x = torch.randn(2, 3, 16, 16, dtype=torch.float64)
    rng, layers = random.Random(2), sum(MBV3["depths"])
    for _ in range(4):
        ks, es = ([rng.choice(options) for _ in range(layers)] for options in ((3, 5, 7), (3, 4, 6)))
        depths = [rng.randint(2, most) for most in MBV3["depths"]]
        form = {"ks": ks, "e": es, "d": [depth for depth, most in zip(depths, MBV3["depths"], strict=True) if most > 2]}
        with torch.no_grad():
            ours = supernet(x, architecture_in_form(form, space, "here"))
            assert difference(ours, run_mbv3(state, x, ks, es, depths)) <= 1e-10


def test_older_names_are_the_same(tmp_path: Path) -> None:
    for name, state in (("new", mbv3()), ("old", mbv3("mobile_inverted_conv"))):
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, tmp_path / name)
    supernets = [Supernet(build_space("ofa_mbv3", resolution=16, num_classes=10, **MBV3)) for _ in range(2)]
    for supernet, name in zip(supernets, ("new", "old"), strict=True):
        load_pretrained(supernet, str(tmp_path / name))
    new, old = (supernet.state_dict() for supernet in supernets)
    assert all(torch.equal(new[name], old[name]) for name in new)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path) -> None:
    file = tmp_path / "weights"
    torch.save({"state_dict": mbv3(classes=7)}, file)
    narrow = {**MBV3, "widths": (8, *MBV3["widths"][1:])}
    for name, settings, message in (
        ("ofa_mbv3", narrow, "first_conv.conv.weight is 16x3x3x3, here it is 8x3x3x3: another --width-mult"),
        ("ofa_mbv3", {**MBV3, "depths": (3, 2, 3, 2, 4)}, r"it lacks blocks.14\..*not a supernet of this depth"),
        ("ofa_proxyless", {}, "is a supernet of --search-space ofa_mbv3, not of ofa_proxyless"),
    ):
        supernet = Supernet(build_space(name, resolution=16, num_classes=10, **settings))
        with pytest.raises(UserError, match=message) as caught:
            load_pretrained(supernet, str(file))
        assert "\n" not in str(caught.value)
    supernet = Supernet(build_space("ofa_mbv3", resolution=16, num_classes=10, **MBV3))
    before = supernet.weights_at("head").layers[0].linear.weight.clone()
    assert "head" not in load_pretrained(supernet, str(file))  # of other classes
    assert torch.equal(supernet.weights_at("head").layers[0].linear.weight, before)
