import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ava_jax.report import drawing, style
from ava_jax.report.drawing import Line

GREY = 90
WALK = Line("walk", style.GREEN)


def frame(height=240, width=320):
    return np.full((height, width, 3), GREY, np.uint8)


def draw(image, boxes, labels, color=style.BLUE, **options):
    return drawing.draw_people(image, boxes, labels, [color] * len(boxes), **options)


def is_color(picture, color):
    return (picture == np.array(color)).all(axis=-1)


def of_label(picture, color):
    """Where the ground of a label is, which lets a little of the picture through."""
    blend = 0.85 * np.array(color) + 0.15 * GREY
    return (np.abs(picture - blend) <= 1).all(axis=-1)


def extent(mask):
    """Left, top, right, bottom of what is true."""
    rows, columns = np.nonzero(mask)
    return columns.min(), rows.min(), columns.max() + 1, rows.max() + 1


@pytest.mark.parametrize(
    ("height", "width", "scale", "shape"),
    [
        (144, 192, None, (360, 480, 3)),  # enlarged until it can be read
        (256, 341, None, (360, 480, 3)),  # 479.53 columns
        (576, 768, None, (576, 768, 3)),
        (240, 320, 1.0, (240, 320, 3)),
        (240, 320, 0.5, (120, 160, 3)),
    ],
)
def test_size_of_the_picture(height, width, scale, shape):
    boxes = np.array([[10, 10, 40, 90]])
    picture = draw(frame(height, width), boxes, [[WALK]], scale=scale)
    assert picture.shape == shape and picture.dtype == np.uint8


def test_the_frame_is_left_as_it_is():
    image = frame()
    picture = draw(image, np.array([[10, 10, 40, 90]]), [[WALK]])
    assert (image == GREY).all()
    assert (picture != GREY).any()


def test_nobody():
    picture = draw(frame(400, 500), np.zeros((0, 4)), [])
    assert (picture == GREY).all()


def test_box_lies_on_the_edges_of_the_person():
    box = np.array([[50, 60, 90, 160]])
    picture = draw(frame(), box, [[]], scale=1)
    rows, columns = np.nonzero(is_color(picture, style.BLUE))
    # Lines are 2 pixels thick, centred on the edge.
    assert np.abs([rows.min() - 60, rows.max() - 160]).max() <= 1
    assert np.abs([columns.min() - 50, columns.max() - 90]).max() <= 1
    assert (picture[80:140, 60:80] == GREY).all()


def test_boxes_scale_with_the_picture():
    box = np.array([[50, 60, 90, 160]])
    picture = draw(frame(), box, [[]], scale=2)
    rows, columns = np.nonzero(is_color(picture, style.BLUE))
    assert np.abs([rows.min() - 120, rows.max() - 320]).max() <= 1
    assert np.abs([columns.min() - 100, columns.max() - 180]).max() <= 1


def test_dashed_lines_have_gaps_and_corners():
    box = np.array([[50, 60, 150, 160]])
    solid = draw(frame(), box, [[]], scale=1)
    dashed = draw(frame(), box, [[]], dashed=[True], scale=1)
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
    picture = draw(frame(), np.array([box]), [[WALK]], scale=1)
    assert picture.shape == (240, 320, 3)


def test_lines_are_below_each_other_in_their_own_colours():
    colors = (style.GREEN, style.VERMILION, style.PURPLE)
    lines = [Line(text, c) for text, c in zip("abc", colors, strict=True)]
    picture = draw(frame(), np.array([[150, 120, 170, 200]]), [lines], scale=1)
    step = drawing.line_height(drawing.text_size(240))
    # The box's line is two pixels thick, on the edge.
    tops = [118 - step * below for below in (3, 2, 1)]
    for color, top in zip(colors, tops, strict=True):
        left, upper, _, lower = extent(of_label(picture, color))
        assert (left, upper, lower) == (150, top, top + step)


STEP = drawing.line_height(drawing.text_size(240))


@pytest.mark.parametrize(
    ("box", "corner"),
    [
        ((100, 80, 140, 160), (100, 78 - STEP)),  # above it
        ((100, 2 + STEP, 140, 160), (100, 0)),  # just
        ((100, 1 + STEP, 140, 160), (100, 162)),  # no room: below it
        ((300, 80, 315, 160), (None, 78 - STEP)),  # moved into the picture
        ((0, 0, 319, 239), (0, 240 - STEP)),  # on the feet, not on the face
    ],
)
def test_a_label_is_above_its_box_or_below(box, corner):
    line = Line("talk to a person 0.93", style.GREEN)
    bare, picture = (
        draw(frame(), np.array([box]), [lines], scale=1) for lines in ([], [line])
    )
    width = drawing.label((line,), drawing.text_size(240)).shape[1]
    left, top = corner
    left = 320 - width if left is None else left
    changed = (picture != bare).any(axis=-1)
    assert extent(changed) == (left, top, left + width, top + STEP)


