import pytest

from config_file.quantity import quantity


@pytest.mark.parametrize(
    ("number", "words"),
    [(0, "no images"), (1, "1 image"), (2, "2 images"), (1150, "1,150 images"), (0.5, "0.5 images")],
)
def test_it_agrees_with_its_number(number: float, words: str) -> None:
    assert quantity(number, "image") == words


def test_an_irregular_plural() -> None:
    assert [quantity(number, "search", "searches") for number in (0, 1, 3)] == ["no searches", "1 search", "3 searches"]
