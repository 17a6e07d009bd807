"""Checkpoints: tensors and primitives only, written whole or not at all, refused when they are not what is asked for.

A file holds `{"format", "version", "kind", "fingerprint", "settings", "state"}`. The fingerprint names what the state
belongs to (the space's macro-structure, the network's spec, or the weights that an architecture is learnt on), the
settings what decided the course of the training: with either changed, going on would not be the same training, so
loading says which one differs.
"""

import io
import random
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from config_file.errors import UserError
from config_file.files import atomic_write_bytes

FORMAT = "oneshot-nas checkpoint"
VERSION = 2
LAST = "last.pt"
"""The latest checkpoint in a run's folder of checkpoints."""

SUPERNET, RETRAIN, ARCHITECTURE = "supernet", "retrain", "architecture"
OTHERS = {
    SUPERNET: "another search space",
    RETRAIN: "another network",
    ARCHITECTURE: "another supernet: its weights differ",
}
"""The kinds, and what a checkpoint of each belongs to where its fingerprint is another."""


def save_checkpoint(
    path: Path, kind: str, fingerprint: str, settings: Mapping[str, Any], state: Mapping[str, Any]
) -> None:
    """Write a checkpoint; on any failure (a full disk, Ctrl-C) the file that was there before is left as it was.

    Args:
        path: where to.
        kind: of `OTHERS`.
        fingerprint: what the weights belong to.
        settings: what decides the course of the training: primitives, by flag.
        state: tensors, primitives, and lists and dicts of them.
    """
    content = {"format": FORMAT, "version": VERSION, "kind": kind, "fingerprint": fingerprint}
    # Through memory: torch's own file writer reports a full disk as a RuntimeError without a cause.
    buffer = io.BytesIO()
    torch.save(content | {"settings": dict(settings), "state": dict(state)}, buffer)
    atomic_write_bytes(path, buffer.getbuffer())


def load_checkpoint(path: Path, kind: str, fingerprint: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The state saved at `path`, on the CPU.

    Raises:
        UserError: the file is missing, truncated, not ours, of another version, kind or space, or of a training with
            other settings.
    """
    if not path.is_file():
        raise UserError(f"no checkpoint at {path}")
    file = io.BytesIO(path.read_bytes())
    try:
        if zipfile.ZipFile(file).testzip() is not None:  # torch itself does not compare the checksums
            raise zipfile.BadZipFile
        file.seek(0)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:  # a damaged file fails in whatever way its damage leads to
        raise UserError(f"{path} is not a readable checkpoint: truncated, damaged or not ours") from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path} is not a checkpoint of this toolkit")
    if content.get("version") != VERSION:
        raise UserError(f"{path} has checkpoint version {content.get('version')}; this toolkit reads version {VERSION}")
    if content["kind"] != kind:
        raise UserError(f"{path} is a {content['kind']} checkpoint, not a {kind} one")
    if content["fingerprint"] != fingerprint:
        raise UserError(f"{path} belongs to {OTHERS[kind]}")
    for name, now in settings.items():
        then = content["settings"].get(name)
        if then != now:
            raise UserError(f"{path} was trained with {name} {then}, not {now}; resume alike or choose another --title")
    return content["state"]


def rng_states() -> dict[str, Any]:
    """The state of every global random generator, as tensors and primitives."""
    version, internal, gauss = random.getstate()
    name, keys, position, has_gauss, cached = np.random.get_state(legacy=True)  # noqa: NPY002  # a user's code may draw from it
    return {
        "python": [version, list(internal), gauss],
        "numpy": [name, torch.from_numpy(np.asarray(keys, dtype=np.int64)), position, has_gauss, cached],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_rng_states(states: Mapping[str, Any]) -> None:
    """Set every global random generator; CUDA's only where there are as many devices as then."""
    version, internal, gauss = states["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached = states["numpy"]
    np.random.set_state((name, keys.numpy().astype(np.uint32), position, has_gauss, cached))  # noqa: NPY002
    torch.set_rng_state(states["torch"])
    if torch.cuda.is_available() and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(states["cuda"])
