"""Training clips between annotated key frames: `config.data.clips_per_second`.

A person who has the same id in two neighbouring key frames is taken to move straight
from one box to the other. Evaluation knows nothing of this.
"""

import dataclasses

import numpy as np

from ava_jax.annotations.box_table import NO_ENTITY, BoxTable, FrameIndex, index_frames
from ava_jax.data import clips, grouping
from ava_jax.data.split import Split
from ava_jax.errors import UserError

_LONGEST = 1.0  # seconds from one key frame to the next; AVA's are 1 second apart


@dataclasses.dataclass(frozen=True)
class _People:
    """Everyone who has an id, once for each key frame: by key frame, then by id.

    Attributes:
      frame: (P,) int64, number of the key frame.
      entity: (P,) int64, rank of the id among all.
      box: (P, 4) float64 xyxy, fractions of the frame.
      classes: (P, num_classes) bool; none where no action is learned.
      clear: (P,) bool: the id has only this box in the key frame.
    """

    frame: np.ndarray
    entity: np.ndarray
    box: np.ndarray
    classes: np.ndarray
    clear: np.ndarray


def fill_gaps(
    split: Split, clips_per_second: int, fps: int, timestamp_start: float
) -> Split:
    """Adds key frames between the annotated ones, after them in the arrays.

    From a key frame at t0 to the next of its movie at t1, at most a second later, they
    lie at t0 + (t1 - t0) j / n with n = round(clips_per_second (t1 - t0)) and
    j = 1 .. n - 1. They hold the people whose id both key frames have: boxes are
    interpolated, actions are those of the nearer key frame, the earlier one in the
    middle. There are no proposals in them. Excluded key frames are no ends.

    Args:
      split: the training split.
      clips_per_second: `config.data.clips_per_second`.
      fps: frames a second.
      timestamp_start: timestamp of the first frame.

    Returns:
      The same split if `clips_per_second` is 0 or 1.

    Raises:
      UserError: `clips_per_second` has no meaning, or no person has an id.
    """
    rate, table = clips_per_second, split.ground_truth
    _check(rate, fps, table)
    if rate < 2:
        return split
    index = index_frames(table, _exclusions(split.excluded))
    code = {name: i for i, name in enumerate(split.frames.videos)}
    video = np.array([code.get(name, -1) for name in index.videos])[index.video]
    gap = np.append(np.diff(index.timestamp), 0)
    parts = np.maximum(np.rint(rate * gap).astype(np.int64), 1)
    # The frames of a movie of which no key frame is trained are not known.
    parts[~_are_neighbours(index, gap) | (video < 0)] = 1
    people = _people(table, index.rows[0], split.class_ids)
    moment, truth = _between(people, parts, rate)

    moment, counts = np.unique(moment, return_counts=True)
    frame, step = moment // rate, moment % rate
    second = index.timestamp[frame] + gap[frame] * step / parts[frame]
    origin = split.frames.origin[video[frame]]
    centre = clips.centre_frames(second, fps, timestamp_start, origin)
    return _extended(split, video[frame], second, centre, counts, truth)


def _check(rate: int, fps: int, table: BoxTable) -> None:
    if rate > fps:
        raise UserError(
            f"config.data.clips_per_second is {rate}; expected 0 for clips at the "
            f"annotated key frames alone, or up to config.data.fps, which is {fps}."
        )
    if rate >= 2 and (table.entity == NO_ENTITY).all():
        raise UserError(
            f"config.data.clips_per_second is {rate}, but no row of {table.path} has "
            "a person id (its 8th column), so nobody can be followed from one "
            "key frame to the next. Add the ids, or leave "
            "config.data.clips_per_second at 0."
        )


def _exclusions(excluded: set[tuple[str, float]]) -> BoxTable:
    """Key frames that are left out, as a table without boxes."""
    videos = sorted({name for name, _ in excluded})
    code = {name: i for i, name in enumerate(videos)}
    return BoxTable.from_columns(
        videos,
        video=[],
        timestamp=[],
        box=[],
        keyframe_video=[code[name] for name, _ in excluded],
        keyframe_timestamp=[second for _, second in excluded],
    )


