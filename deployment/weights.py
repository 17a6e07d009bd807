"""A trained network as one self-describing file: safetensors whose metadata says what network the tensors belong to.

The metadata of such a file are strings (a rule of the format). ``format`` names ours, ``spec`` is the network's
:class:`supernet.NetSpec` and every other value is JSON: ``search_space``, ``architecture``, ``classes``, ``mean``,
``std``, ``resolution``, ``in_channels``, ... A file can be read back without any of the code that trained it, and
without executing anything it contains. A ``checksum`` among the metadata is one over the whole file.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save
from torch import nn

from config_file.errors import UserError
from config_file.files import atomic_write_bytes
from config_file.readers.checksum import BLANK, FIELD, sealed_tensors
from config_file.readers.door import reading
from config_file.readers.form import check_form
from config_file.readers.json_text import check_format, parse_json
from config_file.readers.tensors import read_tensors
from supernet.network import Network
from supernet.spec import NetSpec

FORMAT = "oneshot-nas network 3"


def save_network(path: str | Path, network: Network, metadata: Mapping[str, Any]) -> None:
    """Write ``network``'s parameters and buffers with a description of itself; atomic, an existing file is replaced.

    Args:
        metadata: plain data that JSON can hold; ``format``, ``spec`` and ``in_channels`` come from the network.

    Raises:
        ValueError: a value of ``metadata`` is NaN or infinite, which JSON has no words for.
        OSError: the folder is missing, unwritable or full.
    """
    described = {name: json.dumps(value, allow_nan=False) for name, value in metadata.items()}
    described |= {"format": FORMAT, "spec": network.spec.to_json(), "in_channels": json.dumps(network.in_channels)}
    described[FIELD] = BLANK
    # A copy of its own for every tensor: channels_last strides and views of a supernet's larger tensors do not survive.
    tensors = {name: tensor.detach().to("cpu", copy=True).contiguous() for name, tensor in network.state_dict().items()}
    atomic_write_bytes(path, sealed_tensors(save(tensors, described)))


def load_network(path: str | Path) -> tuple[Network, dict[str, Any]]:
    """The network a file holds, in eval mode on the CPU, and its metadata decoded (without ``format`` and ``spec``).

    Raises:
        UserError: no such file, truncated or damaged, not written by :func:`save_network`, a block or a value this
            version does not know, or tensors that are not the ones the specification asks for.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path}: no such file; expected a network's weights, such as runs/TITLE/retrain/model.safetensors"
        )
    described, tensors = read_tensors(path)
    check_format(described.pop("format", None), FORMAT, path)
    if described.pop(FIELD, None) is None:
        raise UserError(f"{path}: it has no {FIELD}: damaged or edited")
    with reading(path, "has metadata that do not describe a network"):
        metadata = {name: parse_json(text, f"{path}, metadata {name}") for name, text in described.items()}
        check_form(metadata, {"spec": list, "in_channels": int}, f"{path}, metadata")
        spec = NetSpec.from_dict(metadata.pop("spec"))
        # On the meta device a specification costs nothing, however large a damaged one claims to be.
        with torch.device("meta"):
            network = Network(spec, metadata["in_channels"])
    check_tensors(path, network, tensors)
    network.load_state_dict(tensors, strict=True, assign=True)
    return network.eval(), metadata


def check_tensors(
    path: str | Path, network: nn.Module, tensors: Mapping[str, torch.Tensor], asking: str = "its own specification"
) -> None:
    """Raises UserError, in one line, where the tensors of a file are not those that a network has, or not finite."""
    expected = network.state_dict()
    lacking, unexpected = expected.keys() - tensors.keys(), tensors.keys() - expected.keys()
    for what, names in (("lacks", lacking), ("has an unexpected", unexpected)):
        if names:
            more = f" and {len(names) - 1} more" if len(names) > 1 else ""
            raise UserError(f"{path}: does not fit {asking}: it {what} {min(names)}{more}")
    for name, want in expected.items():
        have = tensors[name]
        if have.shape != want.shape or have.dtype != want.dtype:
            raise UserError(f"{path}: does not fit {asking}: {name} is {_described(have)}, expected {_described(want)}")
        if have.is_floating_point() and not bool(have.isfinite().all()):
            raise UserError(f"{path}: {name} holds NaN or infinity; the training that wrote it diverged")


def _described(tensor: torch.Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {list(tensor.shape)}"
