"""The shipped search spaces by name, and how a space is built from a name, a YAML file or the user's own code."""

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass, replace
from functools import partial, wraps
from pathlib import Path
from typing import Any, ParamSpec

from config_file.errors import UserError, alike, choose
from config_file.plugins import ELASTIC, guarded, is_reference, load_object
from config_file.readers.door import reading
from config_file.readers.yaml_text import read_yaml
from supernet.elastic.space import build_elastic
from supernet.space import NetworkSpace, SearchSpace, with_sites
from supernet.spaces.attentivenas import ATTENTIVENAS
from supernet.spaces.cells import DARTS, ENAS_MICRO, CellTable
from supernet.spaces.chain import MOST_LAYERS, MOST_STRIDE, MOST_WIDTH, ChainTable
from supernet.spaces.enas_macro import build_enas_macro
from supernet.spaces.fbnet import FBNET_L, FBNET_S
from supernet.spaces.mobilenetv2 import build_mobilenetv2
from supernet.spaces.nasbench101 import nasbench101
from supernet.spaces.nasbench201 import nasbench201
from supernet.spaces.nasbench_macro import NASBENCH_MACRO
from supernet.spaces.ofa import OFA_MBV3, OFA_PROXYLESS
from supernet.spaces.ofa_resnet50 import build_ofa_resnet50
from supernet.spaces.pfld import build_pfld
from supernet.spaces.proxylessnas import PROXYLESSNAS
from supernet.spaces.simple_cnn import build_simple_cnn
from supernet.spaces.single_path import SINGLE_PATH
from supernet.spaces.spos import SPOS

SETTINGS = (
    "widths", "depths", "strides", "skip", "width_mult", "image_sizes", "inner_channels", "elastic", "affine",
    "partial_channels",
)  # fmt: skip
"""The settings that a space may have besides the image and the classes."""

SHARED = ("affine", "partial_channels")
"""Those of them that a supernet may have for the sake of sharing weights: not for networks that are trained alone."""

MOST = {
    "resolution": 16384, "num_classes": 10**6, "in_channels": 4096,
    "widths": MOST_WIDTH, "depths": MOST_LAYERS, "strides": MOST_STRIDE,
}  # fmt: skip
"""Upper limits: far beyond what anybody trains, far below what a mistyped number makes of memory and time."""

MOST_PARAMETERS = 2**36

P = ParamSpec("P")


@dataclass(frozen=True)
class SpaceDef:
    """A search space that is known by name.

    Args:
        build: (resolution=, num_classes=, in_channels=, and the settings that were given) -> NetworkSpace.
        settings: those of `SETTINGS` that it has; others are refused.
        resolution: height and width of the image where none is given.
        task: of its networks, a name in `tasks.TASKS`.
        shared: settings of its supernet where none are given.
    """

    build: Callable[..., NetworkSpace]
    settings: tuple[str, ...] = ()
    resolution: int = 224
    task: str = "classification"
    shared: Mapping[str, Any] = field(default_factory=dict)


def of_table(table: ChainTable, resolution: int = 224) -> SpaceDef:
    """The definition of a chain."""

    def build(resolution: int, num_classes: int, in_channels: int, **settings: Any) -> SearchSpace:
        own = table if "image_sizes" in settings else table.for_images(resolution)
        return own.with_settings(**settings).build(resolution, num_classes, in_channels)

    return SpaceDef(build, table.settings, resolution)


NOT_AFFINE = {"affine": False}
"""The batch norms of a supernet's cells learn no scale and shift, as in DARTS and NAS-Bench-201."""


def of_cells(table: CellTable) -> SpaceDef:
    """The definition of a space of cells."""
    settings = ("widths", "depths", "affine", "partial_channels")
    return SpaceDef(table.build, settings, resolution=32, shared=NOT_AFFINE)


_MOBILE = ("widths", "depths", "strides", "width_mult", "image_sizes")

