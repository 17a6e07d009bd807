"""A trainer of one network of one's own: knowledge distillation (Hinton et al. 2015), with options of its own."""

import torch
from torch import Tensor
from torch.nn import functional as F

from config_file.fields import option
from config_file.options import options
from deployment.weights import load_network
from training import Context, Trainer, TrainingStep
from training.trainers import NETWORK_TRAINERS


class Distilled(Trainer):
    """The labels' loss and the distance from a teacher's answers, half of each."""

    @options("Distillation")
    class Options:
        teacher: str | None = option(None, "the teacher's model.safetensors", metavar="FILE")
        kd_temperature: float = option(4.0, "of both softmax", above=0, decides="training")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.teacher = load_network(context.options.teacher)[0].to(context.device).eval()

    def step(self, number: int) -> TrainingStep:
        return TrainingStep([self.learn], list(self.context.model.parameters()))

    def learn(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        t = self.context.options.kd_temperature
        outputs = self.context.forward(x)
        with torch.no_grad():
            answers = (self.teacher(x) / t).softmax(1)
        return 0.5 * self.context.loss(outputs, y) + 0.5 * t * t * F.cross_entropy(outputs / t, answers), outputs


NETWORK_TRAINERS["distilled"] = Distilled
