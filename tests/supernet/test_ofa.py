"""Once-for-all's spaces: published counts, the shared behaviour, and elastic kernels against their definition."""

from __future__ import annotations

import json
import random
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from config_file.errors import UserError
from supernet import Architecture, SearchSpace, Supernet, build_space, extract
from supernet.composites import InvertedResidual
from supernet.sharing.elastic_kernel import ElasticKernel
from supernet.sharing.sliced import crop
from supernet.spaces.image_sizes import parse_sizes
from supernet.spaces.ofa import OFA_MBV3
from supernet.spaces.ofa_resnet50 import build_ofa_resnet50
from supernet.testing import SpaceSuite, difference
from supernet.testing.weights import randomised

NARROW = {"widths": (8, 8, 8, 16, 16, 16, 24, 32, 40), "depths": (3, 1, 1, 2, 1)}


def shaken(supernet: Supernet) -> Supernet:
    """The supernet with kernel maps as after training: no longer identities."""
    generator = torch.Generator().manual_seed(4)
    for name, parameter in supernet.named_parameters():
        if ".maps." in name:
            parameter.data.add_(torch.randn(parameter.shape, generator=generator).to(parameter), alpha=0.3)
    return supernet


class Elastic(SpaceSuite):
    @classmethod
    def built(cls) -> Supernet:
        if cls not in BUILT:
            torch.manual_seed(0)
            BUILT[cls] = shaken(randomised(Supernet(cls.made())).double().eval())
        return BUILT[cls]

    def test_extracted_network_trains_like_the_path(self, space: SearchSpace, supernet: Supernet) -> None:
        """With maps that are still identities every gradient of the network alone is a slice of the supernet's."""
        model = randomised(Supernet(space)).double().train()
        for module in model.modules():
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        x = self.images(space)
        for architecture in self.some(space, 2):
            alone = extract(model, architecture)
            model.zero_grad(set_to_none=True)
            y, expected = alone(x), model(x, architecture)
            assert difference(y, expected) <= 1e-9
            y.square().sum().backward()
            expected.square().sum().backward()
            for site, _, _ in space.trace(space.select(architecture)):
                for name, parameter in alone.layer(site.name).named_parameters():
                    shared = model.weights_at(site.name).layers[0]
                    theirs, whole = parameter.grad, shared.get_parameter(name).grad
                    assert theirs is not None
                    assert whole is not None
                    assert torch.allclose(theirs, crop(whole, theirs.shape), rtol=1e-7, atol=1e-8)
                    assert whole.count_nonzero() <= theirs.numel()
            with torch.no_grad():  # both have taken in the batch
                assert difference(alone.eval()(x), extract(model.eval(), architecture)(x)) <= 1e-9
            model.train()


BUILT: dict[type, Supernet] = {}


class TestMobileNetV3(Elastic):
    @staticmethod
    def make() -> SearchSpace:
        return build_space("ofa_mbv3", resolution=16, num_classes=10, **NARROW)

    @staticmethod
    def make_tiny() -> SearchSpace:
        return replace(OFA_MBV3, stages=OFA_MBV3.stages[3:4]).build(8, 4, 3, (8, 8, 8, 16, 16), depths=(3,))

    def test_gradients_reach_the_maps_of_the_kernel_only(self) -> None:
        supernet = self.built()
        x = self.images(self.made())
        for kernel, maps in (("7", set()), ("5", {"7to5"}), ("3", {"7to5", "5to3"})):
            names = [kernel if d.name == "stage1/0/kernel" else d.options[-1] for d in self.made().decisions]
            supernet.zero_grad(set_to_none=True)
            supernet(x, self.made().parse(names)).sum().backward()
            weights = supernet.weights_at("stage1/0")
            assert {name for name, p in weights.maps.items() if p.grad is not None and p.grad.any()} == maps
        supernet.zero_grad(set_to_none=True)


