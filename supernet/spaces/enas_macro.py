"""ENAS's macro space (Pham et al. 2018, section 2.3): an operation per layer, and connections from all layers before.

A layer runs its operation on the layer before it and adds the outputs of those further back that are connected to it;
a batch norm follows. After one third and two thirds of the layers the resolution is halved, of everything that is read
later. 12 layers of 6 operations are 6^12 * 2^66 networks.
"""

from collections.abc import Sequence

from config_file.errors import UserError
from supernet.blocks import Conv, Head, Identity
from supernet.cell_blocks import Branch, FactorizedReduce
from supernet.decisions import CONNECTION, Decision
from supernet.sites import Site
from supernet.space import SearchSpace
from supernet.spec import INPUT
from supernet.torch_blocks import Norm

OPERATIONS = {
    "conv_3x3": ("conv", 3), "sep_conv_3x3": ("sep_conv", 3), "conv_5x5": ("conv", 5), "sep_conv_5x5": ("sep_conv", 5),
    "avg_pool_3x3": ("avg", 3), "max_pool_3x3": ("max", 3),
}  # fmt: skip
"""Fields of `Branch` by the operations' names."""

WIDTH, LAYERS = 36, 12
MOST_LAYERS = 18
"""A layer's table of all it can be connected to has 2^(layers - 1) places."""

STEM = "stem"


def build_enas_macro(
    resolution: int,
    num_classes: int,
    in_channels: int,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
) -> SearchSpace:
    """The space for images (in_channels, resolution, resolution).

    Args:
        widths: one number, the channels of every layer.
        depths: one number, the layers.

    Raises:
        UserError: more than one number, or too many layers.
    """
    for name, value in (("widths", widths), ("depths", depths)):
        if value is not None and len(value) != 1:
            what = "the channels of every layer" if name == "widths" else "of layers"
            raise UserError(f"enas_macro: --{name} is one number, {what}, not {len(value)}")
    (width,), (layers,) = widths or (WIDTH,), depths or (LAYERS,)
    if layers > MOST_LAYERS:
        raise UserError(f"enas_macro: --depths {layers}: at most {MOST_LAYERS} layers")
    operations = tuple(Branch(width, operation, kernel) for operation, kernel in OPERATIONS.values())
    names = [STEM, *(f"layer{number}" for number in range(layers))]
    # 1. Decisions, layer by layer: its operation, then what it is connected to (names[number] is what it always reads).
    decisions: list[Decision] = []
    chosen: list[int] = []
    connected: dict[tuple[int, str], int] = {}  # (layer, from): its decision
    for number in range(layers):
        chosen.append(len(decisions))
        decisions.append(Decision(f"layer{number}", tuple(OPERATIONS)))
        for before in names[:number]:
            connected[number, before] = len(decisions)
            decisions.append(Decision(f"layer{number}<-{before}", CONNECTION))
    # 2. Sites. `place` says where the output of each layer is had, at the resolution of the layer that runs.
    sites = [Site(STEM, (Conv(width, 3, act=""),), (INPUT,))]
    place = {STEM: STEM}
    third = layers // 3
    for number in range(layers):
        if third and number in (third, 2 * third):
            place = _reduced(width, number, names[: number + 1], place, connected, sites)
        name = f"layer{number}"
        every = tuple(range(len(operations)))
        sites.append(Site(f"{name}/op", operations, (place[names[number]],), given=(chosen[number],), table=every))
        adding = [f"{name}/op"]
        for before in names[:number]:
            given = (connected[number, before],)
            adding.append(f"{name}<-{before}")
            sites.append(Site(adding[-1], (Identity(),), (place[before],), given=given, table=(None, 0)))
        sites.append(Site(name, (Norm(),), tuple(adding)))
        place[name] = name
    sites.append(Site("head", (Head(num_classes),), (names[-1],)))
    return SearchSpace("enas_macro", tuple(decisions), tuple(sites), (in_channels, resolution, resolution))


def _reduced(
    width: int,
    number: int,
    names: Sequence[str],
    place: dict[str, str],
    connected: dict[tuple[int, str], int],
    sites: list[Site],
) -> dict[str, str]:
    """Halve the resolution of the layers before layer `number`, of each only if a later one reads it."""
    reduce = FactorizedReduce(width, relu=False)
    found = {}
    for name in names:
        readers = [decision for (layer, before), decision in connected.items() if before == name and layer >= number]
        always = name == names[-1]  # the next layer runs on it
        given = () if always else tuple(readers)
        table = (0,) if always else (None, *[0] * (2 ** len(readers) - 1))
        found[name] = f"{name} before layer{number}"
        sites.append(Site(found[name], (reduce,), (place[name],), given=given, table=table))
    return found
