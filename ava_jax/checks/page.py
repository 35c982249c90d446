"""The page about a data set: what the doctor found, with pictures."""

import html
from collections.abc import Callable, Mapping
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
      verdict: what to tell.
      read_image: gives the key frames to show.
    """
    body = f"<p>{html.escape(verdict.headline)}</p>\n"
    body += _splits(verdict.splits)
    body += "\n".join(_finding(finding, read_image) for finding in verdict.findings)
    return page.document("Data set check", body)


def _splits(splits: Mapping[str, Mapping[str, Any]]) -> str:
    if not splits:
        return ""
    names = ("key_frames", "movies", "people", "labels", "proposals")
    rows = [
        [name.replace("_", "-"), *(f"{split[name]:,}" for split in splits.values())]
        for name in names
    ]
    for iou in dict.fromkeys(
        iou for split in splits.values() for iou in split["recall"]
    ):
        recalls = (split["recall"].get(iou) for split in splits.values())
        shares = ("" if share is None else f"{share:.1%}" for share in recalls)
        rows.append([f"people found at IoU {iou}", *shares])
    return page.section("What it holds", page.table(["", *splits], rows))


def _finding(finding: Finding, read_image: ReadImage) -> str:
    kind, color = ("problem", style.VERMILION)
    if not finding.is_problem:
        kind, color = ("note", style.SKY_BLUE)
    chips = page.chip(kind, color)
    if finding.split:
        chips += page.chip(finding.split, style.WHITE)
    places = "".join(f"<li>{html.escape(place)}</li>" for place in finding.places)
    more = finding.count - len(finding.places)
    if places and more > 0:
        places += f"<li>and {more:,} more</li>"
    body = f'<div class="chips">{chips}</div>\n'
    body += f"<ul>{places}</ul>\n" if places else ""
    for text in filter(None, (finding.found, finding.remedy)):
        body += f"<p>{html.escape(text)}</p>\n"
    title = f"{finding.name[:1].upper()}{finding.name[1:]}: {finding.count:,}"
    return page.section(title, body + _gallery(finding, read_image))


def _gallery(finding: Finding, read_image: ReadImage) -> str:
    figures = [_figure(suspect, read_image(suspect)) for suspect in finding.suspects]
    figures = [figure for figure in figures if figure]
    if not figures:
        return ""
    chips = page.chip("dashed: annotated", _ANNOTATED)
    if any(len(suspect.proposals) for suspect in finding.suspects):
        chips += page.chip("solid: proposed", _PROPOSED)
    return (
        f'<div class="chips">{chips}</div>\n'
        f'<div class="gallery">{"".join(figures)}</div>'
    )


def _figure(suspect: Suspect, image: np.ndarray | None) -> str:
    if image is None:
        return ""
    title = f"{suspect.video}, second {suspect.second:g}"
    picture = drawing.encode_jpeg(draw_suspect(suspect, image))
    return (
        f"<figure>{page.picture(picture, f'Key frame of {title}')}"
        f"<figcaption>{html.escape(title)}</figcaption></figure>"
    )


def draw_suspect(suspect: Suspect, image: np.ndarray) -> np.ndarray:
    """Draws annotated boxes dashed, with captions, and proposed ones solid.

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
        [()] * count[1] + [(caption,) for caption in suspect.captions],
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
