"""A module as an ONNX graph that mobile engines accept, from either of PyTorch's two exporters.

The legacy exporter (opset 13 to 20) is the default, as it takes a second where the dynamo one (opset 18 and above)
takes several. What the two leave different or awkward is evened out here and in :mod:`deployment.onnx_graph`, so that
both give the same nodes, and every graph passes :func:`deployment.onnx_checks.check_graph` before anybody sees it.
"""

import copy
import io
import logging
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import onnx
import torch
from onnxscript import optimizer
from torch import nn

from config_file.errors import UserError, choose
from deployment.folding import fold_batch_norms
from deployment.onnx_checks import check_graph
from deployment.onnx_graph import open_batch, simplify, strip
from supernet.blocks import Shape
from supernet.layers import ShuffleUnit

INPUT_NAME = "image"
OUTPUT_NAME = "logits"
# Lowest and highest opset. Asked for less, the dynamo exporter would silently write 18.
OPSETS = {"dynamo": (18, 23), "legacy": (13, 20)}
_CHATTY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


class Normalise(nn.Module):
    """(x - mean) / std per channel, as one multiplication and one addition inside the graph."""

    scale: torch.Tensor
    offset: torch.Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        mean64, std64 = (torch.tensor(values, dtype=torch.float64).view(1, -1, 1, 1) for values in (mean, std))
        self.register_buffer("scale", (1 / std64).float())
        self.register_buffer("offset", (-mean64 / std64).float())

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) in 0..1 -> (B, C, H, W)
        return x * self.scale + self.offset


def to_onnx(
    module: nn.Module,
    shape: Shape,
    *,
    exporter: str = "legacy",
    opset: int = 18,
    dynamic_batch: bool = False,
    normalise: tuple[Sequence[float], Sequence[float]] | None = None,
) -> onnx.ModelProto:
    """Export ``module`` in eval mode; the module itself is left as it is.

    Args:
        module: maps (B, C, H, W) to (B, outputs).
        shape: (C, H, W) of one image.
        exporter: ``"legacy"`` or ``"dynamo"``.
        opset: of the graph; the exporter must honour it exactly.
        dynamic_batch: leave the batch open (named ``batch``) instead of fixing it to 1.
        normalise: (mean, std) per channel, to be baked in as the first two nodes; the graph then takes pixels in 0..1.

    Returns:
        A checked model in memory: input ``image``, output ``logits``, batch norm folded, no external data.

    Raises:
        UserError: unknown exporter, an opset it cannot write, an operation it cannot export, or a graph that fails a
            check.
    """
    check_opset(exporter, opset)
    module = _ready(module, normalise)
    try:
        with _quiet(), torch.no_grad():
            model = strip(simplify(EXPORTERS[exporter](module, torch.zeros(1, *shape), opset)))
    except (torch.onnx.OnnxExporterError, torch.onnx.errors.OnnxExporterError) as error:
        other = next(name for name in OPSETS if name != exporter)
        raise UserError(
            f"the {exporter} exporter cannot write this network at opset {opset}: {_reason(error)} "
            f"(--exporter {other} may)"
        ) from error
    if dynamic_batch:
        # Traced with an open batch, legacy graphs compute sizes at run time (Shape, Gather, Cast, ...), which engines
        # refuse, and dynamo takes twice as long. So the batch is opened afterwards.
        model = open_batch(model)
    check_graph(model, opset=opset, dynamic_batch=dynamic_batch)
    return model


def check_opset(exporter: str, opset: int) -> None:
    """Raise UserError for an unknown exporter, or an opset that it cannot write."""
    lowest, highest = choose("exporter", exporter, OPSETS)
    if not lowest <= opset <= highest:
        other = "; use --exporter legacy for it" if OPSETS["legacy"][0] <= opset < lowest else ""
        raise UserError(f"the {exporter} exporter writes opset {lowest} to {highest}, not {opset}{other}")


_SAME: dict[str, Any] = {"verbose": False, "input_names": [INPUT_NAME], "output_names": [OUTPUT_NAME]}


def _dynamo(module: nn.Module, example: torch.Tensor, opset: int) -> onnx.ModelProto:
    program = torch.onnx.export(module, (example,), dynamo=True, opset_version=opset, external_data=False, **_SAME)
    assert program is not None
    return program.model_proto


def _legacy(module: nn.Module, example: torch.Tensor, opset: int) -> onnx.ModelProto:
    buffer = io.BytesIO()
    # The annotation knows paths only; this exporter writes to any file.
    torch.onnx.export(module, (example,), buffer, dynamo=False, opset_version=opset, **_SAME)  # type: ignore[arg-type]
    return optimizer.optimize(onnx.load_from_string(buffer.getvalue()))  # constants folded, as dynamo does by itself


EXPORTERS = {"dynamo": _dynamo, "legacy": _legacy}


def _reason(error: BaseException) -> str:
    """One line: of a chain of errors the first one raised, which names the operation."""
    while error.__cause__ is not None:
        error = error.__cause__
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def _ready(module: nn.Module, normalise: tuple[Sequence[float], Sequence[float]] | None) -> nn.Module:
    """A copy in eval mode on the CPU, with channel splits written the way engines recognise."""
    whole = nn.Sequential(copy.deepcopy(module).cpu().eval())
    for parent in list(whole.modules()):
        for name, child in parent.named_children():
            if isinstance(child, ShuffleUnit) and child.projection is None:
                setattr(parent, name, _SplitUnit(child.main))
    # Most of an export is tracing, operation by operation: what both exporters fold afterwards is folded before.
    fold_batch_norms(whole)
    return nn.Sequential(Normalise(*normalise), whole[0]).eval() if normalise else whole[0]


class _SplitUnit(nn.Module):
    """ShuffleUnit without projection as reshape, transpose, reshape, split.

    Its own indexing of channel pairs becomes a five-dimensional Gather, which mobile engines do not run; this is the
    pattern they know as a channel shuffle. Same result.
    """

    def __init__(self, main: nn.Module) -> None:
        super().__init__()
        self.main = main

    def forward(self, x: torch.Tensor) -> torch.Tensor:  # (B, C, H, W) -> (B, C', H, W)
        batch, channels, height, width = x.shape
        pairs = x.view(batch, channels // 2, 2, height, width).transpose(1, 2)
        passing, entering = pairs.reshape(batch, channels, height, width).split(channels // 2, 1)
        return torch.cat((passing, self.main(entering)), 1)


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence warnings and log lines of the exporters: what matters of them is checked on the graph."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    try:
        for logger in loggers:
            logger.setLevel(logging.CRITICAL)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
