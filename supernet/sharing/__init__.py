"""Ways in which the options of one site share their weights. A site of a supernet is one of these modules."""

from collections.abc import Callable, Sequence

from supernet.blocks import Block
from supernet.sharing.elastic_kernel import ElasticKernel
from supernet.sharing.own import OwnWeights, SharedWeights
from supernet.sharing.partial import PartialWeights
from supernet.sharing.sliced import Sliced, SlicedChannels
from supernet.sharing.super_kernel import SuperKernel

SHARING: dict[str, Callable[[Sequence[Block], Sequence[int]], SharedWeights]] = {
    "own": OwnWeights,
    "sliced": Sliced,
    "sliced_channels": SlicedChannels,
    "super_kernel": SuperKernel,
    "elastic_kernel": ElasticKernel,
    "partial": PartialWeights,
}
"""Ways of sharing by the name a `Site` gives: (options, input widths they can meet) -> the weights."""
