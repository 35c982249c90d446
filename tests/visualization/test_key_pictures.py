"""Pictures of key frames for the page of a video."""

import cv2
import numpy as np
import pytest

from ava_jax.visualization.key_pictures import KeyPictures


def taken(key_frames, people=lambda second: 1, size=(48, 64)):
    """Pictures of a video of ten frames a second with a key frame every second."""
    pictures = KeyPictures()
    for i in range(10 * key_frames):
        key_frame = round(i / 10)
        picture = np.full((*size, 3), i % 256, np.uint8)
        pictures.add(i / 10, float(key_frame), people(key_frame), picture)
    return pictures


@pytest.mark.parametrize(
    ("key_frames", "expected"),
    [
        (0, []),
        (1, [0]),
        (12, list(range(12))),
        (13, list(range(0, 13, 2))),
        (24, list(range(0, 24, 2))),
        (100, list(range(0, 100, 16))),
    ],
)
def test_at_most_twelve_evenly_spread(key_frames, expected):
    pictures = taken(key_frames).evenly_spread()
    assert [picture.time for picture in pictures] == expected
    assert len(pictures) <= 12


def test_the_poster_shows_most_people():
    pictures = taken(5, people=lambda second: [1, 0, 3, 3, 2, 9][second])
    poster = cv2.imdecode(np.frombuffer(pictures.poster(), np.uint8), cv2.IMREAD_COLOR)
    # The frame at second 2, grey 20; JPEG changes it by a level or so.
    assert abs(poster.astype(int) - 20).max() <= 2
    assert taken(0).poster() is None


def test_pictures_are_small():
    jpeg = taken(1, size=(900, 1600)).evenly_spread()[0].jpeg
    small = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert small.shape == (270, 480, 3)
