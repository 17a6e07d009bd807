"""The trainer of one network."""

from training.trainer import Context, Trainer, TrainingStep


class Plain(Trainer):
    """One pass through the whole network, by the loss of the options."""

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._step = TrainingStep([context.task_pass()], list(context.model.parameters()))

    def step(self, number: int) -> TrainingStep:
        del number
        return self._step
