"""torchvision, also where its compiled operators are missing.

``from supernet.torchvision_compat import torchvision`` instead of ``import torchvision``.

A torchvision wheel built for one torch refuses to be imported beside another build of it (a CPU torch next to the
default wheel is the usual case): ``RuntimeError: operator torchvision::nms does not exist``. Two operators of object
detection are then missing, and nothing that image classification needs. Declaring their signatures is enough for
``transforms``, ``datasets`` and ``models``; calling ``torchvision.ops.nms`` or ``torchvision.io.read_image`` still
fails, as it must.
"""

import importlib
import sys
from types import ModuleType

import torch

_MISSING_OPERATORS = ("nms", "qnms")
_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
# torch forgets the operators of a Library once the object is collected, so it lives as long as this module.
_libraries: list[torch.library.Library] = []


def import_torchvision() -> ModuleType:
    """Return the ``torchvision`` module, with ``torchvision.transforms.v2`` loaded.

    Raises:
        ImportError: torchvision is not installed.
        RuntimeError: its import fails for another reason than missing operators.
    """
    try:
        module = importlib.import_module("torchvision")
    except RuntimeError as error:
        if "torchvision::" not in str(error):
            raise
        for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
            del sys.modules[name]  # it is half imported
        library = torch.library.Library("torchvision", "FRAGMENT")
        for name in _MISSING_OPERATORS:
            if not hasattr(torch.ops.torchvision, name):
                library.define(name + _SCHEMA)
        _libraries.append(library)
        module = importlib.import_module("torchvision")
    # torchvision does not load v2 by itself; here it becomes reachable as an attribute.
    importlib.import_module("torchvision.transforms.v2")
    return module


torchvision = import_torchvision()
