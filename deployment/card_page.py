"""The deployment card as a page to read: tables, a Python example that runs the network, every layer."""

import json
from typing import Any

from deployment.engines import Script
from tasks import Task, task_of


def markdown(card: dict[str, Any], script: str) -> str:
    """The page of a card (see :mod:`deployment.card`), with its example."""
    onnx, weights, sample = card["onnx"], card["weights"], card["sample"]
    facts = [*_interface(card), *_provenance(card)]
    return "\n".join(
        [
            "# Deployment card",
            "",
            "| | |",
            "|---|---|",
            *(f"| {name} | {text} |" for name, text in facts),
            f"| SHA-256 | `{onnx['file']}` {onnx['sha256']}, `{weights['file']}` {weights['sha256']} |",
            "",
            "## Run it",
            "",
            f"`python {card['example']} {sample['file']}` prints {_printed(card)}. The script:",
            "",
            "```python",
            script.rstrip(),
            "```",
            "",
            "## Architecture",
            "",
            f"Search space `{card['architecture']['search_space'] or 'none'}`",
            "",
            f"- indices `{json.dumps(card['architecture']['indices'])}`",
            f"- names `{json.dumps(card['architecture']['names'])}`",
            "",
            *_layer_table(card),
            "",
        ]
    )


def _printed(card: dict[str, Any]) -> str:
    return task_of(card).prints.format(card["sample"]["predicted"])


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
    allowed = f"{parity['tolerance']:g} · max(1, \\|logit\\|)"
    compared = f"{parity['engine']} against PyTorch on {parity['images']} real images, optimisations off and on"
    where = f"{latency['threads']} thread, {latency['engine']}, {latency['processor'] or 'unknown CPU'}"
    return [
        (task.title, _quality(task, card[task.metric])),
        ("cost", f"{cost['macs']:,} MACs, {cost['params']:,} parameters ({cost['counted']})"),
        ("file", f"`{card['onnx']['file']}`, {card['onnx']['bytes']:,} bytes"),
        ("graph", f"opset {export['opset']}, {export['nodes']} nodes ({operations}); batch norm folded"),
        ("exporter", f"PyTorch's {export['exporter']}; {_versions(export['versions'])}"),
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
    lines = [
        "import json",
        "import sys",
        "from pathlib import Path",
        "",
        "import numpy as np",
        script.imports,
        "from PIL import Image",
        "",
        f'model = Path(__file__).with_name("{card["onnx"]["file"]}")',
        script.load,
        f'image = Image.open(sys.argv[1]).convert("{"RGB" if given["shape"][1] == 3 else "L"}")',
        *_resized(given["resize"]),
        f"x = np.asarray(image, dtype=np.float32).reshape({height}, {width}, {given['shape'][1]}) / 255",
    ]
    if given["normalisation"] != "inside the graph":
        lines.append(f"x = (x - np.array({given['mean']})) / np.array({given['std']})")
    lines += [
        "x = x.transpose(2, 0, 1)[None].astype(np.float32)  # (1, C, H, W)",
        f"outputs = {script.run.format(input=given['name'])}[0]",
        *task_of(card).answer_lines,
        "",
    ]
    return "\n".join(lines)


def _resized(resize: dict[str, Any]) -> list[str]:
    height, width = resize["size"]
    if resize["stretch"]:
        return [
            "width, height = image.size",
            f"image = image.resize(({width}, {height}), Image.Resampling.BILINEAR)",
        ]
    return [
        "side = min(image.size)",
        *_centre_crop(resize),
        "left, top = (image.width - side) / 2, (image.height - side) / 2",
        "box = (left, top, left + side, top + side)",
        f"image = image.resize(({width}, {height}), Image.Resampling.BILINEAR, box=box)",
    ]


def _centre_crop(resize: dict[str, Any]) -> list[str]:
    if resize["crop_pct"] in (None, 1):
        return []
    height, width = resize["size"]
    return [
        f"if image.size != ({width}, {height}):  # of that size are sample.png and others that are cropped already",
        f"    side *= {resize['crop_pct']}",
    ]


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


def _layer_table(card: dict[str, Any]) -> list[str]:
    cost = card["cost"]
    return [
        "| layer | op | output | MACs | parameters |",
        "|---|---|---|---:|---:|",
        *(
            f"| {row['site']} | {row['op']} | {_sizes(row['output_shape'])} | {row['macs']:,} | {row['params']:,} |"
            for row in card["layers"]
        ),
        f"| **total** | | | **{cost['macs']:,}** | **{cost['params']:,}** |",
    ]


def _sizes(shape: list[Any]) -> str:
    return " × ".join(str(size) for size in shape)


def _listed(names: list[str], most: int = 20) -> str:
    shown = ", ".join(name.replace("|", "\\|") for name in names[:most])
    return shown + (", ... (all in card.json)" if len(names) > most else "")


def _versions(versions: dict[str, str]) -> str:
    return ", ".join(f"{name} {number}" for name, number in versions.items())