class TestMobileNetV3OfImageSizes(Elastic):
    @staticmethod
    def make() -> SearchSpace:
        return build_space("ofa_mbv3", resolution=16, num_classes=10, image_sizes="8-16:4", **NARROW)

    @staticmethod
    def make_tiny() -> SearchSpace:
        few = replace(OFA_MBV3, stages=OFA_MBV3.stages[1:3])
        return few.build(8, 4, 3, (8, 8, 8, 16, 16, 16), depths=(1, 2), image_sizes="4,8")


class TestResNet50(SpaceSuite):
    mixes = False  # its widths are chosen

    @staticmethod
    def make() -> SearchSpace:
        return build_space(
            "ofa_resnet50", resolution=16, num_classes=10, widths=(32, 48, 64, 96, 128), depths=(3, 2, 1, 2)
        )

    @staticmethod
    def make_tiny() -> SearchSpace:
        few = {"depths": (2, 1, 1, 1), "factors": (0.5, 1.0), "expansions": (0.25,)}
        return build_ofa_resnet50(8, 4, 3, (32, 48, 64, 96, 128), **few)


# ---- exact counts


def alike(space: SearchSpace, **chosen: str) -> Architecture:
    """The architecture whose decisions of a kind (the last word of the name) are all the same."""
    return space.parse([chosen[decision.name.rpartition("/")[2]] for decision in space.decisions])


@pytest.mark.parametrize(
    ("chosen", "params", "macs"),
    [
        ({"depth": "2", "kernel": "3", "expand": "3"}, 3_410_792, 121_278_672),
        ({"depth": "3", "kernel": "5", "expand": "4"}, 4_551_792, 250_746_944),
        ({"depth": "4", "kernel": "7", "expand": "6"}, 7_664_760, 566_170_656),
    ],
)
def test_mobilenetv3_has_the_published_size(chosen: dict[str, str], params: int, macs: int) -> None:
    space = build_space("ofa_mbv3")
    spec = space.decode(alike(space, **chosen))
    assert (spec.params(space.input_shape), spec.macs(space.input_shape)) == (params, macs)


def test_there_are_as_many_subnets_as_once_for_all_says() -> None:
    count = 21_758_655_492_572_485_851  # (9^2 + 9^3 + 9^4)^5: what a shallower stage leaves out does not count
    space = build_space("ofa_mbv3")
    assert space.num_networks == space.num_canonical == (9**2 + 9**3 + 9**4) ** 5 == count
    with_sizes = build_space("ofa_mbv3", image_sizes="128-224:4")
    assert with_sizes.num_networks == with_sizes.num_canonical == 25 * count
    assert build_space("ofa_proxyless").num_networks == 9 * count


def test_resnet50_d_is_in_the_space() -> None:
    space = build_space("ofa_resnet50")
    depths = dict(zip(["stem/depth", *(f"stage{n}/depth" for n in (1, 2, 3, 4))], "21221", strict=True))
    names = [depths.get(d.name, "0.25" if d.name.endswith("expand") else "1") for d in space.decisions]
    spec = space.decode(space.parse(names))
    assert (spec.macs(space.input_shape), spec.params(space.input_shape)) == (4_328_824_832, 25_576_264)


@pytest.mark.parametrize("name", ["ofa_mbv3", "ofa_proxyless", "ofa_resnet50"])
def test_any_subnet_has_the_parameters_that_are_counted(name: str) -> None:
    space = build_space(name, num_classes=10)
    architecture = space.sample(random.Random(5))
    spec = space.decode(architecture)
    with torch.device("meta"):
        alone = extract(Supernet(space), architecture)
        assert sum(p.numel() for p in alone.parameters()) == spec.params(space.input_shape)
        assert alone(torch.empty(1, 3, 64, 64)).shape == (1, 10)
    norms = {module.eps for module in alone.modules() if isinstance(module, nn.BatchNorm2d)}
    assert norms == {1e-3 if name == "ofa_proxyless" else 1e-5}


# ---- elastic kernels


def layer_of(*kernels: int) -> ElasticKernel:
    torch.manual_seed(1)
    return ElasticKernel([InvertedResidual(8, kernel, expand) for kernel in kernels for expand in (3, 6)], [8])


