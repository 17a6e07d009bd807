"""Zero-cost scores against small references that share no code with them."""

from __future__ import annotations

import copy
import itertools
import math
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from fvcore.nn import FlopCountAnalysis
from scipy.stats import spearmanr
from torch import nn
from torch.func import functional_call, hessian, jacrev

from search.proxies import SCORES, Sample
from supernet import NetSpec, Network
from supernet.blocks import Conv, Head
from supernet.composites import InvertedResidual
from supernet.spaces.nasbench201 import nasbench201
from supernet.spec import Node


def chain(*blocks) -> Network:
    names = ["input", *(f"layer{number}" for number in range(len(blocks)))]
    nodes = [Node(name, block, (before,)) for before, name, block in zip(names, names[1:], blocks, strict=False)]
    with torch.random.fork_rng():
        torch.manual_seed(1)
        return Network(NetSpec(tuple(nodes)))


def sample_of(classes: int = 3, images: int = 6, side: int = 6) -> Sample:
    generator = torch.Generator().manual_seed(7)
    x = torch.randn(images, 3, side, side, generator=generator)
    y = torch.arange(images) % classes
    return Sample(x, y, classes, nn.functional.cross_entropy)


SMALL = chain(Conv(4, 3, act="relu"), InvertedResidual(4, 3, 2), Head(3))
PLAIN = chain(Conv(3, 3, act="relu", bn=False), Conv(4, 1, act="relu", bn=False), Head(3))


