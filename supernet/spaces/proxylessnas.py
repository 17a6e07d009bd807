"""ProxylessNAS (Cai, Zhu and Han 2019): 21 layers, 7 candidates each, 7^21 architectures.

Where the shape changes, a skip is a 1x1 convolution + BN; with `--skip identity` there is none, as in the paper's own
space: (6 * 7^3)^5 * 6 encodings, 1554^5 * 6 networks.
"""

from supernet.spaces.chain import ChainTable
from supernet.spaces.stages import Stage

PROXYLESSNAS = ChainTable(
    name="proxylessnas",
    stem=32,
    first=16,
    stages=(
        # channels, layers, stride
        Stage(24, 4, 2),
        Stage(40, 4, 2),
        Stage(80, 4, 2),
        Stage(96, 4, 1),
        Stage(192, 4, 2),
        Stage(320, 1, 1),
    ),
    head=1280,
    candidates=("k3e3", "k3e6", "k5e3", "k5e6", "k7e3", "k7e6", "skip"),
)
