"""The kinds of files: which file of the world is damaged, in which ways, and how it is read as our commands read it."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch

from config_file.errors import UserError
from config_file.loader import parse
from config_file.readers.checksum import FIELD
from config_file.run_folder import RunFolder
from deployment.retrained import load_retrained
from lookup_tables import CostTable
from lookup_tables.cli import main as tables_main
from lookup_tables.imports import read_foreign
from lookup_tables.latency.fitting import LEAST
from lookup_tables.latency.measure import Rounds
from lookup_tables.latency.measurements import read_measurements
from search.archive import Archive
from search.cli import main as search_main
from search.comparison.verdict import main as verdict_main
from search.foreign import FOREIGN
from search.options import SearchOptions
from search.predictor.kept import load as load_predictor
from search.ranking.truth import load_truth, read_scores
from search.report import main as report_main
from search.runs import kept_runs
from search.tabular import find_benchmark
from search.tabular.public_files import PUBLIC
from search.warm_start import read_results
from supernet import SearchSpace, Supernet, build_space
from supernet.cli import main as describe_main
from supernet.saved import architecture_of
from supernet.written import read_architecture
from tests.fuzz.mutators import (
    BYTES,
    TEXT,
    Mutator,
    csv_cell,
    json_key_twice,
    json_tree,
    jsonl_tree,
    npy_header,
    npz_arrays,
    npz_header,
    safetensors_header,
    safetensors_metadata,
)  # fmt: skip
from tests.fuzz.resealed import json_resealed, jsonl_resealed, tensors_resealed, zip_resealed
from tests.fuzz.world import TITLE
from training.cli import main_retrain, main_train_supernet
from training.controller_file import load_controller
from training.data import load_data
from training.data.image_files import read_image
from training.data.landmarks import read_list
from training.differentiable_search.distribution_file import load_distribution
from training.options import RetrainOptions, TrainSupernetOptions
from training.supernet_file import load_supernet
from training.trainers.teacher import read_teacher


class WrongAcceptanceError(Exception):
    """Something was read that was not written."""


Read = Callable[[Path, SearchSpace], Any]


def _alone(read: Callable[[Path], Any]) -> Read:
    """A reader that needs no space."""
    return lambda path, _: read(path)


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    Args:
        file: of the world; each damaged one takes its place.
        read: as the commands do; what it returns is not looked at.
        mutators: one of them is drawn for each damaged file.
        sealed: the file has a checksum over all of it: nothing else than the whole file may be accepted.
        reseal: gives a damaged file the checksum that it would have: the reader sees what is inside.
        slow: how many times longer a reading takes than usual; so many fewer are tried in the tests.
    """

    file: str
    read: Read
    mutators: Sequence[Mutator]
    sealed: bool = False
    reseal: Callable[[bytes], bytes] | None = None
    slow: int = 1


JSON = (*TEXT, json_tree, json_tree, json_tree, json_tree, json_key_twice)
JSONL = (*TEXT, jsonl_tree, jsonl_tree, jsonl_tree, jsonl_tree)
CSV = (*TEXT, csv_cell, csv_cell, csv_cell, csv_cell)
NPZ = (*BYTES, npz_arrays, npz_arrays, npz_header, npz_header)
NPY = (*BYTES, npy_header, npy_header, npy_header)
TENSORS = (*BYTES, safetensors_header, safetensors_metadata, safetensors_metadata)


def _run(main: Callable[[Sequence[str]], Any], *words: Any) -> None:
    main([str(word) for word in words])


def _options(path: Path, _: SearchSpace) -> None:
    parse(TrainSupernetOptions, ["--config", str(path), "--title", "x"], "prog", "")


def _foreign(path: Path, _: SearchSpace) -> None:
    with redirect_stderr(io.StringIO()):
        parse(SearchOptions, ["--config", str(path), "--title", "x"], "prog", "", (), FOREIGN.values())


def _space(path: Path, _: SearchSpace) -> None:
    space = build_space(str(path), resolution=16, num_classes=10)
    if sum(e[0].params(e[1]) for _, table in space.factors() for e in table.flat if e) < 10**6:
        Supernet(space)


def _architecture(path: Path, space: SearchSpace) -> None:
    architecture_of(read_architecture(str(path)), space, path)


def _of(space: str, *flags: Any) -> Read:
    return lambda path, _: _run(describe_main, "--search-space", space, "--architecture", path, *flags)


