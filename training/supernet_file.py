"""A trained supernet on disk: its weights, and what they are weights of.

`supernet.safetensors` holds the tensors, `supernet.json` everything a later stage must know about them: how to rebuild
the space, the fingerprints, the data set with its split, the normalisation, how the training went, and the SHA-256 of
the weights, so that the two files cannot be taken from different runs. It has a checksum of its own.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as save_tensors

from config_file.errors import UserError
from config_file.files import atomic_write_bytes, sealed_object
from config_file.readers.door import reading
from config_file.readers.form import check_form
from config_file.readers.json_text import read_sealed
from config_file.readers.tensors import read_tensors
from supernet import SearchSpace, Supernet
from supernet.saved import space_of
from supernet.space import with_sites

FORMAT = "oneshot-nas supernet 3"
WEIGHTS, DESCRIPTION = "supernet.safetensors", "supernet.json"

_FORM = {
    "sha256": str,
    "search_space": str,
    "space_options": dict,
    "decisions_fingerprint": str,
    "macro_fingerprint": str,
    "task?": str,
    "classes?": [str],
    "resolution?": int,
    "mean?": [float],
    "std?": [float],
    "colour_order?": str,
    "split?": {"sha256?": (dict, None)},
    "train?": dict,
    "validation?": (dict, None),
}


@dataclass(frozen=True)
class TrainedSupernet:
    """A supernet read back, on the CPU in training mode, its space rebuilt, and the content of `supernet.json`."""

    space: SearchSpace
    supernet: Supernet
    info: dict[str, Any]


def save_supernet(folder: Path, supernet: Supernet, info: Mapping[str, Any]) -> None:
    """Write both files, the description last: a stage that finds it finds its weights too.

    `info` is JSON: data set, split, classes, mean, std, how it was trained and to what end.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in supernet.state_dict().items()}
    weights = save_tensors(tensors, {"format": FORMAT})
    space = supernet.space
    about = {
        "format": FORMAT,
        "search_space": space.name,
        "space_options": space.describe(),
        "decisions_fingerprint": space.decisions_fingerprint,
        "macro_fingerprint": space.macro_fingerprint,
        "sha256": hashlib.sha256(weights).hexdigest(),
        **info,
    }
    text = sealed_object(about)
    atomic_write_bytes(folder / WEIGHTS, weights)
    atomic_write_bytes(folder / DESCRIPTION, text)


def read_description(folder: Path) -> dict[str, Any]:
    """The content of a run's `supernet.json`.

    Raises:
        UserError: it is missing, damaged or not ours.
    """
    path = folder / DESCRIPTION
    if not path.is_file():
        raise UserError(f"no trained supernet in {folder}: {DESCRIPTION} is missing")
    info = read_sealed(path, FORMAT)
    check_form(info, _FORM, path)
    return info


def load_supernet(folder: Path, trusted: str | None = None) -> TrainedSupernet:
    """The supernet that `save_supernet` wrote; `trusted`: the space that the command names, see `supernet.saved`.

    Raises:
        UserError: a file is missing, truncated, not ours or from another run, or the space is declared differently now.
    """
    info = read_description(folder)
    path = folder / WEIGHTS
    if not path.is_file():
        raise UserError(f"no trained supernet in {folder}: {WEIGHTS} is missing")
    _, tensors = read_tensors(path, info["sha256"])
    space = with_sites(space_of(info, folder, trusted))
    supernet = Supernet(space)
    with reading(path, f"does not hold the weights of {space.name}"):
        supernet.load_state_dict(tensors)
    if not all(torch.isfinite(p).all() for p in supernet.parameters()):
        raise UserError(f"{path} holds weights that are not finite: the training diverged")
    return TrainedSupernet(space, supernet, info)
