"""Draws ground truth and predictions on key frames."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from ava_jax.metrics.iou import iou
from ava_jax.report import drawing, style

MAX_KEY_FRAMES = 12
_MATCH_IOU = 0.5
_PREDICTED_SCORE = 0.5  # an action counts as predicted from this score on
_PANEL_WIDTHS = (480, 640)  # pixels, smallest and largest
_SHEET_WIDTH = 1500  # pixels, approximate
_GAP = 12
_TITLE_SIZE = 16

HIT = "✓"
WRONG = "✗"
MISSED = "○"
MARK_COLORS = {HIT: style.GREEN, WRONG: style.ORANGE, MISSED: style.SKY_BLUE}
LEGEND = (
    (HIT, "predicted and true"),
    (WRONG, "predicted, not true"),
    (MISSED, "true, not predicted"),
)


@dataclasses.dataclass(frozen=True)
class KeyFrame:
    """One key frame with its annotations and detections.

    Attributes:
      title: such as 'movie, second 105'.
      image: (H, W, 3) uint8 RGB.
      true_boxes: (G, 4) xyxy, fractions of the frame.
      true_actions: names of the actions of each true box.
      boxes: (P, 4) xyxy of the detections, fractions of the frame.
      actions: the (action, score) pairs of each of `boxes`, the best first.
    """

    title: str
    image: np.ndarray
    true_boxes: np.ndarray
    true_actions: Sequence[Sequence[str]]
    boxes: np.ndarray
    actions: Sequence[Sequence[tuple[str, float]]]

    def __repr__(self) -> str:
        return (
            f"KeyFrame({self.title!r}, {len(self.true_boxes)} true boxes, "
            f"{len(self.boxes)} detected)"
        )


def select(key_frames: Sequence[KeyFrame]) -> list[KeyFrame]:
    """Selects at most `MAX_KEY_FRAMES` key frames at even distances."""
    count = min(len(key_frames), MAX_KEY_FRAMES)
    return [key_frames[i * len(key_frames) // count] for i in range(count)]


def draw_key_frame(key_frame: KeyFrame) -> np.ndarray:
    """Draws the boxes and actions of one key frame.

    Detections have solid boxes, and true boxes have dashed ones. The label of a
    detection lists the predicted actions (with a score of at least 0.5, or the best
    one), marked as true or false for the matched person (IoU of at least 0.5). Then it
    lists the true actions that were not predicted, with their scores. The label of a
    true box without a detection lists its actions.

    Args:
      key_frame: the key frame to draw.

    Returns:
      (H, W, 3) uint8 RGB, 480 to 640 pixels wide, with the aspect ratio of the frame.
    """
    height, width = key_frame.image.shape[:2]
    true_boxes = np.asarray(key_frame.true_boxes, np.float64).reshape(-1, 4)
    boxes = np.asarray(key_frame.boxes, np.float64).reshape(-1, 4)
    matches = match(boxes, true_boxes)
    lines = [
        compare_actions(actions, key_frame.true_actions[k] if k >= 0 else ())
        for actions, k in zip(key_frame.actions, matches, strict=True)
    ]
    lines += [
        [] if k in matches else compare_actions((), actions)
        for k, actions in enumerate(key_frame.true_actions)
    ]
    return drawing.draw_people(
        key_frame.image,
        np.concatenate([boxes, true_boxes]) * ((width, height) * 2),
        lines,
        [style.PREDICTED] * len(boxes) + [style.TRUE] * len(true_boxes),
        dashed=[False] * len(boxes) + [True] * len(true_boxes),
        scale=_panel_width(key_frame) / width,
    )


def compare_actions(
    actions: Sequence[tuple[str, float]], true_actions: Sequence[str]
) -> list[drawing.Line]:
    """The label of one person: hits, then wrong actions, then missed ones."""
    predicted = [
        (name, score)
        for rank, (name, score) in enumerate(actions)
        if rank == 0 or score >= _PREDICTED_SCORE
    ]
    names = {name for name, _ in predicted}
    scores = dict(actions)
    marked = [(HIT, n, s) for n, s in predicted if n in true_actions]
    marked += [(WRONG, n, s) for n, s in predicted if n not in true_actions]
    marked += [(MISSED, n, scores.get(n)) for n in true_actions if n not in names]
    return [
        drawing.Line(
            f"{mark} {style.short_action(name)}"
            + ("" if score is None else f" {score:.2f}"),
            MARK_COLORS[mark],
        )
        for mark, name, score in marked
    ]


def match(boxes: np.ndarray, true_boxes: np.ndarray) -> list[int]:
    """Matches detections and true boxes one to one; -1 without a match.

    The pair of highest IoU is matched first, down to an IoU of 0.5.
    """
    overlap = np.nan_to_num(iou(boxes[:, None], true_boxes))
    matches = [-1] * len(boxes)
    while overlap.size and overlap.max() >= _MATCH_IOU:
        i, k = np.unravel_index(overlap.argmax(), overlap.shape)
        matches[i] = int(k)
        overlap[i, :] = overlap[:, k] = 0
    return matches


def contact_sheet(key_frames: Sequence[KeyFrame]) -> np.ndarray:
    """Draws key frames side by side, with titles and a legend.

    Args:
      key_frames: at least one; at most `MAX_KEY_FRAMES` of them are drawn.

    Returns:
      (height, width, 3) uint8 RGB.
    """
    panels = [_titled(key_frame) for key_frame in select(key_frames)]
    panel_width = max(panel.shape[1] for panel in panels)
    columns = min(_SHEET_WIDTH // panel_width, len(panels))
    width = columns * (panel_width + _GAP) + _GAP
    rows = [
        _row(panels[i : i + columns], panel_width, width)
        for i in range(0, len(panels), columns)
    ]
    return np.concatenate([_legend(width), *rows])


def _panel_width(key_frame: KeyFrame) -> int:
    return int(np.clip(key_frame.image.shape[1], *_PANEL_WIDTHS))


def _titled(key_frame: KeyFrame) -> np.ndarray:
    picture = draw_key_frame(key_frame)
    bar = _blank(round(_TITLE_SIZE * 1.6), picture.shape[1])
    title = drawing.shorten(key_frame.title, _TITLE_SIZE, picture.shape[1])
    text = drawing.label((drawing.Line(title, style.WHITE),), _TITLE_SIZE)
    bar[2 : 2 + len(text), : text.shape[1]] = text[:, : bar.shape[1]]
    return np.concatenate([bar, picture])


def _row(panels: Sequence[np.ndarray], panel_width: int, width: int) -> np.ndarray:
    height = max(panel.shape[0] for panel in panels)
    row = _blank(height + _GAP, width)
    for i, panel in enumerate(panels):
        x = _GAP + i * (panel_width + _GAP)
        row[: panel.shape[0], x : x + panel.shape[1]] = panel
    return row


def _legend(width: int) -> np.ndarray:
    """The legend, wrapped to the width; (height, width, 3)."""
    height = drawing.line_height(_TITLE_SIZE)
    line = _blank(height + 6, width)
    lines, x = [line], _GAP
    for text, color in legend():
        block = drawing.label((drawing.Line(text, color),), _TITLE_SIZE)
        if x + block.shape[1] > width and x > _GAP:
            lines.append(_blank(*line.shape[:2]))
            x = _GAP
        part = lines[-1][6 : 6 + height, x : x + block.shape[1]]
        part[:] = block[:, : part.shape[1]]
        x += block.shape[1] + _GAP
    return np.concatenate([*lines, _blank(6, width)])


def legend() -> list[tuple[str, style.Color]]:
    """The meaning of boxes and marks: texts with their colours."""
    boxes = [("solid: detected", style.PREDICTED), ("dashed: true", style.TRUE)]
    return boxes + [(f"{mark} {text}", MARK_COLORS[mark]) for mark, text in LEGEND]


def _blank(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)
