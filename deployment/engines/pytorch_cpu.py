"""PyTorch on the CPU: float32, channels last, batch norms folded."""

from __future__ import annotations

import time

import torch
from torch import nn

from config_file.environment import describe_environment
from deployment.engines.engine import Engine, Run
from deployment.folding import fold_batch_norms
from supernet import Shape


def prepare(layer: nn.Module, shape: Shape, threads: int) -> Run:
    """The layer itself, on one image of small random numbers. The number of threads is the process's."""
    torch.set_num_threads(threads)
    folded = fold_batch_norms(layer.eval()).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    image = torch.randn((1, *shape), generator=torch.Generator().manual_seed(0))
    image = image.contiguous(memory_format=torch.channels_last)

    def run() -> float:
        with torch.inference_mode():
            start = time.perf_counter()
            folded(image)
            return (time.perf_counter() - start) * 1e3

    return run


ENGINE = Engine(lambda: f"PyTorch {torch.__version__}", lambda: str(describe_environment()["processor"]), prepare)
