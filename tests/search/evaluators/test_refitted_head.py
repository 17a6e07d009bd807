from __future__ import annotations

import json
import math
import random
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import nn

from config_file.errors import UserError
from config_file.readers.json_text import read_jsonl
from search.cli import main as search
from search.evaluators.refitted_head import PENALTY, check_head, left_out_predictions, refitted_score, without_head
from search.evaluators.workers import WorkerEvaluator
from search.ranking.rank import main as rank
from search.result import Fidelity
from search.testing.toy import toy_space
from supernet import Decision, Network, SearchSpace, Shape, Site, Supernet, build_network_space, build_space, extract
from supernet.blocks import Conv, Head
from supernet.spaces import SPACES
from tasks import CLASSIFICATION, LANDMARKS
from tests.search.evaluators.test_prefix_evaluation import population
from tests.search.evaluators.test_supernet import make, randomised, scores, some
from tests.search.evaluators.test_workers import timeless
from tests.search.test_cli import FIRST, QUICK, here, other_weights, trained  # noqa: F401 - fixtures
from tests.search.toy import toy_data
from training.bn_calibration import calibrate_batch_norm

RANKING = ["--truth", "truth.csv", "--calibration-images", "40", "--eval-images", "40", "--resamples", "20"]


@settings(deadline=None, max_examples=40)
@given(
    st.integers(2, 30), st.integers(1, 30), st.integers(1, 3), st.sampled_from([1e-3, 0.03, 2.0]), st.integers(0, 99)
)
def test_equals_leaving_each_row_out_and_fitting_again(
    rows: int, width: int, outputs: int, penalty: float, seed: int
) -> None:
    """Against scikit-learn; in float64 a system of condition 1e3 / 1e-3 leaves ten digits."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, width, generator=generator).double() * 3 + 5
    y = torch.randn(rows, outputs, generator=generator).double()
    ridge = penalty * (x - x.mean(0)).square().sum().item() / rows
    expected = []
    for row in range(rows):
        others = [other for other in range(rows) if other != row]
        fit = Ridge(alpha=ridge).fit(x[others].numpy(), y[others].numpy())
        expected.append(torch.as_tensor(fit.predict(x[row : row + 1].numpy())).view(outputs))
    torch.testing.assert_close(left_out_predictions(x, y, penalty), torch.stack(expected), rtol=1e-7, atol=1e-9)


def test_features_that_say_nothing_predict_the_mean_of_the_others() -> None:
    y = torch.tensor([[0.0], [3.0], [6.0]])
    assert left_out_predictions(torch.ones(3, 4), y).flatten().tolist() == pytest.approx([4.5, 3.0, 1.5])


def test_what_a_head_can_read_is_found_whatever_the_supernets_says() -> None:
    """Two classes apart in one feature, noise in nine: right by a new head; the score counts images and outputs."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(400) % 2
    features = torch.randn(400, 10, generator=generator)
    features[:, 3] += 8 * labels
    found = refitted_score([(features[:150], labels[:150]), (features[150:], labels[150:])], 2, CLASSIFICATION)
    assert found.value == 1.0
    assert 0 < found.loss < 0.1
    assert (found.images, found.deviation) == (400, 0.0)
    chance = refitted_score([(torch.randn(400, 10, generator=generator), labels)], 2, CLASSIFICATION)
    assert 0.4 < chance.value < 0.6
    assert 0.45 < chance.loss < 0.6  # 0.5: predicting one half for both


def test_points_are_fitted_too() -> None:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 20, generator=generator)
    points = features @ torch.randn(20, 212, generator=generator)
    found = refitted_score([(features, points)], 212, LANDMARKS)
    useless = refitted_score([(features.flip(0), points)], 212, LANDMARKS)
    assert found.loss < useless.loss / 100
    assert found.value < useless.value / 10


def test_diverged_features_fail() -> None:
    found = refitted_score([(torch.full((4, 3), math.inf), torch.tensor([0, 1, 0, 1]))], 2, CLASSIFICATION)
    assert math.isnan(found.loss)
    assert math.isnan(found.value)


def test_only_the_last_linear_layer_goes() -> None:
    network = nn.Sequential(nn.Linear(4, 5), nn.Sequential(nn.ReLU(), nn.Dropout(0.5), nn.Linear(5, 3))).eval()
    x = torch.randn(2, 4)
    expected = network[0](x).relu()
    assert check_head(network, x) == 3
    assert torch.equal(without_head(network)(x), expected)
    assert torch.equal(without_head(nn.Linear(4, 2))(x), x)


