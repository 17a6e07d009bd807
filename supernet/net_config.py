"""Configurations of networks as once-for-all and ProxylessNAS write them, `net.config`: read, and written.

A list of blocks between a first convolution and one or two last ones: `MBConvLayer` (older: `MBInvertedConvLayer`) with
a shortcut or none, or `ZeroLayer` where a layer is skipped. What is read must be a network of one of our spaces, block
by block.
"""

from collections.abc import Iterator, Mapping, Sequence
from itertools import takewhile
from typing import Any

from config_file.errors import UserError
from config_file.readers.form import check_form
from supernet.blocks import Block, Conv, GlobalPool, Head, make_divisible
from supernet.composites import InvertedResidual
from supernet.spaces import build_network_space
from supernet.spaces.ofa import EXPANSIONS, KERNELS, OFA_MBV3, OFA_PROXYLESS, OfaTable
from supernet.spaces.proxylessnas import PROXYLESSNAS
from supernet.spec import INPUT, NetSpec

WITH_FEATURES, WITHOUT = "MobileNetV3", "ProxylessNASNets"
"""Their names of networks with and without a convolution behind the global pooling."""

ACTS = {"relu": "relu", "relu6": "relu6", "h_swish": "hswish"}
FACTORS = (1.0, 1.2, 1.3)
"""Width factors that once-for-all has supernets of."""

_CONV = {"out_channels": int}
_BLOCK = {
    "conv?": (dict, None),
    "mobile_inverted_conv?": (dict, None),
    "shortcut?": (dict, None),
}
_LAYER = {
    **dict.fromkeys(("in_channels", "out_channels", "kernel_size", "stride"), int),
    "expand_ratio": (int, float),
    "mid_channels?": (int, None),
    "act_func?": str,
    "use_se?": bool,
}
_FORM = {
    "name": str,
    "first_conv": _CONV,
    "blocks": [_BLOCK],
    "feature_mix_layer": _CONV,
    "final_expand_layer?": (_CONV, None),
    "classifier": {"out_features": int},
}


def is_net_config(content: Any) -> bool:
    """True for what looks like one."""
    return isinstance(content, Mapping) and "blocks" in content and "first_conv" in content


