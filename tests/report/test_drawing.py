import cv2
import numpy as np
import pytest

from ava_jax.report import drawing, style

GREY = 90


def frame(height=240, width=320):
    return np.full((height, width, 3), GREY, np.uint8)


def is_color(picture, color):
    return (picture == np.array(color)).all(axis=-1)


@pytest.mark.parametrize(
    ("height", "width", "scale", "shape"),
    [
        (144, 192, None, (360, 480, 3)),  # enlarged until it can be read
        (576, 768, None, (576, 768, 3)),
        (240, 320, 1.0, (240, 320, 3)),
        (240, 320, 0.5, (120, 160, 3)),
    ],
)
def test_size_of_the_picture(height, width, scale, shape):
    boxes = np.array([[10, 10, 40, 90]])
    picture = drawing.draw_people(frame(height, width), boxes, [["walk"]], scale=scale)
    assert picture.shape == shape and picture.dtype == np.uint8


def test_the_frame_is_left_as_it_is():
    image = frame()
    picture = drawing.draw_people(image, np.array([[10, 10, 40, 90]]), [["walk"]])
    assert (image == GREY).all()
    assert (picture != GREY).any()


def test_nobody():
    picture = drawing.draw_people(frame(400, 500), np.zeros((0, 4)), [])
    assert (picture == GREY).all()


def test_box_lies_on_the_edges_of_the_person():
    box = np.array([[50, 60, 90, 160]])
    picture = drawing.draw_people(frame(), box, [[]], style.BLUE, scale=1)
    rows, columns = np.nonzero(is_color(picture, style.BLUE))
    # Lines are 2 pixels thick, centred on the edge.
    assert np.abs([rows.min() - 60, rows.max() - 160]).max() <= 1
    assert np.abs([columns.min() - 50, columns.max() - 90]).max() <= 1
    assert (picture[80:140, 60:80] == GREY).all()


def test_boxes_scale_with_the_picture():
    box = np.array([[50, 60, 90, 160]])
    picture = drawing.draw_people(frame(), box, [[]], style.BLUE, scale=2)
    rows, columns = np.nonzero(is_color(picture, style.BLUE))
    assert np.abs([rows.min() - 120, rows.max() - 320]).max() <= 1
    assert np.abs([columns.min() - 100, columns.max() - 180]).max() <= 1


def test_dashed_lines_have_gaps_and_corners():
    box = np.array([[50, 60, 150, 160]])
    solid = drawing.draw_people(frame(), box, [[]], style.BLUE, scale=1)
    dashed = drawing.draw_people(frame(), box, [[]], style.BLUE, dashed=[True], scale=1)
    inked = [is_color(p, style.BLUE) for p in (solid, dashed)]
    assert 0.4 < inked[1].sum() / inked[0].sum() < 0.7
    assert all(inked[1][y, x] for y in (60, 160) for x in (50, 150))


def test_true_and_detected_boxes_are_both_seen_when_they_coincide():
    boxes = np.array([[50, 60, 150, 160]] * 2)
    picture = drawing.draw_people(
        frame(),
        boxes,
        [[], []],
        [style.TRUE, style.PREDICTED],
        dashed=[True, False],
        scale=1,
    )
    assert is_color(picture, style.TRUE).sum() > 100
    assert is_color(picture, style.PREDICTED).sum() > 100


@pytest.mark.parametrize(
    "box", [(-50, -60, 900, 900), (400, 300, 500, 400), (90, 90, 50, 50), (5, 5, 5, 5)]
)
def test_odd_boxes_do_not_fail(box):
    picture = drawing.draw_people(frame(), np.array([box]), [["walk"]], scale=1)
    assert picture.shape == (240, 320, 3)


def test_lines_have_their_own_colours():
    lines = [
        drawing.Line("walk", style.GREEN),
        drawing.Line("stand", style.VERMILION),
        "sit",
    ]
    box = np.array([[150, 120, 170, 200]])
    bare = drawing.draw_people(frame(), box, [[]], style.BLUE, scale=1)
    picture = drawing.draw_people(frame(), box, [lines], style.BLUE, scale=1)
    changed = picture[(picture != bare).any(axis=-1)].astype(int)
    for color in (style.GREEN, style.VERMILION, style.BLUE):
        blend = np.array(color) * 0.85 + GREY * 0.15
        assert (np.abs(changed - blend).max(axis=-1) <= 1).sum() > 100


def test_where_there_is_no_room_the_last_lines_are_left_out():
    narrow = frame(60, 200)
    box = np.array([[80, 20, 100, 50]])
    lines = [drawing.Line("first", style.GREEN)]
    lines += [drawing.Line("later", style.VERMILION)] * 5
    picture = drawing.draw_people(narrow, box, [lines], style.BLUE, scale=1)
    green, red = (
        np.abs(picture - (np.array(c) * 0.85 + GREY * 0.15)).max(axis=-1) <= 1
        for c in (style.GREEN, style.VERMILION)
    )
    assert green.sum() > 100
    assert red.sum() < 3 * green.sum()  # of five lines at most two have room


def test_files_hold_the_picture():
    picture = frame(20, 30)
    picture[:, :10] = style.ORANGE
    png = cv2.imdecode(np.frombuffer(drawing.encode_png(picture), np.uint8), 1)
    np.testing.assert_array_equal(png[..., ::-1], picture)
    jpeg = cv2.imdecode(np.frombuffer(drawing.encode_jpeg(picture), np.uint8), 1)
    assert jpeg.shape == picture.shape
    assert np.abs(jpeg[:, 25, ::-1].astype(int) - GREY).max() <= 3  # JPEG's loss
