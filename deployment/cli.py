"""The export stage: a retrained network becomes an ONNX file with proof of parity and a deployment card."""

import contextlib
import time
from collections.abc import Sequence
from pathlib import Path

import torch

from config_file.environment import peak_resident
from config_file.files import staging_folder
from config_file.loader import parse
from config_file.lock import only_process
from config_file.run_folder import RunFolder, has_finished
from config_file.stages import find_stage, stage_path
from deployment.handover import files_of, hand_over
from deployment.onnx_export import check_opset
from deployment.options import ExportOptions
from deployment.retrained import Retrained, load_retrained

DESCRIPTION = "Write a retrained network as ONNX, prove that onnxruntime computes the same, and describe it in a card."
EXAMPLES = (
    "python export.py --title first",
    "python export.py --title first --opset 13",
    "python export.py --weights model.safetensors --samples samples.npz --output exported",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``export.py`` with these arguments; see ``--help``.

    Raises:
        UserError: anything about the input or the options, or a failed check; nothing is left behind then.
    """
    options = parse(ExportOptions, argv, "export.py", DESCRIPTION, EXAMPLES)
    check_opset(options.exporter, options.opset)
    if options.threads:
        torch.set_num_threads(options.threads)
    if options.weights is not None:
        weights = Path(options.weights).expanduser()
    else:
        weights = find_stage(options, "retrain") / "model.safetensors"
    if not options.plan and has_finished(options):
        print(f"{stage_path(options)} has finished already; --overwrite exports anew")
        return 0
    source = load_retrained(weights, options.samples, options.parity_images)
    if options.plan:
        print(_plan(options, source))
        return 0
    RunFolder.check(options)
    try:
        with only_process(stage_path(options)):
            _export(options, source)
    except KeyboardInterrupt:
        raise KeyboardInterrupt("nothing was exported; give the same command again") from None
    return 0


def _export(options: ExportOptions, source: Retrained) -> None:
    """Prepare and check everything beside the stage's folder: only what is accepted takes the place of an older one."""
    start = time.perf_counter()
    said: list[str] = []

    def say(text: str) -> None:
        print(text, flush=True)
        said.append(text)

    say(_about(source))
    if len(source.images) < options.parity_images:
        say(f"only {len(source.images)} sample images for parity, {options.parity_images} were asked for")
    with staging_folder(stage_path(options)) as staged:
        card = hand_over(source, staged, options, say=say)
        with RunFolder.open(options) as folder:
            for line in said:
                folder.record(line)
            for name in reversed(files_of(source.task)):  # the model last: where it is, everything else is complete
                (staged / name).replace(folder.file(name))
            sample, files = card["sample"], ", ".join(files_of(source.task))
            folder.log(
                f"onnxruntime on {sample['file']}: predicted {sample['predicted']}, label {sample['label']} "
                f"({sample['right']} of {sample['images']} sample images right)"
            )
            folder.log(f"wrote {files} ({card['onnx']['bytes'] / 1e6:.2f} MB) to {folder.path}")
            folder.log(f"the export took {time.perf_counter() - start:.1f} s")
            folder.log(f"next: python {folder.path / card['example']} {folder.path / sample['file']}")
            with contextlib.suppress(OSError):  # empty, unless somebody keeps files of their own there
                folder.checkpoints.rmdir()


def _about(source: Retrained) -> str:
    spec, space = source.network.spec, source.metadata.get("search_space") or "a network"
    return (
        f"{space}: {len(spec.nodes)} blocks, {spec.macs(source.shape) / 1e6:.2f} M MACs, "
        f"{spec.params(source.shape) / 1e6:.2f} M parameters, {source.task.describe(source.classes)}; {source.weights}"
    )


def _plan(options: ExportOptions, source: Retrained) -> str:
    """The files that would be written, and their folder."""
    folder = stage_path(options)
    blocks, megabytes = len(source.network.spec.nodes), 4e-6 * source.network.spec.params(source.shape)
    seconds = 5 + 0.1 * blocks if options.exporter == "dynamo" else 3 + 0.05 * blocks
    resident = peak_resident()
    memory = "" if resident is None else f"; {resident / 2**20:,.0f} MiB of memory so far, some hundreds more"
    batch = "open batch" if options.dynamic_batch else "batch 1"
    pixels = "pixels in 0..1, normalised inside the graph" if options.fold_normalisation else "normalised pixels"
    files = ", ".join(files_of(source.task))
    lines = [
        _about(source),
        f"exporter: PyTorch's {options.exporter}, opset {options.opset}, {batch}",
        f"input: {' x '.join(map(str, source.shape))}, {pixels}",
        f"parity: onnxruntime against PyTorch on {len(source.images)} real images, tolerance {options.tolerance:g}",
        f"would write to {folder}: {files}; about {megabytes:.1f} MB, {seconds:.0f} s{memory}",
    ]
    if (obstacle := RunFolder.obstacle(options)) is not None:
        lines.append(f"but {obstacle}")
    return "\n".join(lines)
