"""Networks by name: `elastic:torchvision.models.NAME` or `elastic:package.module:callable`, and settings of either.

torchvision's networks are of one package, whose functions only build: a file may name them. Code of the user's own
counts only where it was typed (`supernet.saved`), as everywhere.
"""

import inspect
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from config_file.errors import UserError, choose
from config_file.plugins import ELASTIC, guarded, is_reference, load_object

TORCHVISION = "torchvision.models."
FORM = f"{ELASTIC}{TORCHVISION}mobilenet_v2 or {ELASTIC}package.module:callable, with ,NAME=NUMBER for settings"
MOST = 1e6
"""The greatest number that a setting may be."""


@dataclass(frozen=True)
class Named:
    """A network that a text names: how it is built, and the settings that the text gives."""

    text: str
    name: str
    settings: dict[str, Any] = field(default_factory=dict)

    @property
    def is_own(self) -> bool:
        """True for code of the user's own."""
        return is_reference(self.name)

    def build(self, num_classes: int, in_channels: int, resolution: int, storage: bool = True) -> nn.Module:
        """The network, as it is built, with weights at random or as its builder loads them; draws change no other's.

        Args:
            num_classes, in_channels, resolution: of the images; a callable is given those that it takes.
            storage: without, weights of torchvision's take up no memory.

        Raises:
            UserError: there is no such thing, it fails, or it gives no network.
        """
        image = {"num_classes": num_classes, "in_channels": in_channels, "resolution": resolution}
        with torch.random.fork_rng(devices=[]), warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # torchvision's, of what it will change
            return self._own(image) if self.is_own else self._torchvision(num_classes, storage)

    def _own(self, image: dict[str, int]) -> nn.Module:
        make = load_object(self.name)
        taken = inspect.signature(make).parameters
        arguments = {name: value for name, value in image.items() if name in taken} | self.settings
        try:
            inspect.signature(make).bind(**arguments)
        except TypeError as error:
            raise UserError(f"{self.name}: {error}; it may take num_classes, in_channels and resolution") from None
        network = guarded(self.name, make)(**arguments)
        if not isinstance(network, nn.Module):
            raise UserError(f"{self.name} returned a {type(network).__name__}, not a torch.nn.Module")
        return network

    def _torchvision(self, num_classes: int, storage: bool) -> nn.Module:
        make = self.builder()
        try:
            with torch.device("cpu" if storage else "meta"):
                network: nn.Module = make(weights=None, num_classes=num_classes, **self.settings)
        except NotImplementedError:  # it computes its widths with tensors
            network = make(weights=None, num_classes=num_classes, **self.settings)
        except Exception as error:  # a setting of any kind
            raise UserError(f"{type(error).__name__}: {' '.join(str(error).split()):.200}") from None
        return network

    def builder(self) -> Callable[..., nn.Module]:
        """The function of torchvision. Raises UserError where there is none."""
        from supernet.torchvision_compat import torchvision  # noqa: PLC0415  # loads what only this needs

        models = torchvision.models
        builders = {name: models.get_model_builder(name) for name in models.list_models(module=models)}
        return choose("network of torchvision.models", self.name.removeprefix(TORCHVISION), builders)


def named(text: str) -> Named:
    """The network that a search space `elastic:...` names. Raises UserError where the text is not of the form."""
    name, *words = text.removeprefix(ELASTIC).split(",")
    if not is_reference(name) and not name.startswith(TORCHVISION):
        raise UserError(f"write {FORM}")
    return Named(text, name, dict(_setting(word) for word in words))


def _setting(word: str) -> tuple[str, Any]:
    key, _, value = word.partition("=")
    if key.isidentifier() and value in ("true", "false"):
        return key, value == "true"
    try:
        number = float(value) if key.isidentifier() else math.nan
    except ValueError:
        number = math.nan
    if not abs(number) <= MOST:
        raise UserError("a setting is NAME=NUMBER, such as width_mult=0.5, or true or false")
    return key, int(number) if number.is_integer() and "." not in value else number
