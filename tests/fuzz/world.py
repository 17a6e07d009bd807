"""One small world with a whole file of every kind: what our stages leave, and what people bring."""

from __future__ import annotations

import json
import random
from itertools import product
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from config_file.files import append_sealed
from lookup_tables.cli import main as tables_main
from lookup_tables.cost_table import distinct_blocks
from lookup_tables.imports import _names
from lookup_tables.latency import kit as kits
from lookup_tables.latency.measure import Rounds
from search.cli import main as search_main
from search.objectives import ACCURACY
from search.predictor.kept import train
from search.result import Fidelity, Result
from search.runs import FORMAT as RUNS
from search.runs import Run
from search.subnet_table import FORMS, write_subnets
from search.tabular import Benchmark, write_benchmark
from supernet import SearchSpace, build_space
from supernet.controllers import FactorisedController
from supernet.genotype import genotype_of
from supernet.net_config import config_of
from supernet.nni_form import in_form
from tests.search.foreign.test_mf_nas import CONFIG
from tests.search.foreign.test_vega import MFKD2
from tests.search.tabular.pickles import pickled as pickled_table
from tests.search.tabular.test_records import framed, records
from tests.training.test_data_cifar import pickled
from training.cli import main_retrain, main_train_supernet
from training.controller_file import save_controller
from training.differentiable_search.distribution_file import Distribution, save_distribution

SPACE = """\
name: micro
stem: 8
head: 16
candidates: [k3e1, k3e3, skip]
stages:
  - {channels: 8, depth: 2, stride: 2}
  - {channels: 16, depth: 1, stride: 2, se: true}
"""
NEURAL_COMPRESSOR = """\
nas:
  approach: basic
  search: {search_space: proxylessnas, search_algorithm: random, metrics: [acc], max_trials: 3, seed: 42}
train:
  start_epoch: 0
  end_epoch: 2
  optimizer:
    SGD: {learning_rate: 0.1, momentum: 0.9}
  dataloader: {batch_size: 8, dataset: {CIFAR10: {root: images}}}
"""
TITLE = ["--title", "one", "--no-tensorboard", "--threads", "1"]
TRAINING = [*TITLE, "--dataset", "digits", "--train-portion", "0.2", "--epochs", "1", "--batch-size", "64"]
CELLS = """
name: mine
operations: [skip_connect, sep_conv_3x3, none]
edges: {a: [0, 1], b: [1, a]}
keep: 1
concat: [b]
width: 2
cells: 2
"""

IMAGE = ["--search-space", "micro.yml", "--resolution", "16", "--num-classes", "10"]


def make_world(folder: Path) -> SearchSpace:
    """Fill the folder, which must be the current one; returns the space that most of its files are about."""
    Path("micro.yml").write_text(SPACE)
    Path("neural_compressor.yml").write_text(NEURAL_COMPRESSOR)
    Path("vega.yml").write_text(MFKD2)
    Path("mf_nas.yaml").write_text(CONFIG)
    append_sealed(Path("runs.jsonl"), {"format": RUNS, "depends": {"options": {"fidelities": "12,200"}}})
    for seed in range(4):
        best = Result((seed, 1, 2), {"accuracy": 0.9}, Fidelity(epochs=200), {"epochs": 188.0, "seconds": 1e3})
        append_sealed(Path("runs.jsonl"), Run(seed, best, 0.94, {"epochs": 3392.0}, 32, seed).to_row())
    main_train_supernet([*TRAINING, "--search-space", "micro.yml", "--resolution", "16"])
    search_main(
        [
            *TITLE,
            "--search-strategy",
            "random",
            "--random-iteration",
            "8",
            "--calibration-images",
            "64",
            "--eval-images",
            "60",
            "--target-hc",
            "1",
            "--random-seed",
            "1",
        ]
    )
    main_retrain([*TRAINING, "--resolution", "16", "--random-seed", "3"])
    space = build_space("micro.yml", resolution=16, num_classes=10)
    _tables(space)
    _foreign_tables(space)
    _architectures(space)
    _subnets(space)
    _ranking(space)
    _data_sets()
    _benchmarks()
    return space


def _draw(space: SearchSpace, count: int) -> list[tuple[int, ...]]:
    drawn = random.Random(0)
    return sorted({space.sample(drawn) for _ in range(count)})


