"""Hardware by the names of ProxylessNAS (Cai et al. 2019): words for the options that load, measure or count its costs.

Tables are fetched by the user; nothing is fetched here.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, NamedTuple, TypeVar

from config_file.errors import UserError, choose
from config_file.options import was_given

BUILD, IMPORT = "build", "import"

T = TypeVar("T")


class Hardware(NamedTuple):
    """A piece of hardware: what it is, and the options that it stands for, by command."""

    about: str
    options: Mapping[str, Mapping[str, Any]]


_PIXEL = {
    "format": "proxylessnas",
    "search_space": "proxylessnas",
    "skip": "identity",
    "device": "Google Pixel 1",
    "engine": "TensorFlow Lite",
    "threads": 1,
}

HARDWARE: dict[str, Hardware] = {
    "mobile": Hardware("a Pixel 1, by ProxylessNAS's table (--file mobile_trim.yaml)", {IMPORT: _PIXEL}),
    "cpu": Hardware(
        "this machine's CPU, or by a table of FBNet's kind (--file lookup_table.txt)",
        {
            BUILD: {"metric": "latency", "engine": "pytorch"},
            IMPORT: {"format": "fbnet", "search_space": "fbnet_l", "device": "an x86 CPU", "engine": "PyTorch"},
        },
    ),
    "gpu8": Hardware(
        "this machine's GPU, eight images at once",
        {BUILD: {"metric": "latency", "engine": "pytorch_cuda", "batch": 8}},
    ),
    "flops": Hardware("no hardware: multiply-accumulates are counted", {BUILD: {"metric": "flops"}}),
}
"""By the name that --hardware takes."""

MEANING = "; ".join(f"{name}: {entry.about}" for name, entry in HARDWARE.items())


def with_hardware(options: T, command: str) -> T:
    """The options of a command with those that --hardware stands for; what was given beside it stays.

    Raises:
        UserError: an unknown name, or one that another command is for.
    """
    name = getattr(options, "hardware", None)
    if name is None:
        return options
    entry = choose("hardware", name, HARDWARE)
    if command not in entry.options:
        (other,) = entry.options
        raise UserError(f"--hardware {name} is {entry.about}: python -m lookup_tables {other} --hardware {name}")
    meant = {field: value for field, value in entry.options[command].items() if not was_given(options, field)}
    return replace(options, **meant)  # type: ignore[type-var]
