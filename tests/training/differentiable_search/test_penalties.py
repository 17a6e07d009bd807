"""Hardware losses against worked examples, and expected costs against tables."""

from __future__ import annotations

import math
import random

import pytest
import torch

from config_file.errors import UserError
from lookup_tables import CostTable, build_table
from lookup_tables.table_file import Entry
from supernet import Decision, SearchSpace, Site, build_space
from supernet.blocks import Conv
from supernet.metrics import FLOPS
from supernet.relaxations.parameters import ArchitectureParameters
from training.differentiable_search.options import MULTIPLIER_TRAVEL, GradientOptions, architecture_optimizer
from training.differentiable_search.penalties import PENALTIES, Multipliers, make_penalty

LOSS = torch.tensor(42.0, dtype=torch.float64)


@pytest.fixture(scope="module")
def three_convolutions() -> CostTable:
    """Convolutions 1 -> 10 of kernel 3, 5 and 7 on 10 x 10 with same padding: 9,000, 25,000 and 49,000 FLOPs."""
    options = tuple(Conv(10, kernel, act="", bn=False) for kernel in (3, 5, 7))
    site = Site("conv", options, ("input",), given=(0,), table=(0, 1, 2))
    space = SearchSpace("three", (Decision("kernel", ("3", "5", "7")),), (site,), (1, 10, 10))
    return build_table(space, "flops", 10)


def test_the_worked_example(three_convolutions: CostTable) -> None:
    for option, flops in enumerate((9_000, 25_000, 49_000)):
        assert three_convolutions.cost([(option,)])[0] == flops
    cost = three_convolutions.expected([torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)])
    assert float(cost) == pytest.approx(33_800)
    for name, baseline, scale, expected in (
        ("nni_add_linear", 20_000, 2, 43.38),
        ("nni_add_negative", 40_000, -2, 42.31),
        ("nni_mul_absolute", 40_000, 2, 42 * 1.155**2),
    ):
        penalise = make_penalty(GradientOptions(hc_loss=name, hc_scale=scale), baseline, minimum=9_000)
        assert float(penalise(LOSS, cost)) == pytest.approx(expected)
    assert float(make_penalty(GradientOptions(hc_loss="nni_add_positive"), 40_000, 9_000)(LOSS, cost)) == 42


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("squared", 42 + 0.005 * 10**2),
        ("hinge", 42 + 0.005 * 0.5),
        ("fbnet_mul", 42 * 0.2 * math.log(30) ** 0.6),
        ("fbnet_add", 42 + 0.2 * 30**0.6),
        ("mul#log", 42 * 0.2 * (math.log(30) / math.log(20)) ** 0.6),
        ("add#linear", 42 + 0.005 * 0.5),
    ],
)
def test_each_form_by_hand(name: str, expected: float) -> None:
    penalise = make_penalty(GradientOptions(hc_loss=name, hc_weight=0.005, hc_alpha=0.2, hc_beta=0.6), 20, minimum=5)
    assert float(penalise(LOSS, torch.tensor(30.0, dtype=torch.float64))) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("name", list(PENALTIES))
