"""Edges of cells as architecture parameters: mixtures against plain sums, derivation against brute force."""

from __future__ import annotations

from itertools import combinations, pairwise, product

import numpy as np
import pytest
import torch
from torch import Tensor

from config_file.errors import UserError
from lookup_tables import build_table
from supernet import Architecture, Supernet, build_space, extract
from supernet.blocks import Conv, Pool
from supernet.cell_space import CellSpace
from supernet.label_setting import Bound
from supernet.partial import Partial
from supernet.relaxations import Relaxation, of_logits
from supernet.relaxations.edges import EdgeParameters, NormalisedEdges
from supernet.relaxations.parameters import gumbel_noise
from supernet.spaces.cells import CellTable
from supernet.spec import NetSpec

NODES = {"2": 2, "3": 3, "4": 4, "5": 5}
FEW = CellTable("few", ("skip_connect", "sep_conv_3x3"), nodes=2, width=4, cells=3)


def darts(**settings: object) -> CellSpace:
    given = {"num_classes": 3, "resolution": 8, "widths": (4,), "depths": (3,), "affine": False} | settings
    space = build_space("darts", **given)  # type: ignore[arg-type]
    assert isinstance(space, CellSpace)
    return space


def parameters(space: CellSpace, seed: int = 0, spread: float = 1.0) -> EdgeParameters:
    found = (NormalisedEdges if space.recipe.get("partial_channels") else EdgeParameters)(space)
    with torch.no_grad():
        found.logits.copy_(spread * torch.randn(found.logits.shape, generator=torch.Generator().manual_seed(seed)))
    return found


@pytest.fixture(scope="module")
def net() -> Supernet:
    torch.manual_seed(0)
    return Supernet(darts()).double().eval()


def by_hand(net: Supernet, weights: dict[str, Tensor], x: Tensor) -> Tensor:
    """Every cell as Liu et al. print it: s_j = sum over i < j of sum over o of w_o o(s_i), none adding nothing."""
    run = {site: layers.layers for site, layers in net.bank.items()}  # type: ignore[union-attr]
    before = last = run["stem"][0](x)
    for cell in range(3):
        kind = "reduce" if cell in (1, 2) else "normal"
        states = [run[f"cell{cell}/0"][0](before), run[f"cell{cell}/1"][0](last)]
        for node, edges in NODES.items():
            total = 0
            for source in range(edges):
                w = weights[f"{kind}/{node}<-{source}"]
                for operation in range(7):
                    total = total + w[operation] * run[f"cell{cell}/{node}<-{source}"][operation](states[source])
            states.append(total)
        before, last = last, torch.cat(states[2:], 1)
    return run["head"][0](last)


def test_a_mixture_of_all_edges_is_the_sum_by_hand(net: Supernet) -> None:
    edges = parameters(darts())
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    p = edges.logits.double().softmax(1)
    weights = {decision.name: row for decision, row in zip(edges.space.decisions, p, strict=True)}
    gates = Relaxation("softmax", edges.double(), 0).gates_at(0).gates
    assert len(gates) == 28
    assert all(options == tuple(range(7)) for options, _ in gates.values())  # none weighs, and does not run
    torch.testing.assert_close(net(x, gates), by_hand(net, weights, x))


def test_alphas_are_per_edge_and_shared_by_the_cells_of_a_kind() -> None:
    edges = of_logits(Supernet(darts(depths=(6,))), 0)
    assert edges.logits.shape == (2 * (2 + 3 + 4 + 5), 8)
    assert [decision.name for decision in edges.space.decisions[:3]] == ["normal/2<-0", "normal/2<-1", "normal/3<-0"]


# ---- derivation


def strongest(p: np.ndarray, space: CellSpace) -> dict[tuple[str, str], set[tuple[str, str]]]:
    """DARTS's own procedure: sort a node's edges by their largest weight that is not none, keep two."""
    names = space.decisions[space.picks[0].operations[0]].options
    found, row = {}, 0
    for kind in ("normal", "reduce"):
        for node, edges in NODES.items():
            rows = p[row : row + edges, :7]
            order = sorted(range(edges), key=lambda edge: -rows[edge].max())[:2]
            found[kind, node] = {(names[rows[edge].argmax()], str(edge)) for edge in order}
            row += edges
    return found


@pytest.mark.parametrize("seed", range(8))
def test_the_two_strongest_edges_of_each_node_are_derived_and_never_none(seed: int) -> None:
    edges = parameters(darts(), seed)
    with torch.no_grad():
        edges.logits[:, 7] += 2 * seed  # none may be the strongest everywhere
    p = edges.logits.detach().double().softmax(1).numpy()
    kept = edges.cells.kept(edges.derive())
    assert {node: set(map(tuple, found)) for node, found in kept.items()} == strongest(p, edges.cells)


