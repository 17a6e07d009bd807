"""What a search space refuses, and the cases in which its exactness is easily lost."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from config_file.errors import UserError
from supernet import Decision, DecisionSpace, NetSpec, Node, SearchSpace, Site, Supernet, build_space
from supernet.blocks import Block, Conv, Head, Identity, Pool, Zero
from supernet.elimination import optimum
from supernet.isomorphism import network_key
from supernet.sites import tabulate
from tests.supernet import own_spaces

CONV = Conv(4, 3)
STEM = Site("stem", (CONV,), ("input",))
HEAD = Site("head", (Head(2),), ("body",))
TWO = Decision("a", ("x", "y"))


def space(*sites: Site, decisions: tuple[Decision, ...] = (TWO,)) -> SearchSpace:
    return SearchSpace("test", decisions, sites, (3, 8, 8))


def body(**changes: object) -> Site:
    settings = {"options": (CONV, Identity()), "inputs": ("stem",), "given": (0,), "table": (0, 1)} | changes
    return Site("body", **settings)


def test_the_smallest_space():
    smallest = space(STEM, body(), HEAD)
    assert (smallest.size, smallest.num_canonical, smallest.num_networks) == (2, 2, 2)
    assert [node.site for node in smallest.decode((1,)).nodes] == ["stem", "head"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (space, "at least one site"),
        (lambda: space(STEM, STEM, HEAD), "two sites are called 'stem'"),
        (lambda: space(Site("input", (CONV,), ("input",)), body(), HEAD), "two sites are called 'input'"),
        (lambda: space(STEM, body(), HEAD, decisions=(TWO, TWO)), "two decisions are called 'a'"),
        (lambda: space(STEM, body(), HEAD, decisions=(Decision("a", ("x", "x")),)), "different names"),
        (lambda: space(STEM, body(), HEAD, decisions=(Decision("a", ()),)), "at least one"),
        (lambda: space(STEM, body(inputs=("head",)), HEAD), "inputs must be sites before it"),
        (lambda: space(STEM, body(inputs=()), HEAD), "inputs must be sites before it"),
        (lambda: space(STEM, body(merge="add"), HEAD), "unknown merge 'add'"),
        (lambda: space(STEM, body(given=(1,)), HEAD), "different decisions of the space"),
        (lambda: space(STEM, body(given=(0, 0), table=(0, 1, 0, 1)), HEAD), "different decisions of the space"),
        (lambda: space(STEM, body(given=(-1,)), HEAD), "different decisions of the space"),
        (lambda: space(STEM, body(table=(0, 1, 0)), HEAD), "its table needs 2 entries"),
        (lambda: space(STEM, body(table=(0, 2)), HEAD), "an option that is not there"),
        (lambda: space(STEM, body(table=(0, -1)), HEAD), "an option that is not there"),
        (lambda: space(Site("a.b", (CONV,), ("input",))), "cannot be called 'a.b'"),
        (lambda: space(Site("keys", (CONV,), ("input",))), "cannot be called 'keys'"),
        (lambda: space(Site("", (CONV,), ("input",))), "cannot be called ''"),
        (lambda: space(STEM, body()), "the last site is the output"),
        (lambda: space(STEM, body(options=(CONV,), table=(0, None))), "the last site is the output"),
        (
            lambda: space(STEM, body(gate="g"), Site("other", (CONV,), ("stem",), gate="g"), HEAD),
            "shares the gate 'g' but not its table",
        ),
    ],
)
def test_what_does_not_fit_together_is_refused(make: Callable[[], SearchSpace], message: str):
    with pytest.raises(ValueError, match=message):
        make()


def test_nothing_may_cut_the_output_off():
    cut = space(STEM, body(options=(CONV,), table=(0, None)), HEAD)
    assert cut.decode((0,)).nodes
    with pytest.raises(ValueError, match="nothing reaches the output"):
        cut.decode((1,))


def test_a_site_where_nothing_ever_stands_is_refused():
    with pytest.raises(ValueError, match="side: in no architecture"):
        Supernet(space(STEM, body(), Site("side", (CONV,), ("stem",), table=(None,)), HEAD))


def test_unknown_ways_of_sharing_are_refused():
    with pytest.raises(ValueError, match="body: unknown sharing 'slices'"):
        Supernet(space(STEM, body(sharing="slices"), HEAD))


# ---- decisions that do not matter


def two_binary_decisions(table: tuple[int, ...]) -> SearchSpace:
    options = tuple(Conv(4, kernel) for kernel in (1, 3, 5, 7))
    site = Site("body", options, ("stem",), given=(0, 1), table=table)
    return space(STEM, site, HEAD, decisions=(TWO, Decision("b", ("x", "y"))))


@pytest.mark.parametrize("table", list(product(range(2), repeat=4)))
def test_canonical_keeps_the_selection_whatever_the_table(table):
    """At (1, 1) of table (0, 1, 1, 1) neither decision matters alone; setting both to 0 would be another network."""
    tiny = two_binary_decisions(table)
    forms = set()
    for architecture in tiny.enumerate():
        canonical = tiny.canonical(architecture)
        assert tiny.select(canonical) == tiny.select(architecture)
        assert tiny.canonical(canonical) == canonical
        forms.add(canonical)
    assert tiny.num_canonical == len(forms)


def test_one_decision_for_every_layer_is_counted():
    """It acts where a layer is not skipped: a table over all layers would have 7^30 entries."""
    layers = 30
    decisions = tuple(Decision(f"layer{i}", tuple("abcdefg")) for i in range(layers))
    sites = [STEM]
    for layer in range(layers):
        options = (*(Conv(4, kernel, act=act) for act in ("relu", "hswish") for kernel in range(1, 13, 2)), Identity())
        table = tabulate((2, 7), lambda act, kernel: 12 if kernel == 6 else 6 * act + kernel)
        sites.append(Site(f"s{layer}", options, (sites[-1].name,), given=(layers, layer), table=table))
    sites.append(Site("head", (Head(2),), (sites[-1].name,)))
    every_layer = SearchSpace("acts", (*decisions, Decision("act", ("relu", "hswish"))), tuple(sites), (3, 4, 4))
    assert every_layer.size == 2 * 7**layers
    assert every_layer.num_canonical == 2 * 7**layers - 1
    all_skipped = (6,) * layers
    assert every_layer.canonical((*all_skipped, 1)) == (*all_skipped, 0)


@st.composite
def spaces(draw: st.DrawFn) -> SearchSpace:
    """Small spaces of sites with arbitrary tables: absent ones, shared gates, several inputs."""
    sizes = draw(st.lists(st.integers(1, 3), min_size=1, max_size=4))
    decisions = tuple(Decision(f"d{i}", tuple(map(str, range(size)))) for i, size in enumerate(sizes))
    blocks: tuple[Block, ...] = (Identity(), Conv(4, 1), Conv(4, 3), Pool("max"), Zero())
    sites = [STEM]
    for index in range(draw(st.integers(1, 4))):
        given_ = draw(st.lists(st.integers(0, len(sizes) - 1), max_size=2, unique=True).map(tuple))
        combinations = 1
        for decision in given_:
            combinations *= sizes[decision]
        options = tuple(draw(st.lists(st.sampled_from(blocks), min_size=1, max_size=4, unique=True)))
        entry = st.sampled_from([None, *range(len(options))])
        table = tuple(draw(st.lists(entry, min_size=combinations, max_size=combinations)))
        inputs = tuple(draw(st.lists(st.sampled_from([site.name for site in sites]), min_size=1, max_size=3)))
        sites.append(Site(f"s{index}", options, inputs, given=given_, table=table))
    sites.append(Site("head", (Head(2),), ("stem", sites[-1].name)))
    return SearchSpace("random", decisions, tuple(sites), (3, 8, 8))


@given(tiny=spaces(), seed=st.integers(0, 99))
@settings(max_examples=60)
def test_exactness_in_arbitrary_spaces(tiny, seed):
    rng = random.Random(seed)
    forms = set()
    best = float("-inf")
    scores = {site.gate_name: [rng.uniform(-1, 1) for _ in site.options] for site in tiny.sites}
    factors = tiny.factors()

    def score(architecture: tuple[int, ...]) -> float:
        return sum(scores[gate][o] for gate, o in tiny.select(architecture).items() if o is not None)

    for architecture in tiny.enumerate():
        canonical = tiny.canonical(architecture)
        assert tiny.select(canonical) == tiny.select(architecture)
        forms.add(canonical)
        best = max(best, score(architecture))
        spec = tiny.decode(architecture)
        entries = [table[tuple(architecture[d] for d in scope)] for scope, table in factors]
        assert sum(b.macs(s) for b, s in filter(None, entries)) == spec.macs(tiny.input_shape)
        assert network_key(NetSpec.from_json(spec.to_json())) == network_key(spec)
    assert tiny.num_canonical == len(forms)
    sums = [
        (given_, np.array([0.0 if o is None else scores[gate][o] for o in table.flat]).reshape(table.shape))
        for gate, (given_, table) in tiny.gates.items()
    ]
    assert score(optimum(tiny.sizes, sums, largest=True)[1]) == pytest.approx(best, abs=1e-12)
    if tiny.num_networks is not None:
        assert tiny.num_networks == len({tiny.network_key(a) for a in tiny.enumerate()})


# ---- when networks are the same


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ([0] * 7, "has 8 decisions, the architecture has 7 entries"),
        ("01201201", "a list of 8 options"),
        (5, "a list of 8 options"),
        ([0] * 7 + [3], r"entry 7 \(stage3/2\): index 3 is not in 0..2"),
        ([0] * 7 + [-1], "index -1 is not in"),
        ([0] * 7 + [1.0], "unknown option 1.0"),
        ([0] * 7 + [True], "unknown option True"),
        ([0] * 7 + [None], "unknown option None"),
        ([0] * 7 + ["e3k4"], "unknown option 'e3k4'; did you mean 'e3k3'"),
    ],
)
def test_architectures_that_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        build_space("nasbench_macro").parse(text)


def test_names_and_indices_may_be_mixed():
    macro = build_space("nasbench_macro")
    assert macro.parse(["identity", 1, "e6k5", 0, 0, 2, "e3k3", 0]) == (0, 1, 2, 0, 0, 2, 1, 0)
    assert macro.names((0, 1, 2, 0, 0, 2, 1, 0))[:3] == ["identity", "e3k3", "e6k5"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "non-empty list"),
        ("{}", "non-empty list"),
        ('[{"site": "a"}]', "a node has site, block, inputs and merge"),
        ('[{"site": "a", "block": {"block": "Identity"}, "inputs": ["b"], "merge": "sum"}]', "must be earlier sites"),
        ('[{"site": "a", "block": {"block": "Identity"}, "inputs": "input", "merge": "sum"}]', "must be a list"),
        ('[{"site": "a", "block": {"block": "Identity"}, "inputs": ["input"], "merge": "mul"}]', "unknown merge 'mul'"),
        ('[{"site": "input", "block": {"block": "Identity"}, "inputs": ["input"], "merge": "sum"}]', "its own"),
        ('[{"site": "a", "block": {"block": "os.system"}, "inputs": ["input"], "merge": "sum"}]', "unknown block"),
        ("no JSON", "Expecting value"),
    ],
)
def test_what_is_no_network_is_refused(text, message):
    with pytest.raises(ValueError, match=message):
        NetSpec.from_json(text)


def test_encodings_mark_what_does_not_matter():
    tiny = two_binary_decisions((0, 0, 1, 2))
    assert tiny.encode([(0, 1), (1, 0), (1, 1)]).tolist() == [[0, -1], [1, 0], [1, 1]]
    assert tiny.encode([]).shape == (0, 2)


def test_merges_of_shapes_that_do_not_fit_are_refused():
    wide = Node("wide", Conv(8), ("input",))
    with pytest.raises(ValueError, match="cannot add"):
        NetSpec((wide, Node("sum", Identity(), ("wide", "input")))).shapes((3, 8, 8))
    half = Node("half", Conv(8, stride=2), ("input",))
    with pytest.raises(ValueError, match="cannot concatenate"):
        NetSpec((half, Node("cat", Identity(), ("half", "input"), "concat"))).shapes((3, 8, 8))


def test_gates_may_leave_a_site_out():
    """A gate without an entry: nothing stands there."""
    side = Site("side", (CONV, Conv(4, 1)), ("stem",), given=(0,), table=tabulate((2,), lambda a: a or None))
    assert side.table == (None, 1)
    with_side = space(STEM, side, Site("body", (CONV,), ("stem", "side")), HEAD)
    net = Supernet(with_side).eval()
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(net(x, {}), net(x, (0,)))
        assert torch.allclose(net(x, {"side": ([1], [torch.ones(())])}), net(x, (1,)))


def test_resolution_as_a_decision():
    """Elimination knows the image of every architecture: counts are those of the networks decoded at theirs."""
    zoomed = own_spaces.zoomed((9, 12, 16))
    everything = list(zoomed.enumerate())
    assert zoomed.size == zoomed.num_canonical == len({zoomed.network_key(a) for a in everything}) == 12
    assert zoomed.num_networks == 12
    for architecture in everything:
        side = (9, 12, 16)[architecture[1]]
        assert zoomed.image(architecture)[1] == side
        assert zoomed.image(architecture) == (3, side, side)
        entries = [table[tuple(architecture[d] for d in scope)] for scope, table in zoomed.factors()]
        assert sum(block.macs(shape) for block, shape in entries) == zoomed.decode(architecture).macs((3, side, side))
        fixed = [table[tuple(architecture[d] for d in scope)] for scope, table in zoomed.factors((3, 20, 20))]
        assert sum(block.macs(shape) for block, shape in fixed) == zoomed.decode(architecture).macs((3, 20, 20))
    assert {scope for scope, _ in zoomed.factors((3, 20, 20))} == {(), (0,), (2,)}
    small, large = own_spaces.zoomed((9, 16)), own_spaces.zoomed((12, 16))
    assert len({space.macro_fingerprint for space in (zoomed, small, large)}) == 3


def test_images_that_do_not_fit():
    zoomed = own_spaces.zoomed((9, 16))
    shapes = zoomed.images[1]
    for scope, table, message in (
        ((0, 1), shapes, "one shape per combination"),
        ((1,), np.array([(3, 9, 9), None], dtype=object)[:1], "one shape per combination"),
        ((1,), _shapes((1, 9, 9), (3, 16, 16)), "shapes of 3 channels, the largest"),
        ((1,), _shapes((3, 9, 9), (3, 12, 12)), "shapes of 3 channels, the largest"),
    ):
        with pytest.raises(ValueError, match=message):
            replace(zoomed, images=(scope, table))


def _shapes(*shapes: tuple[int, int, int]) -> np.ndarray:
    table = np.empty(len(shapes), dtype=object)
    table[:] = shapes
    return table


def test_decisions_without_sites():
    """All that a strategy needs: a table of results can be searched without a network to build."""
    table = DecisionSpace("table", (Decision("a", ("x", "y", "z")), Decision("b", ("u", "v"))))
    assert (table.size, table.num_canonical, table.sizes) == (6, 6, (3, 2))
    assert len(set(table.enumerate())) == 6
    rng = random.Random(0)
    first, second = table.sample(rng), table.sample(rng)
    assert all(map(table.is_valid, (first, table.mutate(first, rng, 0.5), table.crossover(first, second, rng))))
    assert table.parse(table.names(first)) == table.canonical(first) == first
    assert table.encode([(2, 0)]).tolist() == [[2, 0]]
    assert len(table.neighbours(first)) == 3
    same = space(STEM, body(), HEAD)
    assert DecisionSpace("other", (TWO,)).decisions_fingerprint == same.decisions_fingerprint
    with pytest.raises(ValueError, match="table: two decisions are called 'a'"):
        DecisionSpace("table", (TWO, TWO))
    with pytest.raises(UserError, match="unknown option 'xx'"):
        table.parse(["xx", "u"])
