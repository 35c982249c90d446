import numpy as np
import pytest

from ava_jax.report import drawing
from ava_jax.report.people import Annotator, track_color

GREY = 90
ACTIONS = [("walk", 0.934), ("talk to (e.g., self, a person, a group)", 0.8)]


def frame(height=360, width=480):
    return np.full((height, width, 3), GREY, np.uint8)


def draw(size, people, actions):
    boxes = np.array(people, np.float64).reshape(-1, 4)
    numbers = np.arange(1, len(people) + 1)
    return Annotator(size).draw(frame(size[1], size[0]), boxes, numbers, actions)


@pytest.mark.parametrize(
    ("size", "expected"),
    [((192, 144), (480, 360)), ((340, 256), (478, 360)), ((641, 361), (641, 361))],
)
def test_small_videos_are_enlarged(size, expected):
    assert Annotator(size).size == expected
    picture = draw(size, [], [])
    assert picture.shape == (expected[1], expected[0], 3)
    assert (picture == GREY).all()


def test_boxes_are_enlarged_with_the_picture():
    picture = draw((192, 144), [(40, 50, 80, 140)], [[]])
    rows, columns = np.nonzero((picture == np.array(track_color(1))).all(axis=-1))
    # Lines are 2 pixels thick, on the edge.
    ends = [columns.min(), rows.min(), columns.max(), rows.max()]
    assert np.abs(np.array(ends) - np.array([100, 125, 200, 350])).max() <= 1


def test_people_have_colours_of_their_own():
    colors = {track_color(number) for number in range(1, 7)}
    assert len(colors) == 6
    assert track_color(7) == track_color(1)
    people = [(50, 50, 90, 200), (300, 50, 340, 200)]
    picture = draw((480, 360), people, [[], []])
    for number in (1, 2):
        assert (picture == np.array(track_color(number))).all(axis=-1).any()


@pytest.mark.parametrize(
    ("actions", "texts"),
    [(ACTIONS, ["1 walk 0.93", "talk to 0.80"]), ([], ["1"])],
)
def test_labels_have_number_actions_and_scores(actions, texts):
    lines = tuple(drawing.Line(text, track_color(1)) for text in texts)
    label = drawing.label(lines, drawing.text_size(360))
    height, width = label.shape[:2]
    picture = draw((480, 360), [(200, 150, 260, 300)], [actions])
    seen = picture[148 - height : 148, 200 : 200 + width]
    # Labels let a little of the picture through.
    assert np.abs(seen - (0.85 * label + 0.15 * GREY)).max() <= 1


def test_the_frame_is_left_as_it_is():
    image = frame()
    boxes, numbers = np.array([[200, 150, 260, 300]]), np.array([1])
    Annotator((480, 360)).draw(image, boxes, numbers, [ACTIONS])
    assert (image == GREY).all()
