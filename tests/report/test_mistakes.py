import numpy as np
import pytest

from ava_jax.metrics.error_analysis import NamedMistake
from ava_jax.report import mistakes, style


def mistake(**changes):
    values = {
        "is_false_alarm": True,
        "video": "movie",
        "second": 902.5,
        "box": np.array([0.4, 0.3, 0.5, 0.6]),
        "action": "carry/hold (an object)",
        "score": 0.934,
        "true_box": None,
        "true_actions": (),
    }
    return NamedMistake(**values | changes)


SOMEONE = {"true_box": np.array([0.4, 0.3, 0.5, 0.6])}


@pytest.mark.parametrize(
    ("changes", "headline", "truth"),
    [
        ({}, "✗ carry/hold 0.93", "Nobody is annotated there."),
        (
            {**SOMEONE, "true_actions": ("sit", "watch (a person)")},
            "✗ carry/hold 0.93",
            "True: sit, watch a person.",
        ),
        (SOMEONE, "✗ carry/hold 0.93", "True: no action."),
        (
            {**SOMEONE, "true_actions": ("carry/hold (an object)",)},
            "✗ carry/hold 0.93",
            "True: carry/hold; another box was matched with it.",
        ),
        (
            {**SOMEONE, "is_false_alarm": False, "score": None}
            | {"true_actions": ("carry/hold (an object)",)},
            "○ carry/hold no score",
            "True: carry/hold.",
        ),
    ],
)
def test_what_is_said(changes, headline, truth):
    case = mistake(**changes)
    assert mistakes.headline(case) == headline
    assert mistakes.truth(case) == truth


@pytest.mark.parametrize(
    ("size", "box", "shape"),
    [
        ((360, 480), (0.4, 0.3, 0.5, 0.6), (300, 400)),
        ((360, 480), (0, 0, 0.1, 0.2), (300, 400)),  # at the edge
        ((360, 480), (0, 0, 1, 1), (300, 400)),
        ((90, 120), (0.4, 0.3, 0.5, 0.6), (300, 400)),
        ((640, 360), (0.1, 0.1, 0.9, 0.9), (300, 169)),  # higher than wide
        ((200, 900), (0, 0, 1, 1), (89, 400)),
        ((360, 480), (0.5, 0.5, 0.5, 0.5), (300, 400)),  # no area
        ((360, 480), (0.99, 0.99, 1.2, 1.3), (300, 400)),  # out of the frame
    ],
)
def test_pictures_have_a_size_and_show_the_box(size, box, shape):
    frame = np.full((*size, 3), 90, np.uint8)
    picture = mistakes.draw(mistake(box=np.array(box)), frame)
    assert picture.shape == (*shape, 3)
    assert (picture == np.array(style.PREDICTED)).all(axis=-1).any()
    assert (frame == 90).all()


def test_a_fifth_of_the_picture_is_left_on_each_side_of_the_box():
    frame = np.full((360, 480, 3), 90, np.uint8)
    picture = mistakes.draw(mistake(box=np.array([0.4, 0.2, 0.5, 0.7])), frame)
    rows = np.flatnonzero((picture == np.array(style.PREDICTED)).all(-1).any(1))
    # The lines of the box are a few pixels wide.
    assert abs(np.ptp(rows) - 0.6 * len(picture)) < 6


def test_both_boxes_are_drawn():
    frame = np.full((360, 480, 3), 90, np.uint8)
    truth = np.array([0.42, 0.3, 0.55, 0.7])
    picture = mistakes.draw(mistake(true_box=truth), frame)
    for color in (style.PREDICTED, style.TRUE):
        assert (picture == np.array(color)).all(axis=-1).sum() > 50


def test_frames_that_cannot_be_read():
    asked = []

    def read_frame(video, second):
        asked.append((video, second))

    (figure,) = mistakes.figures([mistake()], read_frame)
    assert asked == [("movie", 902.5)]
    assert figure.image is None and figure.place == "movie, second 902.5"
