"""Every shipped space and one with squeeze-excite, narrow and shallow, so that counting them takes no time."""

from __future__ import annotations

from functools import cache
from typing import Any

from supernet import SearchSpace, build_space

SQUEEZE_EXCITE: dict[str, Any] = {
    "name": "squeezed",
    "stem": 8,
    "head": 32,
    "act": "hswish",
    "stages": [{"channels": 8, "depth": 2, "stride": 2}, {"channels": 16, "depth": 2, "stride": 2}],
    "candidates": ["k3e3se", "k5e6se", "k3e4g2se", "k3e1", "skip"],
}

SMALL: dict[str, dict[str, Any]] = {
    "proxylessnas": {"widths": (8, 4, 8, 12, 16, 24, 24, 32, 64), "depths": (1, 2, 1, 1, 2, 1)},
    "fbnet_s": {"widths": (8, 8, 8, 16, 16, 24, 24, 32, 64), "depths": (1, 1, 2, 1, 1, 1, 1)},
    "spos": {"widths": (4, 8, 16, 24, 32, 64), "depths": (1, 2, 1, 2)},
    "mobilenetv2": {
        "widths": (8, 4, 8, 8, 12, 12, 16, 16, 20, 20, 24, 24, 32, 32, 40, 64),
        "depths": (1, 2, 2, 3, 1, 2, 1),
    },
    "single_path": {"widths": (8, 4, 8, 12, 16, 24, 24, 32, 64), "depths": (1, 2, 1, 1, 2, 1)},
    "nasbench_macro": {"widths": (4, 8, 12, 16, 32)},
    "squeezed": {"search_space": SQUEEZE_EXCITE},
}


@cache
def small_space(name: str, resolution: int = 32) -> SearchSpace:
    """A space of `SMALL`."""
    return build_space(**{"search_space": name, "resolution": resolution, "num_classes": 10} | SMALL[name])
