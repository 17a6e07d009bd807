"""A GPU that is pretended: tensors that say they are on "cuda:0", hold their numbers on the CPU, and note who waits.

`with PretendedGpu() as gpu:` lets `.to("cuda")` and `device="cuda"` give such tensors. What is run on them runs on the
CPU, so that the numbers are those of the CPU and every branch for CUDA is taken; `gpu.waits` lists the places where a
real GPU would make the host wait: a number read by Python, indices that depend on values, a copy to the device that is
not `non_blocking` or not from pinned memory, a copy from the device. Tensors on two devices do not mix, as on a real
one. What it cannot show is the arithmetic, the memory and the speed of a GPU.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from torch.overrides import TorchFunctionMode

GPU = torch.device("cuda", 0)
NEEDS_GPU = [pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")]
"""Marks of a parameter with which a test needs a real one."""


def needs_gpu(test: Callable[..., None]) -> Callable[..., None]:
    """A test that needs a real one."""
    for mark in NEEDS_GPU:
        test = mark(test)
    return test


ROOT = f"{Path(__file__).resolve().parent.parent.parent}{os.sep}"
OURS = tuple(
    f"{ROOT}{room}{os.sep}" for room in ("supernet", "training", "search", "tasks", "lookup_tables", "deployment")
)

READS = ("item", "tolist", "__bool__", "__float__", "__int__", "__index__", "numpy", "cpu")
"""Methods by which Python reads numbers of a tensor."""

VALUES = {"nonzero", "masked_select", "_unique2", "unique_dim", "unique_consecutive", "repeat_interleave", "equal"}
"""Operators whose result's shape or value the host must know."""

_notes: list[list[str]] = []  # of the pretended GPUs that are open


def _note(what: str) -> None:
    """Note a wait, with the line of ours that caused it."""
    frame = sys._getframe(1)
    while frame.f_back is not None and not frame.f_code.co_filename.startswith(OURS):
        frame = frame.f_back
    if _notes:
        _notes[-1].append(f"{what} at {frame.f_code.co_filename.removeprefix(ROOT)}:{frame.f_lineno}")


class OnGpu(torch.Tensor):
    """A tensor that says it is on the GPU; `inner` has its numbers."""

    device = GPU  # type: ignore[assignment]
    is_cuda = True  # type: ignore[assignment]
    inner: torch.Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl  # type: ignore[assignment]

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> OnGpu:
        with torch.inference_mode(mode=False):  # a view of what is no inference tensor is none either
            self = torch.Tensor._make_wrapper_subclass(  # type: ignore[attr-defined]
                cls, inner.size(), strides=inner.stride(), storage_offset=inner.storage_offset(), dtype=inner.dtype
            )
        self.inner = inner
        return self

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        name = func.overloadpacket.__name__
        there: dict[int, OnGpu] = {}
        here: list[torch.Tensor] = []

        def unwrapped(t: torch.Tensor) -> torch.Tensor:
            if not isinstance(t, OnGpu):
                here.extend([t] if t.dim() else [])
                return t
            there[id(t.inner)] = t
            return t.inner

        inner_args, inner_kwargs = _mapped(unwrapped, args), _mapped(unwrapped, kwargs)
        _check(name, args, kwargs, here)
        out = func(*inner_args, **inner_kwargs)
        if name == "copy_" and not isinstance(args[0], OnGpu):
            return args[0]
        return _mapped(lambda t: there[id(t)] if id(t) in there else OnGpu(t), out)

    def to(self, *args: Any, **kwargs: Any) -> torch.Tensor:
        device, dtype, non_blocking, memory_format = torch._C._nn._parse_to(*_plain(args), **_plain(kwargs))
        if _is(args, kwargs, "cpu"):
            _note("a copy from the device")
            return self.inner.to(*args, **kwargs)
        del device, non_blocking
        changes = {} if memory_format is None else {"memory_format": memory_format}
        return super().to(dtype or self.dtype, **changes)

    def cuda(self, *_: Any, **__: Any) -> torch.Tensor:  # type: ignore[override]
        return self

    def new_tensor(self, data: Any, **kwargs: Any) -> torch.Tensor:  # type: ignore[override]
        _note("new_tensor copies to the device")
        return OnGpu(torch.tensor(data, dtype=kwargs.get("dtype") or self.dtype))

    def __setitem__(self, index: Any, value: Any) -> None:
        if isinstance(value, torch.Tensor):
            super().__setitem__(index, value)
        else:
            self[index].fill_(value)

    def __deepcopy__(self, memo: dict[int, Any]) -> OnGpu:
        copy = self.detach().clone().requires_grad_(self.requires_grad)
        if getattr(self, "_is_param", False):
            copy._is_param = True  # type: ignore[attr-defined]
        memo[id(self)] = copy
        return copy  # type: ignore[return-value]

    def __repr__(self) -> str:  # type: ignore[override]
        return f"OnGpu({self.inner!r})"


