"""Agreement of ranks before they begin together: code, options, data and weights, compared in one exchange."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from config_file import ranks
from config_file.options import in_use
from training.data import Data

ROOMS = ("config_file", "tasks", "supernet", "deployment", "lookup_tables", "training", "search")
SAMPLE = 16
"""Images whose pixels are compared."""

OF_A_RANK = ("device", "threads", "num_workers", "data_path", "root_path", "output", "download", "config")
"""Options that ranks may have otherwise: means and places."""


def agree(options: Any, data: Data | None, **further: Any) -> None:
    """See that all ranks have the same code, options, data, and JSON values `further`; nothing where there is one.

    Raises UserError, on all of them, that names what differs and where.
    """
    if ranks.count() == 1:
        return
    facts = {"code": code(), "version of torch": str(torch.__version__), **further}
    facts |= {f"option {spec.flag}": getattr(options, name) for name, spec in _compared(options).items()}
    if data is not None:
        facts |= {"data": f"{data.name}, {data.split_record.get('sizes')}, split {digest(data.split_record)}"}
        facts |= {"pixels": pixels(data)}
    ranks.compare(facts)


def code() -> str:
    """A digest of the toolkit's sources."""
    root, found = Path(__file__).resolve().parent.parent, hashlib.sha256()
    for path in sorted(path for room in ROOMS for path in (root / room).rglob("*.py")):
        found.update(str(path.relative_to(root)).encode() + path.read_bytes())
    return found.hexdigest()[:16]


def digest(record: Mapping[str, Any]) -> str:
    """A short digest of facts."""
    return hashlib.sha256(repr(sorted(record.items())).encode()).hexdigest()[:16]


def pixels(data: Data) -> str:
    """A digest of the first images of the training and the validation split, with their targets."""
    found = hashlib.sha256()
    for split in (data.train, data.val):
        count = min(SAMPLE, len(split))
        found.update(split.raw(range(count)).numpy().tobytes())
        found.update(split.labels[:count].numpy().tobytes())
    return found.hexdigest()[:16]


def _compared(options: Any) -> dict[str, Any]:
    return {name: spec for name, spec in in_use(options).items() if name not in OF_A_RANK}
