"""From a trained network to a folder that can be handed over: model.onnx, its card, an example and a sample image."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from config_file.errors import UserError
from config_file.files import atomic_path
from deployment.card import describe_network, model_properties, write_card
from deployment.engines import ENGINES, run_batches
from deployment.engines.engine import Floats
from deployment.latency import measure_latency
from deployment.onnx_export import to_onnx
from deployment.options import ExportOptions
from deployment.parity import check_parity
from deployment.preprocessing import PREPARED
from deployment.retrained import Retrained, normalised, scaled
from tasks import Task, measured_on

ONNX_FILE = "model.onnx"
SAMPLE_FILE = "sample.png"


def files_of(task: Task) -> tuple[str, ...]:
    """The files of a hand-over."""
    return ONNX_FILE, "card.json", "card.md", task.script, SAMPLE_FILE


def hand_over(
    source: Retrained,
    folder: str | Path,
    asked: ExportOptions,
    *,
    engine: str = "onnxruntime",
    say: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Export a network and write :func:`files_of`, nothing of it unless the graph and its results pass every check.

    Args:
        folder: an existing folder.
        engine: a name in `deployment.engines.ENGINES`, of one that runs ONNX files.
        say: gets one line per step.

    Returns:
        the card.

    Raises:
        UserError: an engine that runs no ONNX files, the exporter cannot do what was asked, or a check failed.
    """
    script = ENGINES[engine].script
    if script is None:
        raise UserError(f"{engine} does not run ONNX files: a network is handed over for an engine that does")
    folder = Path(folder)
    card = describe_network(source, asked)
    say(f"exporting with PyTorch's {asked.exporter} exporter at opset {asked.opset} ...")
    start = time.perf_counter()
    model = to_onnx(
        source.network,
        source.shape,
        exporter=asked.exporter,
        opset=asked.opset,
        dynamic_batch=asked.dynamic_batch,
        normalise=(source.mean, source.std) if asked.fold_normalisation else None,
    )
    operations = dict(Counter(node.op_type for node in model.graph.node).most_common())
    say(
        f"graph: {len(model.graph.node)} nodes in {time.perf_counter() - start:.1f} s "
        f"({', '.join(f'{number} {name}' for name, number in operations.items())}); batch norm folded, all shapes known"
    )
    onnx.helper.set_model_props(model, model_properties(card))
    images = scaled(source.images, source.colour_order)
    if not asked.fold_normalisation:
        images = normalised(source.images, source.mean, source.std, source.colour_order)
    with atomic_path(folder / ONNX_FILE) as temporary:
        temporary.write_bytes(model.SerializeToString())
        parity = check_parity(
            temporary,
            images,
            source.logits,
            tolerance=asked.tolerance,
            batch_sizes=(1, 3) if asked.dynamic_batch else (1,),
            task=source.task,
            engine=engine,
        )
        say(
            f"parity: {parity['engine']} against PyTorch on {parity['images']} real images, optimisations off and on: "
            f"largest difference {parity['max_difference']:.1e} (allowed {asked.tolerance:g} * max(1, |logit|)), "
            f"{source.task.agreement}"
        )
        latency = measure_latency(temporary, images[:1], engine=engine)
        say(f"latency of this machine's CPU, {latency['threads']} thread: {latency['median_ms']:.2f} ms per image")
        data = temporary.read_bytes()
        card |= {
            "onnx": {"file": ONNX_FILE, "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()},
            "export": {
                "exporter": asked.exporter,
                "opset": asked.opset,
                "ir_version": model.ir_version,
                "dynamic_batch": asked.dynamic_batch,
                "nodes": len(model.graph.node),
                "operations": operations,
                "versions": {name: version(name) for name in ("torch", "onnx", "onnxscript", "onnxruntime")},
            },
            "parity": parity,
            "latency": latency,
            "sample": _write_sample(source, run_batches(ENGINES[engine].load(temporary), images), folder),
        }
        write_card(folder, card, script)
    # The model appears last: where it is, everything else is complete.
    return card


def _write_sample(source: Retrained, outputs: Floats, folder: Path) -> dict[str, Any]:
    """Leave one of the images (the first that onnxruntime answers rightly, if any) as an image file."""
    task, names = source.task, source.classes
    right = np.array([task.is_right(value) for value in measured_on(task, outputs, source.labels)])
    chosen = int(right.argmax())
    with atomic_path(folder / SAMPLE_FILE) as temporary:
        marked = PngInfo()
        marked.add_text(PREPARED, "the pixels that the network reads")
        Image.fromarray(np.squeeze(source.images[chosen])).save(temporary, pnginfo=marked)
    return {
        "file": SAMPLE_FILE,
        "label": task.answer(task.as_output(source.labels[chosen], len(names)), names),
        "predicted": task.answer(outputs[chosen], names),
        "right": int(right.sum()),
        "images": len(right),
    }
