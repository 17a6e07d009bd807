"""One network that learns from a teacher beside its labels: knowledge distillation, and the teacher's feature maps.

    L = plain_weight * loss + kd_alpha * KD + nst_beta * NST

KD (Hinton et al. 2015) compares softened answers: T^2 * KL(softmax(teacher / T) || softmax(student / T)). NST (Huang
and Wang 2017) compares where channels look: the squared maximum mean discrepancy between the channels of both networks,
each channel a sample, its map a unit vector, under the kernel k(a, b) = (a . b)^2. Vega's MFKD distils trainings of low
fidelity with T 32 and alpha 1, or with beta 12.5 (Trofimov et al. 2020, arXiv 2006.08341; losses unpublished).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from config_file.errors import UserError, nearest
from config_file.fields import option
from config_file.options import options, part_of
from supernet.blocks import Shape
from tasks import CLASSIFICATION
from training.divergences import Divergence, kullback_leibler, make_divergence
from training.trainer import Context, Trainer, TrainingStep
from training.trainers.teacher import (
    BOTH,
    FORMS,
    KD,
    NST,
    ONLY_KD,
    Teacher,
    TeacherOptions,
    feature_maps,
    last_of_each_scale,
    read_teacher,
    with_maps,
)

_NST = {"distill": (NST, BOTH)}


@options("Distillation")
class DistillationOptions(TeacherOptions):
    """Lessons of a teacher."""

    distill: str = option(
        KD,
        "distillation: learn the teacher's answers (kd), where its channels look (nst), or both",
        choices=(KD, NST, BOTH),
        aliases={"nst,kd": BOTH, "kd+nst": BOTH},
        decides="training",
    )
    kd_temperature: float = option(
        4.0, "kd: both networks' outputs are divided by it (MFKD: 32)", above=0, at_most=1e4, only=ONLY_KD,
        decides="training",
    )  # fmt: skip
    nst_beta: float = option(12.5, "nst: weight (MFKD's; RepDistiller: 50)", at_least=0, only=_NST, decides="training")
    nst_features: str | None = option(
        None,
        "nst: sites or stages whose last maps are compared, with commas in between; SITE=NAME where the teacher calls "
        "it otherwise; none: the last map of each size that both networks have",
        metavar="SITES",
        only=_NST,
        decides="training",
    )

    def rules(self) -> None:
        """Raises UserError where no teacher is named."""
        if self.teacher is None:
            raise UserError(f"distillation needs --teacher: {FORMS}")


def kd_loss(outputs: Tensor, taught: Tensor, temperature: float, divergence: Divergence = kullback_leibler) -> Tensor:
    """T^2 * KL(softmax(taught / T) || softmax(outputs / T)), both (B, O), mean over images: scalar, in nats.

    With another divergence, that of both networks' outputs divided by T, times T^2.
    """
    return temperature**2 * divergence(outputs / temperature, taught / temperature)


def nst_loss(ours: Tensor, taught: Tensor) -> Tensor:
    """Squared discrepancy between the channels of two maps (B, C, H, W) and (B, C', H', W'), mean over images: scalar.

    mean k(t, t') + mean k(s, s') - 2 mean k(s, t) over all pairs of channels; the larger map is pooled to the smaller.
    """
    side = min(ours.shape[2], taught.shape[2]), min(ours.shape[3], taught.shape[3])
    student, teacher = (_directions(F.adaptive_avg_pool2d(maps.float(), side)) for maps in (ours, taught))
    with torch.no_grad():
        of_teacher = _mean_kernel(teacher, teacher)
    return of_teacher + _mean_kernel(student, student) - 2 * _mean_kernel(student, teacher)


def _directions(maps: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, C, H * W), every channel of length 1."""
    return F.normalize(maps.flatten(2), dim=2)


def _mean_kernel(a: Tensor, b: Tensor) -> Tensor:
    """The mean of (a_i . b_j)^2 over images and pairs of channels; (B, C, P) and (B, C', P).

    It is the squared norm of A B', or the inner product of A'A and B'B, whichever matrix is the smaller.
    """
    pairs = a.shape[1] * b.shape[1]
    if a.shape[2] ** 2 < pairs:
        products = (a.mT @ a) * (b.mT @ b)
        return products.sum() / (len(a) * pairs)
    return (a @ b.mT).square().mean()


class Distillation(Trainer):
    """The loss of the options, and what a teacher adds to it.

    Raises:
        UserError: no teacher, one of other classes, or maps that are not there.
    """

    Options = DistillationOptions

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.settings = part_of(context.options, DistillationOptions)
        self.settings.rules()
        self.divergence = make_divergence(self.settings)
        data = context.data
        if self.settings.distill != NST and data.task is not CLASSIFICATION:
            raise UserError(f"--distill kd softens the answers to a classification: {data.name} is for --distill nst")
        self.teacher: Teacher = read_teacher(str(self.settings.teacher), data, context.device)
        self.pairs: dict[str, str] = {}
        if self.settings.distill != KD:
            maps = feature_maps(context.model, (data.in_channels, data.resolution, data.resolution), context.device)
            self.pairs = pair_maps(self.settings.nst_features, maps, data.resolution, self.teacher)
        self._step = TrainingStep([self.learn], list(context.model.parameters()))

    def step(self, number: int) -> TrainingStep:
        del number
        return self._step

    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """The pass: x (B, C, H, W), targets y."""
        settings = self.settings
        with self.context.autocast():
            outputs, ours = with_maps(self.context.model, x, self.pairs)
            taught, maps = self.teacher(x, dict.fromkeys(self.pairs.values()))
        outputs = outputs.float()
        loss = settings.plain_weight * self.context.loss(outputs, y)
        if settings.distill != NST:
            far = kd_loss(outputs, taught.float(), settings.kd_temperature, self.divergence)
            loss = loss + settings.kd_alpha * far
        for site, name in self.pairs.items():
            loss = loss + settings.nst_beta * nst_loss(ours[site], maps[name])
        return loss, outputs

    def state_dict(self) -> dict[str, Any]:
        return {"teacher": self.teacher.sha256}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """See that it goes on with the same teacher. Raises UserError where it is another."""
        self.teacher.check(state.get("teacher"))

    def fingerprint(self) -> str:
        return self.teacher.sha256

    def describe(self) -> str:
        settings, parts = self.settings, []
        if settings.distill != NST:
            parts.append(f"its answers (T {settings.kd_temperature:g}, weight {settings.kd_alpha:g})")
        if self.pairs:
            maps = ", ".join(site if site == name else f"{site}={name}" for site, name in self.pairs.items())
            parts.append(f"its maps (weight {settings.nst_beta:g}: {maps})")
        return f"learns from {self.teacher.name}: {' and '.join(parts)}; weight of the labels {settings.plain_weight:g}"


def pair_maps(text: str | None, ours: Mapping[str, Shape], side: int, teacher: Teacher) -> dict[str, str]:
    """{map of the student: map of the teacher} that `--nst-features` asks for.

    Args:
        ours: the student's feature maps, see `feature_maps`, of an image of `side` pixels.

    Raises:
        UserError: there are no such maps, or no two of one size.
    """
    theirs = teacher.maps
    if text is None:
        first, second = last_of_each_scale(ours, side), last_of_each_scale(theirs, teacher.side)
        if not first.keys() & second.keys():
            raise UserError("--distill nst: the two networks have no maps of one size: name some with --nst-features")
        return {first[scale]: second[scale] for scale in sorted(first) if scale in second}
    pairs = {}
    for words in text.split(","):
        mine, _, other = words.strip().partition("=")
        pairs[_last_map(mine, ours, "network")] = _last_map(other or mine, theirs, "teacher")
    return pairs


def _last_map(name: str, maps: Mapping[str, Shape], whose: str) -> str:
    """The last map of a site, or of a stage whose sites or modules begin with its name."""
    found = [site for site in maps if site == name or site.startswith((f"{name}/", f"{name}."))]
    if not found:
        raise UserError(
            f"--nst-features: the {whose} has no map {name!r}{nearest(name, list(maps))} (it has: {', '.join(maps)})"
        )
    return found[-1]