def every(space: CellSpace) -> list[Architecture]:
    return list(product(*map(range, space.sizes)))


def strength(space: CellSpace, log_p: np.ndarray, architecture: Architecture) -> float:
    """The sum over kept edges of the logarithm of the operation's weight."""
    rows = [gate for pick in space.picks for gate in pick.gates]
    return sum(log_p[rows.index(g), o] for g, o in space.select(architecture).items() if g in rows and o is not None)


def test_derivation_within_a_limit_is_the_best_of_all_by_brute_force() -> None:
    space = FEW.build(8, 2, affine=False)
    table = build_table(space, "flops", 8)
    costs = table.cost(every(space))
    for seed in range(4):
        edges = parameters(space, seed, 2.0)
        log_p = edges.logits.detach().double().log_softmax(1).numpy()
        for quantile in (0.1, 0.5, 1.0):
            limit = Bound("flops", table.factors, float(np.quantile(costs, quantile)))
            allowed = [a for a, cost in zip(every(space), costs, strict=True) if cost <= limit.upper]
            best = max(strength(space, log_p, a) for a in allowed)
            found = edges.derive([limit])
            assert found in allowed
            assert strength(space, log_p, found) == pytest.approx(best, abs=1e-9)


def test_draws_are_valid_pure_and_follow_the_logits() -> None:
    edges = parameters(darts(), 3, 0.5)
    drawn = [edges.sample(1, step) for step in range(5)]
    assert all(edges.cells.is_valid(a) for a in drawn)
    assert drawn == [edges.sample(1, step) for step in range(5)]
    assert len(set(drawn)) == 5
    with torch.no_grad():
        edges.logits.mul_(1e3)
    likeliest = edges.logits[:, :7].argmax(1).tolist()
    for gate, option in edges.cells.select(edges.sample(1, 0)).items():
        if "<-" in gate and option is not None:
            assert option == likeliest[[decision.name for decision in edges.space.decisions].index(gate)]


def test_marginals_are_those_of_the_enumerated_pairs() -> None:
    edges = parameters(darts(), 5)
    rows, p = edges.by_decision(), edges.logits.detach().softmax(1)[:, :7]
    pick = next(pick for pick in edges.cells.picks if pick.inputs is not None)  # the first node with a choice: 3
    first = 2
    strongest_of = p[first : first + 3].amax(1)
    pairs = torch.stack([strongest_of[a] * strongest_of[b] for a, b in combinations(range(3), 2)])
    torch.testing.assert_close(rows[pick.inputs].detach(), pairs / pairs.sum())
    expected = sum(
        weight * p[first + a] / p[first + a].sum()
        for weight, (a, _) in zip(pairs / pairs.sum(), combinations(range(3), 2), strict=True)
    )
    torch.testing.assert_close(rows[pick.operations[0]].detach(), expected)
    assert all(row.sum().item() == pytest.approx(1, abs=1e-6) for row in rows)
    table = build_table(edges.cells, "flops", 8)
    derived = edges.derive()
    selected = edges.cells.select(derived)
    with torch.no_grad():
        edges.logits.mul_(1e3)
        for row, decision in zip(edges.logits, edges.space.decisions, strict=True):
            row[7] = -1e6 if selected[decision.name] is not None else 1e6
        expected_cost = float(table.expected(edges.by_decision()))  # decided: that of what is derived
    assert expected_cost == pytest.approx(float(table.cost([derived])[0]), rel=1e-4)


# ---- GDAS


def test_hard_gumbel_runs_one_option_per_edge_with_the_gradient_of_its_soft_weight(net: Supernet) -> None:
    edges = parameters(darts()).double()
    relaxation = Relaxation("gumbel_hard", edges, 0)
    assert not relaxation.scaled  # edges are summed: what one carries against the others is not undone
    x = torch.randn(2, 3, 8, 8, dtype=torch.float64)
    gates = relaxation.gates_at(4, 0.5).gates
    chosen = {gate: options for gate, (options, _) in gates.items()}
    assert all(len(options) == 1 for options in chosen.values())
    loss = net(x, gates).square().sum()
    (gradient,) = torch.autograd.grad(loss, edges.logits)
    # GDAS: one_hot - y.detach() + y multiplies the output of the operation that runs.
    noisy = edges.logits + gumbel_noise(edges, 0, 4)
    soft = (noisy / 0.5).softmax(1)
    weights = {}
    for row, (gate, (option,)) in zip(soft, chosen.items(), strict=True):
        kept = torch.zeros(8, dtype=torch.float64).index_fill(0, torch.tensor(option), 1.0)
        weights[gate] = kept * (1 - row.detach() + row)
    (expected,) = torch.autograd.grad(by_hand(net, weights, x).square().sum(), edges.logits)
    torch.testing.assert_close(gradient, expected)
    path = relaxation.path(7)
    assert set(map(id, net.parameters_of(path))) < set(map(id, net.parameters()))


