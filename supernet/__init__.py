"""Networks to choose among: search spaces, networks as data, shared weights, path samplers and extraction.

The names below are what other code may rely on; `supernet.blocks` and `supernet.composites` hold the blocks, and
`supernet.testing` the tests that a space of one's own should pass.
"""

from typing import TYPE_CHECKING

from config_file.lazy import lazy_names

if TYPE_CHECKING:
    from supernet.blocks import Block, Shape
    from supernet.decisions import Architecture, Decision, DecisionSpace
    from supernet.network import Network
    from supernet.sites import Site
    from supernet.space import NetworkSpace, SearchSpace
    from supernet.spaces import build_network_space, build_space
    from supernet.spec import NetSpec, Node
    from supernet.supernet import Supernet, extract
else:
    __getattr__, __dir__ = lazy_names(__name__)

__all__ = [
    "Architecture",
    "Block",
    "Decision",
    "DecisionSpace",
    "NetSpec",
    "Network",
    "NetworkSpace",
    "Node",
    "SearchSpace",
    "Shape",
    "Site",
    "Supernet",
    "build_network_space",
    "build_space",
    "extract",
]
