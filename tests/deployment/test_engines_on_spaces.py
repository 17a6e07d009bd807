"""Exports of every space in the engines that install from the package index: what PyTorch says, each of them says.

`make install-engines` installs them; where one is missing its tests are skipped, visibly.
"""

from __future__ import annotations

import random
import subprocess
import sys
from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch

from config_file.errors import UserError
from deployment.engines import ENGINES, Layer
from deployment.engines.nn_meter import DEVICES
from deployment.onnx_export import OPSETS, to_onnx
from deployment.parity import check_parity
from lookup_tables import CostTable
from lookup_tables.cli import main as lookup_tables
from supernet import Network, build_network_space, build_space
from supernet.spaces import SPACES
from tasks import LANDMARKS
from tests.deployment.networks import FAMILIES, MEAN, SHAPE, STD, cell, chain, used

RUN_FILES = ("onnxruntime", "openvino", "mnn", "ncnn")
OPSET = {"legacy": 13, "dynamo": OPSETS["dynamo"][0]}
IMAGES = 3


def installed(name: str) -> bool:
    try:
        ENGINES[name].version()
    except UserError:
        return False
    return True


@pytest.fixture(params=RUN_FILES)
def engine(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    if not installed(name):
        pytest.skip(f"{name} is not installed: make install-engines")
    return name


@cache
def exported(space_name: str, exporter: str) -> tuple[bytes, np.ndarray, np.ndarray]:
    """The export of a random network at 32 pixels, images and PyTorch's outputs for them."""
    space = build_network_space(space_name, resolution=32, num_classes=10)
    architecture = space.canonical(space.sample(random.Random(0)))
    network = used(Network(space.decode(architecture), 3)).eval()
    images = np.random.default_rng(0).standard_normal((IMAGES, *space.image(architecture)), dtype=np.float32)
    with torch.inference_mode():
        outputs = network(torch.from_numpy(images)).numpy()
    model = to_onnx(network, space.image(architecture), exporter=exporter, opset=OPSET[exporter])
    return model.SerializeToString(), images, outputs


@pytest.mark.parametrize("exporter", OPSET)
@pytest.mark.parametrize("space", SPACES)
def test_every_space_by_both_exporters(space: str, exporter: str, engine: str, tmp_path: Path) -> None:
    model, images, outputs = exported(space, exporter)
    path = tmp_path / "model.onnx"
    path.write_bytes(model)
    parity = check_parity(path, images, outputs, task=LANDMARKS, engine=engine)
    assert parity["max_relative"] <= 1e-4
    assert path.read_bytes() == model


@pytest.mark.parametrize("normalise", [None, (MEAN, STD)])
@pytest.mark.parametrize("family", [*FAMILIES, "cell"])
def test_every_rewrite_of_a_graph(family: str, normalise: tuple | None, engine: str, tmp_path: Path) -> None:
    """What onnxruntime alone judged before: means, products, channel splits, batch norms as Mul and Add."""
    network = (cell() if family == "cell" else chain(*FAMILIES[family])).eval()
    images = np.random.default_rng(0).standard_normal((IMAGES, *SHAPE), dtype=np.float32)
    with torch.inference_mode():
        mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in normalise or ((0.0,) * 3, (1.0,) * 3))
        outputs = network((torch.from_numpy(images) - mean) / std).numpy()
    path = tmp_path / "model.onnx"
    path.write_bytes(to_onnx(network, SHAPE, normalise=normalise).SerializeToString())
    check_parity(path, images, outputs, task=LANDMARKS, engine=engine)


INTERRUPTED = """
import os, signal, sys
from pathlib import Path
from deployment.engines import ENGINES
first, second = (ENGINES[sys.argv[1]].load(Path("model.onnx")) for _ in range(2))
del first
del second
heard = []
signal.signal(signal.SIGINT, lambda *given: heard.append(given))
os.kill(os.getpid(), signal.SIGINT)
for _ in range(1000): pass
sys.exit(0 if heard else "not heard")
"""


def test_ctrl_c_is_heard_after_models_are_gone(engine: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A library that lends the process a stack for signals must not leave a freed one."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    (tmp_path / "model.onnx").write_bytes(exported("nasbench_macro", "legacy")[0])
    command = [sys.executable, "-c", INTERRUPTED, engine]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr


def test_engines_report_nothing_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A run of all that are installed leaves nothing in the home folder, and asks Python for no connection."""
    model, _, _ = exported("nasbench_macro", "legacy")
    (tmp_path / "model.onnx").write_bytes(model)
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).resolve().parents[2]))
    monkeypatch.delenv("ORT_DISABLE_TELEMETRY", raising=False)
    command = [sys.executable, "-c", RUN_ALL, *filter(installed, RUN_FILES)]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr
    assert not [path for path in home.rglob("*") if path.is_file()]


RUN_ALL = """
import socket, sys
def refused(*given): raise SystemExit("connects")
socket.socket.connect = socket.create_connection = socket.getaddrinfo = refused
from pathlib import Path
import numpy as np
from deployment.engines import ENGINES
for engine in sys.argv[1:]:
    session = ENGINES[engine].load(Path("model.onnx"))
    assert session.run(np.zeros((1, 3, 32, 32), np.float32)).shape == (1, 10)
    assert len(session.time(np.zeros((1, 3, 32, 32), np.float32), 2)) == 2
"""


def test_a_missing_engine_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    for engine, package in (("openvino", "openvino"), ("mnn", "MNN"), ("ncnn", "ncnn"), (PHONE, "nn_meter")):
        monkeypatch.setitem(sys.modules, package, None)
        with pytest.raises(UserError, match=f"{engine} needs {package}, which is not installed: pip install"):
            ENGINES[engine].version()


PHONE = "cortexA76cpu_tflite21"


class Meter(ModuleType):
    """nn-Meter, whose predictions are 2 ms and one per convolution."""

    __version__ = "2.0"

    def load_latency_predictor(self, name: str) -> Meter:
        assert name == PHONE
        return self

    def predict(self, model: onnx.ModelProto, model_type: str) -> float:
        assert model_type == "onnx"
        return 2.0 + sum(node.op_type == "Conv" for node in model.graph.node)


def test_a_table_of_nn_meter_s_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its constant per call is what whole networks correct; a network is then predicted as nn-Meter does it."""
    monkeypatch.setitem(sys.modules, "nn_meter", Meter("nn_meter"))
    monkeypatch.chdir(tmp_path)
    image = ["--resolution", "32", "--num-classes", "10", "--output", "t.json", "--rounds", "1"]
    lookup_tables(["build", "--metric", "latency", "--search-space", "nasbench_macro", "--engine", PHONE, *image])
    assert "device Pixel 4, Cortex-A76 CPU, TFLite 2.1" in capsys.readouterr().out
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    table = CostTable.load("t.json", space)
    assert table.engine == "nn-Meter 2.0, predicted"
    architecture = space.parse(["e3k3"] * 8)
    whole = ENGINES[PHONE].load(Layer(Network(space.decode(architecture), 3).eval(), (3, 32, 32)))
    assert table.cost([architecture])[0] == pytest.approx(whole.time(np.zeros(0, np.float32), 1)[0], rel=0.15)
    with pytest.raises(UserError, match="it runs nothing"):
        whole.run(np.zeros((1, 3, 32, 32), np.float32))
    assert len(DEVICES) == 4
    assert set(DEVICES) <= set(ENGINES)
