"""Scores against scikit-learn's."""

import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, top_k_accuracy_score
from torch import nn

from tasks import CLASSIFICATION, LANDMARKS
from training.evaluate import score

CPU = torch.device("cpu")


@pytest.mark.parametrize("classes", [2, 9, 10, 100])
def test_top5_stands_beside_top1_for_ten_classes_and_more(classes: int) -> None:
    generator = torch.Generator().manual_seed(classes)
    logits = torch.randn(200, classes, generator=generator)
    labels = torch.randint(classes, (200,), generator=generator)
    labels[:classes] = torch.arange(classes)
    found = score(nn.Identity(), zip(logits.split(64), labels.split(64), strict=True), CPU)
    assert found.value == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    assert found.loss == pytest.approx(log_loss(labels, logits.double().softmax(1)), rel=1e-5)
    named = found.named("val", CLASSIFICATION)
    if classes < 10:
        assert set(named) == {"val_accuracy", "val_loss"}
        assert found.show(CLASSIFICATION) == f"{100 * found.value:.2f} %"
    else:
        top5 = top_k_accuracy_score(labels, logits, k=5, labels=range(classes))
        assert named["val_top5"] == pytest.approx(top5)
        assert found.show(CLASSIFICATION) == f"{100 * found.value:.2f} % (top-5 {100 * top5:.2f} %)"


def test_landmarks_have_no_top5() -> None:
    points = torch.rand(3, 212)
    assert score(nn.Identity(), [(points, points)], CPU, task=LANDMARKS).named("test", LANDMARKS).keys() == {
        "test_nme",
        "test_loss",
    }
