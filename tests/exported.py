"""Runs detectors that were exported for other programs."""

import json

import jax
import numpy as np

from ava_jax import export


def exported_scores(directory, path, frames, boxes):
    """What a detector scores as a program of StableHLO.

    Args:
      directory: of the detector.
      path: where to write the program.
      frames: (T, H, W, 3) uint8.
      boxes: (N, 4) in pixels.
    """
    export.export_detector(directory, path, "stablehlo", size=frames.shape[1:3])
    program = jax.export.deserialize(path.read_bytes())
    notes = json.loads(path.with_suffix(".json").read_text())
    padded = np.zeros((1, *notes["inputs"]["boxes"]["shape"][1:]), np.float32)
    padded[0, : len(boxes)] = boxes
    return np.asarray(program.call(frames[None], padded))[0, : len(boxes)]
