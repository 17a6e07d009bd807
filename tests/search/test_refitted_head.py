from __future__ import annotations

import math
import random

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge
from torch import nn

from config_file.errors import UserError
from search.refitted_head import left_out_predictions, open_head, refitted_score
from search.workers import WorkerEvaluator
from supernet import Network, SearchSpace, Site, Supernet, build_space, extract
from supernet.blocks import Conv
from supernet.spaces import SPACES
from supernet.task import CLASSIFICATION, LANDMARKS
from tests.search.test_evaluator import make, randomised, scores, some
from tests.search.test_prefix_evaluation import population
from tests.search.test_workers import timeless
from tests.search.toy import toy_data, toy_space


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
    assert open_head(network) == 3
    assert torch.equal(network(x), expected)
    with pytest.raises(UserError, match="Identity"):
        open_head(network)


@pytest.mark.parametrize("name", SPACES)
def test_every_space_ends_with_a_linear_layer(name: str) -> None:
    outputs = 212 if name == "pfld" else 7
    space = build_space(name, resolution=112 if name == "pfld" else 32, num_classes=outputs)
    network = Network(space.decode(space.sample(random.Random(0)))).eval()
    x = torch.randn(2, *space.input_shape)
    with torch.no_grad():
        expected = network(x)
        last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
        assert open_head(network) == outputs
        torch.testing.assert_close(last(network(x)), expected)


@pytest.fixture
def supernet() -> Supernet:
    torch.manual_seed(0)
    return randomised(Supernet(toy_space()))


def test_the_evaluator_fits_it_to_the_candidates_own_features(supernet: Supernet) -> None:
    data = toy_data()
    architecture = some(supernet.space, 1)[0]
    evaluator = make(supernet, data, refit_head=True)
    result = next(evaluator.evaluate([architecture]))
    network = evaluator.network(architecture)
    assert open_head(network) == 4
    x, y = next(data.val.batches(len(data.val)))
    with torch.no_grad():
        expected = refitted_score([(network(x), y)], 4, data.task)
    assert result.loss == pytest.approx(expected.loss, rel=1e-4)  # batches and folded batch norms round otherwise
    assert result.n_images == 50
    fewer = next(evaluator.evaluate([architecture], fidelity=20))
    assert fewer.n_images == 20
    with pytest.raises(UserError, match="at least 2"):
        next(evaluator.evaluate([architecture], fidelity=1))
    assert fewer.loss != result.loss
    with torch.no_grad():
        for parameter in supernet.weights_at("head").parameters():
            parameter.normal_()
    assert next(make(supernet, data, refit_head=True).evaluate([architecture])).loss == result.loss
    assert next(make(supernet, data).evaluate([architecture])).loss != result.loss


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


def test_results_under_another_head_are_not_taken_for_these(supernet: Supernet) -> None:
    plain, refitted = make(supernet, toy_data()), make(supernet, toy_data(), refit_head=True)
    assert plain.settings != refitted.settings
    assert "refit_head" not in plain.settings


def test_a_space_without_a_linear_end_is_refused() -> None:
    site = Site("points", (Conv(4),), ("input",))
    space = SearchSpace("convolution", (), (site,), (3, 8, 8))
    assert extract(Supernet(space), space.sample(random.Random(0)))
    with pytest.raises(UserError, match="--refit-head"):
        make(Supernet(space), toy_data(), refit_head=True)