def weights_of(network: nn.Module) -> dict[str, torch.Tensor]:
    layers = {name: m for name, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    return {f"{name}.weight": layer.weight.detach() for name, layer in layers.items()}


def loss_of(network: nn.Module, sample: Sample, weights: dict[str, torch.Tensor]) -> torch.Tensor:
    return sample.loss(functional_call(copy.deepcopy(network).train(), weights, (sample.images,)), sample.targets)


def test_counts_are_those_of_fvcore():
    sample = sample_of()
    assert SCORES["params"](SMALL, sample) == sum(p.numel() for p in SMALL.parameters())
    counted = FlopCountAnalysis(SMALL.eval(), sample.images[:1]).unsupported_ops_warnings(False)
    assert SCORES["flops"](SMALL, sample) == counted.by_operator()["conv"] + counted.by_operator()["linear"]


def test_norms_of_weights():
    expected = sum(np.linalg.norm(weight.numpy().ravel()) for weight in weights_of(SMALL).values())
    assert SCORES["l2_norm"](SMALL, sample_of()) == pytest.approx(expected, rel=1e-6)


def test_gradients_by_masks_over_the_weights():
    """Snip's own definition: the loss by a mask of ones; plain is the same with its sign."""
    sample, weights = sample_of(), weights_of(SMALL)
    masks = {name: torch.ones_like(weight, requires_grad=True) for name, weight in weights.items()}
    loss = loss_of(SMALL, sample, {name: weight * masks[name] for name, weight in weights.items()})
    by_mask = torch.autograd.grad(loss, list(masks.values()))
    assert SCORES["snip"](SMALL, sample) == pytest.approx(sum(float(g.abs().sum()) for g in by_mask), rel=1e-4)
    # rel is of the sum of absolute values: plain nearly cancels
    assert SCORES["plain"](SMALL, sample) == pytest.approx(sum(float(g.sum()) for g in by_mask), abs=1e-5)
    gradients = torch.func.grad(lambda w: loss_of(SMALL, sample, w))(weights)
    expected = sum(float(gradient.norm()) for gradient in gradients.values())
    assert SCORES["grad_norm"](SMALL, sample) == pytest.approx(expected, rel=1e-4)


def test_grasp_by_the_whole_hessian():
    sample, weights = sample_of(), weights_of(PLAIN)
    sizes = [weight.numel() for weight in weights.values()]

    def loss(flat: torch.Tensor) -> torch.Tensor:
        parts = flat.split(sizes)
        named = {n: part.view_as(w) for (n, w), part in zip(weights.items(), parts, strict=True)}
        return loss_of(PLAIN, sample, named)

    flat = torch.cat([weight.flatten() for weight in weights.values()])
    gradient = torch.func.grad(loss)(flat)
    expected = -float(flat @ (hessian(loss)(flat) @ gradient))
    assert SCORES["grasp"](PLAIN, sample) == pytest.approx(expected, rel=1e-3)


def test_fisher_by_gates_on_channels():
    """A gate of one on every channel of every image: dL/dgate is the sum over places of a dL/da."""
    sample = sample_of()
    network = copy.deepcopy(SMALL).train()
    gates: list[tuple[nn.Module, torch.Tensor]] = []

    def gate(layer: nn.Module, _inputs: object, output: torch.Tensor) -> torch.Tensor:
        ones = torch.ones(output.shape[:2], requires_grad=True)
        gates.append((layer, ones))
        return output * ones.view(*ones.shape, *[1] * (output.dim() - 2))

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(gate)
    sample.loss(network(sample.images), sample.targets).backward()
    expected = sum(0.5 * float((ones.grad**2).mean(0).sum()) * layer.weight[0].numel() for layer, ones in gates)
    assert SCORES["fisher"](SMALL, sample) == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("act", ["relu", "relu6"])
def test_synflow_of_a_chain_is_its_depth_times_its_flow(act):
    """By Euler's theorem sum W dR/dW is R for each layer; R is the product of absolute matrices."""
    network = chain(Conv(4, 1, act=act, bn=False), Conv(5, 1, act=act, bn=False), Head(3, bias=False))
    flow = np.ones(3)
    for weight in weights_of(network).values():
        flow = np.abs(weight.double().numpy().reshape(weight.shape[0], -1)) @ flow
    assert SCORES["synflow"](network, sample_of()) == pytest.approx(math.log(3 * flow.sum()), rel=1e-9)


def test_synflow_stays_finite_where_floats_do_not():
    network = chain(*[Conv(8, 1, act="relu", bn=False) for _ in range(20)], Head(3))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.fill_(1e6)
    # 20 layers of 8 channels and the head, each entry 1e6: far beyond 1e38
    flow = 3 * (3e6 * 8**19 * 1e6**19) * 8e6 + 3e6
    depth = 21
    bias_free = SCORES["synflow"](network, sample_of())
    assert bias_free == pytest.approx(math.log(depth * flow), rel=1e-6)


def test_jacobians_image_by_image():
    """Without batch norm images do not mix, so each Jacobian is that of one image alone."""
    sample = sample_of()
    network = copy.deepcopy(PLAIN)
    rows = [jacrev(lambda x: network(x[None]).sum())(image).flatten().detach().numpy() for image in sample.images]
    correlations = np.corrcoef(np.array(rows, dtype=np.float64))
    values = np.linalg.eig(correlations)[0].real
    expected = -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in values)
    assert SCORES["jacov"](PLAIN, sample) == pytest.approx(expected, rel=1e-3)
    by_class = []
    for label in range(3):
        inside = [i for i, y in enumerate(sample.targets.tolist()) if y == label]
        by_class.append(sum(math.log(abs(correlations[i, j]) + 1e-5) for i in inside for j in inside))
    assert SCORES["epe_nas"](PLAIN, sample) == pytest.approx(sum(map(abs, by_class)), rel=1e-3)
    many = sample._replace(classes=120)
    means = [total / 2 for total in by_class]
    expected = sum(abs(a - b) for a, b in itertools.product(means, means)) / 3
    assert SCORES["epe_nas"](PLAIN, many) == pytest.approx(expected, rel=1e-2)


def test_epe_nas_of_a_class_with_one_image():
    sample = sample_of()
    alone = sample._replace(targets=torch.arange(6))
    assert SCORES["epe_nas"](PLAIN, alone) == pytest.approx(6 * math.log(1 + 1e-5))
    assert SCORES["epe_nas"](PLAIN, alone._replace(classes=120)) == 0


def test_nwot_counts_equal_units():
    sample = sample_of(images=4)
    entered: list[torch.Tensor] = []
    network = copy.deepcopy(SMALL).train()
    for module in network.modules():
        if isinstance(module, nn.ReLU | nn.ReLU6):
            module.register_forward_pre_hook(lambda _m, inputs: entered.append(inputs[0].clone()))
    network(sample.images)
    kernel = np.zeros((4, 4))
    for i, j in itertools.product(range(4), range(4)):
        kernel[i, j] = sum(int(((x[i] > 0) == (x[j] > 0)).sum()) for x in entered)
    assert SCORES["nwot"](SMALL, sample) == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-9)


