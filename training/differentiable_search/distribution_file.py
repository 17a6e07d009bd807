"""Learned architecture parameters on disk: `architecture.json`, beside the supernet they were learned with.

What they were after every epoch is in files of the same form, `architectures/epoch_0001.json` and so on.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config_file.errors import UserError
from config_file.files import write_sealed
from config_file.readers.form import check_form
from config_file.readers.json_text import read_sealed
from supernet import Architecture, SearchSpace

FORMAT = "oneshot-nas architecture parameters 2"
FILE = "architecture.json"
EPOCHS, EPOCH = "architectures/epoch_*.json", "architectures/epoch_{:04d}.json"

_FORM = {
    "decisions_fingerprint": str,
    "decisions": [{"log_probabilities": [float]}],
    "derived": [int],
    "skips?": {...: [int]},
}


@dataclass(frozen=True)
class Distribution:
    """A distribution over the architectures of a space, independent for every decision, and how it was learned."""

    log_probabilities: list[NDArray[np.float64]]
    derived: Architecture
    about: Mapping[str, Any]


def save_distribution(folder: Path, space: SearchSpace, distribution: Distribution, name: str = FILE) -> None:
    """Write such a file into a stage's folder.

    It says its space, so that `retrain.py --arc-checkpoint` needs nothing else.
    """
    path = folder / name
    content = {
        "format": FORMAT,
        "search_space": space.name,
        "space_options": space.describe(),
        "decisions_fingerprint": space.decisions_fingerprint,
        "derived": list(distribution.derived),
        "names": space.names(distribution.derived),
        "decisions": [
            {"name": decision.name, "options": list(decision.options), "log_probabilities": row.tolist()}
            for decision, row in zip(space.decisions, distribution.log_probabilities, strict=True)
        ],
        **distribution.about,
    }
    path.parent.mkdir(exist_ok=True)
    write_sealed(path, content)


def load_distribution(folder: Path, space: SearchSpace) -> Distribution:
    """Read what `save_distribution` wrote.

    Raises:
        UserError: it is missing, damaged, or of other decisions.
    """
    path = folder / FILE
    if not path.is_file():
        raise UserError(f"{folder} has no {FILE}: its supernet was not trained with --sample-strategy differentiable")
    content = read_sealed(path, FORMAT)
    check_form(content, _FORM, path)
    fingerprint, derived = content["decisions_fingerprint"], tuple(content["derived"])
    rows = [np.array(entry["log_probabilities"], dtype=np.float64) for entry in content["decisions"]]
    if fingerprint != space.decisions_fingerprint:
        raise UserError(f"{path} is of {content.get('search_space')} with other decisions than this {space.name}")
    fits = [row.shape for row in rows] == [(size,) for size in space.sizes] and space.is_valid(derived)
    if not fits or not all(abs(np.exp(np.minimum(row, 1)).sum() - 1) < 1e-6 for row in rows):
        raise UserError(f"{path} is damaged: its probabilities are not those of {space.name}")
    known = {"format", "search_space", "space_options", "decisions_fingerprint", "derived", "names", "decisions"}
    return Distribution(rows, derived, {key: value for key, value in content.items() if key not in known})
