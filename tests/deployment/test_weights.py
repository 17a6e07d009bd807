import json

import pytest
import torch
from safetensors.torch import load_file, save, save_file

from config_file.errors import UserError
from config_file.readers.checksum import sealed_tensors
from deployment.weights import FORMAT, load_network, save_network
from supernet.blocks import Conv, Head
from supernet.composites import InvertedResidual, ShuffleBlock
from supernet.network import Network
from supernet.spec import NetSpec, Node


def small_network() -> Network:
    torch.manual_seed(0)
    spec = NetSpec(
        (
            Node("stem", Conv(8, 3, 2), ("input",)),
            Node("a", InvertedResidual(8, 3, 2), ("stem",)),
            Node("b", ShuffleBlock(16, 3, 2), ("a",)),
            Node("head", Head(4), ("b",)),
        )
    )
    network = Network(spec)
    network(torch.randn(8, 3, 16, 16))  # running statistics of its own
    return network.eval()


METADATA = {"classes": ["a", "b", "c", "d"], "mean": [0.5, 0.4, 0.3], "search_space": "mine", "test_accuracy": 0.5}


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "model.safetensors"
    save_network(path, small_network(), METADATA)
    return path


def test_round_trip_keeps_weights_output_and_metadata(saved):
    network, metadata = load_network(saved)
    original = small_network()
    assert network.spec == original.spec
    assert metadata == METADATA | {"in_channels": 3}
    assert not network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    x = torch.randn(2, 3, 16, 16)
    with torch.no_grad():
        assert torch.equal(network(x), original(x))


def test_channels_last_weights_are_saved_plainly(tmp_path):
    path = tmp_path / "model.safetensors"
    save_network(path, small_network().to(memory_format=torch.channels_last), METADATA)
    expected = small_network().state_dict()
    for name, tensor in load_network(path)[0].state_dict().items():
        assert torch.equal(tensor, expected[name])


def test_loading_takes_nothing_from_the_global_random_state(saved):
    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    load_network(saved)
    assert torch.equal(torch.rand(1), expected)


def test_metadata_are_strings_of_json(saved):
    from safetensors import safe_open

    with safe_open(saved, framework="pt") as file:
        described = file.metadata()
    assert described["format"] == FORMAT
    assert json.loads(described["classes"]) == METADATA["classes"]
    assert NetSpec.from_json(described["spec"]) == small_network().spec


@pytest.mark.parametrize("keep", [0, 5, 100, 0.5, 0.999])
def test_a_truncated_file_is_one_clear_line(saved, keep):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(keep * len(data)) if isinstance(keep, float) else keep])
    with pytest.raises(UserError, match="truncated or not a safetensors file") as error:
        load_network(saved)
    assert "\n" not in str(error.value)


def test_files_of_the_earlier_form_are_refused(saved):
    rewritten(saved, format="oneshot-nas network 1")
    with pytest.raises(UserError, match=r"of another version of this toolkit \(oneshot-nas network 1\)") as error:
        load_network(saved)
    assert "\n" not in str(error.value)


def test_foreign_files_are_refused(tmp_path):
    foreign = tmp_path / "foreign.safetensors"
    save_file({"w": torch.zeros(2)}, foreign)
    with pytest.raises(UserError, match="not one of this toolkit"):
        load_network(foreign)
    foreign.write_text("not tensors at all")
    with pytest.raises(UserError, match="not a safetensors file"):
        load_network(foreign)
    with pytest.raises(UserError, match="no such file"):
        load_network(tmp_path / "missing.safetensors")
    with pytest.raises(UserError, match="no such file"):
        load_network(tmp_path)


def rewritten(path, change_tensors=lambda tensors: None, **metadata):
    """Change a file and give it the checksum of what it holds then."""
    from safetensors import safe_open

    with safe_open(path, framework="pt") as file:
        described = file.metadata() | metadata | {"checksum": "0" * 16}
    tensors = load_file(path)
    change_tensors(tensors)
    content = save(tensors, {name: text for name, text in described.items() if text is not None})
    path.write_bytes(sealed_tensors(content))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.pop("layers.head.linear.bias"), "lacks layers.head.linear.bias"),
        (lambda t: t.update(extra=torch.zeros(1)), "unexpected extra"),
        (lambda t: t.update({"layers.head.linear.bias": torch.zeros(5)}), r"is float32 \[5\], expected float32 \[4\]"),
        (
            lambda t: t.update({"layers.head.linear.bias": torch.zeros(4).half()}),
            r"is float16 \[4\], expected float32 \[4\]",
        ),
        (lambda t: t["layers.head.linear.bias"].fill_(float("nan")), "NaN or infinity"),
    ],
)
def test_tensors_that_do_not_fit_the_specification_are_refused(saved, change, message):
    rewritten(saved, change)
    with pytest.raises(UserError, match=message):
        load_network(saved)


@pytest.mark.parametrize(
    "metadata",
    [
        {"spec": "[]"},
        {"spec": "not json"},
        {"spec": None},
        {"spec": '[{"site": "a", "block": {"block": "Teleporter"}, "inputs": ["input"], "merge": "sum"}]'},
        {"spec": '[{"site": "a", "block": {"block": "Conv", "kernel": "x"}, "inputs": ["input"], "merge": "sum"}]'},
        {"spec": '[{"site": "a", "block": null, "inputs": ["input"], "merge": "sum"}]'},
        {"spec": '[{"site": "a.b", "block": {"block": "Conv"}, "inputs": ["input"], "merge": "sum"}]'},
        {"in_channels": "0"},
        {"in_channels": "many"},
        {"classes": "{"},
    ],
)
def test_a_damaged_description_is_refused(saved, metadata):
    rewritten(saved, **metadata)
    with pytest.raises(UserError, match=r"specification|metadata") as error:
        load_network(saved)
    assert "\n" not in str(error.value)


def test_a_failed_save_leaves_the_old_file(saved, monkeypatch):
    old = saved.read_bytes()

    def full_disk(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full_disk)
    with pytest.raises(OSError, match="No space"):
        save_network(saved, small_network(), METADATA)
    assert saved.read_bytes() == old
    assert list(saved.parent.iterdir()) == [saved]


def test_it_is_as_readable_as_its_neighbours(saved):
    (saved.parent / "plain").write_text("")
    assert saved.stat().st_mode == (saved.parent / "plain").stat().st_mode


def test_nan_in_metadata_is_refused(tmp_path):
    with pytest.raises(ValueError, match="JSON"):
        save_network(tmp_path / "model.safetensors", small_network(), {"test_accuracy": float("nan")})
    assert not list(tmp_path.iterdir())
