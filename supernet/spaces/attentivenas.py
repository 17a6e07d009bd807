"""AttentiveNAS's space (Wang et al. 2021): inverted residuals with a choice of width, depth, kernel and expansion per
stage, and of the image size.

Kernels and expansions are those of a whole stage. Swish, squeeze-excite in every other stage, and MobileNetV3's head:
six times the last stage's channels, pooled, then the features.
"""

from supernet.spaces.chain import ChainTable
from supernet.spaces.stages import Stage

ATTENTIVENAS = ChainTable(
    name="attentivenas",
    stem=(16, 24),
    stages=(
        # channels, layers, stride, kernels, expansions: table 6
        Stage((16, 24), (1, 2), 1, kernel=(3, 5), expand=1, tied=True),
        Stage((24, 32), (3, 4, 5), 2, kernel=(3, 5), expand=(4, 5, 6), tied=True),
        Stage((32, 40), (3, 4, 5, 6), 2, se=True, kernel=(3, 5), expand=(4, 5, 6), tied=True),
        Stage((64, 72), (3, 4, 5, 6), 2, kernel=(3, 5), expand=(4, 5, 6), tied=True),
        Stage((112, 120, 128), (3, 4, 5, 6, 7, 8), 1, se=True, kernel=(3, 5), expand=(4, 5, 6), tied=True),
        Stage((192, 200, 208, 216), (3, 4, 5, 6, 7, 8), 2, se=True, kernel=(3, 5), expand=6, tied=True),
        Stage((216, 224), (1, 2), 1, se=True, kernel=(3, 5), expand=6, tied=True),
    ),
    candidates=(),
    head=None,
    head_expand=6,
    features=(1792, 1984),
    features_bias=False,
    projections=True,
    act="silu",
    sharing="elastic_kernel",
    head_dropout=0.2,
    image_sizes="192-288:32",
)
