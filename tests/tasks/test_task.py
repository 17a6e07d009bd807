"""Tasks: the normalised mean error by hand, its direction and interval, and what targets must look like."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from config_file.errors import UserError
from tasks import CLASSIFICATION, LANDMARKS, TASKS, measured_on, task_of


def faces(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).uniform(0, 1, (count, 212)).astype(np.float32)


def test_nme_is_the_mean_distance_over_that_of_the_outer_eye_corners():
    predicted, true = faces(5, 1), faces(5, 2)
    expected = []
    for p, t in zip(predicted.reshape(5, 106, 2), true.reshape(5, 106, 2), strict=True):
        between = math.dist(t[35], t[93])
        expected.append(sum(math.dist(a, b) for a, b in zip(p, t, strict=True)) / 106 / between)
    assert measured_on(LANDMARKS, predicted, true) == pytest.approx(expected, rel=1e-5)


def test_moving_every_point_by_the_distance_of_the_eyes_is_an_error_of_one():
    true = faces(3)
    points = true.reshape(3, 106, 2)
    between = np.linalg.norm(points[:, 35] - points[:, 93], axis=1)
    moved = points + np.stack((between, np.zeros(3)), 1)[:, None].astype(np.float32)
    assert measured_on(LANDMARKS, moved.reshape(3, 212), true) == pytest.approx([1, 1, 1], rel=1e-5)
    assert measured_on(LANDMARKS, true, true) == pytest.approx([0, 0, 0])
    half = LANDMARKS.measure(
        torch.from_numpy(0.5 * true), torch.from_numpy(0.5 * true + 0.5 * (moved - points).reshape(3, 212))
    )
    assert half.tolist() == pytest.approx([1, 1, 1], rel=1e-5)  # scale does not matter


def test_the_error_is_the_squared_distance():
    predicted, true = torch.from_numpy(faces(4, 1)), torch.from_numpy(faces(4, 2))
    assert torch.allclose(LANDMARKS.error(predicted, true), torch.cdist(predicted, true).diagonal().square(), rtol=1e-4)


def test_the_better_of_two_values():
    assert LANDMARKS.better(0.05, 0.06)
    assert not LANDMARKS.better(0.06, 0.05)
    assert CLASSIFICATION.better(0.6, 0.5)
    for task in TASKS.values():
        assert task.better(0.5, task.worst)
        assert not task.better(math.nan, task.worst)
    assert LANDMARKS.show(0.0558) == "5.58 %"


def test_intervals():
    assert LANDMARKS.interval(0.06, 0.02, 100) == pytest.approx((0.06 - 1.96 * 0.002, 0.06 + 1.96 * 0.002))
    assert LANDMARKS.interval(0.001, 0.1, 4)[0] == 0.0
    low, high = CLASSIFICATION.interval(0.5, 0.5, 100)
    assert low == pytest.approx(0.4038, abs=1e-4)  # Wilson 1927
    assert high == pytest.approx(0.5962, abs=1e-4)


def test_a_description_names_its_task():
    assert task_of({}) is CLASSIFICATION
    assert task_of({"task": "landmarks"}) is LANDMARKS
    with pytest.raises(UserError, match="unknown task 'depth'"):
        task_of({"task": "depth"})


@pytest.mark.parametrize(
    ("task", "targets", "outputs", "message"),
    [
        (CLASSIFICATION, np.array([0, 3]), 3, "labels from 0 to 3"),
        (CLASSIFICATION, np.array([0.0, 1.0]), 3, "integers are needed"),
        (LANDMARKS, np.zeros((2, 210), np.float32), 212, "212 coordinates"),
        (LANDMARKS, np.array([0, 1]), 212, "212 coordinates"),
        (LANDMARKS, np.full((1, 212), np.nan, np.float32), 212, "not finite"),
        (CLASSIFICATION, np.array([0, 2]), 3, ""),
        (LANDMARKS, faces(2), 212, ""),
    ],
)
def test_targets_that_do_not_fit(task, targets, outputs, message):
    found = task.misfit(targets, outputs)
    assert message in found
    assert bool(found) == bool(message)
