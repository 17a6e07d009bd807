"""How weights are fitted: data, losses, optimizers, schedules, the loop, checkpoints."""
