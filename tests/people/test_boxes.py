import numpy as np
import pytest

from ava_jax.errors import UserError
from ava_jax.people.boxes import checked_boxes

SIZE = 640, 360
BOX = [10, 20, 110, 320]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ([BOX], [[*BOX, 1]]),
        ([[*BOX, 0.5]], [[*BOX, 0.5]]),
        (np.array([BOX, BOX], np.int64), [[*BOX, 1]] * 2),
        (([BOX, BOX], [0.5, 0.25]), [[*BOX, 0.5], [*BOX, 0.25]]),
        ((np.zeros((0, 4)), np.zeros(0)), np.zeros((0, 5))),
        ([], np.zeros((0, 5))),
        # Detectors with outputs of one size fill up with zeros.
        ([BOX, [0, 0, 0, 0]], [[*BOX, 1], [0, 0, 0, 0, 1]]),
        ([BOX, [0, 0, 1, 2]], [[*BOX, 1], [0, 0, 1, 2, 1]]),
        # A person who is partly seen.
        ([[-30, 20, 700, 400]], [[-30, 20, 700, 400, 1]]),
    ],
)
def test_boxes_of_all_forms(given, expected):
    found = checked_boxes(given, SIZE)
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (BOX, r"boxes of shape \(4,\)"),
        (None, r"boxes of shape \(\)"),
        ([BOX, BOX[:3]], "list of no regular shape"),
        (([BOX, BOX], [0.5]), "tuple of no regular shape"),
        (([BOX], [0.5], [1]), "tuple of no regular shape"),
        ("person", "str of no regular shape"),
        ([BOX, [0, np.nan, 1, 1]], r"boxes\[1\] is .*nan.*; expected finite"),
        ([[*BOX, np.inf]], "expected finite"),
        ([BOX, [110, 20, 10, 320]], r"boxes\[1\] is \[110.*x, y, width, height"),
        ([[0] * 4, [0.1, 0.2, 0.5, 1.0]], r"boxes\[1\] is .*fractions.*640.*360"),
        ([[700, 20, 800, 320]], "not on the picture of 640 x 360"),
        ([[10, -90, 110, -5]], "not on the picture"),
    ],
)
def test_what_is_no_boxes_is_refused(given, message):
    with pytest.raises(UserError, match=message):
        checked_boxes(given, SIZE)
