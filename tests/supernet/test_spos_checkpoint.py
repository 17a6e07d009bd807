"""SPOS's published supernet: its layout, written here once more from the paper's tables, and loaded by name."""

import random
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from config_file.errors import UserError
from supernet import Supernet, build_space
from supernet.pretrained import load_pretrained
from supernet.spos_checkpoint import CANDIDATES

REPEATS, WIDTHS = (4, 4, 8, 4), (64, 160, 320, 640)


def conv(into: int, out: int, kernel: int = 1, stride: int = 1, *, depthwise: bool = False) -> list[nn.Module]:
    groups = into if depthwise else 1
    return [
        nn.Conv2d(into, out, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out, affine=False),
    ]


class Block(nn.Module):
    """A candidate of the official supernet; the names of its layers are those of the published file."""

    def __init__(self, inside: int, out: int, candidate: int, stride: int) -> None:
        super().__init__()
        kernel, mid, rest = (3, 5, 7, 3)[candidate], out // 2, out - inside
        if candidate < 3:
            main = [*conv(inside, mid), nn.ReLU(), *conv(mid, mid, kernel, stride, depthwise=True)]
            main += [*conv(mid, rest), nn.ReLU()]
        else:
            main = [*conv(inside, inside, 3, stride, depthwise=True), *conv(inside, mid), nn.ReLU()]
            main += [*conv(mid, mid, 3, depthwise=True), *conv(mid, mid), nn.ReLU()]
            main += [*conv(mid, mid, 3, depthwise=True), *conv(mid, rest), nn.ReLU()]
        self.branch_main = nn.Sequential(*main)
        self.branch_proj = None
        if stride == 2:
            side = conv(inside, inside, kernel, stride, depthwise=True)
            self.branch_proj = nn.Sequential(*side, *conv(inside, inside), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        if self.branch_proj is not None:
            return torch.cat((self.branch_proj(x), self.branch_main(x)), 1)
        return torch.cat((x[:, 0::2], self.branch_main(x[:, 1::2])), 1)


class Official(nn.Module):
    """The whole supernet; a path is one candidate per layer."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.first_conv = nn.Sequential(*conv(3, 16, 3, 2), nn.ReLU())
        self.features, width = nn.ModuleList(), 16
        for repeats, out in zip(REPEATS, WIDTHS, strict=True):
            for number in range(repeats):
                inside, stride = (width, 2) if number == 0 else (width // 2, 1)
                self.features.append(nn.ModuleList(Block(inside, out, k, stride) for k in range(4)))
                width = out
        self.conv_last = nn.Sequential(*conv(width, 1024), nn.ReLU())
        self.classifier = nn.Sequential(nn.Linear(1024, classes, bias=False))

    def forward(self, x: Tensor, path: tuple[int, ...]) -> Tensor:
        x = self.first_conv(x)
        for layer, candidate in zip(self.features, path, strict=True):
            x = layer[candidate](x)
        return self.classifier(self.conv_last(x).mean((2, 3)))


@pytest.fixture(scope="module")
def official() -> Official:
    torch.manual_seed(5)
    net = Official(10)
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
    return net.eval()


@pytest.fixture(scope="module")
def file(official: Official, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As it is published: a state dict of a model inside of DataParallel, in the old form of files."""
    path = tmp_path_factory.mktemp("spos") / "checkpoint-150000.pth.tar"
    state = {f"module.{name}": tensor for name, tensor in official.state_dict().items()}
    torch.save({"state_dict": state}, path, _use_new_zipfile_serialization=False)
    return path


def ours(classes: int = 10, **changes: object) -> Supernet:
    return Supernet(build_space("spos", num_classes=classes, **changes))


def test_the_official_supernet_has_the_published_number_of_parameters() -> None:
    assert sum(p.numel() for p in Official(1000).parameters()) == 8_388_176


def test_every_path_gives_the_official_outputs(official: Official, file: Path) -> None:
    net = ours()
    filled = load_pretrained(net, str(file))
    assert list(filled) == [site.name for site in net.space.sites]
    assert filled["stage3/7"] == (CANDIDATES, "features.15")
    net.eval()
    rng, x = random.Random(1), torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    paths = [(candidate,) * 20 for candidate in range(4)] + [net.space.sample(rng) for _ in range(3)]
    with torch.no_grad():
        for path in paths:
            torch.testing.assert_close(net(x, path), official(x, path), rtol=1e-4, atol=1e-5)


def test_another_number_of_classes_leaves_the_classifier(file: Path) -> None:
    net = ours(classes=7)
    before = net.state_dict()["bank.head.layers.0.linear.weight"].clone()
    filled = load_pretrained(net, str(file))
    assert "head" not in filled
    assert len(filled) == len(net.space.sites) - 1
    assert torch.equal(net.state_dict()["bank.head.layers.0.linear.weight"], before)


def test_other_spaces_and_damaged_layouts_are_refused_in_one_line(official: Official, file: Path, tmp_path) -> None:
    with pytest.raises(UserError, match=r"is a supernet of --search-space spos; nasbench_macro has other blocks"):
        load_pretrained(Supernet(build_space("nasbench_macro")), str(file))
    with pytest.raises(UserError, match=r"features\.0\.0 has other shapes than shuffle_k3"):
        load_pretrained(ours(widths=(16, 32, 160, 320, 640, 1024)), str(file))
    state = official.state_dict()
    for name, message in (
        ("features.3.1.branch_main.3.weight", r"features\.3\.1\.branch_main has 5 layers with weights, not 6"),
        ("classifier.0.weight", r"it lacks classifier\.0\.weight"),
    ):
        path = tmp_path / "damaged.pth.tar"
        torch.save({key: tensor for key, tensor in state.items() if key != name}, path)
        with pytest.raises(UserError, match=message):
            load_pretrained(ours(), str(path))
