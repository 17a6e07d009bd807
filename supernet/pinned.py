"""Copies to a device that the host does not wait for.

CUDA copies from pageable memory while the host stands by. From pinned memory a copy is queued like a kernel; PyTorch
keeps the pinned block until it is done.
"""

import torch
from torch import Tensor


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A tensor of the CPU on `device`, ready for whatever is queued there next."""
    return (tensor.pin_memory() if device.type == "cuda" else tensor).to(device, non_blocking=True)
