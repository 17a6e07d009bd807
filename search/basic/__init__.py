"""Searching from Python, with networks and trainings of one's own: what Neural Compressor calls NAS.

config = NASConfig(search_space={"channels": [16, 32], "layers": [2, 4]}, search_algorithm="bo", max_trials=8)
agent = NAS(config, model_builder=build)          # or NAS("conf.yml")
agent.train_func, agent.eval_func = train, evaluate
best = agent.search("results")

The same call goes on where it was interrupted.
"""

from search.basic.approach import APPROACHES, NASBase, nas_registry
from search.basic.config import NASConfig
from search.basic.nas import NAS, BasicNAS, DyNAS
from search.basic.trials import Trials

__all__ = ["APPROACHES", "NAS", "BasicNAS", "DyNAS", "NASBase", "NASConfig", "Trials", "nas_registry"]
