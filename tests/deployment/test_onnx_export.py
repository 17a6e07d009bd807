from __future__ import annotations

import copy
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import helper, numpy_helper
from torch import nn
from torch.nn import functional as F

from config_file.errors import UserError
from deployment import onnx_export
from deployment.onnx_checks import ALLOWED_OPS, check_graph, find_machine_path
from deployment.onnx_export import EXPORTERS, check_opset, to_onnx
from deployment.onnx_graph import strip
from deployment.parity import check_parity
from supernet.layers import ShuffleUnit
from tests.deployment.networks import FAMILIES, MEAN, SHAPE, STD, all_identity, cell, chain

NETWORKS = {name: lambda blocks=blocks: chain(*blocks) for name, blocks in FAMILIES.items()}
NETWORKS |= {"cell": cell, "identity": all_identity}
# Everything that the exporters treat in a way of their own, in one chain: an export with dynamo takes seconds.
MIXED = (
    *FAMILIES["squeeze-excite, hard-swish"],
    *FAMILIES["grouped with channel shuffle"],
    *FAMILIES["shuffle"],
    *FAMILIES["batch norm after an activation"],
    *FAMILIES["no classifier bias"],
)


def reference(network: nn.Module, images: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return copy.deepcopy(network).eval()(torch.from_numpy(images)).numpy()


def images(count: int = 6) -> np.ndarray:
    return np.random.default_rng(0).normal(size=(count, *SHAPE)).astype(np.float32)


def assert_parity(tmp_path: Path, model: onnx.ModelProto, network: nn.Module, batch_sizes: tuple[int, ...] = (1,)):
    path = tmp_path / "model.onnx"
    path.write_bytes(model.SerializeToString())
    x = images()
    return check_parity(path, x, reference(network, x), tolerance=2e-6, batch_sizes=batch_sizes)


def operations(model: onnx.ModelProto) -> Counter:
    return Counter(node.op_type for node in model.graph.node)


def sizes(value: onnx.ValueInfoProto) -> list[int | str]:
    return [size.dim_value or size.dim_param for size in value.type.tensor_type.shape.dim]


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_family_through_the_legacy_exporter(tmp_path, name, opset):
    network = NETWORKS[name]()
    model = to_onnx(network, SHAPE, exporter="legacy", opset=opset)
    assert_parity(tmp_path, model, network)
    assert model.opset_import[0].version == opset
    assert set(operations(model)) <= ALLOWED_OPS
    assert network.training, "the caller's network is left as it is"


@pytest.mark.parametrize("name", NETWORKS)
def test_every_family_with_an_open_batch(tmp_path, name):
    network = NETWORKS[name]()
    model = to_onnx(network, SHAPE, exporter="legacy", opset=17, dynamic_batch=True)
    assert_parity(tmp_path, model, network, batch_sizes=(3, 1, 6))
    assert sizes(model.graph.input[0]) == ["batch", *SHAPE]
    assert sizes(model.graph.output[0]) == ["batch", 10]


@pytest.fixture(scope="module")
def mixed():
    network = chain(*MIXED)
    return network, to_onnx(network, SHAPE, exporter="dynamo")


def test_dynamo_gives_what_pytorch_gives(tmp_path, mixed):
    network, model = mixed
    assert_parity(tmp_path, model, network)
    assert model.opset_import[0].version == 18
    assert sizes(model.graph.input[0]) == [1, *SHAPE]


def test_both_exporters_give_the_same_nodes(mixed):
    network, model = mixed
    legacy = to_onnx(network, SHAPE)
    assert operations(legacy) == operations(model)
    for graph in (legacy.graph, model.graph):  # a product as engines know it, whatever bias it has
        (last,) = (node for node in graph.node if node.op_type == "Gemm")
        assert {a.name: a.i for a in last.attribute}["transB"] == 1
        (matrix,) = (tensor for tensor in graph.initializer if tensor.name == last.input[1])
        assert list(matrix.dims) == [10, 32]


@pytest.mark.parametrize("exporter", EXPORTERS)
def test_names_have_no_blanks(tmp_path, exporter):
    """Sites may be called by several words; ncnn crashes on such names of values and weights."""

    class Words(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleDict({"before layer 4": nn.Conv2d(3, 4, 3), "before_layer_4": nn.Conv2d(4, 4, 3)})

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            for layer in self.layers.values():
                x = layer(x).relu()
            return x.mean((2, 3))

    network = Words().eval()
    model = to_onnx(network, SHAPE, exporter=exporter, opset=18)
    values = [name for node in model.graph.node for name in (node.name, *node.input, *node.output)]
    values += [item.name for item in (*model.graph.initializer, *model.graph.value_info)]
    assert not [name for name in values if len(name.split()) > 1]
    weights = {tensor.name for tensor in model.graph.initializer if tensor.name.startswith("layers")}
    assert len(weights) == 4  # of both layers, whose names differ in blanks only
    path, images = tmp_path / "model.onnx", np.random.default_rng(0).standard_normal((2, *SHAPE), dtype=np.float32)
    path.write_bytes(model.SerializeToString())
    with torch.inference_mode():
        check_parity(path, images, network(torch.from_numpy(images)).numpy())


def test_products_are_written_as_outputs_by_inputs(tmp_path):
    """One constant matrix in two products, as MatMul and as Gemm, beside one that is computed."""

    class Products(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.register_buffer("matrix", torch.randn(3, 3))
            self.register_buffer("bias", torch.randn(3))

        def forward(self, x):
            mean = x.mean((2, 3))
            return torch.addmm(self.bias, mean @ self.matrix, self.matrix)

    network = Products()
    for exporter in EXPORTERS:
        model = to_onnx(network, SHAPE, exporter=exporter)
        x = images()
        path = tmp_path / "model.onnx"
        path.write_bytes(model.SerializeToString())
        check_parity(path, x, reference(network, x), tolerance=2e-6)
        gemms = [{a.name: a.i for a in node.attribute} for node in model.graph.node if node.op_type == "Gemm"]
        assert [node.get("transB") for node in gemms] == [1, 1]
        assert "MatMul" not in operations(model)


def test_dynamo_leaves_plain_operations_only(mixed):
    network, model = mixed
    counts = operations(model)
    assert set(counts) <= ALLOWED_OPS
    assert counts["Conv"] == sum(isinstance(module, nn.Conv2d) for module in network.modules())
    assert counts["GlobalAveragePool"] == 2  # squeeze-excite and classifier
    assert counts["HardSwish"] == 2
    assert counts["Gemm"] == 1
    assert "ReduceMean" not in counts
    assert "MatMul" not in counts


def test_dynamo_with_an_open_batch_and_normalisation_inside(tmp_path):
    network = chain(*FAMILIES["shuffle"])
    model = to_onnx(network, SHAPE, exporter="dynamo", dynamic_batch=True, normalise=(MEAN, STD))
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (MEAN, STD))

    class Normalised(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network

        def forward(self, x):
            return self.network((x - mean) / std)

    assert_parity(tmp_path, model, Normalised(), batch_sizes=(1, 3))
    assert [node.op_type for node in model.graph.node[:3]] == ["Mul", "Add", "Conv"]


def test_every_shape_is_in_the_file(mixed):
    graph = mixed[1].graph
    known = {value.name: sizes(value) for value in (*graph.value_info, *graph.output)}
    assert all(all(isinstance(size, int) and size > 0 for size in known[node.output[0]]) for node in graph.node)


def test_a_channel_split_becomes_a_split_even_at_the_top():
    unit = ShuffleUnit(nn.Conv2d(4, 4, 1), None)
    model = to_onnx(nn.Sequential(unit), (8, 4, 4), exporter="legacy", opset=17)
    assert operations(model) == operations(to_onnx(unit, (8, 4, 4), exporter="legacy", opset=17))
    assert "Gather" not in operations(model)


def test_the_file_names_nothing_of_this_machine(mixed):
    raw = EXPORTERS["dynamo"](chain(*FAMILIES["batch norm after an activation"]).eval(), torch.zeros(1, *SHAPE), 18)
    assert find_machine_path(raw), "the exporter writes stack traces: if not, nothing need be stripped"
    assert find_machine_path(strip(raw)) is None
    data = mixed[1].SerializeToString()
    here = Path(__file__).resolve().parents[2]
    for text in (str(here), str(Path.home()) + "/", "site-packages", ".py", 'File "'):
        assert text.encode() not in data


@pytest.mark.parametrize(
    "text", ['File "net.py", line 3', "/somewhere/site-packages/torch", "{folder}/x", "made by train.py"]
)
def test_a_leaked_path_is_refused(mixed, text):
    model = copy.deepcopy(mixed[1])
    model.graph.node[0].doc_string = text.format(folder=Path.cwd())
    with pytest.raises(UserError, match="path or a stack trace"):
        check_graph(model, opset=18, dynamic_batch=False)


class DropsAlways(nn.Module):
    """The common mistake: F.dropout without training=self.training."""

    def __init__(self) -> None:
        super().__init__()
        self.network = chain(*FAMILIES["no classifier bias"])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.dropout(self.network(x), 0.5)


def test_an_active_dropout_is_caught():
    with pytest.raises(UserError, match=r"Dropout.*training=self\.training"):
        to_onnx(DropsAlways(), SHAPE, exporter="legacy", opset=17)


class ComputesSizes(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, torch.tensor([0, 2])].mean((1, 2, 3), keepdim=True)


def test_operations_that_engines_do_not_run_are_caught():
    with pytest.raises(UserError, match=r"holds Gather .*do not index"):
        to_onnx(ComputesSizes(), SHAPE, exporter="legacy", opset=17)


class Unknown(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.erfinv(x)


def test_what_the_exporter_does_not_know_is_one_line():
    with pytest.raises(UserError, match=r"the legacy exporter cannot write.*erfinv") as error:
        to_onnx(Unknown(), SHAPE, exporter="legacy", opset=17)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("exporter", "opset", "message"),
    [
        ("dynamo", 17, "18 to 23, not 17; use --exporter legacy"),
        ("dynamo", 99, "18 to 23, not 99"),
        ("legacy", 9, "13 to 20, not 9"),
        ("legcy", 17, "did you mean 'legacy'"),
    ],
)
def test_an_opset_that_cannot_be_written_is_refused_before_anything_runs(exporter, opset, message):
    with pytest.raises(UserError, match=message):
        check_opset(exporter, opset)


def test_another_opset_than_asked_for_is_refused(monkeypatch):
    legacy = EXPORTERS["legacy"]
    monkeypatch.setitem(onnx_export.EXPORTERS, "legacy", lambda module, x, opset: legacy(module, x, 13))
    with pytest.raises(UserError, match=r"asked for opset 17, the exporter wrote ai\.onnx 13"):
        to_onnx(cell(), SHAPE, exporter="legacy", opset=17)


def test_a_shape_left_open_is_refused(mixed):
    model = copy.deepcopy(mixed[1])
    model.graph.input[0].type.tensor_type.shape.dim[2].dim_param = "height"
    del model.graph.value_info[:]
    with pytest.raises(UserError, match="shape"):
        check_graph(model, opset=18, dynamic_batch=False)
    with pytest.raises(UserError, match="asked for an open batch"):
        check_graph(mixed[1], opset=18, dynamic_batch=True)


def test_weights_outside_the_file_are_refused(mixed):
    model = copy.deepcopy(mixed[1])
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        onnx.save(model, path, save_as_external_data=True, size_threshold=0)
        outside = onnx.load(path, load_external_data=False)
    with pytest.raises(UserError, match="outside the file"):
        check_graph(outside, opset=18, dynamic_batch=False)


def test_a_graph_that_contradicts_itself_is_refused(mixed):
    model = copy.deepcopy(mixed[1])
    tensor = next(t for t in model.graph.initializer if len(t.dims) == 4)
    tensor.CopyFrom(numpy_helper.from_array(np.zeros((1, 7, 1, 1), np.float32), tensor.name))
    with pytest.raises(UserError, match="not valid"):
        check_graph(model, opset=18, dynamic_batch=False)
    model = copy.deepcopy(mixed[1])
    model.graph.node.append(helper.make_node("Relu", ["nowhere"], ["lost"]))
    with pytest.raises(UserError, match="not valid"):
        check_graph(model, opset=18, dynamic_batch=False)
