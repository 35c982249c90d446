import numpy as np
import pytest

from ava_jax.report import contact_sheet, style
from ava_jax.report.contact_sheet import HIT, MISSED, WRONG, KeyFrame


def key_frame(height=144, width=192, title="movie, second 105"):
    return KeyFrame(
        title=title,
        image=np.full((height, width, 3), 90, np.uint8),
        true_boxes=np.array([[0.1, 0.2, 0.3, 0.9], [0.6, 0.2, 0.8, 0.9]]),
        true_actions=[["stand", "hand wave"], ["walk"]],
        boxes=np.array([[0.11, 0.2, 0.3, 0.9]]),
        actions=[[("stand", 0.9), ("walk", 0.2), ("hand wave", 0.1)]],
    )


@pytest.mark.parametrize(
    ("actions", "true_actions", "expected"),
    [
        ([("walk", 0.93)], ["walk"], [f"{HIT} walk 0.93"]),
        (
            [("walk", 0.9), ("sit", 0.6), ("stand", 0.4)],
            ["stand"],
            [f"{WRONG} walk 0.90", f"{WRONG} sit 0.60", f"{MISSED} stand 0.40"],
        ),
        # The best is told however low its score.
        ([("walk", 0.04), ("sit", 0.03)], [], [f"{WRONG} walk 0.04"]),
        # Right ones first; 0.5 counts.
        (
            [("walk", 0.8), ("carry/hold (an object)", 0.5)],
            ["carry/hold (an object)"],
            [f"{HIT} carry/hold 0.50", f"{WRONG} walk 0.80"],
        ),
        ([], ["walk"], [f"{MISSED} walk"]),  # nobody was detected there
        ([("walk", 0.9)], ["dance"], [f"{WRONG} walk 0.90", f"{MISSED} dance"]),
        ([], [], []),
    ],
)
def test_compare_actions(actions, true_actions, expected):
    lines = contact_sheet.compare_actions(actions, true_actions)
    assert [line.text for line in lines] == expected
    assert [line.color for line in lines] == [
        contact_sheet.MARK_COLORS[text[0]] for text in expected
    ]


LEFT, RIGHT = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)


@pytest.mark.parametrize(
    ("boxes", "true_boxes", "expected"),
    [
        ([LEFT, RIGHT], [RIGHT, LEFT], [1, 0]),
        ([LEFT], [RIGHT], [-1]),
        ([(0.0, 0.0, 0.5, 0.5)], [LEFT], [0]),  # IoU exactly 0.5
        ([(0.0, 0.0, 0.5, 0.49)], [LEFT], [-1]),
        # Two detections of one person: the better one has it.
        ([(0.0, 0.0, 0.5, 0.8), LEFT], [LEFT], [-1, 0]),
        ([], [LEFT], []),
        ([LEFT], [], [-1]),
        ([(0.2, 0.2, 0.2, 0.2)], [(0.2, 0.2, 0.2, 0.2)], [-1]),  # no area
    ],
)
def test_match(boxes, true_boxes, expected):
    arrays = (np.array(b, np.float64).reshape(-1, 4) for b in (boxes, true_boxes))
    assert contact_sheet.match(*arrays) == expected


@pytest.mark.parametrize(("count", "kept"), [(0, 0), (1, 1), (12, 12), (30, 12)])
def test_select_spreads_evenly(count, kept):
    titles = [
        k.title
        for k in contact_sheet.select([key_frame(title=str(i)) for i in range(count)])
    ]
    assert len(titles) == len(set(titles)) == kept
    if count == 30:
        steps = np.diff([int(t) for t in titles])
        assert set(steps) <= {2, 3}


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((144, 192), (360, 480, 3)),
        ((576, 768), (480, 640, 3)),
        ((300, 600), (300, 600, 3)),
        ((320, 180), (853, 480, 3)),
    ],
)
def test_key_frames_are_drawn_at_a_readable_size(size, shape):
    picture = contact_sheet.draw_key_frame(key_frame(*size))
    assert picture.shape == shape


def test_key_frame_shows_true_and_detected_boxes():
    picture = contact_sheet.draw_key_frame(key_frame())
    for color in (style.TRUE, style.PREDICTED):
        assert (picture == np.array(color)).all(axis=-1).sum() > 50


def test_key_frame_without_people():
    nobody = KeyFrame("t", np.full((144, 192, 3), 90, np.uint8), [], [], [], [])
    assert (contact_sheet.draw_key_frame(nobody) == 90).all()


@pytest.mark.parametrize(
    ("sizes", "columns", "rows"),
    [
        ([(144, 192)] * 7, 3, 3),
        ([(576, 768)] * 7, 2, 4),
        ([(144, 192)], 1, 1),
        ([(144, 192), (576, 768), (320, 180)], 2, 2),  # movies of different size
    ],
)
def test_contact_sheet_is_a_grid(sizes, columns, rows):
    frames = [key_frame(*size, title="é" * 500) for size in sizes]
    panels = [contact_sheet.draw_key_frame(frame).shape for frame in frames]
    sheet = contact_sheet.contact_sheet(frames)
    width = max(panel[1] for panel in panels)
    assert sheet.shape[1] == columns * (width + 12) + 12
    assert sheet.shape[0] > sum(
        max(panel[0] for panel in panels[r * columns : (r + 1) * columns])
        for r in range(rows)
    )
    assert (sheet[:, :12] == 255).all() and (sheet[:, -12:] == 255).all()