def test_kernels_begin_as_the_centre_of_larger_ones() -> None:
    shared = layer_of(3, 5, 7)
    whole = shared.layers[0].depthwise.conv.weight
    assert {name: tuple(m.shape) for name, m in shared.maps.items()} == {"7to5": (25, 25), "5to3": (9, 9)}
    for option, spare, hidden in ((0, 2, 24), (1, 2, 48), (2, 1, 24), (3, 1, 48), (4, 0, 24)):
        kernel = shared.tensors(option, 8)["depthwise.conv.weight"]
        assert torch.equal(kernel, whole[:hidden, :, spare : 7 - spare, spare : 7 - spare])


def test_smaller_kernels_are_the_chain_of_maps() -> None:
    """Against the definition written out with matrix products, in float64."""
    shared = layer_of(3, 5, 7).double()
    for matrix in shared.maps.values():
        nn.init.normal_(matrix)
    whole = shared.layers[0].depthwise.conv.weight[:24, 0]  # the option of expansion 3
    five = torch.einsum("ij,cj->ci", shared.maps["7to5"], whole[:, 1:6, 1:6].flatten(1)).view(24, 5, 5)
    three = torch.einsum("ij,cj->ci", shared.maps["5to3"], five[:, 1:4, 1:4].flatten(1)).view(24, 3, 3)
    for option, expected in ((2, five), (0, three)):
        assert torch.allclose(shared.tensors(option, 8)["depthwise.conv.weight"][:, 0], expected, atol=1e-12)
    x = torch.randn(2, 8, 9, 9, dtype=torch.float64)
    layer = shared.eval().layer(0, 8)
    h = layer.expand(x)
    h = layer.depthwise.act(layer.depthwise.norm(F.conv2d(h, three[:, None], padding=1, groups=24)))
    assert torch.allclose(shared.path(0)(x), x + layer.project(h), atol=1e-12)


def test_what_is_no_inverted_residual_has_no_elastic_kernel() -> None:
    with pytest.raises(ValueError, match="inverted residuals"):
        ElasticKernel([InvertedResidual(8, 3, 1), InvertedResidual(8, 5, 6)], [8])


# ---- settings


def test_width_mult_scales_all_widths() -> None:
    wide = build_space("ofa_mbv3", width_mult=1.2)
    channels = [site.options[0].output_shape((24, 1, 1))[0] for site in wide.sites if site.name.endswith("/0")]
    assert channels == [32, 48, 96, 136, 192]
    assert wide.decisions_fingerprint == build_space("ofa_mbv3").decisions_fingerprint
    again = build_space(**json.loads(json.dumps(wide.describe())))
    assert again.macro_fingerprint == wide.macro_fingerprint
    assert "width_mult" not in build_space("ofa_mbv3").describe()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"width_mult": -1.0}, "--width-mult must be above 0"),
        ({"width_mult": float("nan")}, "--width-mult must be above 0"),
        ({"width_mult": 1.2, "widths": (8,) * 9}, "--widths or --width-mult"),
        ({"widths": (8,) * 8}, "9 numbers, not 8"),
        ({"depths": (2,)}, "each of 5 stages"),
        ({"strides": (2,)}, "6 numbers"),
        ({"image_sizes": "128-220:4"}, "--resolution 220, not 224"),
        ({"image_sizes": "many"}, "sizes in pixels, as 128-224:4"),
        ({"image_sizes": "128-224:5"}, "do not end at 224"),
        ({"image_sizes": "128-224:0"}, "sizes in pixels"),
    ],
)
def test_settings_that_do_not_fit_are_refused(settings: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        build_space("ofa_mbv3", **settings)
    assert "\n" not in str(caught.value)


def test_image_sizes_read_as_ranges_and_lists() -> None:
    assert parse_sizes("128-224:4") == list(range(128, 225, 4))
    assert parse_sizes("224, 128,160") == [128, 160, 224]
    assert len(parse_sizes("8-16")) == 9
