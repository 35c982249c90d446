"""The page about a data set: what the doctor found, with pictures."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from ava_jax.annotations.box_checks import in_pixels
from ava_jax.annotations.findings import Finding, Suspect
from ava_jax.checks.verdict import Verdict
from ava_jax.report import drawing, page, style

_ANNOTATED = style.TRUE
_PROPOSED = style.PREDICTED
_WIDTH = 640  # pixels: pictures are no wider

# The (H, W, 3) uint8 RGB key frame; None if it cannot be read.
ReadImage = Callable[[Suspect], np.ndarray | None]


def render(verdict: Verdict, read_image: ReadImage) -> str:
    """The page as HTML, with everything inside.

    Args:
      verdict: what was found.
      read_image: gives the key frames to show.
    """
    return page.render(
        "data_check.html",
        verdict=verdict,
        rows=_split_rows(list(verdict.splits.values())),
        actions=_action_rows(list(verdict.splits.values()), verdict.names),
        findings=[
            (finding, _figures(finding, read_image)) for finding in verdict.findings
        ],
        colors={
            "problem": style.VERMILION,
            "note": style.SKY_BLUE,
            "split": style.WHITE,
            "annotated": _ANNOTATED,
            "proposed": _PROPOSED,
        },
    )


def _split_rows(splits: Sequence[Mapping[str, Any]]) -> list[list[str]]:
    """What the splits hold, a column for each."""
    names = ("key_frames", "movies", "people", "labels", "proposals")
    rows = [
        [name.replace("_", " "), *(f"{split[name]:,}" for split in splits)]
        for name in names
    ]
    for iou in dict.fromkeys(iou for split in splits for iou in split["recall"]):
        recalls = (split["recall"].get(iou) for split in splits)
        shares = ("" if share is None else f"{share:.1%}" for share in recalls)
        rows.append([f"people found at IoU {iou}", *shares])
    return rows


def _action_rows(
    splits: Sequence[Mapping[str, Any]], names: Mapping[int, str]
) -> list[list[str]]:
    """The number of people who do each action, a column for each split.

    The most frequent action of the first split comes first.
    """
    ids = dict.fromkeys(i for split in splits for i in split["samples"])
    counts = {i: [split["samples"].get(i, 0) for split in splits] for i in ids}
    ordered = sorted(counts.items(), key=lambda item: [-count for count in item[1]])
    return [
        [f"{names.get(i, 'action')} [{i}]", *(f"{count:,}" for count in row)]
        for i, row in ordered
    ]


def _figures(finding: Finding, read_image: ReadImage) -> list[tuple[str, bytes]]:
    """Title and JPEG file of the suspects whose key frames can be read."""
    images = ((suspect, read_image(suspect)) for suspect in finding.suspects)
    return [
        (
            f"{suspect.video}, second {suspect.second:g}",
            drawing.encode_jpeg(draw_suspect(suspect, image)),
        )
        for suspect, image in images
        if image is not None
    ]


def draw_suspect(suspect: Suspect, image: np.ndarray) -> np.ndarray:
    """Draws annotated boxes dashed, with labels, and proposed ones solid.

    Args:
      suspect: what to draw.
      image: (H, W, 3) uint8 RGB, its key frame.

    Returns:
      (height, width, 3) uint8 RGB.
    """
    height, width = image.shape[:2]
    annotated, proposed = (
        _pixels(boxes, width, height) for boxes in (suspect.boxes, suspect.proposals)
    )
    count = len(annotated), len(proposed)
    return drawing.draw_people(
        image,
        np.concatenate([proposed, annotated]),
        [()] * count[1]
        + [
            (drawing.Line(text, _ANNOTATED),) if text else ()
            for text in suspect.captions
        ],
        [_PROPOSED] * count[1] + [_ANNOTATED] * count[0],
        dashed=[False] * count[1] + [True] * count[0],
        scale=_WIDTH / width if width > _WIDTH else None,
    )


def _pixels(boxes: np.ndarray, width: int, height: int) -> np.ndarray:
    """(N, 4) in pixels, corners in order, whatever is wrong with the boxes."""
    boxes = np.asarray(boxes, np.float64).reshape(-1, 4)
    boxes = np.where(in_pixels(boxes)[:, None], boxes, boxes * ((width, height) * 2))
    low = np.minimum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, np.maximum(boxes[:, :2], boxes[:, 2:])], axis=1)
