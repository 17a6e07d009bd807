"""The deployment card as a page to read: tables, a Python example that runs the network, every layer."""

import json
from typing import Any

from deployment.engines import Script
from deployment.preprocessing import PREPARED, script_of
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
    resize, channels = given["resize"], given["shape"][1]
    (height, width), side = resize["size"], resize["side"]
    crop = normalise = ""
    sized = "width, height = read_upright(path).size\n" if resize["stretch"] else ""  # points are told in its pixels
    read = f"{'whole' if resize['stretch'] else 'square'}(read_upright(path, {side}), {side})"
    if side > height:
        left, top = (side - width) // 2, (side - height) // 2
        read = f"{read}.crop(({left}, {top}, {left + width}, {top + height}))"
        crop = f"""if "{PREPARED}" in Image.open(path).info:  # a sample that has been read so already
    image = Image.open(path)
"""
    if given["normalisation"] != "inside the graph":
        normalise = f"x = (x - np.array({given['mean']})) / np.array({given['std']})\n"
    if given["colour_order"] == "BGR":
        normalise = "x = x[..., ::-1]  # to BGR\n" + normalise
    answer = "\n".join(task_of(card).answer_lines)
    return f"""import json
import sys
from pathlib import Path

import numpy as np
{script.imports}
from PIL import Image, ImageOps


{script_of(resize["stretch"])}

model = Path(__file__).with_name("{card["onnx"]["file"]}")
{script.load}
path = sys.argv[1]
{sized}image = {read}
{crop}x = np.asarray(image.convert("{"RGB" if channels == 3 else "L"}"), dtype=np.float32) / 255
x = x.reshape({height}, {width}, {channels})
{normalise}x = x.transpose(2, 0, 1)[None].astype(np.float32)  # (1, C, H, W)
outputs = {script.run.format(input=given["name"])}[0]
{answer}
"""


def _normalisation(given: dict[str, Any]) -> str:
    if given["normalisation"] == "inside the graph":
        return f"plain pixel / 255; mean {given['mean']} and std {given['std']} are inside the graph"
    return f"{given['normalisation']} per channel with mean {given['mean']}, std {given['std']}"


def _resize(resize: dict[str, Any]) -> str:
    size, how = _sizes(resize["size"]), f"{resize['filter']}; EXIF orientation applied before"
    if resize["stretch"]:
        return f"the whole image to {size}, whatever its shape, {how}"
    if resize["crop_pct"] is None:
        how += " (how much of it the network was evaluated on has not been recorded)"
    if resize["side"] > resize["size"][0]:
        return f"the centred square to {_sizes([resize['side']] * 2)}, {how}; of that the centred {size}"
    return f"the centred square of the shorter side, resized to {size}, {how}"


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