def test_a_dearer_distribution_is_penalised_more(name: str) -> None:
    penalise = make_penalty(GradientOptions(hc_loss=name), 20, minimum=2)
    cost = torch.tensor(30.0, dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(penalise(LOSS, cost), cost)
    assert slope >= 0 if name.endswith("negative") else slope > 0


def test_a_logarithm_of_one_or_less_is_refused() -> None:
    with pytest.raises(UserError, match=r"logarithm: the smallest cost of the space must exceed 1.* is 0\.8"):
        make_penalty(GradientOptions(hc_loss="fbnet_mul"), 20, minimum=0.8)
    with pytest.raises(UserError, match=r"the target must exceed 1.* is 1;"):
        make_penalty(GradientOptions(hc_loss="mul#log"), 1.0, minimum=2)
    make_penalty(GradientOptions(hc_loss="fbnet_mul"), 0.5, minimum=2)  # takes no logarithm of the target
    with pytest.raises(UserError, match="did you mean 'squared'"):
        GradientOptions(hc_loss="square")


@pytest.mark.parametrize("name", ["nasbench_macro", "mobilenetv2"])
def test_expected_cost_of_one_hot_gates_is_the_table_sum(name: str) -> None:
    space = build_space(name, resolution=32, num_classes=10)
    rng = random.Random(0)
    for metric in ("flops", "params"):
        table = build_table(space, metric, 32)
        parameters = ArchitectureParameters(space)
        for _ in range(5):
            a = space.sample(rng)
            with torch.no_grad():
                parameters.logits.fill_(-1e4)
                for decision, option in enumerate(a):
                    parameters.logits[decision, option] = 0
            assert table.expected(parameters.by_decision()).item() == table.cost([a])[0]


def test_the_architectures_gradient_follows_the_table() -> None:
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    parameters = ArchitectureParameters(space)
    table = build_table(space, "flops", 32)
    dearer = CostTable(
        space,
        FLOPS,
        32,
        {key: Entry(e.value * (3 if key[0].label == "k5e6" else 1), e.value) for key, e in table.entries.items()},
    )
    gradients = []
    for each in (table, dearer):
        penalised = make_penalty(GradientOptions(hc_loss="squared"), 20, each.minimum()[0] / 1e6)(
            LOSS, each.expected(parameters.by_decision()) / 1e6
        )
        gradients.append(torch.autograd.grad(penalised, parameters.logits)[0])
    assert not torch.allclose(*gradients)
    assert gradients[1][0, 2] > gradients[0][0, 2] > 0  # the dear option becomes less probable
    torch.testing.assert_close(gradients[0].sum(1), torch.zeros(8), atol=1e-5, rtol=0)


def test_multipliers_rise_above_the_target_and_fall_below() -> None:
    multipliers = Multipliers([10.0, 20.0], rate=0.5, damping=0, fill=False)
    multipliers.ascend(torch.tensor([15.0, 10.0]))
    assert multipliers.values.tolist() == [0.25, 0.0]
    loss = multipliers.penalised(torch.tensor(1.0), torch.tensor([12.0, 10.0]))
    assert float(loss) == pytest.approx(1 + 0.25 * 0.2)
    multipliers.ascend(torch.tensor([5.0, 10.0]))
    assert multipliers.values.tolist() == [0.0, 0.0]


def test_filling_pulls_the_tightest_constraint_up_to_its_target() -> None:
    multipliers = Multipliers([10.0, 20.0], rate=0.5, damping=0)
    multipliers.ascend(torch.tensor([8.0, 10.0]))
    assert multipliers.values.tolist() == [pytest.approx(-0.1), 0.0]
    multipliers.ascend(torch.tensor([12.0, 10.0]))
    assert multipliers.values.tolist() == [pytest.approx(0.0), 0.0]


@pytest.mark.parametrize("gain", [-1.0, 1.0])
@pytest.mark.parametrize("target", [12.0, 40.0])
def test_dual_ascent_meets_the_target_of_a_distribution(
    three_convolutions: CostTable, target: float, gain: float
) -> None:
    parameters = ArchitectureParameters(three_convolutions.space)
    multipliers = Multipliers([target])
    optimizer = torch.optim.Adam(parameters.parameters(), lr=0.02)
    seen = []
    for _ in range(1200):
        p = parameters.by_decision()
        costs = (three_convolutions.expected(p) / 1000).reshape(1)
        task = -gain * (p[0] * torch.tensor([0.0, 0.5, 1.0])).sum()  # dearer is better, or worse
        optimizer.zero_grad()
        multipliers.penalised(task, costs).backward()
        optimizer.step()
        multipliers.ascend(costs.detach())
        seen.append(costs.detach())
    assert float(torch.stack(seen[-100:]).mean()) == pytest.approx(target, rel=0.02)
    assert float(costs.detach()) == pytest.approx(target, rel=0.05)


def constrained_course(target: float, task: float, noise: float, steps: int, seed: int) -> torch.Tensor:
    """(steps,) E / target of a made-up constrained training, with the default rates for that number of steps.

    The loss is linear in the probabilities of nasbench_macro, with values of spread `task` that a step sees with noise.
    """
    space = build_space("nasbench_macro", resolution=32, num_classes=10)
    table = build_table(space, "flops", 32)
    parameters = ArchitectureParameters(space, seed)
    generator = torch.Generator().manual_seed(seed)
    values = torch.randn(parameters.logits.shape, generator=generator) * task
    _, rate = architecture_optimizer(GradientOptions(), False, steps)
    optimizer = torch.optim.Adam(parameters.parameters(), lr=rate, betas=(0.5, 0.999))
    multipliers = Multipliers([target], rate=MULTIPLIER_TRAVEL / steps)
    course = []
    for _ in range(steps):
        costs = (table.expected(parameters.by_decision()) / 1e6).reshape(1)
        seen = values + torch.randn(values.shape, generator=generator) * noise
        (gradient,) = torch.autograd.grad((parameters.probabilities() * seen).sum(), parameters.logits)
        (pull,) = torch.autograd.grad(multipliers.excess(costs).sum(), parameters.logits)
        parameters.logits.grad = gradient + float(multipliers.factors(costs.detach())) * pull
        optimizer.step()
        multipliers.measure(gradient, pull.unsqueeze(0))
        multipliers.ascend(costs.detach())
        course.append(costs.detach()[0] / target)
    return torch.stack(course)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
@pytest.mark.parametrize(("task", "noise"), [(0.02, 0.2), (1.0, 1.0)])
def test_the_expected_cost_is_within_a_tenth_of_its_target_from_half_the_training_on(
    share: float, task: float, noise: float
) -> None:
    table = build_table(build_space("nasbench_macro", resolution=32, num_classes=10), "flops", 32)
    low, high = table.minimum()[0] / 1e6, table.maximum()[0] / 1e6
    for steps in (80, 240):
        course = constrained_course(low + share * (high - low), task, noise, steps, seed=0)
        assert (course[steps // 2 :] - 1).abs().max() < 0.1


def test_multipliers_rest_far_from_the_target_and_are_bounded_by_the_gradients() -> None:
    multipliers = Multipliers([10.0], rate=0.5, damping=10.0)
    for _ in range(1000):
        multipliers.ascend(torch.tensor([12.0]))  # damping * g = 2: the damping alone moves it back
    assert multipliers.values.tolist() == [0.0]
    for _ in range(1000):
        multipliers.ascend(torch.tensor([10.5]))
    assert multipliers.values.tolist() == [1.0]
    # At an optimum dL/da = -multiplier * dg/da: no multiplier is above |dL/da| / |dg/da|, here 5 / 2.
    multipliers.measure(torch.tensor([3.0, 4.0]), torch.tensor([[0.0, 2.0]]))
    assert float(multipliers.factors(torch.tensor([10.0]))) == pytest.approx(2.5)
    multipliers.measure(torch.tensor([3.0, 4.0]), torch.tensor([[0.0, 1.0]]))  # 5: mean of decay 0.9, bias corrected
    assert float(multipliers.units) == pytest.approx((0.9 * 0.1 * 2.5 + 0.1 * 5) / 0.19)
