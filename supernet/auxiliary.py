"""The auxiliary head (Szegedy et al. 2015) of a network: which map it reads, and its layers.

They are those of DARTS (`supernet.cell_blocks.AuxiliaryHead`), of any network.
"""

import re
from collections.abc import Mapping

from config_file.errors import UserError
from supernet.blocks import Shape
from supernet.cell_blocks import AuxiliaryHead
from supernet.spaces.chain import SMALL_IMAGE


def auxiliary_head(classes: int, resolution: int) -> AuxiliaryHead:
    """The head for images of so many pixels a side; for ImageNet DARTS has another stride, and no last batch norm."""
    return AuxiliaryHead(classes) if resolution <= SMALL_IMAGE else AuxiliaryHead(classes, 2, False)


def place_of_head(maps: Mapping[str, Shape]) -> tuple[str, int]:
    """The site after two thirds of the cells, or of the stages where there are none, and its channels.

    A cell or a stage is what has the first part of its address in common; its last site is its output.

    Args:
        maps: {site: (C, H, W) of its output}, in the order in which they run.

    Raises:
        UserError: there is no map of several pixels.
    """
    # The output, which ends the network, is no place for another head.
    ends = {site.partition("/")[0]: site for site in list(maps)[:-1]}
    cells = [site for unit, site in ends.items() if re.fullmatch(r"cell\d+", unit)]
    places = [site for site in cells or ends.values() if maps[site][1] * maps[site][2] > 1]
    if not places:
        raise UserError("an auxiliary head: no map of the network is the same in every path and of several pixels")
    site = places[2 * len(places) // 3]
    return site, maps[site][0]
