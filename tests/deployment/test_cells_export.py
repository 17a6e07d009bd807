"""Networks of cells in ONNX: twenty random ones give what PyTorch gives, and what nothing reads is not in the file."""

from __future__ import annotations

import random
from pathlib import Path

import numpy as np
import torch

from deployment.onnx_export import to_onnx
from deployment.parity import check_parity
from supernet import Network, build_space
from supernet.blocks import Conv
from supernet.cell_blocks import SepConv
from supernet.spaces.cells import DARTS_OPERATIONS, CellTable
from tests.deployment.networks import used


def test_parity_of_random_cells(tmp_path: Path) -> None:
    two_nodes = CellTable("two", DARTS_OPERATIONS, nodes=2).to_dict()  # an export takes time by the layer
    space = build_space(two_nodes, resolution=8, num_classes=10, widths=[4], depths=[3])
    x = np.random.default_rng(0).normal(size=(2, 3, 8, 8)).astype(np.float32)
    met = set()
    for seed in range(20):
        architecture = space.sample(random.Random(seed))
        met.update(space.names(architecture))
        network = used(Network(space.decode(architecture))).eval()
        model = to_onnx(network, (3, 8, 8), exporter="legacy")
        (tmp_path / "cell.onnx").write_bytes(model.SerializeToString())
        with torch.no_grad():
            expected = network(torch.from_numpy(x)).numpy()
        check_parity(tmp_path / "cell.onnx", x, expected, tolerance=1e-5)
    assert {name for decision in space.decisions for name in decision.options} <= met


def test_what_nothing_reads_is_not_exported() -> None:
    table = {"name": "end", "operations": ["skip_connect", "sep_conv_3x3"], "keep": 1, "nodes": 2, "concat": [3]}
    space = build_space(table, resolution=16, num_classes=10, widths=[4], depths=[1])
    chosen = {"reduce/2<-0": 1, "reduce/3<-1": 0, "normal/2<-0": 0, "normal/3<-0": 0}
    spec = space.decode(space.keeping(chosen))
    assert any(isinstance(node.block, SepConv) for node in spec.nodes)
    assert sum(isinstance(node.block, Conv) for node in spec.nodes) == 3  # the stem, and both inputs of the cell
    model = to_onnx(used(Network(spec)).eval(), (3, 16, 16), exporter="legacy")
    # The stem, one input, and the two halves of a skip that halves the resolution.
    assert sum(node.op_type == "Conv" for node in model.graph.node) == 4
