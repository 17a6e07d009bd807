"""Single-Path NAS (Stamoulis et al. 2019): ProxylessNAS's macro-structure, one super-kernel per layer.

A layer holds a single 5x5, expansion-6 inverted residual; k3 is the centre of its kernel and e3 the first half of its
channels, so that all four candidates share weights. As in the paper a skip is offered only where the shape is kept.
"""

from dataclasses import replace

from supernet.spaces.proxylessnas import PROXYLESSNAS

SINGLE_PATH = replace(
    PROXYLESSNAS,
    name="single_path",
    candidates=("k3e3", "k3e6", "k5e3", "k5e6", "skip"),
    sharing="super_kernel",
    skip="identity",
)
