"""Engine: something that runs networks, for parity, latency and lookup tables alike."""

import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import nn

from config_file.environment import describe_environment
from config_file.errors import UserError
from deployment.onnx_export import to_onnx
from supernet.blocks import Shape

Floats = NDArray[np.float32]


class Layer(NamedTuple):
    """A block or a network as a PyTorch module in evaluation mode, and the (C, H, W) of its input."""

    module: nn.Module
    shape: Shape


class Session(Protocol):
    """A model that an engine has loaded."""

    def run(self, x: Floats) -> Floats:
        """Outputs (N, ...) for images (N, C, H, W)."""

    def time(self, x: Floats, runs: int) -> list[float]:
        """Milliseconds of each of some runs on x; warm-up runs are the caller's."""


class Load(Protocol):
    """Loads a model, given as an ONNX file or as a layer. Raises UserError where the engine does not take it."""

    def __call__(self, model: Path | Layer, *, threads: int = 1, optimise: bool = True) -> Session: ...


class Script(NamedTuple):
    """Lines of Python by which an engine runs an ONNX file, for the example of a deployment card.

    Args:
        imports: the line that imports it.
        load: makes `session` of the path `model`.
        run: an expression for the outputs (N, O) of `x`; `{input}` stands for the name of the graph's input.
    """

    imports: str
    load: str
    run: str


def processor() -> str:
    """The CPU of this machine, in words."""
    return str(describe_environment()["processor"] or "unknown CPU")


class Engine(NamedTuple):
    """One way to run networks.

    Args:
        name: in options and messages.
        version: of the engine, in words.
        load: loads a model.
        device: what it runs on, in words. Raises UserError where that is not there.
        script: for the card; None of an engine that does not run ONNX files.
        batches: whether it runs several images of a layer at once.
    """

    name: str
    version: Callable[[], str]
    load: Load
    device: Callable[[], str] = processor
    script: Script | None = None
    batches: bool = False


def package(engine: str, name: str, extra: str = "engines") -> ModuleType:
    """The package that an engine is made of. Raises UserError where it is not installed."""
    try:
        return import_module(name)
    except ImportError:
        raise UserError(
            f"--engine {engine} needs {name}, which is not installed: pip install -e '.[{extra}]'"
        ) from None


@contextmanager
def silent() -> Iterator[None]:
    """Keep what native code prints away from standard output."""
    sys.stdout.flush()
    kept = os.dup(1)
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - /dev/null
        os.dup2(nowhere.fileno(), 1)
    try:
        yield
    finally:
        os.dup2(kept, 1)
        os.close(kept)


class OneByOne:
    """A session of an engine that takes one image at a time. Subclasses give `one`: (1, C, H, W) -> (1, ...)."""

    def one(self, x: Floats) -> Floats:
        raise NotImplementedError

    def run(self, x: Floats) -> Floats:
        return np.concatenate([self.one(x[index : index + 1]) for index in range(len(x))])

    def time(self, x: Floats, runs: int) -> list[float]:
        return timed(partial(self.one, x), runs)


def onnx_bytes(model: Path | Layer) -> bytes:
    """A model as an ONNX graph, batch norms folded: the file, or the export of a layer.

    Raises:
        UserError: PyTorch cannot export the layer.
    """
    if isinstance(model, Path):
        return model.read_bytes()
    return to_onnx(model.module, model.shape, exporter="legacy", opset=17).SerializeToString()


def run_batches(session: Session, images: Floats, batch_size: int = 1) -> Floats:
    """Outputs of images (N, C, H, W), computed ``batch_size`` at a time; the last batch may be smaller."""
    starts = range(0, len(images), batch_size)
    return np.concatenate([session.run(images[start : start + batch_size]) for start in starts])


def timed(call: Callable[[], object], runs: int) -> list[float]:
    """Milliseconds of each of some calls, by the clock of this machine."""
    times = []
    for _ in range(runs):
        start = time.perf_counter()
        call()
        times.append((time.perf_counter() - start) * 1e3)
    return times
