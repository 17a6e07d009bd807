"""A trained controller on disk: `controller.safetensors`, beside the supernet whose weights it was trained with."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from config_file.errors import UserError, choose
from config_file.files import atomic_write_bytes
from config_file.readers.checksum import BLANK, FIELD, sealed_tensors
from config_file.readers.door import reading
from config_file.readers.json_text import check_format
from config_file.readers.tensors import read_tensors
from supernet.controllers import CONTROLLERS, Controller
from supernet.decisions import DecisionSpace

FORMAT = "oneshot-nas controller 1"
FILE = "controller.safetensors"


def save_controller(
    folder: Path, space: DecisionSpace, kind: str, controller: Controller, about: Mapping[str, Any]
) -> None:
    """Write such a file into a stage's folder; `kind` is its name in `CONTROLLERS`, `about` JSON for people."""
    described = {
        "format": FORMAT,
        "controller": kind,
        "search_space": space.name,
        "decisions_fingerprint": space.decisions_fingerprint,
        "about": json.dumps(dict(about), allow_nan=False),
        FIELD: BLANK,
    }
    tensors = {name: tensor.detach().contiguous() for name, tensor in controller.state_dict().items()}
    atomic_write_bytes(folder / FILE, sealed_tensors(save(tensors, described)))


def load_controller(folder: Path, space: DecisionSpace) -> Controller:
    """Read what `save_controller` wrote.

    Raises:
        UserError: it is missing, damaged, or of other decisions.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{folder} has no {FILE}: its supernet was not trained with --sample-strategy enas")
    described, tensors = read_tensors(path)
    check_format(described.get("format"), FORMAT, path)
    if FIELD not in described:
        raise UserError(f"{path}: it has no {FIELD}: damaged or edited")
    if described.get("decisions_fingerprint") != space.decisions_fingerprint:
        raise UserError(f"{path} is of {described.get('search_space')} with other decisions than this {space.name}")
    with torch.random.fork_rng(devices=[]):
        controller = choose(f"controller in {path}", described.get("controller", ""), CONTROLLERS)(space.sizes)
    with reading(path, f"does not hold a controller of {space.name}"):
        controller.load_state_dict(tensors)
    if not all(bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise UserError(f"{path} holds values that are not finite: the controller diverged")
    return controller.eval()
