"""The device of a training, and its number format."""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import TypeVar

import torch
from torch import nn

from config_file import ranks
from config_file.errors import UserError, choose
from training.data.seeds import seed_of
from training.host_memory import keep_freed_memory

Model = TypeVar("Model", bound=nn.Module)

AMP = {"auto": None, "off": None, "bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """The device called auto (a CUDA device if there is one), cpu, cuda or cuda:1; of ranks each has a GPU of its own.

    Raises:
        UserError: not such a name, or no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    kind, _, index = name.partition(":")
    choose("device", kind, {"auto": None, "cpu": None, "cuda": None})
    if index and not index.isdecimal():
        raise UserError(f"--device {name}: write cuda or cuda:0")
    if index and kind != "cuda":
        raise UserError(f"--device {name}: only cuda has a number, such as cuda:1")
    if kind == "cuda" and not torch.cuda.is_available():
        raise UserError(f"--device {name}: there is no CUDA device here (choices: auto, cpu)")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        raise UserError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, counted from 0")
    if kind == "cuda" and not index and ranks.count() > 1:
        index, there = os.environ.get("LOCAL_RANK", "0"), torch.cuda.device_count()
        if int(index) >= there:
            raise UserError(f"rank {ranks.number()} has no GPU of its own, of {there} here: --nproc-per-node {there}")
    return torch.device(kind, int(index)) if index else torch.device(kind)


def prepare_device(device: torch.device, threads: int) -> None:
    """Set the number of CPU threads (0 leaves torch's choice) and what makes steps fast.

    On a CPU freed memory is kept. With CUDA, cuDNN times its kernels once per shape, and float32 is float32: PyTorch's
    convolutions would else round their inputs to the ten bits of TF32.
    """
    if threads:
        torch.set_num_threads(threads)
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.backends.cudnn.allow_tf32 = False
        if device.index is not None:
            torch.cuda.set_device(device)  # whose generator `seed_step` seeds


def memory_of(device: torch.device) -> int:
    """Bytes of memory that a GPU has, free or not."""
    return int(torch.cuda.get_device_properties(device).total_memory)


def place(model: Model, device: torch.device, channels_last: bool) -> Model:
    """Move a model to its device and memory format."""
    model = model.to(device)
    return model.to(memory_format=torch.channels_last) if channels_last else model  # type: ignore[call-overload]


def choose_amp(name: str, device: torch.device) -> torch.dtype | None:
    """The number format of autocast, None for float32.

    On a CPU it is always float32: in channels_last layout bfloat16 autocast takes about twice as long. On CUDA, auto is
    bfloat16 where the device computes in it and float16 elsewhere.

    Raises:
        UserError: unknown name.
    """
    dtype = choose("amp", name, AMP)
    if device.type != "cuda":
        return None
    if name == "auto":
        return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
    return dtype


def autocast(device: torch.device, dtype: torch.dtype | None) -> AbstractContextManager[object]:
    """Autocast to dtype, or nothing at all."""
    return nullcontext() if dtype is None else torch.autocast(device.type, dtype)


def seed_step(device: torch.device, seed: int, step: int, piece: int = 0) -> None:
    """Seed torch's generators of the CPU and of `device` for one step, or a piece of its batch.

    What a step draws (dropout) then depends on these numbers only, not on what ran before. torch.manual_seed does the
    same for every backend there is, and takes 100 times as long.
    """
    mixed = seed_of("step", seed, step, *([piece] if piece else []))
    torch.default_generator.manual_seed(mixed)
    if device.type == "cuda":
        torch.cuda.manual_seed(mixed)
