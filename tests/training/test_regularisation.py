"""Auxiliary heads and drop path: what they add to a step, and that nothing is left of them in evaluation."""

from __future__ import annotations

from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor, nn

from config_file.errors import UserError
from supernet import Network, build_space
from supernet.auxiliary import place_of_head
from supernet.cell_space import CellSpace
from supernet.composites import InvertedResidual
from supernet.describe import describe
from training.cli import main_retrain
from training.data import Data, load_data
from training.loop import train_step
from training.options import RetrainOptions
from training.retrain import prepare_network, train_network
from training.testing import TINY, TrainerSuite
from training.trainer import Context, Trainer
from training.trainers import TRAINERS, find_network_trainer
from training.trainers.auxiliary_head import BesideHead
from training.trainers.drop_path import DropPath, dropped, sites_of_branches

CELL = (3, 2, 3, 1, 3, 2)  # of NAS-Bench-201: 3x3 and 1x1 convolutions, a skip


def cells() -> Network:
    torch.manual_seed(0)
    space = build_space("nasbench201", resolution=16, num_classes=10, widths=(4, 6, 8), depths=(1, 1, 1))
    return Network(space.decode(CELL)).train()


def settings(**changes: Any) -> RetrainOptions:
    tiny = {name: value for name, value in TINY.items() if name not in ("search_space", "widths")}
    return RetrainOptions(**(tiny | {"resolution": 16, "epochs": 4, "clip_grad_norm": 0.0} | changes))


@pytest.fixture(scope="module")
def data() -> Data:
    return load_data(settings(), 16)


def trainer_of(data: Data, network: Network | None = None, **changes: Any) -> Trainer:
    network = network or cells()
    return prepare_network(network.spec, data, settings(**changes), network).trainer


class TestHeadOfASupernet(TrainerSuite):
    changes: ClassVar = {"auxiliary": "head"}

    def make(self, context: Context) -> Trainer:
        return BesideHead(TRAINERS["fair"], context)


class TestBothOfANetwork(TrainerSuite):
    changes: ClassVar = {"auxiliary": "head", "drop_path": 0.5, "batch_size": 64, "epochs": 8}  # two steps an epoch
    network: ClassVar = True

    def make(self, context: Context) -> Trainer:
        return find_network_trainer(context.options)(context)


# ---- auxiliary head


@pytest.mark.parametrize(("cells_", "place"), [(20, 13), (8, 5), (14, 9)])
def test_it_reads_the_cell_that_darts_reads(cells_: int, place: int) -> None:
    space = build_space("darts", resolution=32 if cells_ < 14 else 224, widths=(2,), depths=(cells_,))
    assert isinstance(space, CellSpace)
    described = describe(space, (0,) * len(space.decisions))
    assert described["auxiliary"]["site"] == f"cell{place}"
    maps = {"stem0": (8, 32, 32), "stem1": (8, 32, 32)}
    for number in range(cells_):
        maps |= {f"cell{number}/in0": (4, 8, 8), f"cell{number}/node": (9, 8, 8), f"cell{number}": (16 + number, 8, 8)}
    assert place_of_head(maps | {"head": (10, 1, 1)}) == (f"cell{place}", 16 + place)
    small = {"cell0/in0": (4, 2, 2), "cell0": (8, 2, 2), "cell1/in0": (8, 2, 2), "cell1": (8, 1, 1), "head": (10, 1, 1)}
    assert place_of_head(small) == ("cell0", 8)  # never what is inside a cell


def test_of_a_chain_it_reads_a_stage(data: Data) -> None:
    space = build_space("nasbench_macro", resolution=16, num_classes=10, widths=(4, 4, 6, 8, 16))
    head = trainer_of(data, Network(space.decode((1,) * 8)), auxiliary="head")
    assert isinstance(head, BesideHead)
    assert head.site == "stage3/2"
    with pytest.raises(UserError, match="no map of the network"):
        place_of_head({"head": (10, 1, 1)})


def test_the_loss_is_the_stated_sum_beside_any_trainer(data: Data) -> None:
    head = trainer_of(data, auxiliary="head", auxiliary_weight=0.3)
    assert isinstance(head, BesideHead)
    x, y = next(data.train.batches(8, channels_last=False))
    loss, outputs = head.step(0).passes[0](x, y)
    taps: dict[str, Tensor | None] = {head.site: None}
    again = head.context.model(x, taps)
    assert torch.equal(outputs, again)
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    expected = criterion(again, y) + 0.3 * criterion(head.auxiliary(taps[head.site]), y)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


# ---- drop path


