"""python export.py --title first

Writes the network that retrain.py trained as runs/first/export/model.onnx: batch norm folded, one file, no path of this
machine in it. onnxruntime must give PyTorch's logits on real images, or nothing is written. Beside it lie the
deployment card (card.json, card.md: how the input must look, what the network costs, how good it is), a script
that runs the model and a sample image to run it on.

    python export.py --title first --exporter legacy --opset 13     # for older engines and converters
    python export.py --title first --dynamic-batch                  # leave the batch size open
    python export.py --title first --fold-normalisation             # the graph takes pixels in 0..1
    python export.py --title first --plan                           # what would be written, and where

Needs: runs/first/retrain (retrain.py), or --weights FILE.safetensors and --samples FILE.npz.
Leaves: runs/first/export/{model.onnx,card.json,card.md,classify.py,sample.png}; some ten seconds on one core.
"""

from collections.abc import Sequence

from config_file.errors import run_main


def main(argv: Sequence[str] | None = None) -> int | None:
    """Run the script with these arguments; see `--help`."""
    from deployment.cli import main as run  # noqa: PLC0415  # seconds, in which Ctrl-C is one line too

    return run(argv)


if __name__ == "__main__":
    run_main(main)
