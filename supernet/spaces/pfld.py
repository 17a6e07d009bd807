"""PFLD for facial landmarks as NNI's FBNet example searches it: 5 layers of 9 candidates, 9^5 = 59,049 networks.

At 112 px (maps in brackets): stem to 16 channels [56, 28], a fixed block to 32 [14], layers 1 and 2 [14], layers 3 to
5 [7]. What the stem gave first [56], layer 2 [14] and layer 5 [7] are pooled to the last scale and concatenated, 16 +
32 + 64 = 112 channels; then a 1x1 convolution to 64, a block with eSE, a separable convolution to 128, a learned
pooling over the whole map, and the outputs: an x and a y for each of 106 points.

Candidates, widths, strides and the head are NNI's, number for number (examples/nas/oneshot/pfld, v2.5 to v2.10). Ours:

- eSE and the last pooling have kernels as large as the map, which NNI fixes for 112 px. Here they follow the resolution
  that the space is laid out for: map sides are an eighth and a sixteenth of it, rounded up.
- pooling pads what a last window lacks where the resolution is no multiple of 16; there is nothing to pad at 112 px.
- the outputs are a linear layer, which on a map of one pixel is NNI's 1x1 convolution.
- NNI's auxiliary network, which learns the angles of the head beside the landmarks and weighs PFLD's loss by them, is
  not part of the space: it is thrown away before deployment (`training/trainers/pose.py` trains it).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from config_file.errors import UserError
from supernet.blocks import Block, Conv, Head, Pool
from supernet.composites import Ghost, Separable
from supernet.decisions import Decision
from supernet.landmark_blocks import DilatedResidual, LearnedPool, StridedPool
from supernet.sites import Site
from supernet.space import SearchSpace
from supernet.spaces.chain import with_each
from supernet.spec import INPUT


@dataclass(frozen=True)
class Stage:
    """Layers of one width that choose among candidates; the first has the stride."""

    channels: int
    depth: int
    stride: int
    candidates: tuple[str, ...]


STEM, HEAD = 16, 128
STAGES: tuple[Stage, ...] = (
    Stage(
        32, 2, 1,
        ("mb_k3_res", "mb_k3_e2_res", "mb_k3_res_d3", "mb_k5_res", "mb_k5_e2_res", "sep_k3", "sep_k5", "gh_k3",
         "gh_k5"),
    ),
    Stage(
        64, 3, 2,
        ("mb_k3_e2_res", "mb_k3_e4_res", "mb_k3_e2_res_se", "mb_k3_res_d3", "mb_k5_res", "mb_k5_e2_res", "mb_k5_res_se",
         "mb_k5_e2_res_se", "gh_k5"),
    ),
)  # fmt: skip

_NAME = re.compile(r"(?P<kind>mb|sep|gh)_k(?P<k>[35])(?:_e(?P<e>[24]))?(?P<res>_res)?(?:_d(?P<d>[23]))?(?P<se>_se)?")


def candidate(name: str, channels: int, stride: int, side: int) -> Block:
    """The block that a name of NNI's stands for.

    Args:
        name: mb_k{3,5}[_e{2,4}][_res][_d{2,3}][_se], sep_k{3,5} or gh_k{3,5}; a dilation comes with expansion 2.
        channels: of its output.
        stride: 1 or 2.
        side: of the map it gives, which eSE weighs.
    """
    found = _NAME.fullmatch(name)
    if found is None:
        raise UserError(f"unknown candidate {name!r} of pfld")
    kernel = int(found["k"])
    if found["kind"] == "sep":
        return Separable(channels, kernel, stride)
    if found["kind"] == "gh":
        return Ghost(channels, kernel, stride)
    dilation = int(found["d"] or 1)
    expand = 2 if dilation > 1 else int(found["e"] or 1)
    excite = side if found["se"] else None
    return DilatedResidual(channels, kernel, expand, stride, dilation, excite, found["res"] is not None)


def build_pfld(
    resolution: int,
    num_classes: int,
    in_channels: int,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
) -> SearchSpace:
    """The space for images (in_channels, resolution, resolution) and `num_classes` outputs, 212 for 106 points.

    Args:
        widths: stem, the two stages, and the separable convolution before the outputs; NNI's are 16, 32, 64, 128.
        depths: layers per stage; NNI's are 2 and 3. Strides are fixed, as the scales are joined.
    """
    stem, head, stages = STEM, HEAD, STAGES
    if widths is not None:
        if len(widths) != 4:
            raise UserError(f"widths of pfld: stem, two stages, head; that is 4 numbers, not {len(widths)}")
        stem, *channels, head = widths
        stages = with_each(stages, "channels", channels)
    if depths is not None:
        if len(depths) != 2:
            raise UserError(f"depths of pfld: one per stage; that is 2 numbers, not {len(depths)}")
        stages = with_each(stages, "depth", depths)
    first, last = stages
    sites = [
        Site("stem", (Conv(stem, 3, 2, act="relu"),), (INPUT,)),
        Site("stem/mix", (Conv(stem, act="relu"),), ("stem",)),
        Site("stem/separable", (Separable(stem, 1, 2),), ("stem/mix",)),
        Site("stem/pool", (Pool("max2x2"),), ("stem",)),
        Site("stem/join", (Conv(stem, act="relu"),), ("stem/separable", "stem/pool"), "concat"),
        Site("widen", (DilatedResidual(first.channels, 3, 2, 2, residual=False),), ("stem/join",)),
    ]
    decisions: list[Decision] = []
    ends = []
    side = -(-resolution // 8)
    for number, stage in enumerate(stages, 1):
        side = -(-side // stage.stride)
        names = stage.candidates
        for layer in range(stage.depth):
            options = [candidate(n, stage.channels, stage.stride if layer == 0 else 1, side) for n in names]
            table = tuple(range(len(options)))
            name = f"stage{number}/{layer}"
            sites.append(Site(name, tuple(options), (sites[-1].name,), given=(len(decisions),), table=table))
            decisions.append(Decision(name, names))
        ends.append(sites[-1].name)
    sites += [
        Site("scale8", (StridedPool(8),), ("stem",)),
        Site("scale2", (StridedPool(2),), (ends[0],)),
        Site("fuse", (Conv(last.channels, act="", bn=False),), (ends[1], "scale2", "scale8"), "concat"),
        Site("refine", (DilatedResidual(last.channels, 3, 2, excite=side),), ("fuse",)),
        Site("spread", (Separable(head),), ("refine",)),
        Site("place", (LearnedPool(side),), ("spread",)),
        Site("points", (Head(num_classes),), ("place",)),
    ]
    return SearchSpace("pfld", tuple(decisions), tuple(sites), (in_channels, resolution, resolution))
