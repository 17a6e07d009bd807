"""The deployment card: everything that whoever runs the network must know, as card.json and, to read, card.md."""

import json
from pathlib import Path
from typing import Any

from config_file.files import atomic_write_text
from deployment.card_page import example, markdown
from deployment.engines import Script
from deployment.onnx_export import INPUT_NAME, OUTPUT_NAME
from deployment.options import ExportOptions
from deployment.retrained import Retrained
from tasks import task_of

FORMAT = "oneshot-nas card 1"


def describe_network(source: Retrained, asked: ExportOptions) -> dict[str, Any]:
    """The part of a card that is known before an export: input, output, classes, cost, quality, architecture."""
    metadata, (channels, height, width), task = source.metadata, source.shape, source.task
    batch: int | str = "batch" if asked.dynamic_batch else 1
    spec = source.network.spec
    per_channel = list(zip(source.mean, source.std, strict=True))
    normal_range = [round(min(-m / s for m, s in per_channel), 4), round(max((1 - m) / s for m, s in per_channel), 4)]
    return {
        "format": FORMAT,
        "task": task.name,
        "input": {
            "name": INPUT_NAME,
            "shape": [batch, channels, height, width],
            "layout": "NCHW",
            "dtype": "float32",
            "colour_order": source.colour_order if channels == 3 else f"{channels} channels",
            "value_range": [0.0, 1.0] if asked.fold_normalisation else normal_range,
            "normalisation": "inside the graph" if asked.fold_normalisation else "(pixel / 255 - mean) / std",
            "mean": list(source.mean),
            "std": list(source.std),
            "resize": {
                "crop_pct": metadata.get("crop_pct"),
                "stretch": bool(metadata.get("stretch")),
                "side": side_of(source),
                "size": [height, width],
                "filter": "bilinear, antialiased (Pillow's)",
                "orientation": "EXIF applied",
            },
        },
        "output": {"name": OUTPUT_NAME, "shape": [batch, len(source.classes)], "meaning": task.meaning},
        "classes": list(source.classes),
        "cost": {
            "macs": spec.macs(source.shape),
            "params": spec.params(source.shape),
            "counted": "multiply-accumulates of convolution and linear layers, one image",
        },
        task.metric: {
            "dataset": metadata.get("dataset"),
            "test": metadata.get(f"test_{task.metric}"),
            "validation": metadata.get(f"val_{task.metric}"),
        },
        "architecture": {
            "search_space": metadata.get("search_space"),
            "space_options": metadata.get("space_options"),
            "indices": metadata.get("architecture"),
            "names": metadata.get("names"),
        },
        "layers": spec.layers(source.shape),
        "example": task.script,
        "weights": {"file": source.weights.name, "bytes": source.weights.stat().st_size, "sha256": source.sha256},
    }


def side_of(source: Retrained) -> int:
    """The side of the square that evaluation resized images to, before it cut the centre out of it."""
    crop_pct = source.metadata.get("crop_pct")
    return source.shape[1] if source.metadata.get("stretch") or not crop_pct else round(source.shape[1] / crop_pct)


def model_properties(card: dict[str, Any]) -> dict[str, str]:
    """The essentials of a card as strings, for the metadata of the ONNX file itself."""
    parts = ("input", "output", "classes", "cost", task_of(card).metric, "architecture")
    essentials = {name: json.dumps(card[name]) for name in parts}
    return {"card": card["format"], **essentials, "weights_sha256": card["weights"]["sha256"]}


def write_card(folder: Path, card: dict[str, Any], script: Script) -> None:
    """Write ``card.json``, ``card.md`` and an example, in which the lines of an engine run the network."""
    atomic_write_text(folder / "card.json", json.dumps(card, indent=1, allow_nan=False) + "\n")
    text = example(card, script)
    atomic_write_text(folder / "card.md", markdown(card, text))
    atomic_write_text(folder / card["example"], text)
