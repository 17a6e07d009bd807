from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from config_file.errors import UserError
from deployment import handover
from deployment.cli import main
from deployment.retrained import load_retrained, normalised
from deployment.weights import load_network, save_network
from tasks import CLASSIFICATION
from tests.deployment.networks import MEAN, STD, digits, retrain_folder

FILES = handover.files_of(CLASSIFICATION)

LEGACY = ("--exporter", "legacy", "--opset", "17")


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A working folder with the retrain stage of a run called `first`."""
    retrain_folder(tmp_path / "runs" / "first" / "retrain")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def result(root: Path) -> Path:
    return root / "runs" / "first" / "export"


def test_the_default_export_is_complete(root, capsys):
    assert main(["--title", "first"]) == 0
    folder = result(root)
    assert {path.name for path in folder.iterdir()} == {
        *FILES,
        "config.yaml",
        "env.json",
        "log.txt",
    }
    printed = capsys.readouterr()
    assert re.search(r"predicted (digit \d), label \1 \(8 of 8 sample images right\)", printed.out)
    assert "only 8 sample images for parity, 32 were asked for" in printed.out
    assert "next: python runs/first/export/classify.py" in printed.out
    assert not printed.err, "the exporters' own chatter is kept away"
    assert (folder / "log.txt").read_text() == printed.out

    card = json.loads((folder / "card.json").read_text())
    data = (folder / "model.onnx").read_bytes()
    weights = root / "runs" / "first" / "retrain" / "model.safetensors"
    network, _ = load_network(weights)
    assert card["onnx"] == {"file": "model.onnx", "bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert card["weights"]["sha256"] == hashlib.sha256(weights.read_bytes()).hexdigest()
    assert card["cost"]["macs"] == network.spec.macs((3, 16, 16)) == sum(row["macs"] for row in card["layers"])
    assert card["cost"]["params"] == sum(parameter.numel() for parameter in network.parameters())
    assert card["input"]["shape"] == [1, 3, 16, 16]
    assert card["input"]["mean"] == list(MEAN)
    assert card["input"]["value_range"] == [round(-0.5 / 0.7, 4), 1.4]
    assert card["export"]["opset"] == 18
    assert card["export"]["exporter"] == "legacy"
    assert card["parity"]["images"] == 8
    assert card["parity"]["max_relative"] <= 1e-4
    assert card["accuracy"] == {"dataset": "digits", "test": 0.9876, "validation": None}

    model = onnx.load_from_string(data)
    properties = {entry.key: entry.value for entry in model.metadata_props}
    assert json.loads(properties["classes"]) == card["classes"]
    assert json.loads(properties["input"]) == card["input"]
    assert not any(node.op_type == "BatchNormalization" for node in model.graph.node)
    for name in FILES:
        content = (folder / name).read_bytes()
        for text in (str(root), str(Path.home()) + "/", "site-packages"):
            assert text.encode() not in content, f"{name} holds {text}"


def run_example(script: Path, *arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.parametrize("more", [(), ("--fold-normalisation", "--dynamic-batch")])
def test_the_card_page_holds_a_script_that_runs(root, tmp_path, more):
    main(["--title", "first", *LEGACY, *more])
    folder = result(root)
    card, page = json.loads((folder / "card.json").read_text()), (folder / "card.md").read_text()
    (script,) = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    assert script == (folder / "classify.py").read_text()
    os.chdir("/")  # it finds the model beside itself
    assert run_example(folder / "classify.py", str(folder / "sample.png")) == card["sample"]["label"]
    for row in card["layers"]:
        assert f"| {row['site']} |" in page
    assert "98.76 % on test (digits)" in page
    assert ("inside the graph" in page) == bool(more)
    assert card["input"]["shape"][0] == ("batch" if more else 1)


def test_a_plan_writes_nothing(root, capsys):
    assert main(["--title", "first", "--plan"]) == 0
    printed = capsys.readouterr().out
    assert "runs/first/export" in printed
    assert "opset 18" in printed
    assert "model.onnx" in printed
    assert not result(root).exists()


def test_an_earlier_export_is_not_overwritten_by_accident(root, capsys):
    main(["--title", "first", *LEGACY])
    before = (result(root) / "model.onnx").read_bytes()
    with pytest.raises(UserError, match="--overwrite"):
        main(["--title", "first", *LEGACY])
    assert (result(root) / "model.onnx").read_bytes() == before
    capsys.readouterr()
    main(["--title", "first", "--plan"])
    assert "--overwrite" in capsys.readouterr().out
    assert main(["--title", "first", *LEGACY, "--resume"]) == 0
    assert "finished already" in capsys.readouterr().out
    assert (result(root) / "model.onnx").read_bytes() == before
    assert main(["--title", "first", "--exporter", "legacy", "--opset", "13", "--overwrite"]) == 0
    assert json.loads((result(root) / "card.json").read_text())["export"]["opset"] == 13


def test_an_explicit_file_with_explicit_samples(root, tmp_path):
    weights = root / "runs" / "first" / "retrain" / "model.safetensors"
    images, labels = digits(5)
    np.savez(tmp_path / "mine.npz", images=images, labels=labels)
    given = ["--weights", str(weights), "--samples", "mine.npz", "--output", "exported", "--parity-images", "4"]
    assert main([*given, *LEGACY]) == 0
    assert json.loads((tmp_path / "exported" / "card.json").read_text())["parity"]["images"] == 4


def perturbed(*args, **kwargs):
    model = onnx_of(*args, **kwargs)
    tensor = next(tensor for tensor in model.graph.initializer if len(tensor.dims) == 4)
    tensor.CopyFrom(numpy_helper.from_array(numpy_helper.to_array(tensor) * np.float32(1.01), tensor.name))
    return model


onnx_of = handover.to_onnx


@pytest.mark.parametrize("output", [(), ("--output", "there")])
def test_a_failed_parity_leaves_nothing_behind(root, monkeypatch, output):
    if output:
        Path("there").mkdir()
    monkeypatch.setattr(handover, "to_onnx", perturbed)
    with pytest.raises(UserError, match="parity: image"):
        main(["--title", "first", *LEGACY, *output])
    assert not result(root).exists()
    assert not output or not any(Path("there").iterdir())
    assert not list(root.rglob(".*")), "nor beside it"
    monkeypatch.setattr(handover, "to_onnx", onnx_of)
    assert main(["--title", "first", *LEGACY, *output]) == 0, "the same command is not in its own way"


@pytest.mark.parametrize("where", ["to_onnx", "measure_latency", "write_card"])
def test_an_older_export_stays_until_the_new_one_is_accepted(root, monkeypatch, where):
    main(["--title", "first", *LEGACY])
    before = {path.name: path.read_bytes() for path in result(root).iterdir()}

    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(handover, where, perturbed if where == "to_onnx" else full)
    with pytest.raises((UserError, OSError), match=r"parity: image|No space left"):
        main(["--title", "first", *LEGACY, "--overwrite"])
    assert {path.name: path.read_bytes() for path in result(root).iterdir()} == before
    assert {path.name for path in result(root).parent.iterdir()} == {"retrain", "export"}


def test_an_interrupted_export_leaves_nothing_behind(root, monkeypatch):
    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(handover, "measure_latency", interrupted)
    with pytest.raises(KeyboardInterrupt, match="nothing was exported"):
        main(["--title", "first", *LEGACY])
    assert not result(root).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--title", "second"], r"no retrain stage at runs/second/retrain; make it with: python retrain\.py"),
        (["--title", "first", "--exporter", "dynamo", "--opset", "17"], "use --exporter legacy"),
        (["--title", "first", "--exporter", "onnx"], "dynamo"),
        (["--title", "first", "--weights", "missing.safetensors"], r"missing\.safetensors: no such file"),
        (["--title", "first", "--weights", "a", "--retrain", "b"], "give one of them"),
        (["--title", "first", "--samples", "missing.npz"], r"missing\.npz: no such file"),
        (["--title", "first", "--tolerence", "1"], "--tolerance"),
    ],
)
def test_bad_input_is_one_clear_line(root, arguments, message):
    with pytest.raises(UserError, match=message) as error:
        main(arguments)
    assert "\n" not in str(error.value)
    assert not (root / "runs" / "second").exists()


def test_the_script_ends_with_status_2(root):
    script = Path(__file__).resolve().parents[2] / "export.py"
    done = subprocess.run(
        [sys.executable, str(script), "--title", "second"], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("error: no retrain stage")
    assert done.stderr.count("\n") == 1


class TestSamples:
    @pytest.fixture
    def folder(self, tmp_path):
        return retrain_folder(tmp_path)

    def change(self, folder, **arrays):
        with np.load(folder / "samples.npz") as file:
            kept = {name: file[name] for name in file.files} | arrays
        np.savez(folder / "samples.npz", **{name: array for name, array in kept.items() if array is not None})

    def test_they_are_checked_against_the_recorded_logits(self, folder):
        source = load_retrained(folder / "model.safetensors")
        assert source.images.shape == (8, 16, 16, 3)
        assert (source.logits.argmax(1) == source.labels).all()
        self.change(folder, logits=source.logits + 0.1)
        with pytest.raises(UserError, match="do not belong together"):
            load_retrained(folder / "model.safetensors")
        self.change(folder, logits=None)
        load_retrained(folder / "model.safetensors")

    @pytest.mark.parametrize(
        ("arrays", "message"),
        [
            ({"images": np.zeros((8, 16, 16, 3), np.float32)}, "uint8"),
            ({"images": np.zeros((8, 3, 16, 16), np.uint8)}, "takes 16 x 16 pixels in 3 channels"),
            ({"images": np.zeros((0, 16, 16, 3), np.uint8)}, "one label each"),
            ({"labels": np.arange(4)}, "one label each"),
            ({"labels": np.full(8, 10)}, "labels from 10 to 10, the network has 10 classes"),
            ({"labels": np.zeros(8)}, "integers"),
            ({"logits": np.zeros((8, 9), np.float32)}, "logits of shape"),
            ({"labels": None}, "no array 'labels'"),
            ({"labels": np.array([None] * 8)}, "not numbers or text"),
        ],
    )
    def test_unfit_ones_are_refused(self, folder, arrays, message):
        self.change(folder, **arrays)
        with pytest.raises(UserError, match=message):
            load_retrained(folder / "model.safetensors")

    @pytest.mark.parametrize("keep", [0, 10, 500])
    def test_damaged_ones_are_refused(self, folder, keep):
        path = folder / "samples.npz"
        path.write_bytes(path.read_bytes()[:keep])
        with pytest.raises(UserError, match=r"truncated, damaged or not an \.npz file"):
            load_retrained(folder / "model.safetensors")

    def test_normalisation(self):
        images = np.full((1, 2, 2, 3), 255, np.uint8)
        expected = [(1 - mean) / std for mean, std in zip(MEAN, STD, strict=True)]
        assert normalised(images, MEAN, STD)[0, :, 0, 0] == pytest.approx(expected)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"mean": [0.5]}, "do not fit together"),
        ({"std": [0.5, 0.5, 0.0]}, "do not fit together"),
        ({"mean": None}, "mean must be a list"),
        ({"resolution": "big"}, "resolution must be an integer"),
        ({"resolution": 20}, "takes 20 x 20 pixels"),
        ({"classes": ["a", "b"]}, "names 2 classes"),
    ],
)
def test_metadata_that_do_not_describe_the_input_are_refused(tmp_path, metadata, message):
    path = retrain_folder(tmp_path, **metadata) / "model.safetensors"
    with pytest.raises(UserError, match=message):
        load_retrained(path)


def test_metadata_that_lack_something_are_refused(tmp_path):
    path = retrain_folder(tmp_path) / "model.safetensors"
    network, metadata = load_network(path)
    del metadata["std"]
    save_network(path, network, metadata)
    with pytest.raises(UserError, match="lacks 'std'"):
        load_retrained(path)


def test_a_crop_of_the_evaluation_is_in_page_and_script(root):
    retrain_folder(root / "runs" / "first" / "retrain", crop_pct=0.875)
    main(["--title", "first", *LEGACY])
    assert "the centred square to 18 × 18" in (result(root) / "card.md").read_text()
    script = result(root) / "classify.py"
    assert ".crop((1, 1, 17, 17))" in script.read_text()
    # The sample is what evaluation saw: nothing more is cut from it.
    assert (
        run_example(script, str(result(root) / "sample.png"))
        == json.loads((result(root) / "card.json").read_text())["sample"]["label"]
    )
