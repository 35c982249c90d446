"""The report of an evaluation: pictures and one page."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.metrics.error_analysis import Findings
from ava_jax.report import (
    analysis_charts,
    charts,
    contact_sheet,
    drawing,
    evaluation_page,
)
from ava_jax.report.contact_sheet import KeyFrame
from ava_jax.report.mistakes import ReadFrame

__all__ = ["KeyFrame", "write_report"]


def write_report(
    folder: str | os.PathLike[str],
    metrics: Mapping[str, Any],
    findings: Findings,
    key_frames: Sequence[KeyFrame] = (),
    history: Sequence[Mapping[str, float]] = (),
    read_frame: ReadFrame | None = None,
) -> Path:
    """Writes the report of an evaluation into a folder.

    `index.html` shows everything and needs no other file and no network. Beside
    it lie the key frames as `contact_sheet.png`, and its charts for use elsewhere:
    `per_class_ap.png`, `precision_recall.png`, `confusion.png`,
    `training_curves.png`. A picture that has nothing to show (no key frames, no
    history) is left out, and removed if an earlier report left one.

    Args:
      folder: made if it is not there.
      metrics: the contents of `metrics.json`.
      findings: of the same detections under the same protocol; from
        `scoring.analyse_tables`.
      key_frames: to show, at most 12 of them.
      history: of the training, see `charts.training_curves`.
      read_frame: the frame at a second of a video, for the worst mistakes.

    Returns:
      The path of `index.html`.

    Raises:
      UserError: the folder can't be written.
    """
    page = evaluation_page.render(metrics, findings, key_frames, history, read_frame)
    contents = {
        "contact_sheet.png": _sheet(key_frames),
        "per_class_ap.png": charts.per_class_ap(metrics),
        "precision_recall.png": analysis_charts.precision_recall(
            metrics, findings.analysis
        ),
        "confusion.png": analysis_charts.confusion(metrics, findings.analysis),
        "training_curves.png": charts.training_curves(history),
        # Last: when it is there, so is what it tells of.
        "index.html": page.encode(),
    }
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            if content is None:
                (folder / name).unlink(missing_ok=True)
            else:
                files.replace(folder / name, content)
    except OSError as error:
        raise UserError(
            f"Cannot write the report into {folder}: {error.strerror}. Make the "
            "folder writable, or choose another one."
        ) from error
    return folder / "index.html"


def _sheet(key_frames: Sequence[KeyFrame]) -> bytes | None:
    if not key_frames:
        return None
    return drawing.encode_png(contact_sheet.contact_sheet(key_frames))