def test_labels_of_neighbours_do_not_cover_each_other_when_there_is_room():
    colors = (style.GREEN, style.VERMILION, style.PURPLE, style.ORANGE)
    boxes = np.array([[x, 100, x + 15, 160] for x in (160, 140, 180, 120)])
    labels = [[Line("walk to a person", color)] for color in colors]
    areas = [
        of_label(draw(frame(), boxes, shown, scale=1), color).sum()
        for color, label in zip(colors, labels, strict=True)
        for shown in (labels, [label if other is label else [] for other in labels])
    ]
    # Each is seen as well as alone.
    assert areas[::2] == areas[1::2]


@st.composite
def people(draw):
    boxes, labels = [], []
    for _ in range(draw(st.integers(0, 12))):
        x, y = draw(st.integers(0, 319)), draw(st.integers(0, 239))
        width, height = draw(st.integers(0, 320)), draw(st.integers(0, 240))
        boxes.append((x, y, min(x + width, 319), min(y + height, 239)))
        text = "w" * draw(st.integers(0, 60))
        labels.append([Line(text, style.GREEN)] * draw(st.integers(0, 20)))
    return np.array(boxes, np.float64).reshape(-1, 4), labels


@settings(max_examples=50, deadline=None)
@given(people())
def test_nobodys_label_covers_their_own_face(case):
    for box, lines in zip(*case, strict=True):
        picture = draw(frame(), [box], [lines], scale=1)
        assert picture.shape == (240, 320, 3)
        x1, y1, x2, y2 = box.astype(int)
        face = picture[y1 + 3 : y1 + (y2 - y1) // 4, x1 + 3 : x2 - 2]
        # Higher labels than this have no place but the face.
        if len(lines) * STEP <= max(y1, 240 - y1) / 2:
            assert (face == GREY).all()


@pytest.mark.parametrize(
    ("neighbour", "corner"),
    [
        ((90, 60, 150, 140), (100, 162)),  # whose face is above: below the box
        ((90, 20, 150, 160), (100, 78 - STEP)),  # whose body is: as if alone
        # Whose face is above, and another's below: in the lower part of the box,
        (((90, 60, 150, 140), (90, 164, 150, 236)), (100, 162 - STEP)),
        # or, if that is half covered too, in its middle.
        (((90, 60, 150, 140), (90, 155, 150, 235)), (100, (78 + 162 - STEP) // 2)),
    ],
)
def test_a_label_covers_no_face_where_there_is_another_place(neighbour, corner):
    boxes = np.array([(100, 80, 140, 160), *np.reshape(neighbour, (-1, 4))])
    bare, picture = (
        draw(frame(), boxes, [lines, *[[]] * (len(boxes) - 1)], scale=1)
        for lines in ([], [Line("walk", style.GREEN)])
    )
    assert extent((picture != bare).any(axis=-1))[:2] == corner


@pytest.mark.parametrize("size", [(1, 1), (12, 16), (360, 40)])
def test_a_label_that_is_larger_than_the_picture_is_cut(size):
    box = np.array([[0, 0, size[1], size[0]]])
    picture = draw(frame(*size), box, [[WALK] * 9], scale=1)
    assert picture.shape == (*size, 3)


@pytest.mark.parametrize("text", ["walk 0.93", "✓ gehen – été", "", "a\nb\tc\x00"])
def test_a_line_is_one_line_high(text):
    label = drawing.label((Line(text, style.WHITE),), 15)
    assert label.shape == (20, drawing.text_width(text, 15) + 6, 3)
    assert (label.min() < 100) == bool(text)


def test_text_is_not_cut():
    label = drawing.label((Line("Ég|y", style.WHITE),), 15)
    assert (label[[0, -1]] == 255).all() and (label[:, [0, -1]] == 255).all()


def test_shorten_keeps_what_fits():
    assert drawing.shorten("walk", 15, 200) == "walk"
    short = drawing.shorten("a very long title of a movie", 15, 80)
    assert short.endswith("…") and len(short) > 5
    assert drawing.text_width(short, 15) <= 80


NOTICE = "This model knows drawn figures only: its scores mean nothing here."


@pytest.mark.parametrize(("width", "lines"), [(900, 1), (300, 2), (160, 4)])
def test_a_notice_is_broken_into_lines_that_fit(width, lines):
    picture = frame(360, width)
    drawing.draw_notice(picture, NOTICE)
    rows = is_color(picture, style.WHITE).any(axis=1).sum()
    assert rows == lines * drawing.line_height(drawing.text_size(360))


def test_a_notice_that_is_larger_than_the_picture_is_cut():
    picture = frame(9, 12)
    drawing.draw_notice(picture, NOTICE)
    assert not is_color(picture, (GREY,) * 3).all()


def test_files_hold_the_picture():
    picture = frame(20, 30)
    picture[:, :10] = style.ORANGE
    png = cv2.imdecode(np.frombuffer(drawing.encode_png(picture), np.uint8), 1)
    np.testing.assert_array_equal(png[..., ::-1], picture)
    jpeg = cv2.imdecode(np.frombuffer(drawing.encode_jpeg(picture), np.uint8), 1)
    assert jpeg.shape == picture.shape
    assert np.abs(jpeg[:, 25, ::-1].astype(int) - GREY).max() <= 3  # JPEG's loss