def _tables(space: SearchSpace) -> None:
    tables_main(["build", "--metric", "flops", *IMAGE, "--output", "flops.json"])
    export, kits.to_onnx = kits.to_onnx, lambda *layer, **settings: torch.nn.Identity()
    torch.nn.Identity.SerializeToString = lambda self: b"onnx"  # type: ignore[attr-defined]
    try:
        tables_main(["kit", *IMAGE, "--networks", "4", "--output", "kit"])
    finally:
        kits.to_onnx = export
        del torch.nn.Identity.SerializeToString  # type: ignore[attr-defined]
    lines = Path("kit/manifest.csv").read_text().splitlines()
    filled = [f"{line}{0.01 * (1 + index)}" for index, line in enumerate(lines[1:])]
    Path("kit/manifest.csv").write_text("\n".join([lines[0], *filled]) + "\n")
    rounds = Rounds(Path("rounds.jsonl"), {"search_space": "micro", "threads": 1})
    rounds.measure({"blocks/000": lambda n: [0.25] * n, "networks/000": lambda n: [1.5] * n}, 3, "")
    costs = [(a, space.decode(a).macs(space.input_shape) / 1e6 + 0.1) for a in _draw(space, 40)]
    rows = [f"{' '.join(space.names(a))},{cost:.5f}" for a, cost in costs]
    Path("measured.csv").write_text("\n".join(["architecture,ms", *rows]) + "\n")


