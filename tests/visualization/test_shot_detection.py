"""Shots are told apart by the colours that two frames share."""

import numpy as np
import pytest

from ava_jax.visualization.shot_detection import color_histogram, same_shot

GREY, RED = (90, 90, 90), (200, 20, 20)


def frame(grey_rows, height=64):
    """The upper rows grey, the others red."""
    picture = np.empty((height, 64, 3), np.uint8)
    picture[:grey_rows], picture[grey_rows:] = GREY, RED
    return picture


def test_a_histogram_is_the_share_of_every_colour():
    histogram = color_histogram(frame(16))
    assert histogram.shape == (8, 8, 8)
    # Eight bins of 32 levels a channel.
    assert histogram[2, 2, 2] == pytest.approx(0.25)
    assert histogram[6, 0, 0] == pytest.approx(0.75)


@pytest.mark.parametrize(
    ("shared", "expected"),
    # 0.6 lies between what frames of one shot share and what frames of two do.
    [(64, True), (39, True), (38, False), (0, False)],
)
def test_six_tenths_of_the_colours_make_one_shot(shared, expected):
    whole, partly = color_histogram(frame(64)), color_histogram(frame(shared))
    assert same_shot(whole, partly) is expected
    assert same_shot(partly, whole) is expected
