import cv2
import numpy as np
import pytest

from ava_jax.metrics.iou import iou
from ava_jax.people import HogDetector, hog

PERSON = (140, 90, 190, 250)


def street(people, height=360, width=480):
    """A grey street with dark people, seen whole."""
    picture = np.full((height, width, 3), 170, np.uint8)
    for x1, y1, x2, y2 in people:
        w, h, x = x2 - x1, y2 - y1, (x1 + x2) // 2
        cv2.circle(picture, (x, y1 + h // 12), h // 13, (40, 35, 30), -1)
        body = (x, y1 + h * 35 // 100), (w * 3 // 10, h // 5)
        cv2.ellipse(picture, *body, 0, 0, 360, (40, 35, 30), -1)
        for side in (-1, 1):
            hip = (x + side * w // 9, y1 + h // 2)
            foot = (x + side * w // 4, y2 - 2)
            cv2.line(picture, hip, foot, (40, 35, 30), max(3, w // 6))
    return cv2.GaussianBlur(picture, (3, 3), 0)


@pytest.mark.parametrize("scale", [0.4, 3])
def test_finds_people_in_pictures_of_any_size(scale):
    people = [PERSON, (300, 80, 350, 240)]
    picture = street(people)
    picture = cv2.resize(picture, None, fx=scale, fy=scale)
    found = HogDetector()(picture)
    assert found.dtype == np.float32
    assert len(found) == 2  # each once
    for person in np.array(people) * scale:
        assert iou(person, found[:, :4]).max() > 0.6


def test_scores_are_sorted_and_above_the_threshold():
    picture = street([PERSON, (300, 180, 330, 270)])
    every = HogDetector(threshold=0.3)(picture)
    some = HogDetector(threshold=0.6)(picture)
    assert len(every) > len(some) > 0
    assert (np.diff(every[:, 4]) <= 0).all()
    assert every[:, 4].min() >= 0.3 and every[:, 4].max() < 1
    np.testing.assert_array_equal(some, every[every[:, 4] >= 0.6])


def test_no_score_is_high_enough():
    assert HogDetector(threshold=1)(street([PERSON])).shape == (0, 5)


@pytest.mark.parametrize("shape", [(90, 120), (1, 1), (3, 500)])
def test_nobody(shape):
    found = HogDetector()(np.full((*shape, 3), 90, np.uint8))
    assert found.shape == (0, 5)


@pytest.mark.parametrize(
    ("inside", "kept"),
    [(0.80, False), (0.76, False), (0.74, True), (0.50, True)],
)
def test_a_box_that_lies_in_a_better_one_is_a_part_of_it(monkeypatch, inside, kept):
    """From three quarters of its area on; IoU alone would leave both."""
    person = np.array([200.0, 100.0, 300.0, 400.0])
    part = np.array([200.0, 0.0, 260.0, 100.0])
    part[[1, 3]] += 100 * inside  # this much of it reaches into the person
    windows = []
    for x1, y1, x2, y2 in (person, part):
        # A window is wider and higher than the person in it.
        width, height = (x2 - x1) / 0.56, (y2 - y1) / 0.80
        x, y = (x1 + x2 - width) / 2, (y1 + y2 - height) / 2
        windows.append((x, y, width, height))

    class Descriptor:
        def setSVMDetector(self, detector):  # noqa: N802 (OpenCV's name)
            pass

        def detectMultiScale(self, image, **options):  # noqa: N802
            return np.array(windows), np.array([3.0, 2.0])

    monkeypatch.setattr(hog.cv2, "HOGDescriptor", Descriptor)
    monkeypatch.setattr(hog.cv2, "HOGDescriptor_getDefaultPeopleDetector", lambda: None)
    found = HogDetector()(np.zeros((864, 1000, 3), np.uint8))
    assert len(found) == 1 + kept
    np.testing.assert_allclose(found[0, :4], person, atol=1e-3)
