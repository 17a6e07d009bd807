"""Cells in a search: drawn as the genotype says, as XML that other programs read, and scored without training."""

from __future__ import annotations

import math
import random
from xml.etree import ElementTree as ET

import torch
from torch import nn

from search.evaluators.supernet import SupernetEvaluator
from search.proxies import SCORES, Sample
from search.reporting.cell_drawing import cell_drawings, cells_as_svg
from search.reporting.report_plots import option_colours
from supernet import Network, Supernet, build_space
from supernet.genotype import architecture_of_genotype, parse_genotype
from supernet.spaces.published_cells import PUBLISHED_CELLS
from tests.search.toy import toy_data
from tests.supernet.own_spaces import tiny_nasbench201

SVG = "{http://www.w3.org/2000/svg}"


def test_every_edge_of_the_cells_is_drawn():
    genotype = parse_genotype(PUBLISHED_CELLS["darts_v2"].genotype, "")
    space = build_space("darts", num_classes=10, widths=[4], depths=[3])
    architecture = architecture_of_genotype(genotype, space, "")
    colours = option_colours(space)
    whole = ET.fromstring(cells_as_svg(space, architecture, colours))
    drawn = whole.findall(f"{SVG}svg")
    assert [one.get("aria-label") for one in drawn] == ["normal cell", "reduce cell"]
    for one, pairs in zip(drawn, (genotype.normal, genotype.reduce), strict=True):
        texts = [text.text for text in one.iter(f"{SVG}text")]
        operations = [name for name, _ in pairs]
        assert sorted(text for text in texts if text in colours) == sorted(operations)
        # Per edge a line to its operation and one from it; and the four nodes make the output.
        assert len(list(one.iter(f"{SVG}path"))) == 2 * len(pairs) + 4
        width, height = (float(side) for side in str(one.get("viewBox")).split()[2:])
        for box in one.iter(f"{SVG}rect"):
            assert 0 <= float(str(box.get("x"))) <= width - float(str(box.get("width")))
            assert 0 <= float(str(box.get("y"))) <= height - float(str(box.get("height")))


def test_what_is_none_is_not_drawn_and_texts_are_escaped():
    space = build_space("nasbench201", num_classes=10)
    (drawing,) = cell_drawings(space, (0, 3, 0, 1, 0, 4), {"skip_connect": '"><script>'})
    assert "none" not in drawing.svg.replace('fill="none"', "")
    assert "<script" not in drawing.svg
    assert drawing.svg.count("nor_conv_3x3") == drawing.svg.count("skip_connect") == 1


def test_zero_cost_scores_of_a_cell_network_are_numbers():
    space = build_space("darts", resolution=8, num_classes=4, widths=[4], depths=[1])
    architecture = space.sample(random.Random(0))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network, x = Network(space.decode(architecture)), torch.randn(4, 3, 8, 8)
        sample = Sample(x, torch.arange(4), 4, nn.functional.cross_entropy)
        assert all(math.isfinite(SCORES[name](network, sample)) for name in SCORES)


def test_cells_that_are_the_same_network_are_scored_once(monkeypatch):
    torch.manual_seed(0)
    supernet = Supernet(tiny_nasbench201())
    once, each = (
        SupernetEvaluator(supernet, toy_data(), calibration_images=16, batch_size=16, equal_once=equal)
        for equal in (True, False)
    )
    cells = [(3, 2, 0, 1, 2, 4), (2, 3, 0, 1, 4, 2), (3, 3, 3, 3, 3, 3)]  # of the first, nodes 1 and 2 change places
    run = []
    monkeypatch.setattr(
        once, "_score", lambda cell, *rest: run.append(cell) or SupernetEvaluator._score(once, cell, *rest)
    )
    found = {result.architecture: result.metrics for result in [*once.evaluate(cells[:1]), *once.evaluate(cells)]}
    assert len(run) == 2
    assert found[cells[0]] == found[cells[1]]
    alone = {result.architecture: result.metrics for result in each.evaluate([*cells, run[0]])}
    assert found[cells[0]] == alone[run[0]]
    assert found[cells[2]] == alone[cells[2]]
