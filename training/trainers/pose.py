"""PFLD's auxiliary net (Guo et al. 2019), which learns the angles of the head beside the points.

It reads an early map of the network, or of every path of a supernet, and the loss counts an image the more, the
further off its angles are:

    L = loss + pose_weight * mean(sum_k (1 - cos(angle_k - estimate_k)) * |points - true points|^2)

with the loss of the options, the squared distance summed over the coordinates, and the mean over images. PFLD minimises
the second term alone, which vanishes where angles are learnt before points are. The auxiliary net is thrown away.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

import torch
from torch import Tensor, nn

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options, part_of
from supernet import NetSpec, Network
from supernet.blocks import Shape
from training.data.landmarks import ANGLES, POSE
from training.initialise import initialise
from training.trainer import Context, Pass, Trainer, TrainingStep
from training.trainers.around import Beside


@options("Training")
class PoseOptions:
    """The auxiliary net."""

    pose_weight: float = option(
        1.0, "pose: weight of the distances that count by how far the angles are off", above=0, decides="training"
    )


class PoseNet(nn.Module):
    """PFLD's auxiliary net: (B, C, H, W) -> three angles (B, 3) in radians.

    Its last convolution covers PFLD's map of 7 x 7; here that map is averaged, so that any resolution will do.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for width, stride in ((128, 2), (128, 1), (32, 2)):
            layers += [nn.Conv2d(channels, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()]
            channels = width
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.angles = nn.Sequential(nn.Linear(channels, 128), nn.ReLU(), nn.Linear(128, 32), nn.Linear(32, ANGLES))

    def forward(self, features: Tensor) -> Tensor:
        angles: Tensor = self.angles(self.layers(features))
        return angles


@dataclass(frozen=True)
class PoseContext(Context):
    """A context whose pass reads the auxiliary net's estimate of the angles, and weighs the points by it.

    Attributes:
        site: whose map the auxiliary net reads.
        weight: of the distances that count by how far the angles are off.
    """

    site: str = ""
    auxiliary: nn.Module = field(default_factory=nn.Identity)
    weight: float = 1.0

    @property
    def modules(self) -> list[nn.Module]:
        return [self.model, self.auxiliary]

    def task_pass(self, *choice: Any) -> Pass:
        """The pass (x (B, C, H, W), y (B, outputs + 3)), of a supernet along `choice`."""

        def run(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            taps: dict[str, Tensor | None] = {self.site: None}
            with self.autocast():
                outputs = self.model(x, *choice, taps).float()
                estimates = self.auxiliary(taps[self.site]).float()
            points, angles = y.split((outputs.shape[1], ANGLES), dim=1)
            weights = (1 - torch.cos(angles - estimates)).sum(1)  # (B,)
            distances = (outputs - points).square().sum(1)
            return self.loss(outputs, points) + self.weight * (weights * distances).mean(), outputs

        return run


def with_pose(flag: str, context: Context, maps: Mapping[str, Shape]) -> PoseContext:
    """The context with a new auxiliary net; `maps`: {site: its output} among which it chooses.

    Raises:
        UserError: the data set has no angles.
    """
    data, labels = context.data, context.images.labels
    if labels.ndim != 2 or labels.shape[1] != len(data.classes) + ANGLES:
        raise UserError(f"{flag} {POSE} learns the angles of heads, which lists of --dataset landmarks hold")
    site, channels = early_map(maps, data.resolution)
    auxiliary = PoseNet(channels)
    initialise(auxiliary, context.seed)
    auxiliary.to(context.device)
    own = {one.name: getattr(context, one.name) for one in fields(Context)}
    weight = part_of(context.options, PoseOptions).pose_weight
    return PoseContext(**own, site=site, auxiliary=auxiliary, weight=weight)


class Pose(Trainer):
    """The loss of the options, and the distances weighed by an auxiliary net's estimate of the angles.

    Raises:
        UserError: the data set has no angles.
    """

    Options = PoseOptions

    def __init__(self, context: Context) -> None:
        network, data = context.model, context.data
        assert isinstance(network, Network)
        posed = with_pose("--trainer", context, maps_of(network.spec, (data.in_channels, *2 * (data.resolution,))))
        super().__init__(posed)
        self.site, self.auxiliary, self.learn = posed.site, posed.auxiliary, posed.task_pass()
        self._step = TrainingStep([self.learn], [*network.parameters(), *self.auxiliary.parameters()])

    def step(self, number: int) -> TrainingStep:
        del number
        return self._step

    def parameters(self) -> list[nn.Parameter]:
        return list(self.auxiliary.parameters())

    def state_dict(self) -> dict[str, Any]:
        return self.auxiliary.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.auxiliary.load_state_dict(state)

    def describe(self) -> str:
        return in_words(self.site)


class BesidePose(Beside):
    """The auxiliary net beside a trainer of supernets, whatever paths or mixtures that one trains.

    It reads a site that is the same in every network of the space. Steps of architecture parameters have the same loss,
    and leave the auxiliary net as it is.

    Args:
        make: makes the other trainer.

    Raises:
        UserError: the data set has no angles, or no site is the same in every network.
    """

    Options = PoseOptions

    def __init__(self, make: Callable[[Context], Trainer], context: Context) -> None:
        space = context.space
        shared = {site.name for site in space.sites if not site.given and len(site.options) == 1}
        maps = maps_of(space.decode((0,) * len(space.sizes)), space.input_shape)
        if not (maps := {site: shape for site, shape in maps.items() if site in shared}):
            raise UserError(f"--auxiliary {POSE}: no layer of {space.name} is the same in every network")
        posed = with_pose("--auxiliary", context, maps)
        super().__init__(make(posed), posed.auxiliary)
        self.site = posed.site

    def words(self) -> str:
        return in_words(self.site)


def maps_of(spec: NetSpec, shape: Shape) -> dict[str, Shape]:
    """{site: shape of its output} of a network, in order."""
    return {site: output for site, (_, output) in spec.shapes(shape).items()}


def early_map(maps: Mapping[str, Shape], side: int) -> tuple[str, int]:
    """The last site whose map is a quarter of the image's side or more (PFLD: 28 of 112), and its channels."""
    early = [(site, output) for site, output in maps.items() if 4 * output[1] >= side]
    site, (channels, *_) = early[-1] if early else next(iter(maps.items()))
    return site, channels


def in_words(site: str) -> str:
    """The auxiliary net for people."""
    return f"an auxiliary net learns the angles of heads from {site}"
