"""One network with PFLD's auxiliary net (Guo et al. 2019), which learns the angles of the head beside the points.

It reads an early map of the network, and the loss counts an image the more, the further off its angles are:

    L = loss + pose_weight * mean(sum_k (1 - cos(angle_k - estimate_k)) * |points - true points|^2)

with the loss of the options, the squared distance summed over the coordinates, and the mean over images. PFLD minimises
the second term alone, which vanishes where angles are learnt before points are. The auxiliary net is thrown away.
"""

from collections.abc import Mapping
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
from training.trainer import Context, Trainer, TrainingStep


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


class Pose(Trainer):
    """The loss of the options, and the distances weighed by an auxiliary net's estimate of the angles.

    Raises:
        UserError: the data set has no angles.
    """

    Options = PoseOptions

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        network, data = context.model, context.data
        assert isinstance(network, Network)
        self.outputs = len(data.classes)
        if context.images.labels.ndim != 2 or context.images.labels.shape[1] != self.outputs + ANGLES:
            raise UserError(f"--trainer {POSE} learns the angles of heads, which lists of --dataset landmarks hold")
        self.weight = part_of(context.options, PoseOptions).pose_weight
        self.site, channels = early_map(network.spec, (data.in_channels, data.resolution, data.resolution))
        self.auxiliary = PoseNet(channels)
        initialise(self.auxiliary, context.seed)
        self.auxiliary.to(context.device)
        self._step = TrainingStep([self.learn], [*network.parameters(), *self.auxiliary.parameters()])

    def step(self, number: int) -> TrainingStep:
        del number
        return self._step

    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The pass: x (B, C, H, W), y (B, outputs + 3)."""
        taps: dict[str, Tensor | None] = {self.site: None}
        with self.context.autocast():
            outputs = self.context.model(x, taps).float()
            estimates = self.auxiliary(taps[self.site]).float()
        points, angles = y.split((self.outputs, ANGLES), dim=1)
        weights = (1 - torch.cos(angles - estimates)).sum(1)  # (B,)
        distances = (outputs - points).square().sum(1)
        return self.context.loss(outputs, points) + self.weight * (weights * distances).mean(), outputs

    def parameters(self) -> list[nn.Parameter]:
        return list(self.auxiliary.parameters())

    def state_dict(self) -> dict[str, Any]:
        return self.auxiliary.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.auxiliary.load_state_dict(state)

    def describe(self) -> str:
        return f"an auxiliary net learns the angles of heads from {self.site}"


def early_map(spec: NetSpec, shape: Shape) -> tuple[str, int]:
    """The last site whose map is a quarter of the image's side or more (PFLD: 28 of 112), and its channels."""
    maps = [(site, output) for site, (_, output) in spec.shapes(shape).items() if 4 * output[1] >= shape[1]]
    site, (channels, *_) = maps[-1] if maps else next((s, o) for s, (_, o) in spec.shapes(shape).items())
    return site, channels
