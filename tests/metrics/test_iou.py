import numpy as np
import pytest

from ava_jax.metrics.iou import best_overlaps, iou

LEFT, RIGHT, WHOLE = (0, 0, 2, 4), (2, 0, 4, 4), (0, 0, 4, 4)
POINT = (1, 1, 1, 1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        (LEFT, LEFT, 1),
        (LEFT, WHOLE, 1 / 2),
        (WHOLE, (3, 3, 5, 5), 1 / 19),
        (LEFT, RIGHT, 0),  # they touch
        (LEFT, (3, 5, 4, 6), 0),  # apart on both axes
        (POINT, LEFT, 0),
        (POINT, POINT, np.nan),
    ],
)
def test_by_hand(a, b, expected, dtype):
    a, b = np.array(a, dtype), np.array(b, dtype)
    for found in (iou(a, b), iou(b, a)):
        assert found.dtype == np.float64
        np.testing.assert_array_equal(found, expected)


def test_shapes_broadcast():
    boxes = np.array([LEFT, RIGHT, WHOLE], float)
    expected = [[1, 0, 1 / 2], [0, 1, 1 / 2]]
    np.testing.assert_array_equal(iou(boxes[:2, None], boxes), expected)
    assert iou(boxes[:0, None], boxes).shape == (0, 3)


def test_the_best_of_each_key_frame():
    # Key-frames with 2, 1, 1 and 1 boxes and 2, 0, 1 and 2 of the others.
    boxes = np.array([LEFT, RIGHT, LEFT, POINT, LEFT], float)
    others = np.array([WHOLE, RIGHT, POINT, RIGHT, LEFT], float)
    best = best_overlaps(
        boxes, np.array([0, 2, 3, 4, 5]), others, np.array([0, 2, 2, 3, 5])
    )
    np.testing.assert_array_equal(best, [1 / 2, 1, 0, 0, 1])
