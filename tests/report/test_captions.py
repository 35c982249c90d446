import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ava_jax.report import captions, style

FRAME = (320, 240)
STEP = 17


def overlap(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


def rectangles(places, sizes):
    return [
        (x, y, x + w, y + h)
        for (x, y), (w, h) in ((p, s) for p, s in zip(places, sizes, strict=True) if p)
    ]


@st.composite
def people(draw):
    count = draw(st.integers(0, 12))
    boxes, sizes = [], []
    for _ in range(count):
        x, y = draw(st.integers(0, 319)), draw(st.integers(0, 239))
        width, height = draw(st.integers(0, 320)), draw(st.integers(0, 240))
        boxes.append((x, y, min(x + width, 319), min(y + height, 239)))
        sizes.append((draw(st.integers(0, 340)), STEP * draw(st.integers(1, 3))))
    return np.array(boxes, np.float64).reshape(-1, 4), sizes


@settings(max_examples=100, deadline=None)
@given(people())
def test_captions_stay_inside_and_apart(case):
    boxes, sizes = case
    places = captions.place(sizes, boxes, FRAME, STEP)
    found = rectangles(places, sizes)
    for i, a in enumerate(found):
        assert a[0] >= 0 and a[1] >= 0 and a[2] <= FRAME[0] and a[3] <= FRAME[1]
        assert all(overlap(a, b) == 0 for b in found[:i])


@pytest.mark.parametrize(
    "box",
    [
        (100, 80, 140, 160),
        (0, 0, 40, 100),  # no room above
        (280, 140, 319, 239),  # in a corner
        (0, 0, 319, 239),  # no room around it
        (0, 30, 319, 239),
    ],
)
def test_a_lone_person_gets_a_caption_that_spares_the_head(box):
    sizes = [(90, 34)]
    (place,) = captions.place(sizes, np.array([box], np.float64), FRAME, STEP)
    (spot,) = rectangles([place], sizes)
    x1, y1, x2, y2 = box
    middle = (x2 - x1) / 5
    assert overlap(spot, (x1 + middle, y1, x2 - middle, y1 + (y2 - y1) / 4)) == 0


def test_captions_of_neighbours_do_not_cover_people_when_there_is_room():
    boxes = np.array([(100, 80, 130, 150), (140, 82, 170, 150), (180, 78, 210, 150)])
    sizes = [(80, 34)] * 3
    places = captions.place(sizes, boxes.astype(np.float64), FRAME, STEP)
    spots = rectangles(places, sizes)
    assert len(spots) == 3
    assert all(overlap(spot, box) == 0 for spot in spots for box in boxes)


def test_no_room_no_caption():
    boxes = np.array([(10.0, 10, 50, 90)])
    assert captions.place([(400, 17)], boxes, FRAME, STEP) == [None]
    assert captions.place([(40, 300)], boxes, FRAME, STEP) == [None]
    assert captions.place([(0, 0)], boxes, FRAME, STEP) == [None]


@pytest.mark.parametrize("text", ["walk 0.93", "✓ gehen – été", "", "a\nb\tc\x00"])
def test_text_is_one_line_high(text):
    mask = captions.text_mask(text, 15)
    assert mask.shape[0] == captions.line_height(15)
    assert (mask.max() > 0) == bool(text)


def test_text_is_not_cut():
    mask = captions.text_mask("Ég|y", 15)
    assert mask[0].max() == 0 and mask[-1].max() == 0


def test_shorten_keeps_what_fits():
    assert captions.shorten("walk", 15, 200) == "walk"
    short = captions.shorten("a very long title of a movie", 15, 80)
    assert short.endswith("…")
    assert captions.text_mask(short, 15).shape[1] <= 80


@pytest.mark.parametrize(
    ("name", "short"),
    [
        ("walk", "walk"),
        ("carry/hold (an object)", "carry/hold"),
        ("bend/bow (at the waist)", "bend/bow"),
        ("talk to (e.g., self, a person, a group)", "talk to"),
        # Pairs of AVA that only the parentheses tell apart.
        ("watch (a person)", "watch a person"),
        ("watch (e.g., TV)", "watch"),
        ("kick (a person)", "kick a person"),
        ("kick (an object)", "kick"),
        ("give/serve (an object) to (a person)", "give/serve to a person"),
        ("(e.g., nothing)", "(e.g., nothing)"),  # never empty
    ],
)
def test_short_action(name, short):
    assert style.short_action(name) == short