def test_none_on_every_edge_still_runs(net: Supernet) -> None:
    edges = parameters(darts())
    outputs = net(torch.randn(2, 3, 8, 8, dtype=torch.float64), edges.route((7,) * 28))
    assert outputs.shape == (2, 3)


# ---- partial connections


@pytest.fixture(scope="module")
def partial_net() -> Supernet:
    torch.manual_seed(1)
    return Supernet(darts(partial_channels=4)).eval()


def test_partial_channels_are_mixed_once_as_the_paths_would_be_and_edges_compete(partial_net: Supernet) -> None:
    edges = parameters(partial_net.space)  # type: ignore[arg-type]
    assert isinstance(edges, NormalisedEdges)
    p, own = edges.logits[:, :8].softmax(1), edges.logits[:, 8]
    firsts = np.cumsum([0, *NODES.values(), *NODES.values()])
    shares = torch.cat([own[a:b].softmax(0) for a, b in pairwise(firsts)])
    gates = Relaxation("softmax", edges, 0).gates_at(0).gates
    whole = {gate: (tuple(range(8)), row) for gate, row in zip(gates, (p * shares[:, None]), strict=True)}
    x = torch.randn(2, 3, 8, 8)
    seen = {}
    for site in partial_net.space.sites:
        if site.sharing == "partial":
            weights = [w.detach() for w in whole[site.gate_name][1]]
            y = torch.randn(2, {"cell0": 4, "cell1": 8, "cell2": 16}[site.name[:5]], 8, 8)
            shared = partial_net.weights_at(site.name)
            mixed = shared.mix(whole[site.gate_name][0])(y, weights)
            plain = sum(w * shared.path(option)(y) for option, w in enumerate(weights))
            torch.testing.assert_close(mixed, plain)
            seen[site.name] = mixed
    assert len(seen) == 3 * 14
    assert torch.isfinite(partial_net(x, gates)).all()
    # Derivation: the weights that are compared are the products.
    log_w = (p * shares[:, None]).detach().double().numpy()
    kept = edges.cells.kept(edges.derive())
    assert {node: set(map(tuple, found)) for node, found in kept.items()} == strongest(log_w, edges.cells)


def test_partial_blocks_are_data_counted_and_extracted(partial_net: Supernet) -> None:
    space = partial_net.space
    architecture = parameters(space).sample(0, 0)  # type: ignore[arg-type]
    spec = space.decode(architecture)
    assert NetSpec.from_json(spec.to_json()) == spec
    network = extract(partial_net, architecture)
    x = torch.randn(2, 3, 8, 8)
    assert torch.equal(network(x), partial_net(x, architecture))
    assert spec.params((3, 8, 8)) == sum(p.numel() for p in network.parameters())
    block = Partial(Conv(2, 3), 4)
    assert block.output_shape((8, 6, 6)) == (8, 6, 6)
    assert block.macs((8, 6, 6)) == 6 * 6 * 2 * 2 * 9
    x = torch.randn(1, 8, 5, 5)
    made = Partial(Pool("max", 2), 4).build(8)(x)
    ours = (
        torch.nn.functional.max_pool2d(x[:, :2], 3, 2, 1),
        torch.nn.functional.max_pool2d(x[:, 2:], 2, ceil_mode=True),
    )
    assert torch.equal(made[:, ::4], torch.cat(ours, 1)[:, :2])  # shuffled: the first of every group of four
    assert torch.equal(made, torch.cat(ours, 1).view(1, 4, 2, 3, 3).transpose(1, 2).reshape(1, 8, 3, 3))


def test_what_does_not_go_together_is_refused() -> None:
    with pytest.raises(UserError, match="--partial-channels 3 does not divide the 4 channels"):
        darts(partial_channels=3)
    with pytest.raises(UserError, match="runs one operation: with --partial-channels take softmax or gumbel"):
        Relaxation("gumbel_hard", parameters(darts(partial_channels=2)), 0)
    with pytest.raises(UserError, match="--partial-channels does not apply to nasbench201"):
        build_space("nasbench201", partial_channels=4)
