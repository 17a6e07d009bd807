"""Weights of torchvision's MobileNetV2 in our supernets."""

from __future__ import annotations

from pathlib import Path
from urllib.error import URLError

import pytest
import torch

from config_file.errors import UserError
from supernet import SearchSpace, Supernet, build_space, extract
from supernet.pretrained import load_pretrained
from supernet.testing import difference, randomised, state_of
from supernet.torchvision_compat import torchvision

MOBILENETV2 = ("16", "1", "24", "2", "32", "3", "64", "4", "96", "3", "160", "3", "320", "1")


@pytest.fixture(scope="module")
def reference() -> torch.nn.Module:
    torch.manual_seed(0)
    return randomised(torchvision.models.mobilenet_v2(weights=None)).eval()


@pytest.fixture(scope="module")
def weights(reference: torch.nn.Module, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("weights") / "mobilenet_v2.pth"
    torch.save(reference.state_dict(), path)
    return str(path)


def blocks(report) -> dict[str, str]:
    return {site: layer for site, (_, layer) in report.items()}


def test_the_whole_network_is_in_the_mobilenetv2_space(reference, weights):
    space = build_space("mobilenetv2")
    net = Supernet(space).eval()
    report = load_pretrained(net, weights)
    assert len(report) == 20
    x = torch.randn(1, 3, 224, 224)
    path = space.parse(MOBILENETV2)
    with torch.no_grad():
        expected = reference(x)
        assert difference(net(x, path), expected) <= 1e-5
        assert difference(extract(net, path)(x), expected) <= 1e-5
        assert difference(net.double()(x.double(), path), reference.double()(x.double())) <= 1e-10
    reference.float()


def test_own_weights_of_matching_blocks(reference, weights):
    net = Supernet(build_space("proxylessnas"))
    before = state_of(net)
    report = load_pretrained(net, weights)
    assert blocks(report) == {
        "stem": "features.0",
        "first": "features.1",
        "stage1/0": "features.2",
        "stage1/1": "features.3",
        "stage4/1": "features.12",  # 96 channels in both
        "stage4/2": "features.13",
        "mix": "features.18",
        "head": "classifier.1",
    }
    assert report["stage1/0"][0] == ("k3e6",)
    state = net.state_dict()
    theirs = reference.state_dict()
    assert torch.equal(state["bank.stage1/0.layers.1.depthwise.conv.weight"], theirs["features.2.conv.1.0.weight"])
    assert torch.equal(
        state["bank.stage1/0.layers.1.project.norm.running_var"], theirs["features.2.conv.3.running_var"]
    )
    untouched = [name for name in state if not name.startswith(tuple(f"bank.{site}." for site in report))]
    untouched += [name for name in state if name.startswith("bank.stage1/0.layers.0.")]
    assert all(torch.equal(state[name], before[name]) for name in untouched)


def test_the_centre_of_a_super_kernel(reference, weights):
    net = Supernet(build_space("single_path"))
    before = state_of(net)
    load_pretrained(net, weights)
    name = "bank.stage1/1.layers.0.depthwise.conv.weight"
    kernel, theirs = net.state_dict()[name], reference.state_dict()["features.3.conv.1.0.weight"]
    assert kernel.shape[-1] == 5
    assert torch.equal(kernel[:, :, 1:4, 1:4], theirs)
    edge = torch.ones(5, 5, dtype=torch.bool)
    edge[1:4, 1:4] = False
    assert torch.equal(kernel[..., edge], before[name][..., edge])


def test_other_classes_keep_their_own_head(weights):
    report = load_pretrained(Supernet(build_space("mobilenetv2", num_classes=10, resolution=32)), weights)
    assert "head" not in report
    assert len(report) == 19


def test_wrapped_checkpoints(reference, tmp_path):
    path = tmp_path / "checkpoint.pth"
    wrapped = {f"module.{name}": tensor for name, tensor in reversed(reference.state_dict().items())}
    torch.save({"state_dict": wrapped, "epoch": 3}, path)
    assert len(load_pretrained(Supernet(build_space("mobilenetv2")), str(path))) == 20


def tiny(name: str) -> SearchSpace:
    return build_space(name, resolution=16, num_classes=4)


@pytest.mark.parametrize("name", ["spos", "nasbench_macro"])  # the latter's stem alone would fit
def test_a_space_with_no_such_block(weights, name):
    net = Supernet(tiny(name))
    before = state_of(net)
    with pytest.raises(UserError, match=f"no block of {name} has the shapes of one of MobileNetV2's"):
        load_pretrained(net, weights)
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a file of weights"),
        (b"not weights", "not a file of weights"),
        ({"weight": torch.zeros(3)}, "not the weights of torchvision's mobilenet_v2"),
        ({}, "not the weights of torchvision's mobilenet_v2"),
        ([torch.zeros(3)], "not a state dict"),
        ({"features.0.0.weight": "text"}, "not a state dict"),
        ({"features.0.0.weight": Path("x")}, "not a file of weights"),
    ],
)
def test_files_that_are_refused(tmp_path, content, message):
    path = tmp_path / "weights.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(UserError, match=message) as caught:
        load_pretrained(Supernet(tiny("nasbench_macro")), str(path))
    assert "\n" not in str(caught.value)


def test_a_missing_file(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        load_pretrained(Supernet(tiny("nasbench_macro")), str(tmp_path / "nowhere.pth"))


def test_torchvision_s_own_weights(reference, monkeypatch):
    weights = torchvision.models.MobileNet_V2_Weights
    monkeypatch.setattr(weights, "get_state_dict", lambda self, **_: reference.state_dict())
    assert len(load_pretrained(Supernet(build_space("mobilenetv2")), "torchvision")) == 20

    def offline(self: object, **_: object) -> None:
        raise URLError("no route\nto host")

    monkeypatch.setattr(weights, "get_state_dict", offline)
    with pytest.raises(UserError, match=r"cannot download its weights .* give the path") as caught:
        load_pretrained(Supernet(build_space("mobilenetv2")), "torchvision")
    assert "\n" not in str(caught.value)
