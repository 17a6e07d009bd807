"""Tests to hold a space of one's own against: what every space must do, to inherit under pytest.

    from supernet.testing import SpaceSuite

    class TestMine(SpaceSuite):
        make = staticmethod(lambda: my_space(resolution=16))
        make_tiny = staticmethod(lambda: my_space(layers=2, resolution=8))

Pytest is needed for this package only.
"""

import pytest

pytest.register_assert_rewrite("supernet.testing.decision_suite", "supernet.testing.space_suite")

from supernet.testing.decision_suite import DecisionSuite  # noqa: E402  # after its asserts are known to pytest
from supernet.testing.space_suite import SpaceSuite  # noqa: E402
from supernet.testing.weights import difference, randomised, state_of  # noqa: E402

__all__ = ["DecisionSuite", "SpaceSuite", "difference", "randomised", "state_of"]
