"""Training of supernets and networks: data, losses, optimizers, schedules, trainers, the loop, checkpoints.

What others may build upon:

- `Trainer`, `Context`, `TrainingStep`, `Pass`: what a step trains, for trainers of one's own;
- `PathTrainer`: a trainer that runs the paths of a sampler;
- `training.testing.TrainerSuite`: the behaviour that trainers must show;
- `training.data.load_data`: a data set by options, and `training.data.Source`, `ImageArrays`: what loaders give;
- `training.retrain.train_network`: train any network without files, with a `Reporter` or none;
- `training.train_supernet.train_supernet`, `training.retrain.retrain_stage`: the stages.
"""

from training.trainer import Context, Pass, Reporter, Silent, Trainer, TrainingStep
from training.trainers.paths import PathTrainer

__all__ = ["Context", "Pass", "PathTrainer", "Reporter", "Silent", "Trainer", "TrainingStep"]
