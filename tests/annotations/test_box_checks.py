"""Rules about the boxes of a table."""

import numpy as np
import pytest

from ava_jax.annotations import box_checks


@pytest.mark.parametrize(
    ("largest", "expected"), [(1.0, False), (2.0, False), (2.1, True), (-2.1, True)]
)
def test_what_is_beyond_two_frames_is_in_pixels(largest, expected):
    boxes = np.array([[0.1, 0.1, largest, 0.5]])
    assert box_checks.in_pixels(boxes).tolist() == [expected]
