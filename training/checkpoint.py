"""Checkpoints: tensors and primitives only, written whole or not at all, refused when they are not what is asked for.

A file holds `{"format", "kind", "fingerprint", "settings", "state"}`, and a checksum. The fingerprint names what the
state belongs to (the space's macro-structure, the network's spec, or the weights that an architecture is learned on),
the settings what decided the course of the training: with either changed, going on would not be the same training, so
loading says which one differs.
"""

import io
import os
import random
import shutil
from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from config_file.errors import UserError
from config_file.files import atomic_path, atomic_write_bytes
from config_file.readers.checksum import check_zip, seal_zip
from config_file.readers.door import read_bytes, reading
from config_file.readers.form import check_form
from config_file.readers.json_text import check_format
from config_file.readers.tensors import MOST_BYTES

FORMAT = "oneshot-nas checkpoint 3"
LAST, BEST = "last.pt", "best.pt"
"""The latest checkpoint in a run's folder of checkpoints, and that of the best validation so far."""

SUPERNET, RETRAIN, ARCHITECTURE = "supernet", "retrain", "architecture"
OTHERS = {
    SUPERNET: "another search space",
    RETRAIN: "another network",
    ARCHITECTURE: "another supernet: its weights differ",
}
"""The kinds, and what a checkpoint of each belongs to where its fingerprint is another."""


class Stateful(Protocol):
    """Something that can be saved, as tensors, primitives, and lists and dicts of them, and goes on from what was."""

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint's place, and what it belongs to: kind, fingerprint, and the settings (primitives, by flag).

    Args:
        kept: how many are kept: those before it move on to last.1.pt, last.2.pt ...
    """

    path: Path
    kind: str
    fingerprint: str
    settings: Mapping[str, Any]
    _: KW_ONLY
    kept: int = 1

    def save(self, state: Stateful) -> None:
        """Write it; on any failure (a full disk, Ctrl-C) the file that was there before is left as it was."""
        content: dict[str, Any] = {"format": FORMAT, "kind": self.kind, "fingerprint": self.fingerprint}
        content |= {"settings": dict(self.settings), "state": state.state_dict() | {"rng": rng_states()}}
        # Through memory: torch's own file writer reports a full disk as a RuntimeError without a cause.
        buffer = io.BytesIO()
        torch.save(content, buffer)
        seal_zip(buffer)
        self._rotate()
        atomic_write_bytes(self.path, buffer.getbuffer())

    @property
    def best(self) -> "Checkpoint":
        """The one of the best validation, beside it."""
        return replace(self, path=self.path.with_name(BEST))

    def keep_as_best(self) -> None:
        """Let the best one be what was saved just now."""
        self._name_too(self.best.path)

    def earlier(self, number: int) -> Path:
        """The place of a checkpoint before this one, from 1."""
        return self.path.with_suffix(f".{number}{self.path.suffix}")

    def _rotate(self) -> None:
        """Keep the one that is about to be replaced, under another name; the file itself stays until then."""
        if self.kept == 1 or not self.path.is_file():
            return
        for number in range(self.kept - 1, 1, -1):
            if self.earlier(number - 1).is_file():
                self.earlier(number - 1).replace(self.earlier(number))
        self._name_too(self.earlier(1))

    def _name_too(self, path: Path) -> None:
        """Give the file a second name: nothing changes it in place."""
        with atomic_path(path) as temporary:
            temporary.unlink()
            try:
                os.link(self.path, temporary)
            except OSError:  # a file system without links
                shutil.copyfile(self.path, temporary)

    def load_into(self, state: Stateful, data: bytes | None = None) -> None:
        """Let `state` and the global random generators go on from what was saved, or from the `data` of such a file.

        Raises:
            UserError: the file is missing, truncated, not ours, of another version, kind or space, or of a training
                with other settings; nothing is changed then.
        """
        saved = self.read() if data is None else self.parsed(data)
        with reading(self.path, "not a state of this training"):
            state.load_state_dict(saved)
            restore_rng_states(saved["rng"])

    def read(self) -> dict[str, Any]:
        """The state that was saved. Raises UserError as `load_into`."""
        path = self.path
        if not path.is_file():
            raise UserError(f"no checkpoint at {path}")
        return self.parsed(read_bytes(path, MOST_BYTES))

    def parsed(self, data: bytes) -> dict[str, Any]:
        """The state in the bytes of such a file. Raises UserError as `load_into`."""
        path = self.path
        earlier = f" (the one before it is {self.earlier(1)})" if self.earlier(1).is_file() else ""
        check_zip(data, f"{path} is not a readable checkpoint{earlier}")
        with reading(path, "not a readable checkpoint"):
            content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
        check_form(content, {"format": str, "kind": str, "fingerprint": str, "settings": dict, "state": dict}, path)
        check_format(content["format"], FORMAT, path)
        if content["kind"] != self.kind:
            raise UserError(f"{path} is a {content['kind']} checkpoint, not a {self.kind} one")
        if content["fingerprint"] != self.fingerprint:
            raise UserError(f"{path} belongs to {OTHERS[self.kind]}")
        for name, now in self.settings.items():
            then = content["settings"].get(name)
            if then != now:
                raise UserError(
                    f"{path} was trained with {name} {then}, not {now}; resume alike or choose another --title"
                )
        state: dict[str, Any] = content["state"]
        return state


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
