"""Once-for-all's published supernets, by the names of their tensors: `ofa_mbv3_d234_e346_k357_w1.0` and its like.

`first_conv` is the stem, `blocks.0` the first block, `blocks.1` on are the layers of all stages at their greatest
depth, each with `inverted_bottleneck`, `depth_conv` (and `depth_conv.se.fc`) and `point_linear`. Elastic layers wrap
what they hold once more (`conv.conv.weight`, `bn.bn.weight`), and older files call a block's `conv`
`mobile_inverted_conv`: all of these spellings are read. Of the ResNet, `input_stem.0` to `2` are the stem, a block has
`conv1` to `conv3` and `downsample`. Kernel maps are `depth_conv.conv.7to5_matrix` and `5to3_matrix`.
"""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from config_file.errors import UserError
from supernet.sharing.elastic_kernel import ElasticKernel
from supernet.spaces.ofa import OFA_MBV3, OFA_PROXYLESS
from supernet.supernet import Supernet

MOBILE, RESNET = (OFA_MBV3.name, OFA_PROXYLESS.name), "ofa_resnet50"

PARTS = {
    "expand": "inverted_bottleneck",
    "depthwise": "depth_conv",
    "project": "point_linear",
    "se.reduce": "depth_conv.se.fc.reduce",
    "se.expand": "depth_conv.se.fc.expand",
    "main.reduce": "conv1",
    "main.conv": "conv2",
    "main.widen": "conv3",
    "shortcut.project": "downsample",
    "inner": "conv",
}
"""Names of the parts of a block: ours, and theirs."""

CLASSIFIER = "classifier"

_MARK = re.compile(r"blocks\.0\.(?:(?:mobile_inverted_)?conv\.depth_conv|conv1)\.")
_MODULES = {"conv": "conv", "norm": "bn", "linear": "linear"}


def is_ofa(state: Mapping[str, Tensor]) -> bool:
    """True for the names of a network of once-for-all."""
    return any(_MARK.match(name) for name in state)


@torch.no_grad()
def fill_ofa(supernet: Supernet, state: Mapping[str, Tensor], source: str) -> dict[str, tuple[tuple[str, ...], str]]:
    """Fill a supernet of the space that the tensors are of, in place; a classifier of other classes is left as it is.

    Returns:
        Per filled site the labels of its options, and the name of the layer there.

    Raises:
        UserError: another space, another width, or a network that is no supernet.
    """
    filled = {}
    for site, layer in list(_layers(supernet, state, source)):
        weights = supernet.weights_at(site)
        pairs = []
        for name, ours in weights.layers[0].state_dict().items():
            if not name.endswith("num_batches_tracked"):
                pairs.append((ours, _theirs(state, layer, name, source)))
        if isinstance(weights, ElasticKernel):
            for name, matrix in weights.maps.items():
                pairs.append((matrix, _found(state, _blocks(layer, f"depth_conv.conv.{name}_matrix"), source)))
        if layer == CLASSIFIER and any(ours.shape[0] != theirs.shape[0] for ours, (_, theirs) in pairs):
            continue  # of other classes
        for ours, (name, theirs) in pairs:
            if ours.shape != theirs.shape:
                raise UserError(
                    f"--pretrained {source}: {name} is {_size(theirs)}, here it is {_size(ours)}: another --width-mult?"
                )
            ours.copy_(theirs)
        if pairs:
            site_options = next(each.options for each in supernet.space.sites if each.name == site)
            filled[site] = tuple(dict.fromkeys(block.label for block in site_options)), layer
    return filled


def _layers(supernet: Supernet, state: Mapping[str, Tensor], source: str) -> Iterator[tuple[str, str]]:
    """(site, name of their layer) from the stem to the classifier."""
    space = supernet.space
    resnet = "input_stem.0.conv.weight" in state or "input_stem.0.conv.conv.weight" in state
    features = "final_expand_layer.conv.weight" in state
    is_of = RESNET if resnet else MOBILE[0] if features else MOBILE[1]
    if space.name != is_of:
        raise UserError(f"--pretrained {source} is a supernet of --search-space {is_of}, not of {space.name}")
    names = {
        "stem": "first_conv", "stem/0": "input_stem.0", "stem/1": "input_stem.1", "stem/2": "input_stem.2",
        "mix": "final_expand_layer" if features else "feature_mix_layer", "features": "feature_mix_layer",
        "head": CLASSIFIER,
    }  # fmt: skip
    number = 0
    for site in space.sites:
        if site.name in names:
            yield site.name, names[site.name]
        elif site.name == "first" or site.name.startswith("stage"):
            yield site.name, f"blocks.{number}"
            number += 1


def _theirs(state: Mapping[str, Tensor], layer: str, name: str, source: str) -> tuple[str, Tensor]:
    """The name and tensor of theirs for a name in our layer."""
    path, kind = name.rsplit(".", 1)
    part, _, module = path.rpartition(".")
    if path in PARTS:  # squeeze-excite's convolutions, which are not wrapped
        return _found(state, _blocks(layer, f"{PARTS[path]}.{kind}"), source)
    inside = f"{PARTS[part]}." if part else ""
    theirs = _MODULES[module]
    return _found(
        state, [n for w in (f"{theirs}.{theirs}", theirs) for n in _blocks(layer, f"{inside}{w}.{kind}")], source
    )


def _blocks(layer: str, inside: str) -> list[str]:
    """The names that a tensor of a layer can have: a mobile block is one level deeper, by either of two names."""
    if not layer.startswith("blocks.") or inside.startswith(("conv1.", "conv2.", "conv3.", "downsample.")):
        return [f"{layer}.{inside}"]
    return [f"{layer}.{block}.{inside}" for block in ("conv", "mobile_inverted_conv")]


def _found(state: Mapping[str, Tensor], names: list[str], source: str) -> tuple[str, Tensor]:
    for name in names:
        if name in state:
            return name, state[name]
    raise UserError(f"--pretrained {source}: it lacks {names[-1]}: not a supernet of this depth")


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape))
