"""Writes the report of an evaluation: one page and PNG files."""

import datetime
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
    about: Mapping[str, str] | None = None,
) -> Path:
    """Writes the report of an evaluation into a folder.

    `index.html` shows everything, and needs no other file and no network. The same
    folder gets its pictures for use elsewhere: the key frames as `contact_sheet.png`,
    and the charts as `per_class_ap.png`, `precision_recall.png`, `confusion.png` and
    `training_curves.png`. A picture without content (no key frames, no history) is not
    written, and an older one is deleted.

    Args:
      folder: created if it does not exist.
      metrics: the contents of `metrics.json`.
      findings: result of `scoring.analyse_tables` for the same detections and protocol.
      key_frames: key frames to show; at most 12 of them are used.
      history: history of the training, in the form that `charts.training_curves` takes.
      read_frame: reads the frame at a second of a video, for the worst mistakes.
      about: what was evaluated, for the head of the page, such as `run` (which the
        title has), `configuration` and `checkpoint`. The date is added.

    Returns:
      The path of `index.html`.

    Raises:
      UserError: the folder cannot be written.
    """
    now = f"{datetime.datetime.now():%Y-%m-%d %H:%M}"
    about = dict(about or {}) | {"date": now}
    page = evaluation_page.render(
        metrics, findings, key_frames, history, read_frame, about
    )
    contents = {
        "contact_sheet.png": _sheet(key_frames),
        "per_class_ap.png": charts.per_class_ap(metrics),
        "precision_recall.png": analysis_charts.precision_recall(
            metrics, findings.analysis
        ),
        "confusion.png": analysis_charts.confusion(metrics, findings.analysis),
        "training_curves.png": charts.training_curves(history),
        # Written last, so that a new page means that the pictures are new too.
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
