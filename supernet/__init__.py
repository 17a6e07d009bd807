"""What a network can be: search spaces, networks as data, shared weights, path samplers and extraction."""

from supernet.blocks import Block, Shape
from supernet.network import Network
from supernet.sites import Decision, Site
from supernet.space import Architecture, SearchSpace
from supernet.spaces import build_space
from supernet.spec import NetSpec, Node
from supernet.supernet import Supernet, extract

__all__ = [
    "Architecture",
    "Block",
    "Decision",
    "NetSpec",
    "Network",
    "Node",
    "SearchSpace",
    "Shape",
    "Site",
    "Supernet",
    "build_space",
    "extract",
]
