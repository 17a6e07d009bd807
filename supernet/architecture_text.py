"""An architecture as a person gives it: a JSON list, a file that holds one, or `random`."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np

from config_file.errors import UserError
from supernet.decisions import Architecture
from supernet.space import SearchSpace

FORMS = "FILE, a JSON list of names or indices, or random"


def read_architecture(text: str, space: SearchSpace, random_seed: int = 42) -> Architecture:
    """The architecture that `text` stands for.

    Args:
        text: "random", a JSON list of option names or indices, an object with such a list under "architecture" or
            "names" (a search's best.json), or the path of a file that holds one of these, or a .npy of indices.
        space: the space it must be of.
        random_seed: what "random" is drawn with.

    Raises:
        UserError: it is none of these, or of another space.
    """
    if text.strip() == "random":
        return space.sample(random.Random(random_seed))
    content = read_content(text)
    if isinstance(content, dict):
        expected = content.get("decisions_fingerprint", space.decisions_fingerprint)
        if expected != space.decisions_fingerprint:
            raise UserError(f"--architecture {text}: it is of another space than {space.name} as described here")
        listed = [content[key] for key in ("architecture", "names") if key in content]
        if not listed:
            raise UserError(f"--architecture {text}: it has neither a key 'architecture' nor a key 'names'")
        content = listed[0]
    return space.parse(content)


def read_content(text: str) -> Any:
    """The JSON that `text` is or names. Raises UserError where there is none."""
    if text.lstrip().startswith(("[", "{")):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            raise UserError(f"--architecture {text}: not JSON; a list of names or indices is expected") from None
    path = Path(text).expanduser()
    if not path.is_file():
        raise UserError(f"--architecture {text}: no such file ({FORMS})")
    try:
        if path.suffix == ".npy":
            return np.load(path, allow_pickle=False).astype(int).ravel().tolist()
        return json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, EOFError, RecursionError):
        raise UserError(f"--architecture {text}: not an architecture ({FORMS})") from None
