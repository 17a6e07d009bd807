"""The deployment card as a page to read: tables, a Python example that runs the network, every layer."""

import json
from typing import Any

from deployment.engines import Script
from tasks import Task, task_of


def markdown(card: dict[str, Any], script: str) -> str:
    """The page of a card (see :mod:`deployment.card`), with its example."""
    onnx, weights, sample, architecture = (card[part] for part in ("onnx", "weights", "sample", "architecture"))
    facts = "\n".join(f"| {name} | {text} |" for name, text in (*_interface(card), *_provenance(card)))
    return f"""# Deployment card

| | |
|---|---|
{facts}
| SHA-256 | `{onnx["file"]}` {onnx["sha256"]}, `{weights["file"]}` {weights["sha256"]} |

## Run it

`python {card["example"]} {sample["file"]}` prints {task_of(card).prints.format(sample["predicted"])}. The script:

```python
{script.rstrip()}
```

## Architecture

Search space `{architecture["search_space"] or "none"}`

- indices `{json.dumps(architecture["indices"])}`
- names `{json.dumps(architecture["names"])}`

{_layer_table(card)}
"""


def _interface(card: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows on input and output."""
    given, output = card["input"], card["output"]
    low, high = given["value_range"]
    form = f"{given['dtype']} {_sizes(given['shape'])}, {given['layout']}, {given['colour_order']}"
    return [
        ("input", f"`{given['name']}` {form}"),
        ("values", f"{low:g} to {high:g}: {_normalisation(given)}"),
        ("resize", _resize(given["resize"])),
        ("output", f"`{output['name']}` {_sizes(output['shape'])}, {output['meaning']}"),
        (task_of(card).outputs, f"{len(card['classes'])}: {_listed(card['classes'])}"),
    ]


def _provenance(card: dict[str, Any]) -> list[tuple[str, str]]:
    """The rows on quality, size, export and checks."""
    task = task_of(card)
    cost, export, parity, latency = card["cost"], card["export"], card["parity"], card["latency"]
    operations = ", ".join(f"{number} {name}" for name, number in export["operations"].items())
    versions = ", ".join(f"{name} {number}" for name, number in export["versions"].items())
    allowed = f"{parity['tolerance']:g} · max(1, \\|logit\\|)"
    compared = f"{parity['engine']} against PyTorch on {parity['images']} real images, optimisations off and on"
    where = f"{latency['threads']} thread, {latency['engine']}, {latency['processor'] or 'unknown CPU'}"
    return [
        (task.title, _quality(task, card[task.metric])),
        ("cost", f"{cost['macs']:,} MACs, {cost['params']:,} parameters ({cost['counted']})"),
        ("file", f"`{card['onnx']['file']}`, {card['onnx']['bytes']:,} bytes"),
        ("graph", f"opset {export['opset']}, {export['nodes']} nodes ({operations}); batch norm folded"),
        ("exporter", f"PyTorch's {export['exporter']}; {versions}"),
        (
            "parity",
            f"{compared}: largest difference {parity['max_difference']:.1e} (allowed {allowed}), {task.agreement}",
        ),
        (
            "latency",
            f"{latency['median_ms']:.2f} ms per image, median, on the exporting machine, not on yours ({where})",
        ),
    ]


def example(card: dict[str, Any], script: Script) -> str:
    """A complete Python script that runs the network on an image file with an engine, numpy and Pillow."""
    given = card["input"]
    height, width = given["resize"]["size"]
    crop = normalise = ""
    if given["resize"]["crop_pct"] not in (None, 1):
        why = "of that size are sample.png and others that are cropped already"
        crop = f"if image.size != ({width}, {height}):  # {why}\n    side *= {given['resize']['crop_pct']}\n"
    resize = f"""side = min(image.size)
{crop}left, top = (image.width - side) / 2, (image.height - side) / 2
box = (left, top, left + side, top + side)
image = image.resize(({width}, {height}), Image.Resampling.BILINEAR, box=box)"""
    if given["resize"]["stretch"]:
        resize = f"""width, height = image.size
image = image.resize(({width}, {height}), Image.Resampling.BILINEAR)"""
    if given["normalisation"] != "inside the graph":
        normalise = f"x = (x - np.array({given['mean']})) / np.array({given['std']})\n"
    answer = "\n".join(task_of(card).answer_lines)
    return f"""import json
import sys
from pathlib import Path

import numpy as np
{script.imports}
from PIL import Image

model = Path(__file__).with_name("{card["onnx"]["file"]}")
{script.load}
image = Image.open(sys.argv[1]).convert("{"RGB" if given["shape"][1] == 3 else "L"}")
{resize}
x = np.asarray(image, dtype=np.float32).reshape({height}, {width}, {given["shape"][1]}) / 255
{normalise}x = x.transpose(2, 0, 1)[None].astype(np.float32)  # (1, C, H, W)
outputs = {script.run.format(input=given["name"])}[0]
{answer}
"""


def _normalisation(given: dict[str, Any]) -> str:
    if given["normalisation"] == "inside the graph":
        return f"plain pixel / 255; mean {given['mean']} and std {given['std']} are inside the graph"
    return f"{given['normalisation']} per channel with mean {given['mean']}, std {given['std']}"


def _resize(resize: dict[str, Any]) -> str:
    if resize["stretch"]:
        return f"the whole image to {_sizes(resize['size'])}, whatever its shape, {resize['filter']}"
    to = f"resized to {_sizes(resize['size'])}, {resize['filter']}"
    if resize["crop_pct"] is None:
        return f"the centred square, {to} (how much of it the network was evaluated on has not been recorded)"
    part = "the" if resize["crop_pct"] == 1 else f"{resize['crop_pct']:.4g} of the"
    return f"the centred square of {part} shorter side, {to}"


def _quality(task: Task, found: dict[str, Any]) -> str:
    parts = [f"{task.show(found[split])} on {split}" for split in ("test", "validation") if found[split] is not None]
    return f"{', '.join(parts) or 'not recorded'} ({found['dataset'] or 'data set not recorded'})"


def _layer_table(card: dict[str, Any]) -> str:
    lines = ["| layer | op | output | MACs | parameters |", "|---|---|---|---:|---:|"]
    for row in card["layers"]:
        shape = _sizes(row["output_shape"])
        lines.append(f"| {row['site']} | {row['op']} | {shape} | {row['macs']:,} | {row['params']:,} |")
    lines.append(f"| **total** | | | **{card['cost']['macs']:,}** | **{card['cost']['params']:,}** |")
    return "\n".join(lines)


def _sizes(shape: list[Any]) -> str:
    return " × ".join(str(size) for size in shape)


def _listed(names: list[str], most: int = 20) -> str:
    shown = ", ".join(name.replace("|", "\\|") for name in names[:most])
    return shown + (", ... (all in card.json)" if len(names) > most else "")