class Normalised(nn.Linear):
    """A linear layer with something after it."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).log_softmax(1)


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Linear(4, 3), nn.LogSoftmax(1)), "after their last linear layer"),
        (nn.Sequential(nn.Linear(4, 3), Normalised(3, 3)), "after their last linear layer"),
        (Normalised(4, 3), "no linear layer"),
        (nn.Sequential(nn.ReLU(), nn.Sequential()), "no linear layer"),
    ],
)
def test_a_network_that_does_not_end_with_one_is_refused(network: nn.Module, message: str) -> None:
    with pytest.raises(UserError, match=f"--refit-head.*{message}"):
        check_head(network, torch.randn(2, 4))


@pytest.mark.parametrize("name", SPACES)
def test_every_space_ends_with_a_linear_layer(name: str) -> None:
    outputs = 212 if name == "pfld" else 7
    space = build_network_space(name, resolution=112 if name == "pfld" else 32, num_classes=outputs)
    network = Network(space.decode(space.sample(random.Random(0)))).eval()
    x = torch.randn(2, *space.input_shape)
    with torch.no_grad():
        expected = network(x)
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        assert check_head(network, x) == outputs
    network = without_head(Network(network.spec, layers={n.site: network.layer(n.site) for n in network.spec.nodes}))
    with torch.no_grad():
        torch.testing.assert_close(last(network.eval()(x)), expected)


@pytest.fixture
def supernet() -> Supernet:
    torch.manual_seed(0)
    return randomised(Supernet(toy_space()))


def test_the_evaluator_fits_it_to_the_candidates_own_features(supernet: Supernet) -> None:
    data = toy_data()
    architecture = some(supernet.space, 1)[0]
    evaluator = make(supernet, data, refit_head=True)
    result = next(evaluator.evaluate([architecture]))
    network = without_head(extract(supernet, architecture))
    calibrate_batch_norm(network, [x for x, _ in data.train.batches(32, seed=0, shuffle=True, limit=64)])
    x, y = next(data.val.batches(len(data.val)))
    with torch.no_grad():
        expected = refitted_score([(network(x), y)], 4, data.task)
    assert result.value("loss") == pytest.approx(
        expected.loss, rel=1e-4
    )  # batches and folded batch norms round otherwise
    assert result.fidelity == Fidelity(images=50)
    fewer = next(evaluator.evaluate([architecture], fidelity=Fidelity(images=20)))
    assert fewer.fidelity == Fidelity(images=20)
    assert fewer.value("loss") != result.value("loss")
    with torch.no_grad():
        for parameter in supernet.weights_at("head").parameters():
            parameter.normal_()
    assert next(make(supernet, data, refit_head=True).evaluate([architecture])).value("loss") == result.value("loss")
    assert next(make(supernet, data).evaluate([architecture])).value("loss") != result.value("loss")


@pytest.mark.usefixtures("served_workers")
def test_shared_alone_or_in_processes_it_is_the_same(supernet: Supernet) -> None:
    data, architectures = toy_data(), population(supernet.space, 6)
    before = {name: tensor.clone() for name, tensor in supernet.state_dict().items()}
    alone = make(supernet, data, refit_head=True, prefix_sharing=False)
    shared = make(supernet, data, refit_head=True)
    expected = scores(list(alone.evaluate(architectures)))
    assert len({loss for _, loss in expected.values()}) > 3
    assert scores(list(shared.evaluate(architectures[::-1]))) == expected
    workers = WorkerEvaluator(shared, 2, 1)
    assert timeless(workers.evaluate(architectures)) == timeless(shared.evaluate(architectures))
    workers.close()
    assert all(torch.equal(tensor, before[name]) for name, tensor in supernet.state_dict().items())


class BareLinear(Head):
    """A classifier that is a linear layer and nothing around it."""

    def build(self, in_channels: int) -> nn.Module:
        return nn.Linear(in_channels, self.classes, bias=self.bias)


class FlatHead(Head):
    """What a head does before its linear layer."""

    def output_shape(self, shape: Shape) -> Shape:
        return shape[0], 1, 1

    def build(self, in_channels: int) -> nn.Module:
        return without_head(super().build(in_channels))


def test_a_layer_that_is_nothing_but_linear_goes_too() -> None:
    sites = (
        Site("stem", (Conv(6, 3, 2), Conv(6, 5, 2)), ("input",), given=(0,), table=(0, 1)),
        Site("pool", (FlatHead(),), ("stem",)),
        Site("head", (BareLinear(4),), ("pool",)),
    )
    space = SearchSpace("bare", (Decision("stem", ("k3", "k5")),), sites, (3, 8, 8))
    torch.manual_seed(0)
    supernet, data, both = randomised(Supernet(space)), toy_data(), [(0,), (1,)]
    for images in (0, 64):
        found = []
        for sharing in (True, False):
            evaluator = make(
                supernet, data, refit_head=True, calibration_images=images, prefix_sharing=sharing, memory=1.0
            )
            found.append(scores(list(evaluator.evaluate(both))))
            with torch.no_grad():
                for parameter in supernet.weights_at("head").parameters():
                    parameter.normal_()
        assert found[0] == found[1]


def test_results_under_another_head_are_not_taken_for_these(supernet: Supernet) -> None:
    plain, refitted = make(supernet, toy_data()), make(supernet, toy_data(), refit_head=True)
    assert plain.fingerprints != refitted.fingerprints
    assert "refit_head" not in plain.fingerprints
    assert refitted.fingerprints["refit_head"] == PENALTY


def test_a_space_without_a_linear_end_is_refused() -> None:
    site = Site("points", (Conv(4),), ("input",))
    space = SearchSpace("convolution", (), (site,), (3, 8, 8))
    assert extract(Supernet(space), space.sample(random.Random(0)))
    with pytest.raises(UserError, match=r"--refit-head.*no linear layer"):
        make(Supernet(space), toy_data(), refit_head=True)


def test_one_validation_image_is_too_few(supernet: Supernet) -> None:
    with pytest.raises(UserError, match=r"--refit-head.*at least 2"):
        make(supernet, toy_data(val=1), refit_head=True)


def test_searches_and_rankings_are_told(
    here: Path,  # noqa: F811
    capsys: pytest.CaptureFixture[str],
) -> None:
    quick = FIRST
    assert search([*quick, "--output", "plain"]) == 0
    assert "refitted head" not in capsys.readouterr().out
    assert search([*quick, "--output", "new", "--refit-head"]) == 0
    assert "BN re-calibrated on 64 training images, refitted head" in (out := capsys.readouterr().out)
    assert "selected by, refitted head (95 %" in out
    plain, new = (read_jsonl(here / name / "archive.jsonl") for name in ("plain", "new"))
    assert new[0]["fingerprints"].pop("refit_head") == PENALTY
    assert new[0]["fingerprints"] == plain[0]["fingerprints"]
    assert {row["metrics"]["loss"] for row in new[1:]}.isdisjoint(row["metrics"]["loss"] for row in plain[1:])
    assert json.loads((here / "new/best.json").read_text())["search"]["refit_head"] is True
    assert "validation accuracy, refitted head" in (here / "new/report.html").read_text(encoding="utf-8")
    with pytest.raises(UserError, match="refit_head"):
        search([*quick, "--output", "new", "--resume", "--no-refit-head"])
    before = (here / "new/best.json").read_bytes()
    for images in ("1", "1,40"):
        with pytest.raises(UserError, match="at least 2"):
            search([*quick, "--output", "new", "--overwrite", "--refit-head", "--eval-images", images])
    assert (here / "new/best.json").read_bytes() == before

    names = [" ".join(row["names"]) for row in [json.loads((here / "new/best.json").read_text())]]
    space = build_space(str(here / "tiny.yml"), resolution=16, num_classes=10)
    rng = random.Random(0)
    names += [" ".join(space.names(space.sample(rng))) for _ in range(9)]
    lines = [f"{name},{number}" for number, name in enumerate(dict.fromkeys(names))]
    (here / "truth.csv").write_text("\n".join(["architecture,accuracy", *lines]) + "\n")
    assert rank([*QUICK[:2], *RANKING, "--output", "ranked", "--refit-head"]) == 0
    found = json.loads((here / "ranked/rank.json").read_text())
    assert ", refitted head: Kendall" in found["words"][0]


def test_a_supernet_whose_outputs_overflow_cannot_be_ranked(here: Path) -> None:  # noqa: F811
    other_weights(here / "runs/toy/supernet", lambda supernet: [p.data.fill_(1e38) for p in supernet.parameters()])
    lines = [f"{' '.join(4 * [name])},{number}" for number, name in enumerate(("k3e3", "k5e3", "k3e6"))]
    (here / "truth.csv").write_text("\n".join(["architecture,accuracy", *lines]) + "\n")
    with pytest.raises(UserError, match="3 of 3 evaluations failed"):
        rank([*QUICK[:2], *RANKING])
