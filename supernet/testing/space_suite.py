"""The behaviour of every search space: networks are data, and supernet, extracted and standalone network agree."""

import io
import json
import random
from copy import deepcopy
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from supernet.decisions import Architecture
from supernet.elimination import optimum
from supernet.isomorphism import network_key
from supernet.network import Network
from supernet.space import SearchSpace
from supernet.spaces import build_space
from supernet.spec import INPUT, NetSpec
from supernet.supernet import Supernet, extract
from supernet.testing.decision_suite import SEEDS, DecisionSuite
from supernet.testing.weights import difference, randomised, state_of


class SpaceSuite(DecisionSuite):
    """Inherit, and define `make` (layers enough to be interesting) and `make_tiny` (few enough to enumerate)."""

    mixes: ClassVar[bool] = True
    """Options of a gate have equal output shapes, so that they can be mixed."""

    # Built once per class: a supernet takes longer to build than to test.
    @classmethod
    @lru_cache(maxsize=4)
    def built(cls) -> Supernet:
        """The supernet of the space; float64, eval mode."""
        torch.manual_seed(0)
        return randomised(Supernet(cls.made())).double().eval()

    @pytest.fixture
    def supernet(self) -> Supernet:
        """The same for all tests: those that change it copy it first."""
        return self.built()

    def images(
        self, space: SearchSpace, resolution: int | None = None, dtype: torch.dtype = torch.float64
    ) -> torch.Tensor:
        channels, height, width = space.input_shape
        size = (2, channels, resolution or height, resolution or width)
        return torch.randn(size, generator=torch.Generator().manual_seed(2), dtype=dtype)

    def test_what_is_not_of_the_space_is_refused(self, space: Any, supernet: Supernet) -> None:
        (good,) = self.some(space, 1)
        for bad in (good[:-1], (*good, 0), (-1, *good[1:]), (space.sizes[0], *good[1:])):
            with pytest.raises(ValueError, match="not an architecture"):
                space.decode(bad)
            with pytest.raises(ValueError, match="not an architecture"):
                supernet(self.images(space), bad)

    # ---- canonical forms

    @pytest.mark.parametrize("seed", SEEDS)
    def test_canonical_is_the_same_selection(self, space: Any, seed: int) -> None:
        architecture = space.sample(random.Random(seed))
        canonical = space.canonical(architecture)
        assert space.select(canonical) == space.select(architecture)
        assert space.decode(canonical) == space.decode(architecture)
        assert space.image(canonical) == space.image(architecture)

    def test_canonical_has_the_same_output(self, space: Any, supernet: Supernet) -> None:
        x = self.images(space)
        with torch.no_grad():
            for architecture in self.some(space, 3):
                assert torch.equal(supernet(x, architecture), supernet(x, space.canonical(architecture)))

    def test_networks_are_told_apart_and_counted_exactly(self) -> None:
        tiny, all_of_them = self.enumerated()
        key_of: dict[Architecture, object] = {}
        for architecture in all_of_them:
            key = tiny.network_key(architecture)
            assert key_of.setdefault(tiny.canonical(architecture), key) == key
        if tiny.num_networks is not None:
            assert tiny.num_networks == len(set(key_of.values()))

    # ---- data

    def test_networks_are_data(self, space: Any) -> None:
        for architecture in self.some(space, 5):
            spec = space.decode(architecture)
            again = NetSpec.from_json(spec.to_json())
            assert again == spec
            assert hash(again) == hash(spec)
            assert network_key(again) == network_key(spec)

    def test_fingerprints_do_not_depend_on_the_object(self, space: Any) -> None:
        again, other = self.make(), self.make_tiny()
        assert again.decisions_fingerprint == space.decisions_fingerprint
        assert again.macro_fingerprint == space.macro_fingerprint != other.macro_fingerprint

    def test_recipe_builds_it_again(self, space: Any) -> None:
        again = build_space(**json.loads(json.dumps(space.describe())))
        assert again.macro_fingerprint == space.macro_fingerprint
        assert again.describe() == space.describe()

    # ---- extraction

    @pytest.mark.parametrize("resolution", [None, 20])
    def test_extracted_network_is_the_path(self, space: Any, supernet: Supernet, resolution: int | None) -> None:
        # Same weights, same operations. Only a slice lies differently in memory, so that a kernel may add up in another
        # order: some 100 layers times the unit roundoff (1e-16) is far below 1e-10, and any wrong weight far above.
        x = self.images(space, resolution)
        with torch.no_grad():
            for architecture in self.some(space, 4):
                alone = extract(supernet, architecture)
                assert alone.spec == space.decode(architecture)
                assert not alone.training
                assert difference(alone(x), supernet(x, architecture)) <= 1e-10

    def test_extracted_network_is_the_path_in_float32(self, space: Any, supernet: Supernet) -> None:
        # The unit roundoff is 6e-8, and errors of some 100 layers add up like a random walk: 1e-5 is ten times that.
        single = deepcopy(supernet).float()
        x = self.images(space, dtype=torch.float32)
        with torch.no_grad():
            for architecture in self.some(space, 3):
                assert difference(extract(single, architecture)(x), single(x, architecture)) <= 1e-5

    def test_extracted_network_trains_like_the_path(self, space: Any, supernet: Supernet) -> None:
        model = deepcopy(supernet).train()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.momentum = 0.3
            if isinstance(module, nn.Dropout):
                module.p = 0.0
        x = self.images(space)
        for architecture in self.some(space, 2):
            alone = extract(model, architecture)
            assert alone.training
            y, expected = alone(x), model(x, architecture)
            assert difference(y, expected) <= 1e-9
            y.square().sum().backward()
            model.zero_grad(set_to_none=True)
            expected.square().sum().backward()
            total, theirs = (
                sum(p.grad.sum().item() for p in parameters if p.grad is not None)
                for parameters in (model.parameters_of(architecture), alone.parameters())
            )
            assert total == pytest.approx(theirs, rel=1e-6, abs=1e-9)
            # Both have taken in the batch: afterwards they are equal in eval mode as well.
            with torch.no_grad():
                after = extract(model.eval(), architecture)(x)
                assert difference(alone.eval()(x), after) <= 1e-9
            model.train()

    def test_extraction_copies(self, space: Any, supernet: Supernet) -> None:
        model = deepcopy(supernet)
        before = state_of(model)
        (architecture,) = self.some(space, 1)
        alone = extract(model, architecture)
        with torch.no_grad():
            for tensor in (*alone.parameters(), *alone.buffers()):
                tensor.fill_(7)
        assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
        assert all(p.requires_grad for p in alone.parameters())

    # ---- training a path

    def test_a_step_touches_the_path_only(self, space: Any, supernet: Supernet) -> None:
        model = deepcopy(supernet).train()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
        x = self.images(space)
        for architecture in self.some(space, 3):
            path = {id(p) for p in model.parameters_of(architecture)}
            sites = {site.name for site, _, _ in space.trace(space.select(architecture))}
            before = state_of(model)
            momenta = {p: state["momentum_buffer"].clone() for p, state in optimizer.state.items()}
            optimizer.zero_grad(set_to_none=True)
            model(x, architecture).square().sum().backward()
            optimizer.step()
            assert path
            for name, parameter in model.named_parameters():
                if id(parameter) in path:
                    assert parameter.grad is not None
                    assert not torch.equal(parameter, before[name]) or not parameter.grad.any()
                else:
                    assert parameter.grad is None
                    assert torch.equal(parameter, before[name])
                    assert (parameter in momenta) == (parameter in optimizer.state)
                    if parameter in momenta:
                        assert torch.equal(momenta[parameter], optimizer.state[parameter]["momentum_buffer"])
            for name, buffer in model.named_buffers():
                if not any(name.startswith(f"bank.{site}.") for site in sites):
                    assert torch.equal(buffer, before[name])

    # ---- gates

    def test_one_hot_gates_are_the_path(self, space: Any, supernet: Supernet) -> None:
        x = self.images(space)
        one = torch.ones((), dtype=x.dtype)
        with torch.no_grad():
            for architecture in self.some(space, 3):
                chosen = space.select(architecture)
                gates = {gate: ([option], [one]) for gate, option in chosen.items() if option is not None}
                assert difference(supernet(x, gates), supernet(x, architecture)) <= 1e-10

    def test_mixed_gates_are_the_weighted_sum(self, space: Any, supernet: Supernet) -> None:
        """Against the definition, written out: at every site the weighted sum of its options' outputs."""
        if any(site.sharing == "super_kernel" for site in space.sites):
            pytest.skip("options mix inside the kernel, not as outputs")
        x = self.images(space)
        rng = random.Random(5)
        gates: dict[str, tuple[list[int], list[torch.Tensor]]] = {}
        for site in space.sites:
            if site.given and site.gate_name not in gates:
                chosen = sorted(rng.sample(range(len(site.options)), min(3, len(site.options))))
                weights = [torch.tensor(rng.uniform(0.2, 1), dtype=x.dtype, requires_grad=True) for _ in chosen]
                gates[site.gate_name] = chosen, weights
        if not self.mixes:
            with pytest.raises((ValueError, RuntimeError)):
                supernet(x, gates)
            return
        values = {INPUT: x}
        for site in space.sites:
            read = [values[name] for name in site.inputs]
            entering = torch.cat(read, 1) if site.merge == "concat" else torch.stack(read).sum(0)
            options, weights = gates.get(site.gate_name, ([0], [torch.ones((), dtype=x.dtype)]))
            runs = [supernet.weights_at(site.name).path(option) for option in options]
            outputs = [weight * run(entering) for run, weight in zip(runs, weights, strict=True)]
            values[site.name] = torch.stack(outputs).sum(0)
        expected = values[space.sites[-1].name]
        result = supernet(x, gates)
        assert difference(result, expected) <= 1e-10
        flat = [weight for _, weights in gates.values() for weight in weights]
        grads = torch.autograd.grad(result.square().sum(), flat)
        expected_grads = torch.autograd.grad(expected.square().sum(), flat)
        assert torch.allclose(torch.stack(grads), torch.stack(expected_grads), rtol=1e-8, atol=1e-10)

    def test_gates_that_do_not_exist_are_refused(self, space: Any, supernet: Supernet) -> None:
        one = [torch.ones(())]
        known = next(site.gate_name for site in space.sites if site.given)
        for gate, options in (("nowhere", [0]), (known, [99]), (known, [])):
            gates = {gate: (options, one[: len(options)])}
            with pytest.raises(ValueError, match="cannot be mixed"):
                supernet(self.images(space), gates)

    # ---- cost

    @pytest.mark.parametrize("resolution", [None, 48])
    def test_cost_is_the_sum_of_its_factors(self, space: Any, resolution: int | None) -> None:
        channels = space.input_shape[0]
        factors = space.factors((channels, resolution, resolution) if resolution else None)
        for architecture in self.some(space, 5):
            shape = (channels, resolution, resolution) if resolution else space.image(architecture)
            entries = [table[tuple(architecture[d] for d in scope)] for scope, table in factors]
            placed = [entry for entry in entries if entry is not None]
            spec = space.decode(architecture)
            assert sum(block.macs(entering) for block, entering in placed) == spec.macs(shape)
            assert sum(block.params(entering) for block, entering in placed) == spec.params(shape)

    def test_extreme_costs_are_those_of_the_enumeration(self) -> None:
        tiny, all_of_them = self.enumerated()
        for metric in ("macs", "params"):
            costs = {a: getattr(tiny.decode(a), metric)(tiny.image(a)) for a in all_of_them}
            factors = [
                (scope, np.array([getattr(e[0], metric)(e[1]) if e else 0.0 for e in table.flat]).reshape(table.shape))
                for scope, table in tiny.factors()
            ]
            for largest, extreme in ((False, min), (True, max)):
                value, architecture = optimum(tiny.sizes, factors, largest)
                assert value == extreme(costs.values()) == costs[architecture]

    @pytest.mark.parametrize("resolution", [None, 27])
    def test_counts_agree_with_torch(self, space: Any, supernet: Supernet, resolution: int | None) -> None:
        x = self.images(space, resolution)[:1]
        for architecture in self.some(space, 3):
            alone = extract(supernet, architecture)
            with FlopCounterMode(display=False) as counter, torch.no_grad():
                alone(x)
            channels, height, width = x.shape[1:]
            assert counter.get_total_flops() == 2 * alone.spec.macs((channels, height, width))
            assert sum(p.numel() for p in alone.parameters()) == alone.spec.params((channels, height, width))

    def test_fresh_network_has_the_spec_s_shapes(self, space: Any) -> None:
        (architecture,) = self.some(space, 1)
        spec = space.decode(architecture)
        network = Network(spec, space.input_shape[0])
        reached: dict[str, tuple[int, ...]] = {}
        for site in spec.shapes(space.input_shape):
            hook = lambda _m, _i, y, site=site: reached.__setitem__(site, tuple(y.shape[1:]))  # noqa: E731
            network.layer(site).register_forward_hook(hook)
        y = network(self.images(space, dtype=torch.float32))
        for site, (_, output) in spec.shapes(space.input_shape).items():
            assert reached[site] in (output, output[:1])
        assert y.shape[1:] == (spec.shapes(space.input_shape)[spec.nodes[-1].site][1][0],)

    # ---- copies

    def test_a_copy_is_independent(self, space: Any, supernet: Supernet) -> None:
        x = self.images(space)
        architectures = self.some(space, 2)
        with torch.no_grad():
            expected = [supernet(x, a) for a in architectures]  # also fills the caches that must not be copied
            before = state_of(supernet)
            torch.save(supernet, io.BytesIO())  # it holds nothing that another process could not be sent
            twin = deepcopy(supernet)
            assert all(torch.equal(twin(x, a), y) for a, y in zip(architectures, expected, strict=True))
            for parameter in twin.parameters():
                parameter.mul_(0.5).add_(0.1)
            assert not any(torch.equal(twin(x, a), y) for a, y in zip(architectures, expected, strict=True))
            twin.train()(x, architectures[0])  # batch-norm statistics move, in the copy
            assert all(torch.equal(supernet(x, a), y) for a, y in zip(architectures, expected, strict=True))
        assert all(torch.equal(before[name], tensor) for name, tensor in supernet.state_dict().items())

    def test_a_state_dict_carries_everything(self, space: Any, supernet: Supernet) -> None:
        torch.manual_seed(9)
        other = Supernet(self.make()).double().eval()
        x = self.images(space)
        (architecture,) = self.some(space, 1)
        with torch.no_grad():
            other(x, architecture)
            other.load_state_dict(supernet.state_dict())
            assert torch.equal(other(x, architecture), supernet(x, architecture))