_image = _alone(lambda path: read_image(path, 8))
_elastic, _cells = _of("ofa_mbv3"), _of("darts", "--widths", 2, "--depths", 1)


def _best(path: Path, _: SearchSpace) -> None:
    """Every command goes on, whatever another one said."""
    commands: list[tuple[Callable[..., Any], list[Any]]] = [
        (report_main, ["runs/one", "--output", "report.html"]),
        (describe_main, ["--architecture", path]),
        (verdict_main, [*TITLE, "--plan"]),
        (main_retrain, [*TITLE, "--dataset", "digits", "--resolution", "16", "--plan", "--architecture", path]),
    ]
    refusals = []
    for main, words in commands:
        try:
            _run(main, *words)
        except UserError as error:
            refusals.append(error)
    if refusals:
        raise refusals[0]


def _report(path: Path, _: SearchSpace) -> None:
    _run(report_main, "runs/one", "--output", "report.html")


def _archive(path: Path, space: SearchSpace) -> None:
    read_results(path, space)
    _report(path, space)


def _resumed_archive(path: Path, space: SearchSpace) -> None:
    """A row that is lost or doubled shows nowhere; one that was changed must not be taken."""
    header, *rows = [json.loads(line) for line in Path("whole").read_bytes().splitlines()]
    known = [{name: value for name, value in row.items() if name != FIELD} for row in rows]
    for result in Archive(path, header["fingerprints"]):
        if result.to_row() not in known:
            raise WrongAcceptanceError(result)


def _table(path: Path, space: SearchSpace) -> None:
    _run(tables_main, "show", path)
    table = CostTable.load(path, space)
    table.minimum()
    table.cost([(0, 0, 0)])


def _kit(path: Path, _: SearchSpace) -> None:
    _run(tables_main, "import", "--format", "kit", "--file", "kit", "--output", "kit-table.json")


def _imported(form: str) -> Read:
    return lambda path, space: read_foreign(path, form, space, "latency")


def _measured(path: Path, space: SearchSpace) -> None:
    found = read_measurements(path, space)
    if len(found.ms) >= LEAST:
        _run(tables_main, "fit", "--measurements", path, "--search-space", "micro.yml", "--resolution", "16",
                 "--num-classes", "10", "--output", "fitted.json")  # fmt: skip


def _rounds(path: Path, _: SearchSpace) -> None:
    times = Rounds(path, {"search_space": "micro", "threads": 1}).times()
    if not set(times.get("networks/000", ())) <= {1.5}:
        raise WrongAcceptanceError(times)


def _resealed_rounds(path: Path, _: SearchSpace) -> None:
    Rounds(path, {"search_space": "micro", "threads": 1}).times()


def _resumed(path: Path, _: SearchSpace) -> None:
    """What a resumed search reads of its folder."""
    options = parse(SearchOptions, [*TITLE, "--resume"], "search.py", "")
    RunFolder.check(options)
    # Describing the machine takes longer than all of the rest.
    with patch("config_file.run_folder.describe_environment", dict), RunFolder.open(options) as folder:
        folder.metrics()
        folder.truncate_metrics(5)


def _planned_search(path: Path, _: SearchSpace) -> None:
    load_supernet(path.parent)
    _run(search_main, *TITLE, "--search-strategy", "random", "--random-iteration", "2", "--plan", "--overwrite")


def _resumed_training(path: Path, _: SearchSpace) -> None:
    (path.parent.parent / "supernet.json").unlink(missing_ok=True)  # as if it had been killed before its end
    _run(main_train_supernet, *TITLE, "--resume")


def _cifar(path: Path, _: SearchSpace) -> None:
    options = TrainSupernetOptions(title="x", dataset="cifar10", data_path="cifar")
    load_data(options, None)


def _truth(path: Path, space: SearchSpace) -> None:
    load_truth(str(path), space)


def _scores(path: Path, _: SearchSpace) -> None:
    read_scores(path, ("score", "accuracy"))


def _benchmark(path: Path, _: SearchSpace) -> None:
    table = find_benchmark("nasbench201", "cifar10", path)
    table.spent(0, table.rung(table.epochs[-1]))
    assert table.fingerprint


