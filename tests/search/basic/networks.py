"""Small networks that are built, trained and judged by functions, in milliseconds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import nn

from search.basic import NAS, BasicNAS, NASConfig

SPACE = {"width": [2, 4, 8], "act": ["relu", "tanh"]}
X = torch.linspace(-1, 1, 32).reshape(-1, 1)
Y = X.abs()


def build(config: dict[str, Any]) -> nn.Module:
    act = {"relu": nn.ReLU(), "tanh": nn.Tanh()}[config["act"]]
    return nn.Sequential(nn.Linear(1, config["width"]), act, nn.Linear(config["width"], 1))


def train(model: nn.Module) -> None:
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    for _ in range(5):
        optimizer.zero_grad()
        ((model(X + 0.01 * torch.randn(32, 1)) - Y) ** 2).mean().backward()
        optimizer.step()
    record()


def evaluate(model: nn.Module) -> dict[str, float]:
    with torch.no_grad():
        return {"mse": ((model(X) - Y) ** 2).mean().item()}


def record() -> None:
    """Count the trainings in a file, over several processes."""
    with Path("trainings").open("a") as file:
        file.write("x")


def trainings() -> int:
    return len(Path("trainings").read_text()) if Path("trainings").exists() else 0


def agent(**settings: Any) -> BasicNAS:
    config = NASConfig(**{"search_space": SPACE, "metrics": ["mse"], "higher_is_better": [False], **settings})
    made = NAS(config, model_builder=build)
    assert isinstance(made, BasicNAS)
    made.train_func, made.eval_func = train, evaluate
    made.log = lambda line: None
    return made
