"""Published networks by name: a space, what of it is set, and the options of every layer, as their authors give them.

`tests/supernet/test_published.py` holds their MACs and parameters against published figures. A new one is one entry.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from config_file.errors import alike
from supernet.spaces.chain import ChainTable
from supernet.spaces.published_cells import PUBLISHED_CELLS, PublishedCells
from supernet.spaces.stages import Stage


@dataclass(frozen=True)
class PublishedNetwork:
    """A network of a space.

    Args:
        space: a name in `SPACES`, or a table.
        names: an option per decision, with blanks in between; "|" ends a stage, what a stage does not list is skipped.
        source: paper, and where the configuration is from.
        settings: of the space, as `build_space` takes them.
        depths: layers per stage, where "|" is used.
    """

    space: str | ChainTable
    names: str
    source: str
    settings: tuple[tuple[str, Any], ...] = ()
    depths: Sequence[int] = ()

    @property
    def record(self) -> dict[str, Any]:
        """The network as files hold one: its space, and its options."""
        space = self.space if isinstance(self.space, str) else self.space.to_dict()
        stages = [stage.split() for stage in self.names.split("|")]
        depths = self.depths or [len(stages[0])]
        filled = [layers + ["skip"] * (depth - len(layers)) for layers, depth in zip(stages, depths, strict=True)]
        names = [name for layers in filled for name in layers]
        return {"space_options": {"search_space": space, **dict(self.settings)}, "names": names}


def _proxyless(names: str, source: str, *widths: int) -> PublishedNetwork:
    settings = (("widths", list(widths)), ("skip", "identity"))
    return PublishedNetwork("proxylessnas", names, source, settings, (4, 4, 4, 4, 4, 1))


_PROXYLESS = "Cai et al. 2019; configurations of mit-han-lab/proxylessnas"
_FBNET = "Wu et al. 2019; layers as in facebookresearch/mobile-vision, without biases"


def _attentivenas(size: int, names: str) -> PublishedNetwork:
    """A network at its image size; the options of each stage stand between commas."""
    source = "Wang et al. 2021, AttentiveNAS; configurations as in open-mmlab/mmrazor"
    settings = (("resolution", size), ("image_sizes", "fixed"))
    return PublishedNetwork("attentivenas", names.replace(",", ""), source, settings)


_MOBILENETV3_LARGE = ChainTable(
    name="mobilenetv3_large",
    stem=16,
    stages=(
        # channels, layers, stride: table 1
        Stage(16, 1, 1, act="relu", candidates=("k3e1",)),
        Stage(24, 1, 2, act="relu", candidates=("k3e4",)),
        Stage(24, 1, 1, act="relu", candidates=("k3e3",)),
        Stage(40, 3, 2, act="relu", se=True, candidates=("k5e3",)),
        Stage(80, 1, 2, candidates=("k3e6",)),
        Stage(80, 1, 1, candidates=("k3e2.5",)),
        Stage(80, 2, 1, candidates=("k3e2.3",)),
        Stage(112, 2, 1, candidates=("k3e6se",)),
        Stage(160, 3, 2, se=True, candidates=("k5e6",)),
    ),
    head=960,
    features=1280,
    candidates=("k3e3",),
    act="hswish",
)

PUBLISHED: dict[str, PublishedNetwork] = {
    "proxyless_mobile": _proxyless(
        "k5e3 k3e3|k7e3 k3e3 k5e3 k5e3|k7e6 k5e3 k5e3 k5e3|k5e6 k5e3 k5e3 k5e3|k7e6 k7e6 k7e3 k7e3|k7e6",
        _PROXYLESS, 32, 16, 32, 40, 80, 96, 192, 320, 1280,
    ),
    "proxyless_cpu": _proxyless(
        "k3e6 k3e3 k3e3 k3e3|k3e6 k3e3 k3e3 k5e3|k3e6 k3e3|k5e6 k3e3 k3e3 k3e3|k5e6 k5e3 k5e3 k3e3|k5e6",
        _PROXYLESS, 40, 24, 32, 48, 88, 104, 216, 360, 1432,
    ),
    "proxyless_gpu": _proxyless(
        "k5e3|k7e3 k3e3|k7e6 k5e3|k5e6 k3e3 k5e3|k7e6 k7e6 k7e6 k5e6|k7e6",
        _PROXYLESS, 40, 24, 32, 56, 112, 128, 256, 432, 1728,
    ),
    "fbnet_a": PublishedNetwork(
        "fbnet_s",
        "skip k3e3 k3e1 skip skip k5e6 k3e3 k5e1 k3e3 k5e6 k5e3 k5e1g2 k5e6 k3e6 k5e1g2 k5e3 k3e1g2 k5e6 k5e6 k5e3 "
        "k5e6 k5e6",
        _FBNET,
    ),
    "fbnet_b": PublishedNetwork(
        "fbnet_l",
        "k3e1 k3e6 k5e1 k3e1 k3e1 k5e6 k5e3 k3e6 k5e6 k5e6 k5e1 skip k5e3 k5e6 k3e1 k5e1 k5e3 k5e6 k5e1 k5e6 k5e6 k3e6",
        _FBNET,
    ),
    "fbnet_c": PublishedNetwork(
        "fbnet_l",
        "k3e1 k3e6 skip k3e1 k3e1 k5e6 k5e3 k5e6 k3e6 k5e6 k5e3 k5e6 k5e6 k5e6 k5e6 k5e6 k5e3 k5e6 k5e6 k5e6 k5e6 k3e6",
        _FBNET,
    ),
    "single_path": PublishedNetwork(
        "single_path",
        "k3e3 k3e3 k3e3|k5e6 k3e3 k3e3 k3e3|k5e6 k3e3 k3e3 k3e3|k5e6 k5e3 k5e3 k5e3|k5e6 k5e6 k5e6 k5e6|k3e6",
        "Stamoulis et al. 2019; as timm's spnasnet_100",
        depths=(4, 4, 4, 4, 4, 1),
    ),
    "spos": PublishedNetwork(
        "spos",
        "shuffle_k7 shuffle_k5 shuffle_k3 shuffle_k5|shuffle_k7 shuffle_k3 shuffle_k7 shuffle_k3|"
        "shuffle_k7 shuffle_k3 shuffle_k7 xception shuffle_k3 shuffle_k3 shuffle_k3 shuffle_k3|"
        "xception shuffle_k7 xception xception",
        "Guo et al. 2020; README of megvii-model/SinglePathOneShot",
        depths=(4, 4, 8, 4),
    ),
    "mobilenetv2": PublishedNetwork(
        "mobilenetv2",
        "16 1 24 2 32 3 64 4 96 3 160 3 320 1",
        "Sandler et al. 2018; as torchvision's mobilenet_v2",
    ),
    "mobilenetv3_large": PublishedNetwork(
        _MOBILENETV3_LARGE,
        "k3e1 k3e4 k3e3 k5e3 k5e3 k5e3 k3e6 k3e2.5 k3e2.3 k3e2.3 k3e6se k3e6se k5e6 k5e6 k5e6",
        "Howard et al. 2019; as torchvision's mobilenet_v3_large",
    ),
    # stem; width, depth, kernel and expansion of each stage, as far as they are chosen; features
    "attentivenas_a0": _attentivenas(
        192, "16, 16 1 3, 24 3 3 4, 32 3 3 4, 64 3 3 4, 112 3 3 4, 192 3 3, 216 1 3, 1792"
    ),
    "attentivenas_a1": _attentivenas(
        224, "16, 16 1 3, 24 3 3 4, 32 3 3 4, 64 3 5 4, 112 3 3 4, 192 3 5, 216 1 3, 1984"
    ),
    "attentivenas_a2": _attentivenas(
        224, "16, 16 1 3, 24 3 3 4, 32 3 3 5, 64 3 3 4, 112 3 3 4, 200 4 5, 224 1 3, 1984"
    ),
    "attentivenas_a3": _attentivenas(
        224, "16, 16 2 3, 24 3 3 4, 32 3 3 4, 64 4 3 4, 112 3 5 4, 208 5 3, 224 1 3, 1984"
    ),
    "attentivenas_a4": _attentivenas(
        256, "16, 16 1 3, 24 3 3 4, 32 3 3 4, 64 4 5 5, 112 3 3 4, 192 5 5, 216 1 3, 1984"
    ),
}  # fmt: skip

NAMES = (*PUBLISHED, *PUBLISHED_CELLS)
"""Of all published networks, cells among them."""

ALIASES = {
    "proxylessnas_mobile": "proxyless_mobile",
    "proxylessnas_cpu": "proxyless_cpu",
    "proxylessnas_gpu": "proxyless_gpu",
    "single_path_nas": "single_path",
    "spnasnet_100": "single_path",
    "mobilenetv2_100": "mobilenetv2",
    "darts": "darts_v2",
    "pc_darts": "pc_darts_cifar",
    "nasnet_a": "nasnet",
    "amoebanet_a": "amoebanet",
}


def published(name: str) -> PublishedNetwork | PublishedCells | None:
    """The network of a name, in any spelling of it; None where there is none."""
    found = alike(name, [*NAMES, *ALIASES])
    name = "" if found is None else ALIASES.get(found, found)
    return PUBLISHED.get(name) or PUBLISHED_CELLS.get(name)
