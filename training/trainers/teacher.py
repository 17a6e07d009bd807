"""Teacher: a trained network that another one learns from.

`--teacher` is what `retrain.py` left, its folder or its model.safetensors, or NAME=FILE: the state dict of the network
that torchvision calls so, such as resnet18=weights.pth. Either must tell apart the classes of the data set.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from math import log2
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from config_file.errors import UserError, choose
from config_file.fields import option
from config_file.options import options
from deployment.retrained import described_input
from deployment.weights import check_tensors, load_network
from supernet import Network
from supernet.blocks import Shape
from supernet.pretrained import read_state_dict
from tasks import task_of
from training.data import Data
from training.divergences import DivergenceOptions

WEIGHTS = "model.safetensors"
FORMS = "a folder of retrain.py, its model.safetensors, or NAME=FILE with the weights of torchvision's network NAME"


KD, NST, BOTH = "kd", "nst", "kd,nst"
ONLY_KD = {"distill": (KD, BOTH)}


@options("Distillation")
class TeacherOptions(DivergenceOptions):
    """A teacher, and what its answers count."""

    teacher: str | None = option(
        None, f"a trained network, whose answers are learned too: {FORMS}", metavar="WHICH", decides="training"
    )
    kd_alpha: float = option(1.0, "weight of the teacher's answers", at_least=0, only=ONLY_KD, decides="training")
    plain_weight: float = option(
        1.0, "with a teacher: weight of the loss of the labels", at_least=0, decides="training"
    )


class Teacher:
    """A frozen network in eval mode, called with the images of a student.

    Args:
        name: as the user calls it.
        about: {mean, std, colour_order, resolution} of the images that it was trained on; what is missing is as in
            `data`. Images come as `data` gives them and are brought to that.

    Attributes:
        side: of the images that it reads, in pixels.
        maps: its feature maps of them, see `feature_maps`.
        sha256: of its weights.
    """

    def __init__(
        self, name: str, network: nn.Module, about: Mapping[str, Any], data: Data, device: torch.device, sha256: str
    ) -> None:
        self.name, self.sha256 = name, sha256
        self._network = network.to(device).eval().requires_grad_(requires_grad=False)
        self.side = int(about.get("resolution") or data.resolution)
        self.maps = feature_maps(self._network, (data.in_channels, self.side, self.side), device)
        self._flip = about.get("colour_order", data.colour_order) != data.colour_order
        mean, std = (torch.tensor(about.get(key, getattr(data, key)), device=device) for key in ("mean", "std"))
        given_mean, given_std = (torch.tensor(value, device=device) for value in (data.mean, data.std))
        given_mean, given_std = (v.flip(0) if self._flip else v for v in (given_mean, given_std))
        # (pixel - mean) / std of its own, from (pixel - given mean) / given std.
        self._scale = (given_std / std).view(-1, 1, 1)
        self._shift = ((given_mean - mean) / std).view(-1, 1, 1)
        self._normalised = bool((mean == given_mean).all() and (std == given_std).all())

    def check(self, sha256: str | None) -> None:
        """Raises UserError where a training that goes on began with other weights than these."""
        if sha256 != self.sha256:
            raise UserError(f"--teacher {self.name}: its weights are not those that this training began with")

    @torch.no_grad()
    def __call__(self, x: Tensor, names: Collection[str] = ()) -> tuple[Tensor, dict[str, Tensor]]:
        """Images (B, C, H, W) as the student sees them -> outputs (B, O), and the named maps (B, C', H', W')."""
        x = x.flip(1) if self._flip else x
        x = x if self._normalised else x * self._scale + self._shift
        if x.shape[-1] != self.side:
            x = F.interpolate(x, (self.side, self.side), mode="bilinear", align_corners=False)
        return with_maps(self._network, x, names)


def read_teacher(text: str, data: Data, device: torch.device) -> Teacher:
    """The teacher that `--teacher` names, for the classes of `data`.

    Raises:
        UserError: it is missing, damaged, or was trained on other classes or another task.
    """
    name, equals, file = text.partition("=")
    if equals and not Path(text).expanduser().exists():
        return _of_torchvision(text, name, file, data, device)
    path = Path(text).expanduser()
    path = next((folder / WEIGHTS for folder in (path, path / "retrain") if (folder / WEIGHTS).is_file()), path)
    if not path.is_file():
        raise UserError(f"--teacher {text}: there is no trained network; it is {FORMS}")
    if path.suffix != ".safetensors":
        raise UserError(f"--teacher {text}: say whose weights these are: --teacher resnet18={text}, or another name")
    network, about = load_network(path)
    classes, *_ = described_input(path, about)
    _check_classes(text, classes, data)
    if task_of(about) is not data.task or about["in_channels"] != data.in_channels:
        raise UserError(f"--teacher {text}: it was trained for other images or another task than {data.name}")
    return Teacher(text, network, about, data, device, _digest(network.state_dict()))


def _of_torchvision(text: str, name: str, file: str, data: Data, device: torch.device) -> Teacher:
    """A network of torchvision's with weights from a file, which read images as the data set gives them."""
    from supernet.torchvision_compat import torchvision  # noqa: PLC0415  # loads what only this needs

    known = {entry: entry for entry in torchvision.models.list_models(module=torchvision.models)}
    name = choose("network of torchvision", name, known)
    tensors = read_state_dict(file, f"--teacher {name}:")
    last = next(reversed(tensors.values()), None)  # of the classifier
    outputs = len(last) if last is not None and last.ndim else 0
    if outputs != len(data.classes):
        _refuse(text, f"{outputs:,} classes", data)
    with torch.device("meta"):
        network = torchvision.models.get_model(name, weights=None, num_classes=outputs)
    counters = {key: torch.tensor(0) for key in network.state_dict() if key.endswith("num_batches_tracked")}
    tensors = counters | tensors  # of an old version, which did not count
    check_tensors(file, network, tensors, f"torchvision's {name}")
    network.load_state_dict(tensors, assign=True)
    return Teacher(text, network, {}, data, device, _digest(tensors))


def _check_classes(text: str, classes: Sequence[str], data: Data) -> None:
    if len(classes) != len(data.classes):
        _refuse(text, f"{len(classes):,} classes", data)
    for number, (theirs, ours) in enumerate(zip(classes, data.classes, strict=True)):
        if theirs != ours:
            raise UserError(
                f"--teacher {text}: it was trained on other classes than {data.name}: its class {number} is "
                f"{theirs!r:.40}, that of the data {ours!r:.40}"
            )


def _refuse(text: str, classes: str, data: Data) -> None:
    raise UserError(
        f"--teacher {text}: it was trained on {classes}, {data.name} has {len(data.classes):,}: a teacher and its "
        "student tell the same classes apart"
    )


def _digest(tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        digest.update(name.encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def feature_maps(network: nn.Module, shape: Shape, device: torch.device) -> dict[str, Shape]:
    """The (C, H, W) of every feature map of more than one pixel, by name, in the order in which they are ready.

    Names are the sites of our own networks and the modules of others.
    """
    if isinstance(network, Network):
        found = {site: output for site, (_, output) in network.spec.shapes(shape).items()}
    else:
        names = [name for name, _ in network.named_modules() if name]
        was_training = network.training
        with torch.no_grad():
            maps = with_maps(network.eval(), torch.zeros(2, *shape, device=device), names)[1]
        network.train(was_training)
        found = {name: tuple(value.shape[1:]) for name, value in maps.items() if value.ndim == 4}  # type: ignore[misc]
    return {name: output for name, output in found.items() if output[1] * output[2] > 1}


def with_maps(network: nn.Module, x: Tensor, names: Collection[str]) -> tuple[Tensor, dict[str, Tensor]]:
    """The outputs (B, O) of a network and the maps that it named, in the order in which they are ready."""
    if isinstance(network, Network):
        taps: dict[str, Tensor | None] = dict.fromkeys(names)
        outputs = network(x, taps) if taps else network(x)
        return outputs, {name: value for name, value in taps.items() if value is not None}
    found: dict[str, Tensor] = {}

    def keep(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
        del module, inputs
        if isinstance(output, Tensor):
            found.pop(name, None)
            found[name] = output

    with ExitStack() as hooks:
        for name in names:
            hooks.callback(network.get_submodule(name).register_forward_hook(partial(keep, name)).remove)
        outputs = network(x)
    return outputs, found


def last_of_each_scale(maps: Mapping[str, Shape], side: int) -> dict[int, str]:
    """{how often the image of `side` pixels was halved: the last map of that size}, of outermost modules there."""
    found: dict[int, str] = {}
    for name, shape in maps.items():
        scale = round(log2(side / max(1, shape[1])))
        if scale not in found or name.count(".") <= found[scale].count("."):
            found[scale] = name
    return found