SPACES: dict[str, SpaceDef] = {
    "proxylessnas": of_table(PROXYLESSNAS),
    "fbnet_s": of_table(FBNET_S),
    "fbnet_l": of_table(FBNET_L),
    "fbnet": of_table(FBNET_L),
    "spos": of_table(SPOS),
    "mobilenetv2": SpaceDef(build_mobilenetv2, ("widths", "depths", "strides", "inner_channels")),
    "single_path": of_table(SINGLE_PATH),
    "nasbench_macro": of_table(NASBENCH_MACRO, resolution=32),
    "ofa_mbv3": SpaceDef(OFA_MBV3.build, _MOBILE),
    "ofa_proxyless": SpaceDef(OFA_PROXYLESS.build, _MOBILE),
    "ofa_resnet50": SpaceDef(build_ofa_resnet50, ("widths", "depths", "strides", "image_sizes")),
    "attentivenas": of_table(ATTENTIVENAS, resolution=288),
    "simple_cnn": SpaceDef(build_simple_cnn, resolution=32),
    "nasbench101": SpaceDef(nasbench101, ("widths", "depths"), resolution=32),
    "nasbench201": SpaceDef(nasbench201, ("widths", "depths", "affine"), resolution=32, shared=NOT_AFFINE),
    "darts": of_cells(DARTS),
    "enas_micro": of_cells(ENAS_MICRO),
    "enas_macro": SpaceDef(build_enas_macro, ("widths", "depths"), resolution=32),
    "pfld": SpaceDef(build_pfld, ("widths", "depths"), resolution=112, task="landmarks"),
}
"""The shipped search spaces by the name users type. A new one is one file and one entry here."""


def build_network_space(
    search_space: str | Mapping[str, Any],
    resolution: int | None = None,
    num_classes: int = 1000,
    in_channels: int = 3,
    widths: Sequence[int] | None = None,
    depths: Sequence[int] | None = None,
    strides: Sequence[int] | None = None,
    skip: str | None = None,
    width_mult: float | None = None,
    image_sizes: str | None = None,
    inner_channels: str | None = None,
    elastic: str | None = None,
    affine: bool | None = None,
    partial_channels: int | None = None,
) -> NetworkSpace:
    """Build a space of networks.

    Args:
        search_space: a shipped name (`SPACES`), the path of a YAML file, the content of one as a mapping, or
            "package.module:callable", called as callable(resolution=, num_classes=, in_channels=) -> NetworkSpace,
            which a SearchSpace is; or a network that becomes a space (`supernet.elastic`).
        resolution: height and width of the image; default what the space declares, 224 for one of your own.
        num_classes: width of the classifier.
        in_channels: channels of the image.
        widths: channels of the stem, the fixed first block if there is one, each stage, and the head.
        depths: layers per stage.
        strides: stem, then each stage; without it small images (<= 64 px) keep their resolution in stem and first
            strided stage.
        skip: "conv" or "identity": what a skip is where the shape changes; default as the space declares.
        width_mult: scales all widths of a chain or of a space of once-for-all; default as the space declares.
        inner_channels: of spos and mobilenetv2, a decision per layer among shares of its inner channels, as
            "0.2-1.6:0.2".
        image_sizes: the image size is a decision, among these, as "128-224:4"; the largest is the resolution.
        elastic: of a network that becomes a space, what of it is elastic (`supernet.elastic.rules`).
        affine: batch norms of cells learn scale and shift; none: they do, except in a supernet.
        partial_channels: of a supernet of cells, the parts of the channels of which one passes through operations.

    Raises:
        UserError: an unknown name (naming the nearest), a setting that does not fit, or a file that is not a space.
    """
    if isinstance(search_space, str):
        search_space = alike(search_space, SPACES) or search_space
    recorded, definition = _find(search_space)
    resolution = definition.resolution if resolution is None else resolution
    image = {"resolution": resolution, "num_classes": num_classes, "in_channels": in_channels}
    numbers = list(image.items())
    for name, several in (("widths", widths), ("depths", depths), ("strides", strides)):
        numbers += [(name, number) for number in several or ()]
    for name, number in numbers:
        if not 1 <= number <= MOST[name]:
            raise UserError(f"--{name.replace('_', '-')} must be at least 1 and at most {MOST[name]:,}, not {number}")
    settings: dict[str, Any] = {"widths": widths, "depths": depths, "strides": strides, "skip": skip}
    # Settings that came later: recipes name them where they are given, so that older ones are still the same.
    later = {
        "width_mult": width_mult, "image_sizes": image_sizes, "inner_channels": inner_channels, "elastic": elastic,
        "affine": affine, "partial_channels": partial_channels,
    }  # fmt: skip
    settings |= {name: value for name, value in later.items() if value is not None}
    settings = {name: list(value) if isinstance(value, tuple) else value for name, value in settings.items()}
    given = {name: value for name, value in settings.items() if value is not None}
    for name in given:
        if name not in definition.settings:
            has = ", ".join(f"--{other.replace('_', '-')}" for other in definition.settings) or "none of these settings"
            raise UserError(f"--{name.replace('_', '-')} does not apply to {_title(search_space)}: it has {has}")
    with reading(f"search space {_title(search_space)}", "cannot be built"):
        built: Any = definition.build(**image, **given)  # a dataclass, of which `NetworkSpace` itself knows nothing
        space: NetworkSpace = replace(built, recipe={"search_space": recorded, **image, **settings})
        parameters = _parameters(space)
        if parameters > MOST_PARAMETERS:
            raise UserError(f"its candidates have {parameters:.2g} parameters, more than {MOST_PARAMETERS:.2g}")
    return space


