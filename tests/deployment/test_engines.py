"""Engines compute what PyTorch computes and say times; one of one's own serves parity, latency and the card."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from config_file.errors import UserError
from deployment.engines import ENGINES, Engine, Layer, Script, Session, run_batches
from deployment.engines.engine import Floats
from deployment.handover import hand_over
from deployment.latency import measure_latency
from deployment.options import ExportOptions
from deployment.parity import check_parity
from deployment.retrained import load_retrained
from supernet.composites import InvertedResidual
from tests.deployment.networks import retrain_folder
from tests.deployment.test_parity import IMAGES, LOGITS, answers


class Stub:
    """Runs ONNX files by onnxruntime, off by some, and says the times it was told."""

    def __init__(self, off_by: float = 0.0) -> None:
        self.off_by, self.loaded = off_by, list[tuple[str, int, bool]]()

    def load(self, model: Path | Layer, *, threads: int = 1, optimise: bool = True) -> Session:
        assert isinstance(model, Path)
        self.loaded.append((model.name, threads, optimise))
        session = ENGINES["onnxruntime"].load(model)

        class Told:
            def run(_, x: Floats) -> Floats:  # noqa: N805
                return session.run(x) + np.float32(self.off_by)

            def time(_, x: Floats, runs: int) -> list[float]:  # noqa: N805
                assert len(x) == 1
                return [float(run) for run in range(runs)]

        return Told()


def entered(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script("import stub", "session = stub.open(model)", 'session["{input}"](x)')
    monkeypatch.setitem(ENGINES, "stub", Engine("stub", lambda: "stub 3", stub.load, lambda: "a drawer", script))


@pytest.mark.parametrize("engine", ["onnxruntime", "pytorch", pytest.param("pytorch_cuda", marks=pytest.mark.gpu)])
def test_engines_run_a_block(engine: str) -> None:
    if engine == "pytorch_cuda" and not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    threads = torch.get_num_threads()
    torch.manual_seed(0)
    layer = Layer(nn.Sequential(InvertedResidual(8, 3, 3).build(4)).eval(), (4, 8, 8))
    images = np.random.default_rng(0).standard_normal((2, 4, 8, 8), dtype=np.float32)
    with torch.inference_mode():
        expected = layer.module(torch.from_numpy(images)).numpy()
    for optimise in (False, True):
        session = ENGINES[engine].load(Layer(deepcopy(layer.module), layer.shape), threads=threads, optimise=optimise)
        np.testing.assert_allclose(run_batches(session, images), expected, atol=1e-4)
        times = session.time(images[:1], 3)
        assert len(times) == 3
        assert all(ms > 0 for ms in times)
    assert ENGINES[engine].name == engine
    assert ENGINES[engine].version()
    assert ENGINES[engine].device()


def test_pytorch_runs_layers_and_no_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"PyTorch does not run a\.onnx"):
        ENGINES["pytorch"].load(answers(tmp_path / "a.onnx", LOGITS))


def test_parity_and_latency_of_an_engine_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stub = Stub(off_by=1e-5)
    entered(stub, monkeypatch)
    path = answers(tmp_path / "a.onnx", LOGITS)
    parity = check_parity(path, IMAGES, LOGITS, engine="stub")
    assert parity["engine"] == "stub 3"
    assert parity["max_difference"] == pytest.approx(1e-5, rel=0.5)
    assert stub.loaded == [("a.onnx", 1, False), ("a.onnx", 1, True)]
    stub.off_by = 0.1
    with pytest.raises(UserError, match=r"differs from PyTorch .*\(stub's optimisations off, batch 1\)"):
        check_parity(path, IMAGES, LOGITS, engine="stub")
    latency = measure_latency(path, IMAGES[:1], engine="stub", threads=3, runs=5, warmup=2)
    assert (latency["median_ms"], latency["min_ms"], latency["engine"]) == (4, 2, "stub 3")
    assert latency["processor"] == "a drawer"
    assert stub.loaded[-1] == ("a.onnx", 3, True)


def test_a_network_is_handed_over_for_an_engine_of_one_s_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    entered(Stub(), monkeypatch)
    folder = tmp_path / "retrain"
    retrain_folder(folder)
    source = load_retrained(folder / "model.safetensors", None, 4)
    (tmp_path / "out").mkdir()
    asked = ExportOptions(title="own", exporter="legacy", opset=17)
    card = hand_over(source, tmp_path / "out", asked, engine="stub", say=lambda text: None)
    assert card["parity"]["engine"] == card["latency"]["engine"] == "stub 3"
    script = (tmp_path / "out" / card["example"]).read_text()
    for line in ("import stub", "session = stub.open(model)", 'outputs = session["image"](x)[0]'):
        assert f"\n{line}\n" in script
    with pytest.raises(UserError, match="pytorch does not run ONNX files"):
        hand_over(source, tmp_path / "out", asked, engine="pytorch")
