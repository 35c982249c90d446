"""What the extraction of frames writes down about how it made them."""

import json
import pathlib

MANIFEST = "manifest.json"


def extracted_fps(root: pathlib.Path) -> float | None:
    """The frames a second of the frame folders in `root`; None: not written down."""
    try:
        fps = json.loads((root / MANIFEST).read_text())["recipe"]["fps"]
    except (OSError, ValueError, KeyError, TypeError):
        return None  # extracted by something else
    return fps if isinstance(fps, int | float) else None