def _public_table(path: Path, _: SearchSpace) -> None:
    name, dataset = ("nasbench101", "cifar10") if path.suffix == ".tfrecord" else ("nasbench_asr", "timit")
    PUBLIC[name]([path], dataset, None)


def _results(path: Path, space: SearchSpace) -> None:
    read_results(path, space)
    read_scores(path, ("accuracy",), space)


def _teacher(path: Path, _: SearchSpace) -> None:
    options = parse(RetrainOptions, [*TITLE, "--dataset", "digits", "--resolution", "16"], "retrain.py", "")
    read_teacher(str(path), load_data(options, 16), torch.device("cpu"))


def _samples(path: Path, _: SearchSpace) -> None:
    load_retrained("runs/one/retrain/model.safetensors", path)


def _learnt(path: Path, space: SearchSpace) -> None:
    (load_distribution if path.suffix == ".json" else load_controller)(path.parent, space)


def _accuracies(path: Path, _: SearchSpace) -> None:
    read_results(path, build_space("ofa_mbv3", resolution=64))


RUN, SUPERNET, SEARCH, NETWORK = (f"runs/one{at}" for at in ("", "/supernet", "/search", "/retrain/model.safetensors"))
KINDS: dict[str, Kind] = {
    "options, YAML": Kind(f"{SUPERNET}/config.yaml", _options, TEXT, slow=10),
    "options of Vega, YAML": Kind("vega.yml", _foreign, TEXT, slow=10),
    "options of MF-NAS, YAML": Kind("mf_nas.yaml", _foreign, TEXT, slow=10),
    "runs": Kind("runs.jsonl", _alone(kept_runs), JSONL),
    "runs, resealed": Kind("runs.jsonl", _alone(kept_runs), JSONL, reseal=jsonl_resealed),
    "options of Neural Compressor, YAML": Kind("neural_compressor.yml", _foreign, TEXT, slow=10),
    "space, YAML": Kind("micro.yml", _space, TEXT),
    "architecture, JSON list": Kind("architecture.json", _architecture, JSON),
    "architecture, JSON object": Kind("names.json", _architecture, JSON),
    "architecture, once-for-all's": Kind("elastic.json", _elastic, JSON, slow=2),
    "genotype": Kind("genotype.txt", _cells, TEXT, slow=10),
    "architecture, NNI's": Kind("epoch_49.json", _cells, JSON, slow=10),
    "space of cells, YAML": Kind("cells.yml", _space, TEXT, slow=3),
    "net.config": Kind("net.config", _elastic, JSON, slow=4),
    "architecture, .npy": Kind("architecture.npy", _architecture, NPY),
    "best.json, by four commands": Kind(f"{SEARCH}/best.json", _best, JSON, sealed=True, slow=20),
    "best.json, resealed": Kind(f"{SEARCH}/best.json", _best, JSON, reseal=json_resealed, slow=20),
    "lookup table": Kind("flops.json", _table, JSON, sealed=True),
    "lookup table, resealed": Kind("flops.json", _table, JSON, reseal=json_resealed),
    "archive": Kind(f"{SEARCH}/archive.jsonl", _resumed_archive, JSONL),
    "archive, resealed, reported": Kind(f"{SEARCH}/archive.jsonl", _archive, JSONL, reseal=jsonl_resealed, slow=10),
    "spent.json, reported": Kind(f"{SEARCH}/spent.json", _report, JSON, sealed=True, slow=10),
    "spent.json, resealed": Kind(f"{SEARCH}/spent.json", _report, JSON, reseal=json_resealed, slow=10),
    "results.csv": Kind(f"{SEARCH}/results.csv", _results, CSV),
    "subnets, DyNAS-T's CSV": Kind("subnets.csv", _results, CSV),
    "accuracies, once-for-all's": Kind("acc.dict", _accuracies, JSON, slow=2),
    "truth, CSV": Kind("truth.csv", _truth, CSV),
    "scores, CSV": Kind("scores.csv", _scores, CSV),
    "truth, NAS-Bench-Macro's .npz": Kind("macro.npz", _truth, NPZ),
    "truth, NAS-Bench-201's .npz": Kind("nb201.npz", _truth, NPZ),
    "table of a benchmark": Kind("benchmark.npz", _benchmark, NPZ, sealed=True),
    "table of a benchmark, resealed": Kind("benchmark.npz", _benchmark, NPZ, reseal=zip_resealed),
    "table of NAS-Bench-201, published": Kind("published.npz", _benchmark, NPZ),
    "table of NAS-Bench-ASR, MF-NAS's pickle": Kind("asr.p", _public_table, BYTES),
    "table of NAS-Bench-101, its records": Kind("cells.tfrecord", _public_table, BYTES),
    "measurements and their fit, CSV": Kind("measured.csv", _measured, CSV, slow=20),
    "table of ProxylessNAS": Kind("proxyless.yaml", _imported("proxylessnas"), TEXT),
    "table of OSNASLib": Kind("osnaslib.json", _imported("osnaslib"), JSON),
    "table of FBNet": Kind("fbnet.txt", _imported("fbnet"), TEXT),
    "table of NNI": Kind("nni.txt", _imported("nni"), TEXT),
    "table by layer, CSV": Kind("layers.csv", _imported("csv"), CSV),
    "predictor": Kind("predictor.json", _alone(load_predictor), JSON, sealed=True, slow=2),
    "predictor, resealed": Kind("predictor.json", _alone(load_predictor), JSON, reseal=json_resealed, slow=2),
    "kit.json": Kind("kit/kit.json", _kit, JSON, sealed=True),
    "kit.json, resealed": Kind("kit/kit.json", _kit, JSON, reseal=json_resealed, slow=3),
    "manifest of a kit, CSV": Kind("kit/manifest.csv", _kit, CSV, slow=3),
    "rounds": Kind("rounds.jsonl", _rounds, JSONL),
    "rounds, resealed": Kind("rounds.jsonl", _resealed_rounds, JSONL, reseal=jsonl_resealed),
    "supernet.json": Kind(f"{SUPERNET}/supernet.json", _planned_search, JSON, sealed=True),
    "supernet.json, resealed": Kind(f"{SUPERNET}/supernet.json", _planned_search, JSON, reseal=json_resealed, slow=20),
    "supernet.safetensors": Kind(f"{SUPERNET}/supernet.safetensors", _planned_search, TENSORS, sealed=True),
    "model.safetensors": Kind(NETWORK, _alone(load_retrained), TENSORS, sealed=True),
    "model.safetensors, resealed": Kind(NETWORK, _alone(load_retrained), TENSORS, reseal=tensors_resealed),
    "model.safetensors, a teacher": Kind(NETWORK, _teacher, TENSORS, reseal=tensors_resealed, slow=3),
    "samples.npz": Kind(f"{RUN}/retrain/samples.npz", _samples, NPZ, slow=3),
    "checkpoint": Kind(f"{SUPERNET}/checkpoints/last.pt", _resumed_training, BYTES, sealed=True, slow=20),
    "architecture.json, learnt": Kind("learnt/architecture.json", _learnt, JSON, sealed=True),
    "architecture.json, learnt, resealed": Kind("learnt/architecture.json", _learnt, JSON, reseal=json_resealed),
    "controller.safetensors": Kind("learnt/controller.safetensors", _learnt, TENSORS, sealed=True),
    "controller, resealed": Kind("learnt/controller.safetensors", _learnt, TENSORS, reseal=tensors_resealed),
    "env.json": Kind(f"{SEARCH}/env.json", _resumed, JSON, sealed=True, slow=20),
    "env.json, resealed": Kind(f"{SEARCH}/env.json", _resumed, JSON, reseal=json_resealed, slow=10),
    "config.yaml of a run": Kind(f"{SEARCH}/config.yaml", _resumed, TEXT, slow=10),
    "metrics.jsonl": Kind(f"{SEARCH}/metrics.jsonl", _resumed, JSONL, slow=20),
    "batches of CIFAR": Kind("cifar/cifar-10-batches-py/data_batch_3", _cifar, BYTES, slow=2),
    "classes of CIFAR": Kind("cifar/cifar-10-batches-py/batches.meta", _cifar, BYTES, slow=2),
    "list of landmarks": Kind("landmarks.txt", _alone(lambda path: read_list(path, Path())), TEXT),
    "PNG": Kind("images/a/0.png", _image, BYTES),
    "JPEG": Kind("images/b/1.jpg", _image, BYTES),
    "BMP": Kind("images/a/2.bmp", _image, BYTES),
    "GIF": Kind("images/b/3.gif", _image, BYTES),
    "WebP": Kind("images/a/4.webp", _image, BYTES),
}
