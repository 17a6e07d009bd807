"""Single-path one-shot (SPOS; Guo et al. 2020): 20 ShuffleNetV2 layers, 4 candidates each, 4^20 architectures.

The official blocks: channel split first, mid = out/2. Classifier without bias after dropout 0.1.
"""

from supernet.spaces.chain import ChainTable
from supernet.spaces.stages import Stage

SPOS = ChainTable(
    name="spos",
    stem=16,
    stages=(
        # channels, layers, stride
        Stage(64, 4, 2),
        Stage(160, 4, 2),
        Stage(320, 8, 2),
        Stage(640, 4, 2),
    ),
    head=1024,
    candidates=("shuffle_k3", "shuffle_k5", "shuffle_k7", "xception"),
    act="relu",
    head_bias=False,
    head_dropout=0.1,
)