def test_zen_of_one_convolution_and_its_norm():
    """Batch norm undoes the size of the weights and its own term brings it back."""
    sample = sample_of(images=4)
    network = chain(Conv(5, 1, act=""), Head(3))
    draw = torch.Generator().manual_seed(0)
    weight = torch.randn(5, 3, 1, 1, generator=draw)
    torch.randn(3, 5, generator=draw)
    x = torch.randn(sample.images.shape, generator=draw)
    near = x + 0.01 * torch.randn(sample.images.shape, generator=draw)
    outputs = [nn.functional.conv2d(images, weight).double() for images in (x, near)]
    normalised = []
    running = np.ones(5)
    for output in outputs:
        mean, variance = output.mean((0, 2, 3), keepdim=True), output.var((0, 2, 3), correction=0, keepdim=True)
        normalised.append((output - mean) / (variance + 1e-5).sqrt())
        running = 0.9 * running + 0.1 * output.var((0, 2, 3)).numpy()
    change = float((normalised[0] - normalised[1]).abs().sum((1, 2, 3)).mean())
    expected = math.log(change) + math.log(math.sqrt(running.mean()))
    assert SCORES["zen"](network, sample) == pytest.approx(expected, rel=1e-3)


def test_zico_by_hand():
    sample = sample_of()
    halves = []
    for rows in (slice(0, 3), slice(3, 6)):
        network = copy.deepcopy(SMALL).train()
        sample.loss(network(sample.images[rows]), sample.targets[rows]).backward()
        layers = [m for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        halves.append([layer.weight.grad.double().numpy() for layer in layers])
    expected = 0.0
    for first, second in zip(*halves, strict=True):
        mean, deviation = (abs(first) + abs(second)) / 2, abs(first - second) / 2  # of two numbers
        expected += math.log((mean[deviation > 0] / deviation[deviation > 0]).sum())
    assert SCORES["zico"](SMALL, sample) == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("name", SCORES)
def test_a_score_leaves_the_network_and_repeats_itself(name):
    sample, network = sample_of(), copy.deepcopy(SMALL).eval()
    before = copy.deepcopy(network.state_dict())
    first = SCORES[name](network, sample)
    assert math.isfinite(first)
    assert SCORES[name](network, sample) == first
    assert not network.training
    assert all(torch.equal(before[key], tensor) for key, tensor in network.state_dict().items())


@pytest.mark.parametrize(
    "name",
    [n for n in SCORES if SCORES[n].takes != "counting" and n not in ("zen", "nwot") and not n.startswith("az_")],
)
def test_what_is_no_number_is_said(name):
    network = copy.deepcopy(SMALL)
    with torch.no_grad():
        next(network.parameters()).fill_(math.nan)
    assert math.isnan(SCORES[name](network, sample_of()))


@pytest.mark.parametrize(("name", "least"), [("params", 0.9999), ("nwot", 0.97), ("synflow", 0.97), ("zen", 0.97)])
def test_published_scores_of_nasbench201(shared_data, name, least):
    """Ours on noise, theirs on CIFAR-10: these four hardly depend on the images."""
    table = np.load(shared_data / "nb201.npz", allow_pickle=False)
    published = np.load(shared_data / "nb201_zc_sample.npz", allow_pickle=False)
    chosen = slice(0, 725, 45)
    rows = published["arch_index"][chosen]
    space, sample = nasbench201(), sample_of(classes=10, images=16, side=32)
    ours = []
    for row in rows:
        torch.manual_seed(0)
        ours.append(SCORES[name](Network(space.decode(tuple(table["arch"][row].tolist()))), sample))
    columns = list(published["metrics"])
    theirs = table["zen"][rows, 0] if name == "zen" else published["score"][chosen, 0, columns.index(name)]
    assert spearmanr(ours, theirs).statistic >= least


def test_the_page_says_of_every_score_what_it_reads_and_where_it_is_from():
    page = (Path(__file__).resolve().parents[3] / "docs/zero_cost.md").read_text(encoding="utf-8")
    rows = [row.split("|")[1:-1] for row in page.partition("## How well")[0].splitlines() if row.startswith("| `")]
    said = {name: [cell.strip() for cell in cells] for names, *cells in rows for name in re.findall(r"`(\w+)`", names)}
    for name, score in SCORES.items():
        assert said[name][0] == ("yes" if score.labels else "no"), name
        assert said[name][2].startswith(score.paper.removeprefix("a ")), name
        assert score.maximise  # the page says it of all
