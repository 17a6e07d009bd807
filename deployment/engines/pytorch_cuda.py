"""PyTorch on a CUDA GPU: float32, channels last, batch norms folded, timed by events of the device."""

from __future__ import annotations

import torch
from torch import nn

from config_file.errors import UserError
from deployment.engines.engine import Engine, Run
from deployment.folding import fold_batch_norms
from supernet import Shape


def device() -> str:
    """The GPU's name. Raises UserError where there is none."""
    if not torch.cuda.is_available():
        raise UserError("--engine pytorch_cuda needs a CUDA GPU, and PyTorch finds none here")
    return torch.cuda.get_device_name()


def prepare(layer: nn.Module, shape: Shape, threads: int) -> Run:  # noqa: ARG001  # the same form for all engines
    """The layer on the GPU, on one image of small random numbers that is there already."""
    folded = fold_batch_norms(layer.eval()).cuda().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.randn((1, *shape), generator=torch.Generator().manual_seed(0)).cuda()
    image = image.contiguous(memory_format=torch.channels_last)
    start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))

    def run() -> float:
        with torch.inference_mode():
            torch.cuda.synchronize()
            start.record()
            folded(image)
            end.record()
            end.synchronize()
            return float(start.elapsed_time(end))

    return run


ENGINE = Engine(lambda: f"PyTorch {torch.__version__}, CUDA {torch.version.cuda}", device, prepare)