def record_of(config: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The network of a configuration as files hold one: its space, and the names of its options.

    Raises:
        UserError: it is no configuration, or of a network that none of `ofa_mbv3`, `ofa_proxyless` and `proxylessnas`
            has; says the first block that differs.
    """
    check_form(config, _FORM, where)
    if config["name"] not in (WITH_FEATURES, WITHOUT):
        raise UserError(f"{where}: a network of {config['name']!r:.40}, not of {WITH_FEATURES} or {WITHOUT}")
    all_blocks = [_block(entry, f"{where}: block {number}") for number, entry in enumerate(config["blocks"])]
    first, blocks = (all_blocks or [None])[0], all_blocks[1:]
    if first is None or not blocks or blocks[0] is None:
        raise UserError(f"{where}: it must begin with two blocks that are not skipped")
    stages = _stages(first, blocks)
    widths = [config["first_conv"]["out_channels"], first.out_channels, *(stage[0].out_channels for stage in stages)]
    if config["name"] == WITH_FEATURES:
        if not config.get("final_expand_layer"):
            raise UserError(f"{where}: it lacks 'final_expand_layer'")
        widths.append(config["final_expand_layer"]["out_channels"])
    widths.append(config["feature_mix_layer"]["out_channels"])
    skips = any(block is None for stage in stages for block in stage)
    kept = [block for stage in stages for block in stage if block is not None]
    if config["name"] == WITHOUT and (skips or all(block.expand in (3, 6) for block in kept)):
        record = _proxylessnas(stages, widths, where)
    else:
        record = _once_for_all(OFA_MBV3 if config["name"] == WITH_FEATURES else OFA_PROXYLESS, stages, widths, where)
    space = build_network_space(**record["space_options"])
    ours = [node.block for node in space.decode(space.parse(record["names"])).nodes]
    built = _shown([block for block in ours if isinstance(block, InvertedResidual)], widths[0])
    for number, (mine, theirs) in enumerate(zip(built, _shown([first, *kept], widths[0]), strict=True)):
        if mine != theirs:
            raise UserError(f"{where}: block {number} of those that are there is {theirs}, in {space.name} {mine}")
    return record


def _block(entry: Mapping[str, Any], where: str) -> InvertedResidual | None:
    layer = entry.get("conv") or entry.get("mobile_inverted_conv")
    if layer is None or layer.get("name") == "ZeroLayer":
        return None
    check_form(layer, _LAYER, where)
    expand, act = layer["expand_ratio"], layer.get("act_func", "relu6")
    if act not in ACTS:
        raise UserError(f"{where}: unknown activation {act!r:.40} (choices: {', '.join(ACTS)})")
    try:
        block = InvertedResidual(
            layer["out_channels"], layer["kernel_size"], int(expand) if expand == int(expand) else expand,
            layer["stride"], ACTS[act], layer.get("use_se", False), residual=bool(entry.get("shortcut")),
        )  # fmt: skip
        hidden = make_divisible(layer["in_channels"] * block.expand)
    except (ValueError, OverflowError) as error:
        raise UserError(f"{where}: {error}") from None
    if block.expand != 1 and (layer.get("mid_channels") or hidden) != hidden:
        raise UserError(f"{where}: {layer['mid_channels']} hidden channels, where expansion {expand} makes {hidden}")
    return block


def _stages(first: InvertedResidual, blocks: Sequence[InvertedResidual | None]) -> list[list[Any]]:
    """The blocks by stage: a stage begins where there is a stride or another width."""
    stages: list[list[Any]] = []
    width = first.out_channels
    for block in blocks:
        if block is not None and (block.stride > 1 or block.out_channels != width or not stages):
            stages.append([])
            width = block.out_channels
        stages[-1].append(block)
    return stages


def _once_for_all(table: OfaTable, stages: list[list[Any]], widths: list[int], where: str) -> dict[str, Any]:
    if len(stages) != len(table.stages):
        raise UserError(f"{where}: {len(stages)} stages, where {table.name} has {len(table.stages)}")
    names = []
    for number, (blocks, stage) in enumerate(zip(stages, table.stages, strict=True), 1):
        if len(blocks) > stage.depth or (stage.depth > 1 and len(blocks) == 1):
            raise UserError(f"{where}: {len(blocks)} layers in stage {number}, which {table.name} does not have")
        if stage.depth > 1:
            names.append(str(len(blocks)))
        for block in blocks:
            if block is None:
                raise UserError(f"{where}: a layer is skipped, which {table.name} does by its depth")
            if block.kernel not in KERNELS or block.expand not in EXPANSIONS:
                raise UserError(f"{where}: {table.name} has no block {block.label}")
            names += [str(block.kernel), str(block.expand)]
        names += [str(KERNELS[0]), str(EXPANSIONS[0])] * (stage.depth - len(blocks))
    factor = next((f for f in FACTORS if [make_divisible(width * f) for width in table.widths] == widths), None)
    settings = {"widths": widths} if factor is None else {"width_mult": factor}
    return {"space_options": {"search_space": table.name, **settings}, "names": names}


def _proxylessnas(stages: list[list[Any]], widths: list[int], where: str) -> dict[str, Any]:
    depths = [stage.most for stage in PROXYLESSNAS.stages]
    if len(stages) != len(depths) or any(len(b) > most for b, most in zip(stages, depths, strict=True)):
        raise UserError(f"{where}: {'-'.join(str(len(s)) for s in stages)} layers, where proxylessnas has 4-4-4-4-4-1")
    names = []
    for blocks, depth in zip(stages, depths, strict=True):
        names += ["skip" if block is None else f"k{block.kernel}e{block.expand:g}" for block in blocks]
        names += ["skip"] * (depth - len(blocks))
    for name in names:
        if name not in PROXYLESSNAS.candidates:
            raise UserError(f"{where}: proxylessnas has no block {name}")
    settings = {"search_space": PROXYLESSNAS.name, "widths": widths, "skip": "identity"}
    return {"space_options": settings, "names": names}


def _shown(blocks: Sequence[InvertedResidual], width: int) -> list[str]:
    """The blocks behind so many channels in words: equal where they are the same."""
    words = []
    for block in blocks:
        shortcut = " with a shortcut" if block.has_shortcut(width) else ""
        words.append(f"{block.label} to {block.out_channels}, stride {block.stride}, {block.act}{shortcut}")
        width = block.out_channels
    return words


# ---- writing


def config_of(spec: NetSpec, in_channels: int = 3) -> dict[str, Any]:
    """The configuration of a network.

    Raises:
        UserError: the network has another block than their configurations can say.
    """
    shapes = spec.shapes((in_channels, 1, 1))
    (stem, image), *rest = [(node.block, shapes[node.site][0][0]) for node in spec.nodes]
    blocks = list(takewhile(lambda entry: isinstance(entry[0], InvertedResidual), rest))
    tail = rest[len(blocks) :]
    names = [INPUT, *(node.site for node in spec.nodes)]
    if (
        [type(block) for block, _ in tail] not in ([Conv, Head], [Conv, GlobalPool, Conv, Head])
        or not isinstance(stem, Conv)
        or any(node.inputs != (before,) for node, before in zip(spec.nodes, names, strict=False))
        or any(block.groups > 1 or block.always_expand for block, _ in blocks if isinstance(block, InvertedResidual))
    ):
        raise UserError("no net.config says this network: it is one of inverted residuals between convolutions")
    head, features = tail[-1]
    assert isinstance(head, Head)
    layers = [_conv(block, width) for block, width in tail if isinstance(block, Conv)]
    config: dict[str, Any] = {
        "name": WITH_FEATURES if len(layers) == 2 else WITHOUT,
        "bn": {"momentum": 0.1, "eps": stem.eps},
        "first_conv": _conv(stem, image),
        "blocks": list(_written(blocks)),
    }
    places = ("final_expand_layer", "feature_mix_layer")[-len(layers) :]
    return config | dict(zip(places, layers, strict=True)) | {
        "classifier": {
            "name": "LinearLayer", "in_features": features, "out_features": head.classes, "bias": head.bias,
            "use_bn": False, "act_func": None, "dropout_rate": head.dropout, "ops_order": "weight_bn_act",
        }
    }  # fmt: skip


def _written(blocks: Sequence[tuple[Block, int]]) -> Iterator[dict[str, Any]]:
    theirs = {ours: name for name, ours in ACTS.items()}
    for block, width in blocks:
        assert isinstance(block, InvertedResidual)
        hidden = None if block.expand == 1 else make_divisible(width * block.expand)
        layer = {
            "name": "MBConvLayer", "in_channels": width, "out_channels": block.out_channels,
            "kernel_size": block.kernel, "stride": block.stride, "expand_ratio": block.expand,
            "mid_channels": hidden, "act_func": theirs[block.act], "use_se": block.se,
        }  # fmt: skip
        shortcut = {
            "name": "IdentityLayer", "in_channels": width, "out_channels": width, "use_bn": False, "act_func": None,
            "dropout_rate": 0, "ops_order": "weight_bn_act",
        }  # fmt: skip
        has_shortcut = block.has_shortcut(width)
        yield {"name": "ResidualBlock", "conv": layer, "shortcut": shortcut if has_shortcut else None}


def _conv(block: Block, width: int) -> dict[str, Any]:
    assert isinstance(block, Conv)
    return {
        "name": "ConvLayer", "kernel_size": block.kernel, "stride": block.stride, "dilation": block.dilation,
        "groups": block.groups, "bias": block.bias, "has_shuffle": False, "in_channels": width,
        "out_channels": block.out_channels, "use_bn": block.bn,
        "act_func": {ours: name for name, ours in ACTS.items()}[block.act], "dropout_rate": 0,
        "ops_order": "weight_bn_act",
    }  # fmt: skip
