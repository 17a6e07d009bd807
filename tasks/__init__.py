"""Tasks: the purpose of a network's outputs, such as classes or landmarks.

A data set brings its task (`training.data.Split.task`), a trained network records it by name, and training, search and
export ask the task for the metric, its direction, what an output means and what a good answer is. In every task the
metric is a mean over images and shown in percent. A new task is one file here and an entry in TASKS.
"""

from config_file.errors import choose
from tasks.classification import CLASSIFICATION, Classification, wilson_interval
from tasks.landmarks import LANDMARKS, Landmarks
from tasks.task import RIGHT, Floats, Targets, Task, measured_on

__all__ = [
    "CLASSIFICATION",
    "LANDMARKS",
    "RIGHT",
    "TASKS",
    "Classification",
    "Floats",
    "Landmarks",
    "Targets",
    "Task",
    "measured_on",
    "task_of",
    "wilson_interval",
]

TASKS: dict[str, Task] = {task.name: task for task in (CLASSIFICATION, LANDMARKS)}
"""Tasks by the name that files hold; a file without one is of a classification."""


def task_of(description: object) -> Task:
    """The task that the description of a trained network or a search names. Raises UserError for an unknown one."""
    name = description.get("task") if isinstance(description, dict) else None
    return CLASSIFICATION if name is None else choose("task", str(name), TASKS)