def _mapped(change: Callable[[torch.Tensor], torch.Tensor], value: Any) -> Any:
    """The value with every tensor in it changed."""
    if isinstance(value, torch.Tensor):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(_mapped(change, one) for one in value)
    return {key: _mapped(change, one) for key, one in value.items()} if isinstance(value, dict) else value


def _reader(name: str) -> Callable[..., Any]:
    def read(self: OnGpu, *args: Any, **kwargs: Any) -> Any:
        _note(f"{name.strip('_')}()")
        return getattr(self.inner, name)(*args, **kwargs)

    return read


for _name in READS:
    setattr(OnGpu, _name, _reader(_name))


def _check(name: str, args: Any, kwargs: Any, here: list[torch.Tensor]) -> None:
    """Note what waits, and refuse what would not run on a real GPU."""
    if name in VALUES:
        _note(name)
    elif name == "_local_scalar_dense":
        _note("a number")
    elif name in ("index", "index_put_", "index_put", "_index_put_impl_"):
        indices = [t for t in args[1] if t is not None]
        if any(t.dtype in (torch.bool, torch.uint8) for t in indices):
            _note("a mask as index")
        if any(not isinstance(t, OnGpu) for t in indices):
            _note("an index from the host")
    elif name == "copy_":
        target, source = args[:2]
        if not isinstance(target, OnGpu):
            _note("a copy from the device")
        elif not isinstance(source, OnGpu) and not _goes_on(
            source, kwargs.get("non_blocking", len(args) > 2 and args[2])
        ):
            _note("copy_ to the device")
    elif here:
        raise RuntimeError(f"{name}: tensors on the CPU and on cuda:0")


def _goes_on(source: torch.Tensor, non_blocking: bool) -> bool:
    """Whether the host goes on while a tensor is copied to the device."""
    return non_blocking and getattr(source, "pinned", False)


def _plain(value: Any) -> Any:
    """Arguments without the device, which this build of torch may not know."""
    if isinstance(value, dict):
        return {key: torch.device("cpu") if key == "device" else one for key, one in value.items()}
    return tuple(torch.device("cpu") if _is_device(one) else one for one in value)


def _is_device(value: Any) -> bool:
    return isinstance(value, torch.device) or (isinstance(value, str) and value.split(":")[0] in ("cpu", "cuda"))


def _is(args: Any, kwargs: Any, kind: str) -> bool:
    """Whether a device of this kind is named, or that of a tensor."""
    named = [torch.device(v) for v in (*args, kwargs.get("device")) if _is_device(v)]
    named += [v.device for v in args[:1] if isinstance(v, torch.Tensor)]
    return any(device.type == kind for device in named)


class PretendedGpu(TorchFunctionMode):
    """Inside, "cuda" is a device of this machine; `waits` lists where the host would wait for it."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[str] = []
        self._patches = ExitStack()

    def __enter__(self) -> PretendedGpu:
        _notes.append(self.waits)
        grouped = torch._C._group_tensors_by_device_and_dtype

        def group(lists: Any, *rest: Any) -> Any:
            on_gpu = any(isinstance(t, OnGpu) for tensors in lists for t in tensors)
            return {(GPU if on_gpu else device, dtype): v for (device, dtype), v in grouped(lists, *rest).items()}

        overwrite = torch.__future__.get_overwrite_module_params_on_conversion()
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        self._patches.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrite)
        self._patches.enter_context(mock.patch.object(torch._C, "_group_tensors_by_device_and_dtype", group))
        self._patches.enter_context(mock.patch.object(torch.cuda, "manual_seed"))
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        self._patches.close()
        _notes.pop()

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        name = getattr(func, "__name__", "")
        if name == "pin_memory" and isinstance(args[0], torch.Tensor):
            pinned = args[0].clone()
            pinned.pinned = True  # type: ignore[attr-defined]
            return pinned
        if name == "to" and not isinstance(args[0], OnGpu):
            if not _is(args[1:], kwargs, "cuda"):
                return func(*args, **kwargs)
            if not _goes_on(args[0], kwargs.get("non_blocking", False)):
                _note("to() the device")
            return _wrapped(
                func(args[0], *_plain(args[1:]), **_plain(kwargs)).clone(memory_format=torch.preserve_format)
            )
        asked = kwargs.get("device")
        if asked is None or torch.device(asked).type != "cuda":
            return func(*args, **kwargs)
        if func is torch.tensor or func is torch.as_tensor:
            _note(f"{name}() on the device")
        if any(isinstance(t, OnGpu) for t in args):  # zeros_like, or tensor.new_zeros
            kwargs.pop("device")
            return func(*args, **kwargs)
        return _wrapped(func(*args, **_plain(kwargs)))


def _wrapped(tensor: torch.Tensor) -> torch.Tensor:
    """The same on the GPU; a parameter stays one where the caller makes it so."""
    wrapped = OnGpu(tensor.detach())
    return wrapped.requires_grad_(tensor.requires_grad)