def definition_of(search_space: str | Mapping[str, Any]) -> SpaceDef:
    """The definition of a space by its name, its file, or its content. Raises UserError as `build_network_space`."""
    if isinstance(search_space, str):
        search_space = alike(search_space, SPACES) or search_space
    return _find(search_space)[1]


def _parameters(space: NetworkSpace) -> int:
    """The parameters of all its candidates, or of its largest network. Raises ValueError where channels do not fit."""
    if not isinstance(space, SearchSpace):
        return space.decode(space.ends()[1]).params(space.input_shape)
    keys = dict.fromkeys(entry for _, _, entries in space.placed() for entry in entries if entry is not None)
    return sum(block.params(shape) for block, shape in keys)


def _of_sites(build: Callable[P, NetworkSpace]) -> Callable[P, SearchSpace]:
    @wraps(build)
    def built(*args: P.args, **settings: P.kwargs) -> SearchSpace:
        return with_sites(build(*args, **settings))

    return built


build_space = _of_sites(build_network_space)
"""As `build_network_space`, of a space with sites. Raises UserError for one without, too."""


def _find(search_space: str | Mapping[str, Any]) -> tuple[str | Mapping[str, Any], SpaceDef]:
    """The name that a recipe records (of a file its content: it may be gone when that is read), and the definition."""
    if isinstance(search_space, str) and search_space.startswith(ELASTIC):
        return search_space, SpaceDef(partial(build_elastic, search_space), ("elastic",))
    if isinstance(search_space, str) and is_reference(search_space):
        return search_space, SpaceDef(partial(_own_space, search_space, load_object(search_space)))
    if isinstance(search_space, str) and not search_space.endswith((".yml", ".yaml")):
        definition = choose("search space", search_space, SPACES)
        module = getattr(definition.build, "__module__", "")
        if not module.startswith("supernet."):  # entered by --plugins
            own = partial(_own_space, f"{module}:{search_space}", definition.build)
            definition = replace(definition, build=own)
        return search_space, definition
    content = search_space if isinstance(search_space, Mapping) else _from_file(search_space)
    with reading(_title(search_space)):
        if "operations" in content:
            cells = CellTable.from_dict(content)
            return cells.to_dict(), of_cells(cells)
        table = ChainTable.from_dict(content)
    return table.to_dict(), of_table(table)


def _from_file(search_space: str) -> Mapping[str, Any]:
    if not Path(search_space).exists():
        raise UserError(f"search space {search_space}: no such file")
    content = read_yaml(search_space)
    if not isinstance(content, Mapping):
        raise UserError(f"search space {search_space}: expected a table of keys such as name, stem, stages")
    return content


def _own_space(reference: str, make: Callable[..., Any], **arguments: Any) -> NetworkSpace:
    """A space that code of the user's own builds: whatever it raises ends in one line."""
    try:
        inspect.signature(make).bind(**arguments)
    except TypeError as error:
        raise UserError(f"{reference} must take resolution, num_classes and in_channels: {error}") from None
    space = guarded(reference, make)(**arguments)
    if not isinstance(space, NetworkSpace) or not is_dataclass(space):
        raise UserError(f"{reference} returned a {type(space).__name__}, not a supernet.SearchSpace")
    return space


def _title(search_space: str | Mapping[str, Any]) -> str:
    return search_space if isinstance(search_space, str) else str(search_space.get("name", "of your own"))
