"""Scores tables of detections against tables of ground truth.

Joins the tables of `ava_jax.annotations` with `ava_jax.metrics`, which knows
arrays alone.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

import numpy as np

from ava_jax.annotations import BoxTable, Tracks, index_frames
from ava_jax.annotations.tracks import video_name
from ava_jax.metrics import analysis as analysis_lib
from ava_jax.metrics import ava_map, bootstrap, person_boxes, summary, video_map
from ava_jax.metrics.error_analysis import Findings, NamedMistake
from ava_jax.metrics.matched import Mistake
from ava_jax.metrics.protocols import DEFAULT, PROTOCOLS
from ava_jax.metrics.tubes import SHORTEST, FrameBoxes


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


def score_tubes(
    ground_truth: Tracks,
    detections: BoxTable,
    *,
    link_scores: str = "own",
    shortest: int = SHORTEST,
    first_label: int = 1,
) -> dict:
    """Frame-mAP and video-mAP as MultiSports and MMAction2 1.x have it, for JSON.

    Args:
      ground_truth: annotated tubes.
      detections: boxes of numbered frames, in fractions, that `tracks.check_linked`
        has passed.
      link_scores: name in `video_map.LINK_SCORES`.
      shortest: frames of the shortest tube that is linked.
      first_label: the lowest action id of the files: 0 gives ids as these have them.

    Returns:
      {"protocol", "link_scores", "rules", "frame_mAP", "video_mAP": {IoU: mAP},
      "per_class": {id: {"name", "tubes", "frame_AP", "video_AP": {IoU: AP}}},
      "counts"}. IoU "0.10:0.90" is the mean over 0.1, 0.2, ..., 0.9. Classes without
      ground truth are left out.
    """
    boxes, last_frame, pixel = _linkable(ground_truth, detections)
    result = video_map.evaluate(
        ground_truth.tubes,
        boxes,
        ground_truth.names,
        last_frame,
        link_scores=link_scores,
        pixel=pixel,
        shortest=shortest,
    )
    per_class = {
        str(label - 1 + first_label): {
            "name": ground_truth.names[label],
            "tubes": int(np.count_nonzero(ground_truth.tubes.label == label)),
            "frame_AP": value,
            "video_AP": {iou: values[label] for iou, values in result.video.items()},
        }
        for label, value in result.frame.items()
    }
    return {
        "protocol": "multisports",
        "link_scores": link_scores,
        "rules": {
            "link_scores": video_map.LINK_SCORES[link_scores],
            "shortest": f"tubes of fewer than {shortest} frames are dropped",
            "suppression": "widths and heights are one pixel more"
            if pixel
            else "boxes are in fractions, and no pixel is added to their sides",
        },
        "frame_mAP": result.frame_mean,
        "video_mAP": result.video_means,
        "per_class": per_class,
        "counts": {
            "videos": len(ground_truth.videos),
            "ground_truth_tubes": sum(row["tubes"] for row in per_class.values()),
            "detections": len(detections),
            "linked_tubes": len(result.tubes),
        },
    }


def _linkable(
    truth: Tracks, detections: BoxTable
) -> tuple[FrameBoxes, np.ndarray, float]:
    """Detections in the videos and units of `truth`, last frames, and a pixel."""
    code = {name: i for i, name in enumerate(truth.videos)}
    names = map(video_name, detections.videos)
    codes = np.array([code.setdefault(n, len(code)) for n in names], np.int64)
    video, box, score = codes[detections.video], detections.box, detections.score
    frame = np.rint(detections.timestamp).astype(np.int64)
    pixel = 0.0
    if truth.sizes is not None:
        # The original multiplies float32 in place.
        box = box.astype(np.float32) * np.tile(truth.sizes, 2)[video]
        box = box.astype(np.float32).astype(np.float64)
        score = score.astype(np.float32).astype(np.float64)
        pixel = 1.0
    last_frame = truth.num_frames
    if last_frame is None:
        last_frame = np.zeros(len(code), np.int64)
        np.maximum.at(last_frame, video, frame)
    label = detections.label.astype(np.int64)
    return FrameBoxes(video, frame, label, box, score), last_frame, pixel
