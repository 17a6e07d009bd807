"""Options of the export stage."""

from typing import ClassVar

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options
from config_file.plugins import PluginOptions
from config_file.run_options import RunOptions


@options("Export")
class ExportOptions(PluginOptions, RunOptions):
    """Options of ``export.py``."""

    stage: ClassVar[str] = "export"

    retrain: str | None = option(
        None, "folder of the retrained network; none: by --title", group="Run", metavar="FOLDER"
    )
    weights: str | None = option(
        None, "a network's file instead of that folder", group="Run", metavar="FILE.safetensors"
    )
    samples: str | None = option(
        None,
        "real images to compare on (images, labels); none: samples.npz beside the weights",
        group="Run",
        metavar="FILE.npz",
    )
    exporter: str = option(
        "legacy", "PyTorch's exporter; both give the same nodes, dynamo in several times the time",
        choices=("legacy", "dynamo")
    )  # fmt: skip
    opset: int = option(18, "ONNX operator set: 13 to 20 (legacy), 18 to 23 (dynamo)", at_least=7, at_most=100)
    dynamic_batch: bool = option(False, "leave the batch size open; otherwise it is 1")
    fold_normalisation: bool = option(False, "put mean and std into the graph, which then takes pixels in 0..1")
    tolerance: float = option(
        1e-4, "largest |difference| of onnxruntime's logits, relative to max(1, |logit|)", above=0
    )
    parity_images: int = option(32, "real images compared with onnxruntime", at_least=1, at_most=10**6)

    def rules(self) -> None:
        """Raise UserError where options contradict each other."""
        if self.weights is not None and self.retrain is not None:
            raise UserError("--weights and --retrain both name the network: give one of them")
