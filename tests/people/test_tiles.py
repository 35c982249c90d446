"""Detection on tiles, with a detector that sees bright patches."""

import cv2
import numpy as np
import pytest

from ava_jax.errors import UserError
from ava_jax.people import open_detector
from ava_jax.people.tiles import TiledDetector

FRAME = (120, 200)  # height, width
PEOPLE = [(20, 20, 24, 30), (96, 50, 104, 70), (150, 2, 160, 30), (60, 100, 64, 112)]


def picture(people):
    frame = np.zeros((*FRAME, 3), np.uint8)
    for x1, y1, x2, y2 in people:
        frame[y1:y2, x1:x2] = 255
    return frame


class Patches:
    """Finds patches whose area is a two-hundredth of what it is given, or more."""

    def __init__(self):
        self.shapes = []

    def __call__(self, frame):
        self.shapes.append(frame.shape)
        _, _, stats, _ = cv2.connectedComponentsWithStats(frame[..., 0])
        boxes = [
            (x, y, x + w, y + h, area / 1000)
            for x, y, w, h, area in stats[1:]
            if area >= frame[..., 0].size / 200
        ]
        return np.array(boxes, np.float32).reshape(-1, 5)


@pytest.mark.parametrize("grid", [(3, 3), (4, 3)], ids=str)
def test_small_people_are_found_once_and_whole(grid):
    frame = picture(PEOPLE)
    assert len(Patches()(frame)) < len(PEOPLE)
    found = TiledDetector(Patches(), *grid)(frame)
    assert found.dtype == np.float32
    assert sorted(map(tuple, found[:, :4].tolist())) == sorted(PEOPLE)
    assert (np.diff(found[:, 4]) <= 0).all()


@pytest.mark.parametrize("grid", [(1, 1), (2, 1), (3, 7), (16, 16)], ids=str)
def test_tiles_cover_the_frame_and_overlap_by_a_quarter(grid):
    columns, rows = grid
    seen = np.zeros(FRAME, int)

    def mark(tile):
        seen[tile[..., 0], tile[..., 1]] += 1
        return np.zeros((0, 5), np.float32)

    places = np.indices(FRAME).transpose(1, 2, 0)
    assert TiledDetector(mark, columns, rows)(places).shape == (0, 5)
    assert seen.min() == 1
    height = FRAME[0] / (0.75 * rows + 0.25)
    width = FRAME[1] / (0.75 * columns + 0.25)
    # Sides of tiles are whole pixels.
    assert seen.sum() == pytest.approx(rows * height * columns * width, rel=0.1)


def test_a_part_of_a_person_is_dropped():
    """Two tiles see a wide person in parts, of which one is in the other."""

    def detector(tile):
        return np.array([[0, 5, 40, 25, 0.9], [2, 6, 20, 24, 0.8]], np.float32)

    found = TiledDetector(detector, 1, 1)(picture([]))
    np.testing.assert_array_equal(found, detector(None)[:1])


def test_names():
    detector = open_detector("3x2:hog", threshold=0.3)
    assert isinstance(detector, TiledDetector)
    assert detector(picture([])).shape == (0, 5)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("0x2:hog", "1 to 16 tiles a side"),
        ("2x17:hog", "1 to 16 tiles a side"),
        ("2x2:boxes.csv", "boxes.csv is a file"),
        ("2x2:nothing", "no person detector 'nothing'"),
        ("2x:hog", "no person detector '2x:hog'"),
    ],
)
def test_unusable_names(name, message):
    with pytest.raises(UserError, match=message):
        open_detector(name, (640, 360))
