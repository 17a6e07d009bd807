"""PyTorch itself, on the CPU or on a CUDA GPU: float32, channels last, batch norms folded."""

from functools import partial
from pathlib import Path

import numpy as np
import torch
from torch import nn

from config_file.errors import UserError
from deployment.engines.engine import Engine, Floats, Layer, timed
from deployment.folding import fold_batch_norms


class TorchSession:
    """A module on a device. On a GPU runs are timed by the device's own events, on images that are there already."""

    def __init__(self, module: nn.Module, device: str) -> None:
        self._module = module.to(device).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._device = device

    def run(self, x: Floats) -> Floats:
        with torch.inference_mode():
            outputs: Floats = self._module(self._image(x)).cpu().numpy()
        return outputs

    def time(self, x: Floats, runs: int) -> list[float]:
        image = self._image(x)
        with torch.inference_mode():
            if self._device == "cpu":
                return timed(partial(self._module, image), runs)
            return [self._by_events(image) for _ in range(runs)]

    def _image(self, x: Floats) -> torch.Tensor:
        image = torch.from_numpy(np.ascontiguousarray(x)).to(self._device)
        return image.contiguous(memory_format=torch.channels_last)

    def _by_events(self, image: torch.Tensor) -> float:
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        torch.cuda.synchronize()
        start.record()
        self._module(image)
        end.record()
        end.synchronize()
        return float(start.elapsed_time(end))


def load(device: str, model: Path | Layer, *, threads: int = 1, optimise: bool = True) -> TorchSession:
    """The layer itself on a device; batch norms stay where nothing shall be optimised.

    On the CPU the number of threads is set for the whole process.

    Raises:
        UserError: an ONNX file, which PyTorch does not run.
    """
    if isinstance(model, Path):
        raise UserError(f"PyTorch does not run {model.name}: it runs layers")
    if device == "cpu":
        torch.set_num_threads(threads)
    module = model.module.eval()
    return TorchSession(fold_batch_norms(module) if optimise else module, device)


def gpu() -> str:
    """The GPU's name. Raises UserError where there is none."""
    if not torch.cuda.is_available():
        raise UserError("--engine pytorch_cuda needs a CUDA GPU, and PyTorch finds none here")
    return torch.cuda.get_device_name()


CPU = Engine("pytorch", lambda: f"PyTorch {torch.__version__}", partial(load, "cpu"), batches=True)
CUDA = Engine(
    "pytorch_cuda",
    lambda: f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}",
    partial(load, "cuda"),
    gpu,
    batches=True,
)
