"""NAS-Bench-Macro (Su et al. 2021): 8 layers, 3 candidates each, 6,561 architectures, all trained on CIFAR-10.

The network is laid out for 32x32 images and every stage halves the resolution.
"""

from supernet.spaces.chain import ChainTable
from supernet.spaces.stages import Stage

NASBENCH_MACRO = ChainTable(
    name="nasbench_macro",
    stem=32,
    stem_stride=1,
    stages=(
        # channels, layers, stride
        Stage(64, 2, 2),
        Stage(128, 3, 2),
        Stage(256, 3, 2),
    ),
    head=1280,
    candidates=("identity", "e3k3", "e6k5"),
    act="relu",
    small_images=False,
)
