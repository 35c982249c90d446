"""Scores tables of detections against tables of ground truth.

Joins the tables of `ava_jax.annotations` with `ava_jax.metrics`, which knows
arrays alone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from ava_jax.annotations import BoxTable, index_frames
from ava_jax.metrics import analysis as analysis_lib
from ava_jax.metrics import ava_map, bootstrap, person_boxes, summary
from ava_jax.metrics.error_analysis import Findings, NamedMistake
from ava_jax.metrics.matched import Mistake
from ava_jax.metrics.protocols import DEFAULT, PROTOCOLS


def score_tables(
    ground_truth: BoxTable,
    detections: BoxTable,
    class_names: Mapping[int, str],
    *,
    groups: Mapping[str, Collection[int]] | None = None,
    exclusions: Iterable[tuple[str, float]] = (),
    protocol: str = DEFAULT,
) -> dict:
    """AP and mAP under all protocols, ready for JSON.

    Args:
      ground_truth: boxes with labels; its key frames without boxes are counted.
      detections: boxes with labels and scores; rows without a score have 1.
      class_names: the actions to score; rows with other labels are ignored.
      groups: action ids by group, from `annotations.read_action_groups`.
      exclusions: (video, seconds) of key frames to leave out.
      protocol: the one of `mAP` and `per_class`.

    Returns:
      The dict that `metrics.summary.summarise` describes.
    """
    frames = index_frames(ground_truth, detections)
    return summary.summarise(
        _truth(ground_truth, frames.rows[0]),
        _detected(detections, frames.rows[1]),
        class_names,
        groups=groups,
        keyframes=frames.keyframes[0],
        excluded_frames=frames.numbers(exclusions),
        protocol=protocol,
    )


def _truth(table: BoxTable, frame: np.ndarray) -> ava_map.Boxes:
    return ava_map.Boxes(frame, table.box, table.label)


def _detected(table: BoxTable, frame: np.ndarray) -> ava_map.Boxes:
    score = np.where(np.isnan(table.score), 1.0, table.score)
    return ava_map.Boxes(frame, table.box, table.label, score)


def mean_interval(
    ground_truth: BoxTable,
    detections: BoxTable,
    class_names: Mapping[int, str],
    *,
    exclusions: Iterable[tuple[str, float]] = (),
    protocol: str = DEFAULT,
    resamples: int = 300,
    seed: int = 0,
) -> dict:
    """The mAP with its 95 % bootstrap interval over videos; see `compare_tables`.

    Returns:
      {"protocol", "resamples", "videos", "mAP", "low", "high"}; "videos" counts those
      with ground truth, and the last three are None where the mAP is.
    """
    runs, labels = _runs_and_labels(
        ground_truth, [detections], class_names, exclusions, protocol
    )
    found = bootstrap.mean_interval(runs[0], labels, resamples=resamples, seed=seed)
    return {
        "protocol": protocol,
        "resamples": resamples,
        "videos": len(np.unique(labels[0])),
        "mAP": found.value,
        "low": found.low,
        "high": found.high,
    }


def compare_tables(
    ground_truth: BoxTable,
    first: BoxTable | Sequence[BoxTable],
    second: BoxTable | Sequence[BoxTable],
    class_names: Mapping[int, str],
    *,
    exclusions: Iterable[tuple[str, float]] = (),
    protocol: str = DEFAULT,
    resamples: int = 300,
    seed: int = 0,
) -> dict:
    """Differences `second` minus `first`, with 95 % bootstrap intervals over videos.

    Args:
      ground_truth: boxes with labels.
      first: detections; several tables are runs of one method, such as seeds, whose
        APs are averaged.
      second: other detections for the same ground truth, one table or several.
      class_names: the actions to score.
      exclusions: (video, seconds) of key frames to leave out.
      protocol: a name in `metrics.protocols.PROTOCOLS`.
      resamples: number of bootstrap draws, of the videos and of a side's runs.
      seed: of the bootstrap.

    Returns:
      {"protocol", "resamples", "mAP": {"difference", "low", "high"},
      "per_class": {id: the same}}; values are None where a side has none.
    """
    sides = [[x] if isinstance(x, BoxTable) else list(x) for x in (first, second)]
    runs, labels = _runs_and_labels(
        ground_truth, sides[0] + sides[1], class_names, exclusions, protocol
    )
    count = len(sides[0])
    result = bootstrap.compare(
        runs[:count], runs[count:], labels, resamples=resamples, seed=seed
    )

    def entry(difference):
        return dict(zip(("difference", "low", "high"), difference, strict=True))

    return {
        "protocol": protocol,
        "resamples": resamples,
        "mAP": entry(result.mean),
        "per_class": {str(k): entry(v) for k, v in result.per_class.items()},
    }


def _runs_and_labels(
    ground_truth: BoxTable,
    tables: Sequence[BoxTable],
    class_names: Mapping[int, str],
    exclusions: Iterable[tuple[str, float]],
    protocol: str,
) -> tuple[list[bootstrap.Run], tuple[np.ndarray, np.ndarray]]:
    """The tables as `bootstrap` wants them, and videos and actions of the labels."""
    frames = index_frames(ground_truth, *tables)
    truth = _truth(ground_truth, frames.rows[0])
    excluded = frames.numbers(exclusions)
    runs = []
    for table, rows in zip(tables, frames.rows[1:], strict=True):
        ranking = ava_map.rank(
            truth,
            _detected(table, rows),
            sorted(class_names),
            excluded_frames=excluded,
            keyframes=frames.keyframes[0],
            protocols=[PROTOCOLS[protocol]],
        )[protocol]
        runs.append(bootstrap.Run(ranking, frames.video[rows]))
    counts = np.isin(truth.label, list(class_names))
    if not PROTOCOLS[protocol].counts_excluded:
        counts &= ~np.isin(truth.frame, excluded)
    return runs, (frames.video[truth.frame[counts]], truth.label[counts])


def analyse_tables(
    ground_truth: BoxTable,
    detections: BoxTable,
    class_names: Mapping[int, str],
    *,
    exclusions: Iterable[tuple[str, float]] = (),
    protocol: str = DEFAULT,
) -> Findings:
    """What the AP is made of, for the report; arguments as of `score_tables`."""
    frames = index_frames(ground_truth, detections)
    analysis = analysis_lib.analyse(
        _truth(ground_truth, frames.rows[0]),
        _detected(detections, frames.rows[1]),
        sorted(class_names),
        excluded_frames=frames.numbers(exclusions),
        keyframes=frames.keyframes[0],
        protocol=protocol,
    )

    def named(mistake: Mistake, is_false_alarm: bool) -> NamedMistake:
        person = person_boxes.nearest(analysis.truth.people, mistake.frame, mistake.box)
        true_box, true_actions = None, []
        if person is not None:
            true_box = analysis.truth.people.box[person]
            rows = analysis.truth.row[analysis.truth.person == person]
            true_actions = np.unique(analysis.truth.boxes.label[rows]).tolist()
        return NamedMistake(
            is_false_alarm=is_false_alarm,
            video=frames.videos[frames.video[mistake.frame]],
            second=float(frames.timestamp[mistake.frame]),
            box=mistake.box,
            action=class_names[mistake.label],
            score=mistake.score,
            true_box=true_box,
            true_actions=tuple(class_names[label] for label in true_actions),
        )

    false_alarms = [named(mistake, True) for mistake in analysis.false_alarms]
    low_scores = [named(mistake, False) for mistake in analysis.low_scores]
    return Findings(analysis, false_alarms + low_scores)
