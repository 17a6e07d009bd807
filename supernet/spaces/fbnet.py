"""FBNet (Wu et al. 2019): 22 layers, 9 candidates each, 9^22 architectures.

Expansion-1 blocks keep their 1x1 expansion; group-2 candidates group both pointwise convolutions, with a channel
shuffle between. FBNet-B and -C have the large head (1984); `fbnet_s` has 1504.
"""

from dataclasses import replace

from supernet.spaces.chain import ChainTable
from supernet.spaces.stages import Stage

FBNET_L = ChainTable(
    name="fbnet_l",
    stem=16,
    stages=(
        # channels, layers, stride
        Stage(16, 1, 1),
        Stage(24, 4, 2),
        Stage(32, 4, 2),
        Stage(64, 4, 2),
        Stage(112, 4, 1),
        Stage(184, 4, 2),
        Stage(352, 1, 1),
    ),
    head=1984,
    candidates=("k3e1", "k3e1g2", "k3e3", "k3e6", "k5e1", "k5e1g2", "k5e3", "k5e6", "skip"),
    act="relu",
    always_expand=True,
)

FBNET_S = replace(FBNET_L, name="fbnet_s", head=1504)