def test_branches_are_what_only_a_sum_reads_but_identities() -> None:
    spec = cells().spec
    inputs = {name: node for node in spec.nodes for name in node.inputs if len(node.inputs) > 1}
    found = sites_of_branches(spec)
    assert set(found) <= set(inputs)
    assert "cell00/1<-0" not in found  # alone at its node, and read on: a trunk
    assert {"cell00/3<-2", "cell10/3<-1", "reduction1/b", "reduction1/short"} <= set(found)


def test_of_residual_blocks_the_branch_is_what_is_added(data: Data) -> None:
    block = InvertedResidual(4, kernel=3, expand=2)
    layer = block.build(4).eval()
    space = build_space("nasbench_macro", resolution=16, num_classes=10, widths=(4, 4, 6, 8, 16))
    network = Network(space.decode((1,) * 8))
    trainer = trainer_of(data, network, drop_path=0.5)
    assert isinstance(trainer, DropPath)
    assert len(trainer.branches) == 5  # three stages of 2, 3, 3 layers, of which the first changes the shape
    x = torch.randn(3, 4, 6, 6)
    hook = layer[-1].register_forward_hook(lambda module, inputs, output: output * 0)
    assert torch.equal(layer(x), x)
    hook.remove()


def test_masks_are_per_image_and_keep_the_mean() -> None:
    torch.manual_seed(1)
    found = dropped(torch.ones(20_000, 2, 1, 1), 0.25)
    assert found.unique().tolist() == pytest.approx([0, 4 / 3])
    assert torch.equal(found[:, 0], found[:, 1])
    assert found.mean().item() == pytest.approx(1, abs=4 * 0.58 / 20_000**0.5)  # four standard errors


def test_the_probability_rises_with_the_epochs(data: Data) -> None:
    trainer = trainer_of(data, drop_path=0.2)
    assert isinstance(trainer, DropPath)
    per_epoch = len(data.trainval) // 16
    assert [trainer.probability(step) for step in (0, per_epoch - 1, per_epoch, 4 * per_epoch - 1)] == pytest.approx(
        [0, 0, 0.05, 0.15]
    )


def test_a_step_is_that_of_a_network_whose_branches_are_masked(data: Data) -> None:
    """The masks drawn again from the step's generators, applied by the sums of an independent walk."""
    trainer = trainer_of(data, drop_path=0.6)
    assert isinstance(trainer, DropPath)
    x, y = next(data.train.batches(16, channels_last=False))
    number = 3 * trainer.context.steps_per_epoch
    torch.manual_seed(5)
    _, outputs = trainer.step(number).passes[0](x, y)
    network, masked = trainer.context.model, set(sites_of_branches(cells().spec))
    assert isinstance(network, Network)
    torch.manual_seed(5)
    values, zeros = {"input": x}, 0
    for node in network.spec.nodes:
        value = network.layer(node.site)(sum(values[name] for name in node.inputs))
        if node.site in masked:
            mask = torch.empty(16, 1, 1, 1).bernoulli_(1 - 0.45)
            zeros += int((mask == 0).sum())
            value = value * (mask / 0.55)
        values[node.site] = value
    assert zeros
    assert torch.allclose(outputs, value, atol=1e-6)


# ---- evaluation, and the command


def test_nothing_of_them_is_left_in_evaluation(data: Data) -> None:
    training = prepare_network(cells().spec, data, settings(auxiliary="head", drop_path=0.5), cells())
    recipe, state = training.recipe, training.state
    state.step = 2 * recipe.steps_per_epoch  # where branches are dropped
    batch = next(iter(recipe.batches(2)))
    train_step(recipe, state, *batch)
    network = state.model
    assert not any(module._forward_hooks for module in network.modules())
    assert isinstance(network, Network)
    alone = Network(network.spec)
    alone.load_state_dict(network.state_dict())  # the same names: no head in it
    x = batch[0]
    assert torch.equal(network.eval()(x), alone.to(memory_format=torch.channels_last).eval()(x))  # type: ignore[call-overload]


def test_refusals(data: Data, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> None:
    space = build_space("nasbench_macro", resolution=16, num_classes=10, widths=(4, 4, 6, 8, 16))
    with pytest.raises(UserError, match=r"--drop-path 0\.2: the network has no branches"):
        train_network(space.decode((0,) * 8), data, settings(drop_path=0.2))
    command = ["--title", "a", "--root-path", str(tmp_path), "--search-space", "nasbench_macro"]
    command += ["--architecture", "1 1 1 1 1 1 1 1"]
    for words, message in (
        (["--auxiliary", "haed"], "unknown auxiliary net 'haed'; did you mean 'head'?"),
        (["--auxiliary-weight", "0.4"], "--auxiliary-weight is for --auxiliary head"),
        (["--drop-path", "1"], "--drop-path must be at least 0 and below 1"),
    ):
        with pytest.raises(UserError) as error:
            main_retrain([*command, *words])
        assert message in str(error.value)