def _foreign_tables(space: SearchSpace) -> None:
    layers = [[1.5 + layer + option / 8 for option in range(n)] for layer, n in enumerate(space.sizes)]
    names = [decision.name for decision in space.decisions]
    header = list(space.decisions[0].options)
    Path("osnaslib.json").write_text(json.dumps({"latency": layers, "base_latency": 0.5, "flops": layers}))
    Path("fbnet.txt").write_text("\n".join(" ".join(map(str, row)) for row in [header, *layers]) + "\n")
    cells = [
        f"{name},{option},{layers[i][j]}"
        for i, name in enumerate(names)
        for j, option in enumerate(space.decisions[i].options)
    ]
    Path("layers.csv").write_text("\n".join(["layer,option,ms", *cells, "stem,,0.5"]) + "\n")
    lines = []
    for site, keys in zip(space.sites, space.factors(), strict=True):
        for number, (block, shape) in enumerate(keys[1].flat if site.given else ()):
            out = block.output_shape(shape)
            place = shape[2], shape[1], shape[0], out[0], -(-shape[1] // out[1])
            name = space.decisions[keys[0][0]].options[number]
            lines.append({"op_name": name, "op_data_shape": place, "op_dtype": "float", "op_latency": 100.0 + number})
    distinct = {str((line["op_name"], line["op_data_shape"])): line for line in lines}
    Path("nni.txt").write_text("\n".join(map(str, distinct.values())) + "\n")
    keys = {}
    for block, shape in distinct_blocks(space, space.input_shape[1]):
        for names in _names(block, shape)[:1]:
            keys |= {name: {"mean": 0.5 + len(keys), "count": 9, "var": 0.01} for name in names}
    Path("proxyless.yaml").write_text("".join(f"{key}: {json.dumps(row)}\n" for key, row in keys.items()))


def _architectures(space: SearchSpace) -> None:
    chosen = (0, 1, 2)
    Path("architecture.json").write_text(json.dumps(list(chosen)))
    Path("names.json").write_text(json.dumps({"names": space.names(chosen)}))
    np.save("architecture.npy", np.array(chosen))
    Path("elastic.json").write_text(json.dumps({"ks": [3, 5, 7, 7] * 5, "e": 4, "d": [2, 3, 4, 3, 2], "r": 64}))
    elastic = build_space("ofa_mbv3")
    config = config_of(elastic.decode(tuple(size - 1 for size in elastic.sizes)))
    cells = build_space("darts", num_classes=10, widths=[2], depths=[1])
    found = cells.sample(random.Random(0))
    Path("genotype.txt").write_text(str(genotype_of(cells, found)))
    Path("epoch_49.json").write_text(json.dumps(in_form(cells, found, "2")))
    Path("cells.yml").write_text(CELLS)
    Path("net.config").write_text(json.dumps(config))
    rows = [np.log(np.full(size, 1 / size)) for size in space.sizes]
    Path("learnt").mkdir()
    save_controller(Path("learnt"), space, "factorised", FactorisedController(space.sizes), {})
    save_distribution(Path("learnt"), space, Distribution(rows, chosen, {"relaxation": "gumbel", "order": 1}))


def _subnets(space: SearchSpace) -> None:
    """Tables of subnets of other tools."""
    results = [Result(a, {"accuracy": 0.5 + n / 99}, cost={"flops": 0, "params": 0}) for n, a in
               enumerate(_draw(space, 8))]  # fmt: skip
    write_subnets(Path("subnets.csv"), FORMS["dynast"], space, results)
    train(space, ACCURACY, results, 0).save(Path("predictor.json"))
    subnets = [{"ks": [3, 5] * 10, "e": [4] * 20, "d": [2, 3, 4, 3, 2], "image_size": size} for size in (64, 128)]
    Path("acc.dict").write_text(json.dumps({json.dumps(subnet): 71.5 for subnet in subnets}))


def _ranking(space: SearchSpace) -> None:
    drawn = random.Random(1)
    rows = [(a, drawn.uniform(80, 95)) for a in _draw(space, 60)]
    text = [f"{' '.join(space.names(a))},{value:.3f}" for a, value in rows]
    Path("truth.csv").write_text("\n".join(["architecture,accuracy", *text]) + "\n")
    Path("scores.csv").write_text("\n".join(["indices,score", *(f"{' '.join(map(str, a))},{v}" for a, v in rows)]))
    numbers = np.random.default_rng(0)
    count = 12
    np.savez_compressed(
        "macro.npz", arch=numbers.integers(0, 3, (count, 8)), test_acc=numbers.uniform(80, 95, (count, 3)),
        mean_acc=numbers.uniform(80, 95, count), macs=numbers.integers(1, 99, count), params=np.arange(count),
    )  # fmt: skip
    np.savez_compressed(
        "nb201.npz", arch=numbers.integers(0, 5, (count, 6)), datasets=np.array(["cifar10", "cifar100"]),
        test_acc_200=numbers.uniform(80, 95, (count, 2)), flops_m=numbers.uniform(1, 9, (count, 2)),
        params_m=numbers.uniform(1, 9, (count, 2)), valtest_acc_200_seeds=numbers.uniform(80, 95, (count, 2, 3)),
    )  # fmt: skip


def _benchmarks() -> None:
    """Tables of benchmarks: ours, NAS-Bench-201's published one, and MF-NAS's pickle of NAS-Bench-ASR."""
    numbers, count = np.random.default_rng(0), 12
    keys = np.array(list(product(range(3), repeat=6)))[:count]
    curves = numbers.uniform(0.5, 0.9, (count, 2))
    sizes = numbers.uniform(1e6, 9e6, count)
    score = {"synflow": (sizes, np.full(count, 0.5))}
    table = Benchmark(
        "nasbench201", "cifar10", keys, (4, 12), curves, curves[:, 1], np.cumsum(curves, 1), sizes, sizes, score
    )
    write_benchmark("benchmark.npz", table)
    columns = {
        name: numbers.uniform(80, 95, (count, 3)).astype(np.float32)
        for name in ("val_acc_12", "val_acc_200_naslib", "test_acc_200", "train_seconds_200ep", "params_m", "zen",
                     "flops_m_convonly_unverified", "zen_seconds")
    }  # fmt: skip
    datasets = np.array(["cifar10", "cifar100", "ImageNet16-120"])
    np.savez_compressed("published.npz", arch=keys.astype(np.uint8), datasets=datasets, **columns)
    cells = {f"{number:032x}": {"val_per": [0.9, 0.3], "test_per": 0.25, "FLOPs": 5e8, "params": 2e7} for number in
             range(count)}  # fmt: skip
    Path("asr.p").write_bytes(pickled_table(cells))
    Path("cells.tfrecord").write_bytes(b"".join(map(framed, records())))


def _data_sets() -> None:
    numbers = np.random.default_rng(0)
    images = Path("images")
    for index, (suffix, mode) in enumerate(
        [("png", "RGB"), ("jpg", "L"), ("bmp", "RGB"), ("gif", "P"), ("webp", "RGB")]
    ):
        folder = images / "ab"[index % 2]
        folder.mkdir(parents=True, exist_ok=True)
        pixels = Image.fromarray(numbers.integers(0, 255, (12, 12, 3), dtype=np.uint8))
        pixels.convert(mode).save(folder / f"{index}.{suffix}")
    lines = [
        f"images/{'ab'[i % 2]}/{i}.{s} " + " ".join(f"{v:.4f}" for v in numbers.random(212))
        for i, s in enumerate(["png", "jpg"])
    ]
    Path("landmarks.txt").write_text("\n".join(lines) + "\n")
    folder = Path("cifar/cifar-10-batches-py")
    folder.mkdir(parents=True)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        pixels = numbers.integers(0, 255, (20, 3072), dtype=np.uint8)
        (folder / name).write_bytes(pickled({"data": pixels, "labels": [*range(10)] * 2}))
    (folder / "batches.meta").write_bytes(pickled({"label_names": [f"class {i}" for i in range(10)]}))
