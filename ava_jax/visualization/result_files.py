"""Files of a video's results: AVA's detections, and JSON lines."""

import json
import os
from collections.abc import Sequence

import numpy as np

from ava_jax import files
from ava_jax.annotations.box_files import write_detections
from ava_jax.annotations.box_table import BoxTable
from ava_jax.inference.video_results import KeyFrameResult

_LEAST_SCORE = 0.05  # of the actions in JSON lines


def write_csv(
    path: str | os.PathLike,
    results: Sequence[KeyFrameResult],
    video: str,
    frame_size: tuple[int, int],
    class_ids: Sequence[int],
    *,
    threshold: float = 0.002,
    start: float = 0.0,
) -> None:
    """Writes detections as AVA's evaluation reads them, a row for every action.

    Args:
      path: file to write, whole or not at all.
      results: of the key frames.
      video: its name in the file.
      frame_size: width and height of the video, pixels.
      class_ids: action id of every class; class 0 is not written.
      threshold: actions with a lower score are not written.
      start: second of the movie at which the video starts.

    Raises:
      UserError: the file cannot be written.
    """
    table = detections(results, video, frame_size, class_ids, threshold, start)
    write_detections(path, table)


def detections(
    results: Sequence[KeyFrameResult],
    video: str,
    frame_size: tuple[int, int],
    class_ids: Sequence[int],
    threshold: float,
    start: float = 0.0,
) -> BoxTable:
    """The table of `write_csv`, a row for every action; its arguments."""
    width, height = frame_size
    times, boxes, labels, scores = [], [], [], []
    for result in results:
        people, classes = np.nonzero(result.scores[:, 1:] >= threshold)
        times.append(np.full(len(people), result.time + start))
        fractions = result.boxes / np.array([width, height, width, height])
        boxes.append(np.clip(fractions, 0, 1)[people])
        labels.append(np.array(class_ids)[classes + 1])
        scores.append(result.scores[people, classes + 1])
    times = np.concatenate([np.zeros(0), *times])
    return BoxTable.from_columns(
        [video],
        np.zeros(len(times)),
        times,
        np.concatenate([np.zeros((0, 4)), *boxes]),
        label=np.concatenate([np.zeros(0), *labels]),
        score=np.concatenate([np.zeros(0), *scores]),
    )


def write_jsonl(
    path: str | os.PathLike,
    results: Sequence[KeyFrameResult],
) -> None:
    """Writes a line of JSON for every key frame.

    A line has `time` in seconds and `people`, each with `id`, `box` (x1, y1, x2, y2
    in pixels) and `actions` (name -> score), the best first.

    Args:
      path: file to write, whole or not at all.
      results: of the key frames.

    Raises:
      UserError: the file cannot be written.
    """
    lines = (json.dumps(people_line(result)) + "\n" for result in results)
    files.replace(path, "".join(lines))


def people_line(result: KeyFrameResult) -> dict:
    """What a line of `write_jsonl` holds."""
    people = zip(
        result.track_ids.tolist(),
        result.boxes.astype(float).round(1).tolist(),
        result.actions(_LEAST_SCORE, top=result.scores.shape[1]),
        strict=True,
    )
    return {
        "time": round(result.time, 3),
        "people": [
            {"id": i, "box": box, "actions": {n: round(s, 4) for n, s in actions}}
            for i, box, actions in people
        ],
    }
