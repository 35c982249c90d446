"""Tables of results and of failures."""

import csv
import dataclasses
import io
import json
from collections.abc import Iterable, Iterator, Sequence
from typing import TextIO

import numpy as np

from ava_jax.annotations.box_files import csv_blocks
from ava_jax.annotations.box_table import BoxTable
from ava_jax.annotations.parquet_npz import write_parquet_tables
from ava_jax.batch import storage
from ava_jax.batch.inputs import Video
from ava_jax.batch.results import PieceResult
from ava_jax.batch.settings import Settings
from ava_jax.inference.video_predictor import new_tracker
from ava_jax.inference.video_results import KeyFrameResult
from ava_jax.visualization.result_files import detections, people_line

FAILURES = "failures.csv"


@dataclasses.dataclass(frozen=True, order=True)
class Failure:
    """A video that was not scored, or not to its end.

    Attributes:
      index: of the video.
      video: its path.
      piece: seconds of it, such as '300-600'; '' for the whole video.
      error: what was wrong.
    """

    index: int
    video: str
    piece: str
    error: str


def shard_paths(settings: Settings, number: int, total: int) -> tuple[str, str]:
    """The files of detections and of people in shard `number`."""
    options, part = settings.options, f"{number:05d}-of-{total:05d}"
    return (
        storage.join(options.out, f"actions-{part}.{options.format}"),
        storage.join(options.out, f"people-{part}.jsonl"),
    )


def write_shard(
    settings: Settings,
    number: int,
    total: int,
    videos: Iterable[tuple[Video, Sequence[str]]],
) -> None:
    """Writes the results of some videos; memory holds one video at a time.

    Args:
      settings: of the run.
      number: of the shard.
      total: number of shards.
      videos: in order, each with the files of its pieces in order.

    Raises:
      UserError: the files cannot be written.
    """
    actions, people = shard_paths(settings, number, total)
    with (
        storage.written(actions) as table,
        storage.written(people) as lines,
        open(lines, "w", encoding="utf-8") as file,
    ):
        tables = (_video_table(settings, *video, file) for video in videos)
        _write_tables(table, tables, settings.options.format)


def _write_tables(path, tables: Iterator[BoxTable], kind: str) -> None:
    if kind == "parquet":
        write_parquet_tables(path, tables)
        return
    with open(path, "w", encoding="utf-8", newline="") as file:
        for table in tables:
            file.writelines(csv_blocks(table))


def _video_table(
    settings: Settings, video: Video, paths: Sequence[str], lines: TextIO
) -> BoxTable:
    """The detections of a video, whose JSON lines are written on the way."""
    parts = [PieceResult.read(storage.read(path)) for path in paths]
    found = list(_tracked(settings, parts))
    for result in found:
        line = {"video": video.name} | people_line(result)
        lines.write(json.dumps(line) + "\n")
    return detections(
        found, video.name, parts[0].size, settings.class_ids, settings.threshold
    )


def _tracked(
    settings: Settings, parts: Sequence[PieceResult]
) -> Iterator[KeyFrameResult]:
    """Joins the people of all pieces: the tracker needs only boxes and times."""
    tracker = new_tracker(settings.options.every)
    no_picture = np.zeros((0, 0, 3), np.uint8)
    for part in parts:
        for time, boxes, scores in part.key_frames():
            ids = tracker.update(boxes, time)
            yield KeyFrameResult(
                time, no_picture, boxes, ids, scores, settings.labels, latency=0.0
            )


def write_failures(settings: Settings, failures: Iterable[Failure]) -> None:
    """Writes the table of failures, in the order of the videos.

    Raises:
      UserError: it cannot be written.
    """
    text = io.StringIO(newline="")
    rows = csv.writer(text, lineterminator="\n")
    rows.writerow(["video", "piece", "error"])
    rows.writerows([f.video, f.piece, f.error] for f in sorted(set(failures)))
    with storage.written(storage.join(settings.options.out, FAILURES)) as path:
        path.write_text(text.getvalue(), encoding="utf-8")


def read_failures(settings: Settings) -> list[tuple[str, str, str]]:
    """Video, piece and error of each row of the table of failures."""
    content = storage.read(storage.join(settings.options.out, FAILURES))
    rows = csv.reader(io.StringIO(content.decode(), newline=""))
    return [tuple(row) for row in rows][1:]


def remove_other_shards(settings: Settings, total: int) -> None:
    """Removes what an earlier run with other videos or another format wrote."""
    own = {path for i in range(total) for path in shard_paths(settings, i, total)}
    found = [
        one.path
        for kind in ("actions", "people")
        for one in storage.match(storage.join(settings.options.out, f"{kind}-*-of-*"))
    ]
    storage.delete([path for path in found if path not in own])
