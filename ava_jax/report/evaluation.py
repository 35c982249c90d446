"""The report of an evaluation: three pictures and one page."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ava_jax.errors import UserError
from ava_jax.report import charts, contact_sheet, drawing, evaluation_page
from ava_jax.report.contact_sheet import KeyFrame

__all__ = ["KeyFrame", "write_report"]

_FILES = (
    "contact_sheet.png",
    "per_class_ap.png",
    "training_curves.png",
    "index.html",  # last: when it is there, so is what it tells of
)


def write_report(
    folder: str | os.PathLike[str],
    metrics: Mapping[str, Any],
    key_frames: Sequence[KeyFrame],
    history: Sequence[Mapping[str, float]],
) -> Path:
    """Writes the report of an evaluation into a folder.

    `index.html` shows everything and needs no other file and no network.
    `contact_sheet.png`, `per_class_ap.png` and `training_curves.png` are its
    pictures for use elsewhere; a picture that has nothing to show (no key-frames,
    no history) is left out, and removed if an earlier report left one.

    Args:
      folder: made if it is not there.
      metrics: the contents of `metrics.json`.
      key_frames: to show, at most 12 of them.
      history: of the training, see `charts.training_curves`; empty if there was
        none.

    Returns:
      The path of `index.html`.

    Raises:
      UserError: the folder can't be written.
    """
    page = evaluation_page.render(metrics, key_frames, history)
    files = {
        "contact_sheet.png": _sheet(key_frames),
        "per_class_ap.png": charts.per_class_ap(metrics),
        "training_curves.png": charts.training_curves(history),
        "index.html": page.encode(),
    }
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in _FILES:
            _replace(folder / name, files[name])
    except OSError as error:
        raise UserError(
            f"Cannot write the report into {folder}: {error.strerror}. Make the "
            "folder writable, or choose another --workdir."
        ) from error
    return folder / "index.html"


def _sheet(key_frames: Sequence[KeyFrame]) -> bytes | None:
    if not key_frames:
        return None
    return drawing.encode_png(contact_sheet.contact_sheet(key_frames))


def _replace(path: Path, content: bytes | None) -> None:
    """Writes beside and renames, so that no reader sees half a file."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    beside = path.with_name(path.name + ".tmp")
    beside.write_bytes(content)
    beside.replace(path)
