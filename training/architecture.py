"""The network to retrain: the one a search found, one from a file or the command line, or a random one."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from config_file.errors import UserError
from config_file.options import was_given
from config_file.readers.json_text import read_json_of_anybody
from config_file.stages import find_stage, stage_path
from supernet import Architecture, NetworkSpace
from supernet.saved import (
    RANDOM,
    architecture_of,
    decisions_of,
    named_space,
    recorded_name,
    space_of,
    widens,
)
from supernet.spaces import SETTINGS, SHARED
from supernet.written import read_architecture
from training.data import Data
from training.options import RetrainOptions


@dataclass(frozen=True)
class Chosen:
    """An architecture, the space it is of (for this data set's resolution and classes), and where it comes from."""

    space: NetworkSpace
    architecture: Architecture
    origin: str


def choose_architecture(options: RetrainOptions, data: Data) -> Chosen:
    """The architecture that `--architecture` asks for; without it what the search of the same title found.

    Args:
        options: `architecture` is None, "random" (drawn with `random_seed`), or whatever else
            `supernet.written.read_architecture` takes; a search's best.json and published names bring their space.
        data: its resolution and classes are those of the network.

    Raises:
        UserError: there is no such file, or what it holds is not an architecture of the space.
    """
    text = options.architecture
    if text is None:
        text = str(find_stage(options, "search") / "best.json")
    content = read_architecture(text)
    origin = "--architecture" if {*text} & {"[", "{", " ", ","} else text
    if content == RANDOM:
        origin = f"random, seed {options.random_seed}"
    image = {
        "resolution": data.resolution,
        "num_classes": len(data.classes),
        "in_channels": data.in_channels,
    }
    space = space_of_training(content, options, image, origin)
    return Chosen(space, architecture_of(content, space, origin, options.random_seed), origin)


def space_of_training(content: Any, options: RetrainOptions, image: dict[str, Any], origin: str) -> NetworkSpace:
    """The space that the content says it is of, with what this command asks for.

    That may be wider or deeper than what was searched, or another space, as long as its decisions are the same.

    Args:
        content: of a search's best.json, or whatever else says an architecture.
        image: resolution, num_classes and in_channels.
        origin: of the content, for people.

    Raises:
        UserError: the decisions are others.
    """
    if not isinstance(content, dict) or "space_options" not in content:
        return _asked_space(options, image)
    trusted = options.search_space
    asked = {name: getattr(options, name) for name in SETTINGS if was_given(options, name)}
    expected = decisions_of(content, origin, trusted)
    # What a supernet's space has for the sake of sharing alone is not for a network that begins on its own.
    alone = _alone(options)
    other = trusted != recorded_name(content) and not widens(content, trusted)
    if was_given(options, "search_space") and other:
        space = named_space(options, **image)
        asked = {"search_space": trusted} | asked
    else:
        space = space_of(content, origin, trusted, **image, **(alone | asked))
    if asked and space.decisions_fingerprint != expected:
        flags = " ".join(f"--{name.replace('_', '-')} {value}" for name, value in asked.items())
        raise UserError(
            f"{flags}: the network in {origin} is of another one; --architecture LIST or random trains one of this"
        )
    return space


def _asked_space(options: RetrainOptions, image: dict[str, Any]) -> NetworkSpace:
    """The space that the options name. Where it is a file that has moved since the supernet of the run was trained, or
    its search ended, it is what these say.
    """
    settings = {name: getattr(options, name) for name in SETTINGS if getattr(options, name) is not None}
    if not was_given(options, "search_space") and _is_gone(options.search_space):
        for stage, file in (("supernet", "supernet.json"), ("search", "best.json")):
            path = stage_path(options, stage) / file
            if path.is_file() and isinstance(record := read_json_of_anybody(path, path), dict):
                return space_of(record, path, **image, **(_alone(options) | settings))
    return named_space(options, **image)


def _alone(options: RetrainOptions) -> dict[str, Any]:
    """Settings that are not taken from a recorded space, unless the network begins with a supernet's weights."""
    return {} if options.init == "supernet" else dict.fromkeys(SHARED)


def _is_gone(search_space: str) -> bool:
    return search_space.endswith((".yml", ".yaml")) and not Path(search_space).is_file()