def _are_neighbours(index: FrameIndex, gap: np.ndarray) -> np.ndarray:
    """(F,) bool: clips may lie between a key frame and the next."""
    is_end = np.ones(len(gap), bool)
    is_end[index.keyframes[1]] = False  # the exclusions
    together = np.append(index.video[1:] == index.video[:-1], False)
    # Timestamps are multiples of a millionth, but their difference is rounded.
    return together & (gap < _LONGEST + 5e-7) & is_end & np.append(is_end[1:], False)


def _people(table: BoxTable, frames: np.ndarray, class_ids: np.ndarray) -> _People:
    """Joins the rows of a person; `frames` has the key frame of every row."""
    rows = np.flatnonzero(table.entity != NO_ENTITY)
    frame = frames[rows].astype(np.int64)
    entity = np.unique(table.entity[rows], return_inverse=True)[1]
    order = np.lexsort((entity, frame))
    rows, frame, entity = rows[order], frame[order], entity[order]
    new = np.ones(len(rows), bool)
    new[1:] = (frame[1:] != frame[:-1]) | (entity[1:] != entity[:-1])
    first, person = np.flatnonzero(new), np.cumsum(new) - 1
    box = table.box[rows]
    clear = np.ones(len(first), bool)
    clear[person[(box != box[first][person]).any(axis=1)]] = False
    classes = np.zeros((len(first), len(class_ids)), bool)
    classes[person, grouping.classes_of(table.label[rows], class_ids)] = True
    classes[:, 0] = False  # where actions went that are not learned
    return _People(frame[first], entity[first], box[first], classes, clear)


def _links(people: _People, may: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of people in a key frame of those that `may`, and theirs in the next."""
    span = people.entity.max() + 1
    key = people.frame * span + people.entity  # ascending
    later = np.minimum(np.searchsorted(key, key + span), len(key) - 1)
    linked = (key[later] == key + span) & may[people.frame]
    linked &= people.clear & people.clear[later]
    return np.flatnonzero(linked), later[linked]


def _between(
    people: _People, parts: np.ndarray, rate: int
) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The people between key frames, in the order of time.

    Args:
      people: in the key frames.
      parts: (F,) int64, of the time from each key frame to the next; at most `rate`.
      rate: clips a second.

    Returns:
      (N,) int64, `rate` times the number of the key frame before, plus the step from
      1 to its `parts - 1`; and the people's `truth_boxes` and (bool) `truth_classes`.
    """
    earlier, later = _links(people, parts > 1)
    pieces = parts[people.frame[earlier]]
    link = np.repeat(np.arange(len(earlier)), pieces - 1)
    ends = np.cumsum(pieces - 1)
    step = np.arange(len(link)) - np.repeat(ends - pieces, pieces - 1)
    nearer = np.where(2 * step <= pieces[link], earlier[link], later[link])
    learned = people.classes.any(axis=1)[nearer]
    link, step, nearer = link[learned], step[learned], nearer[learned]
    moment = people.frame[earlier[link]] * rate + step
    order = np.argsort(moment, kind="stable")
    link, step, nearer = link[order], step[order], nearer[order]
    start, end = people.box[earlier[link]], people.box[later[link]]
    truth = {
        "truth_boxes": start + (end - start) * (step / pieces[link])[:, None],
        "truth_classes": people.classes[nearer],
    }
    return moment[order], truth


def _extended(split, video, second, centre, counts, truth) -> Split:
    """The split with more key frames, of `counts` people and no proposals each."""
    more = {
        "video": video.astype(np.int32),
        "second": second,
        "centre": centre,
        "truth_starts": split.truth_starts[-1] + np.cumsum(counts),
        "proposal_starts": np.full(len(second), split.proposal_starts[-1]),
        **truth,
    }
    return dataclasses.replace(
        split,
        **{
            name: np.concatenate([getattr(split, name), values])  # bool -> float32
            for name, values in more.items()
        },
    )
