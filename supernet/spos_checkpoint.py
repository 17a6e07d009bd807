"""SPOS's published supernet (Guo et al. 2020), `checkpoint-150000.pth.tar`, by the names of its layers.

`first_conv` is the stem and `conv_last` the last 1x1 convolution, `classifier.0` the linear layer. Candidate K of layer
L, from 0 and in the order of `CANDIDATES`, has `features.L.K.branch_main` and, with stride 2, `...branch_proj`:
convolutions and batch norms in turn, their numbers with gaps where activations stand. The norms have neither scale nor
shift: ours become 1 and 0, which is the same.
"""

import re
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from config_file.errors import UserError
from supernet.supernet import Supernet

CANDIDATES = ("shuffle_k3", "shuffle_k5", "shuffle_k7", "xception")
BRANCHES = {"main": "branch_main", "projection": "branch_proj"}
CLASSIFIER = "classifier.0"
_MARK = "features.0.0.branch_main.0.weight"


def is_spos(state: Mapping[str, Tensor]) -> bool:
    """True for the names of SPOS's supernet."""
    return _MARK in state


@torch.no_grad()
def fill_spos(supernet: Supernet, state: Mapping[str, Tensor], source: str) -> dict[str, tuple[tuple[str, ...], str]]:
    """Fill a supernet of the space spos, in place; a classifier of other classes is left as it is.

    Returns:
        Per filled site the labels of its options, and the name of the layer there.

    Raises:
        UserError: another space, or another layout or other shapes than SPOS's.
    """
    filled = {}
    for site, layer, candidates in list(_layers(supernet, source)):  # all of them: another space is refused first
        labels = []
        for option, prefix in candidates.items():
            in_channels, label = _block(supernet, site, option)
            ours = supernet.weights_at(site).tensors(option, in_channels, writable=True)
            theirs = _in_our_names(ours, prefix, state, source)
            if prefix == CLASSIFIER and any(theirs[name].shape != ours[name].shape for name in theirs):
                continue  # of other classes
            for name, tensor in ours.items():
                _fill(tensor, name, theirs, f"--pretrained {source}: {prefix} has other shapes than {label} ({name})")
            labels.append(label)
        if labels:
            filled[site] = tuple(labels), layer
    return filled


def _fill(ours: Tensor, name: str, theirs: Mapping[str, Tensor], misfit: str) -> None:
    if name in theirs and theirs[name].shape == ours.shape:
        ours.copy_(theirs[name])
    elif name in theirs or not name.endswith(("norm.weight", "norm.bias", "num_batches_tracked")):
        raise UserError(misfit)
    else:
        ours.fill_(1 if name.endswith("norm.weight") else 0)


def _layers(supernet: Supernet, source: str) -> Iterator[tuple[str, str, dict[int, str]]]:
    """(site, name of their layer, {option of the site: name of their block}) from the stem to the classifier."""
    stem, *inner, mix, head = supernet.space.sites
    yield stem.name, "first_conv", {0: "first_conv"}
    for number, site in enumerate(inner):
        labels = [block.label for block in site.options]
        if sorted(labels) != sorted(CANDIDATES):
            name = supernet.space.name
            raise UserError(f"--pretrained {source} is a supernet of --search-space spos; {name} has other blocks")
        layer = f"features.{number}"
        yield site.name, layer, {option: f"{layer}.{CANDIDATES.index(label)}" for option, label in enumerate(labels)}
    yield mix.name, "conv_last", {0: "conv_last"}
    yield head.name, "classifier", {0: CLASSIFIER}


def _block(supernet: Supernet, site: str, option: int) -> tuple[int, str]:
    """(input channels, label) of a block; in a chain every site has one width."""
    space = supernet.space
    number = [each.name for each in space.sites].index(site)
    _, table = space.factors()[number]
    return next(shape[0] for _, shape in filter(None, table.flat)), space.sites[number].options[option].label


def _in_our_names(
    ours: Mapping[str, Tensor], prefix: str, state: Mapping[str, Tensor], source: str
) -> dict[str, Tensor]:
    """Their tensors of a block under our names: within a branch both have them in the order of computation."""
    if prefix == CLASSIFIER:
        if f"{prefix}.weight" not in state:
            raise UserError(f"--pretrained {source}: it lacks {prefix}.weight")
        return {"linear.weight": state[f"{prefix}.weight"]}
    found = {}
    branches = {name.split(".")[0] for name in ours} & set(BRANCHES)
    for branch in branches or {""}:
        inside = [name for name in ours if name.startswith(branch)]
        modules = dict.fromkeys(name.rpartition(".")[0] for name in inside)  # conv, norm, conv, norm, ...
        folder = f"{prefix}.{BRANCHES[branch]}" if branch else prefix
        numbers = sorted(
            {int(match[1]) for name in state if (match := re.fullmatch(rf"{re.escape(folder)}\.(\d+)\.\w+", name))}
        )
        if len(numbers) != len(modules):
            raise UserError(
                f"--pretrained {source}: {folder} has {len(numbers)} layers with weights, not {len(modules)}"
            )
        for module, number in zip(modules, numbers, strict=True):
            for name in inside:
                kind = name.rpartition(".")[2]
                if name == f"{module}.{kind}" and f"{folder}.{number}.{kind}" in state:
                    found[name] = state[f"{folder}.{number}.{kind}"]
    return found
