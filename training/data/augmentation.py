"""Augmentation: training's random crop and mirroring, the same pixels whether images are read or lie in memory.

Two crops are common. A *shift* cuts the window that evaluation sees a few pixels off its place (He et al. 2016, for
CIFAR). A *resized crop* takes a part of random area and aspect ratio from 3/4 to 4/3 and brings it to the resolution
(Szegedy et al. 2015): ProxylessNAS, SPOS and FBNet train on ImageNet by 8 to 100 % of the area, OSNASLib by 20.
*Cutout* (DeVries and Taylor 2017) then erases a square at random; DARTS retrains with one of 16 of 32 pixels.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from config_file.errors import UserError
from config_file.fields import option
from config_file.options import options, part_of, was_given
from supernet.pinned import to_device
from training.data.image_files import evaluation_margin, typical_shorter_side
from training.data.source import RESIZED_CROP, SHIFT, ImageFiles, Source

AUTO, OFF = "auto", "off"


@options("Data")
class AugmentationOptions:
    """The crop that training makes of an image."""

    augmentation: str = option(
        AUTO,
        "training's random crop: shift by some pixels, resized_crop, or off (no mirroring either, without --flip); "
        "auto: resized_crop for imagenet, shift for other data (docs/training.md); landmarks are never cropped",
        choices=(AUTO, SHIFT, RESIZED_CROP, OFF),
        inherit=True,
        decides="training",
    )
    crop_scale: float = option(
        0.08,
        "resized_crop: area of the smallest crop, as a share of the image's (the largest is the whole image)",
        above=0,
        at_most=1,
        inherit=True,
        decides="training",
        only={"augmentation": (AUTO, RESIZED_CROP)},
    )
    cutout: int = option(
        0,
        "side of a square, at a random place of each training image, that is erased (DARTS retrains with 16); 0: none",
        unit="px",
        at_least=0,
        inherit=True,
        decides="training",
    )


@dataclass(frozen=True)
class Frame:
    """The square that images are brought to: a window of `resolution`, seen by evaluation, in the middle of a margin.

    Attributes:
        margin: pixels on every side of the window.
        padded: the margin is black; else it is of the image.
    """

    resolution: int
    margin: int
    padded: bool

    @property
    def side(self) -> int:
        """Of the square, margins included."""
        return self.resolution + 2 * self.margin

    @property
    def crop_pct(self) -> float:
        """Share of an image's shorter side that evaluation sees."""
        return 1.0 if self.padded else self.resolution / self.side


@dataclass(frozen=True)
class Augmentation:
    """The change of an image in training.

    Attributes:
        crop: SHIFT, RESIZED_CROP or OFF.
        scale: area of the smallest resized crop.
        mirror: half of the images are mirrored.
        cutout: side of the square that is erased; 0: none.
    """

    crop: str
    mirror: bool
    scale: float = 0.08
    cutout: int = 0

    def describe(self, frame: Frame) -> str:
        """In words, for the description of a split."""
        parts = []
        if self.crop == SHIFT and frame.margin:
            where = "with zero padding" if frame.padded else "inside the image"
            parts.append(f"random crop of {frame.resolution} from {frame.side} pixels {where}")
        elif self.crop == RESIZED_CROP:
            parts.append(f"random resized crop of {100 * self.scale:g} to 100 % of the area")
        if self.mirror:
            parts.append("horizontal flip")
        if self.cutout:
            parts.append(f"cutout of {self.cutout} pixels")
        return ", ".join(parts) or "none"


def frame_of(source: Source, resolution: int) -> Frame:
    """The frame of a data set: images that have the pixels for it are kept with a margin as in ImageNet's recipes."""
    images = source.images
    own = typical_shorter_side(images, source.train) if isinstance(images, ImageFiles) else min(images.shape[1:3])
    if source.stretch:
        return Frame(resolution, 0, True)
    margin = evaluation_margin(resolution, own)
    return Frame(resolution, margin or round(resolution * source.crop_margin), not margin)


def augmentation_of(source: Source, given: Any) -> Augmentation:
    """The augmentation that the options ask for.

    Raises:
        UserError: a crop where targets lie in the image, a share of the area where no crop has one.
    """
    asked = part_of(given, AugmentationOptions)
    crop = asked.augmentation
    if source.stretch:
        if crop in (SHIFT, RESIZED_CROP):
            raise UserError(
                f"--augmentation {crop}: the targets of {source.name} lie in the image, which is never cropped"
            )
        crop = OFF
    elif crop == AUTO:
        crop = source.crop
    if crop != RESIZED_CROP and was_given(asked, "crop_scale"):
        raise UserError(f"--crop-scale is of --augmentation resized_crop; the images of {source.name} get: {crop}")
    mirror = source.horizontal_flip if asked.augmentation != OFF else bool(given.flip)
    return Augmentation(crop, mirror, asked.crop_scale, asked.cutout)


def draw_shifts(generator: torch.Generator, count: int, margin: int) -> tuple[Tensor, Tensor, Tensor]:
    """(top, left) of the windows of a batch, 0 to 2 * margin, and which are mirrored: (B,) each."""
    top, left = torch.randint(0, 2 * margin + 1, (2, count), generator=generator).unbind()
    return top, left, torch.rand(count, generator=generator) < 0.5


def cut_out(
    x: Tensor, side: int, generator: torch.Generator, whole: int | None = None, part: slice = slice(None)
) -> Tensor:
    """Images x (B, C, H, W) with a square of each at zero, the mean colour of normalised images; changed in place.

    Its centre is any pixel, so that a part of the square may lie outside (DeVries and Taylor 2017). It is drawn on the
    CPU, so that every device erases alike; where x is a `part` of a batch of `whole` images, for all of these.
    """
    sizes, images = x.shape[2:], len(x) if whole is None else whole
    drawn = [torch.randint(size, (images,), generator=generator)[part] - side // 2 for size in sizes]
    inside = []
    for first, size in zip(to_device(torch.stack(drawn), x.device).unsqueeze(2), sizes, strict=True):  # (B, 1)
        place = torch.arange(size, device=x.device)
        inside.append((place >= first) & (place < first + side))  # (B, size)
    rows, columns = inside
    return x.masked_fill_((rows.unsqueeze(2) & columns.unsqueeze(1)).unsqueeze(1), 0.0)
