"""The weights that a search kept of a network it trained: where they lie, and how a training starts from them."""

import hashlib
from pathlib import Path

from config_file.errors import UserError
from deployment.weights import load_network
from supernet import Architecture, NetSpec, Network

FOLDER = "trials"
"""In the folder of a search."""

LONGEST_NAME = 64


def name_of(architecture: Architecture) -> str:
    """The name of a trial: the indices of its architecture, or a hash of them where they are many."""
    text = "-".join(map(str, architecture))
    return text if len(text) <= LONGEST_NAME else hashlib.sha256(text.encode()).hexdigest()[:32]


def load_trial(search: Path, architecture: Architecture, spec: NetSpec) -> Network:
    """The network of a trial, in training mode, to go on with.

    Args:
        search: folder of the search.
        spec: the network that is wanted.

    Raises:
        UserError: no weights were kept of it, they are damaged, or those of a network of other widths or classes.
    """
    path = search / FOLDER / f"{name_of(architecture)}.safetensors"
    if not path.is_file():
        raise UserError(
            f"--init trial: no weights of this network in {search / FOLDER}; search.py --evaluator training keeps "
            "those of the best --keep-trials"
        )
    network, _ = load_network(path)
    if network.spec != spec:
        raise UserError(f"--init trial: {path} is of other widths or classes than the network to train")
    return network.train()
