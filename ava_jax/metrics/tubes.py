"""Tubes: the boxes of one person in consecutive frames, and linking boxes to them.

The linking is that of MultiSports and MMAction2 1.x (`link_tubes` of
`mmaction/evaluation/functional/multisports_utils.py`), one box a step. All videos
and classes are linked together, frame by frame. Where scores are equal, sorts are
stable here; the original leaves the order to NumPy's unstable sort.
"""

import dataclasses

import numpy as np

from ava_jax.metrics.iou import iou

MAX_PER_FRAME = 10
LINK_IOU = 0.5
LOWEST_SCORE = 0.005
SHORTEST = 15
SUPPRESSION_IOU = 0.6


@dataclasses.dataclass(frozen=True, eq=False)
class FrameBoxes:
    """Detections, one row each.

    Attributes:
      video: (N,) int64, numbers of videos.
      frame: (N,) int64, numbers of frames.
      label: (N,) int64, class ids.
      box: (N, 4) float64, xyxy.
      score: (N,) float64.
    """

    video: np.ndarray
    frame: np.ndarray
    label: np.ndarray
    box: np.ndarray
    score: np.ndarray

    def select(self, rows: np.ndarray) -> "FrameBoxes":
        """Some of the rows: a mask or their numbers."""
        columns = (getattr(self, f.name)[rows] for f in dataclasses.fields(self))
        return FrameBoxes(*columns)


@dataclasses.dataclass(frozen=True, eq=False)
class Tubes:
    """Tubes of consecutive frames.

    Attributes:
      video: (T,) int64, number of the video.
      label: (T,) int64, class id.
      score: (T,) float64; 0 in ground truth.
      starts: (T + 1,) int64: tube i has the rows `starts[i]` to `starts[i + 1]`.
      first_frame: (T,) int64; the rows of a tube are its frames from there on.
      box: (B, 4) xyxy of each row, float32 for linked tubes.
    """

    video: np.ndarray
    label: np.ndarray
    score: np.ndarray
    starts: np.ndarray
    first_frame: np.ndarray
    box: np.ndarray

    def __len__(self) -> int:
        """Number of tubes."""
        return len(self.video)

    @property
    def lengths(self) -> np.ndarray:
        """(T,) int64, frames of each tube."""
        return np.diff(self.starts)

    @property
    def frame(self) -> np.ndarray:
        """(B,) int64, frame of each row."""
        return ranges(self.first_frame, self.lengths)

    @classmethod
    def from_tracks(
        cls,
        video: np.ndarray,
        label: np.ndarray,
        track: np.ndarray,
        frame: np.ndarray,
        box: np.ndarray,
    ) -> "Tubes":
        """Tubes of annotated boxes; a track with a gap is a tube before and one after.

        Args:
          video: (B,) numbers of videos.
          label: (B,) class ids.
          track: (B,) which person or instance of the video each box is of.
          frame: (B,) numbers of frames, each once in a track of a class.
          box: (B, 4) xyxy.
        """
        order = np.lexsort((frame, track, label, video))
        video, label, track, frame = (x[order] for x in (video, label, track, frame))
        # A new tube begins where one of the columns jumps.
        same = np.ones(max(len(video) - 1, 0), bool)
        for column, step in ((video, 0), (label, 0), (track, 0), (frame, 1)):
            same &= np.diff(column) == step
        first = np.flatnonzero(np.append(True, ~same)[: len(video)])
        return cls(
            video=video[first],
            label=label[first],
            score=np.zeros(len(first)),
            starts=np.append(first, len(video)),
            first_frame=frame[first],
            box=box[order],
        )


def ranges(starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """The numbers `starts[i]`, ..., `starts[i] + lengths[i] - 1` of all i in turn."""
    ends = np.cumsum(lengths)
    offset = np.repeat(starts - (ends - lengths), lengths)
    return offset + np.arange(len(offset))


def means(values: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Mean of each run of values, bit for bit `np.mean` of the run.

    Args:
      values: (sum of lengths,) float64.
      lengths: (R,) int64, at least 1.
    """
    result = np.empty(len(lengths))
    starts = np.cumsum(lengths) - lengths
    for length, runs in _equal(lengths):
        # Along the last axis, NumPy adds up as it does in one dimension.
        rows = values[starts[runs][:, None] + np.arange(length)]
        result[runs] = rows.mean(axis=1)
    return result


def link(
    detections: FrameBoxes,
    num_frames: np.ndarray,
    *,
    pixel: float = 1.0,
    shortest: int = SHORTEST,
) -> Tubes:
    """Links the boxes of consecutive frames, for each video and class.

    In each frame, boxes are suppressed softly and the best 10 stay. Tubes, by
    descending mean score, take the best-scored box that has IoU 0.5 or more with
    their last one; a tube that finds none ends, and boxes that are left begin tubes.

    Args:
      detections: the boxes.
      num_frames: (V,) last frame of each video.
      pixel: what is added to the sides of boxes for the suppression; 1 for boxes in
        pixels, 0 for fractions.
      shortest: frames of the shortest tube that is kept.

    Returns:
      The tubes whose mean score is at least 0.005, by class and video, and then in
      the order in which they ended.
    """
    boxes = suppress(detections, pixel=pixel)
    tube_of, ended = _Linking(boxes, num_frames).run()
    rows = np.argsort(tube_of, kind="stable")
    lengths = np.bincount(tube_of, minlength=len(ended))
    score = means(boxes.score[rows], lengths)
    starts = np.cumsum(lengths) - lengths
    kept = ended[(score[ended] >= LOWEST_SCORE) & (lengths[ended] >= shortest)]
    first = rows[starts[kept]]
    order = np.lexsort((boxes.video[first], boxes.label[first]))
    kept, first = kept[order], first[order]
    return Tubes(
        video=boxes.video[first],
        label=boxes.label[first],
        score=score[kept],
        starts=np.append(0, np.cumsum(lengths[kept])),
        first_frame=boxes.frame[first],
        box=boxes.box[rows[ranges(starts[kept], lengths[kept])]].astype(np.float32),
    )


def suppress(boxes: FrameBoxes, *, pixel: float = 1.0) -> FrameBoxes:
    """Soft suppression at IoU 0.6, for each frame and class; the best 10 stay.

    By descending score, a box that overlaps one that was kept has its score times
    one minus their IoU, and suppresses nothing itself.

    Args:
      boxes: the detections.
      pixel: see `link`.

    Returns:
      Boxes by frame, video and class, and within these by descending score.
    """
    cell = _cells(boxes.frame, boxes.video, boxes.label)
    # Of equal scores the later row is first, as in a reversed sort.
    latest = -np.arange(len(cell))
    left = np.lexsort((latest, -boxes.score, cell))
    weight = np.ones(len(cell))
    while len(left):
        is_best = _is_first(cell[left])
        counts = np.diff(np.append(np.flatnonzero(is_best), len(left)))
        best = np.repeat(left[is_best], counts)
        overlap = _wide_iou(boxes.box[best], boxes.box[left], pixel)
        overlaps = ~is_best & (overlap > SUPPRESSION_IOU)
        weight[left[overlaps]] = 1 - overlap[overlaps]
        left = left[~is_best & (overlap <= SUPPRESSION_IOU)]
    score = boxes.score * weight
    order = np.lexsort((latest, -score, cell))
    first = np.flatnonzero(_is_first(cell[order]))
    counts = np.diff(np.append(first, len(order)))
    stays = ranges(np.zeros_like(counts), counts) < MAX_PER_FRAME
    return dataclasses.replace(boxes, score=score).select(order[stays])


class _Linking:
    """The linking of all videos and classes, frame by frame.

    A group is a video and a class. Tubes that have not ended are in arrays of one
    row each, sorted by group, in a group by the order in which they take boxes.
    """

    def __init__(self, boxes: FrameBoxes, num_frames: np.ndarray):
        self._boxes = boxes
        self._group = _cells(boxes.video, boxes.label)
        self._num_frames = num_frames
        self._tube_of = np.zeros(len(boxes.video), np.int64)
        self._count = 0  # tubes begun
        self._ended = [np.zeros(0, np.int64)]
        # The row of each tube's last box, its number, first frame and place in the
        # history of scores. Every such tube has a box in the last frame.
        self._live = np.zeros((4, 0), np.int64)
        self._first = boxes.frame.min() if len(boxes.frame) else 0
        _, sizes = np.unique(boxes.frame, return_counts=True)
        places = sizes.max(initial=0)
        self._free = np.arange(places)
        # The last tubes end in the frame after the last box.
        span = boxes.frame.max(initial=0) - self._first + 2
        self._history = np.zeros((places, span))

    def run(self) -> tuple[np.ndarray, np.ndarray]:
        """(N,) number of each box's tube, and the tubes in the order of their end."""
        frames, starts = np.unique(self._boxes.frame, return_index=True)
        ends = np.append(starts, len(self._boxes.frame))[1:]
        last = None
        for frame, start, end in zip(frames.tolist(), starts, ends, strict=True):
            if last is not None and frame > last + 1:
                self._step(last + 1, np.zeros(0, np.int64))
            self._step(frame, np.arange(start, end))
            last = frame
        if last is not None:
            self._step(last + 1, np.zeros(0, np.int64))
        return self._tube_of, np.concatenate(self._ended)

    def _step(self, frame: int, rows: np.ndarray) -> None:
        """Gives the boxes `rows` of `frame` to tubes, ends tubes and begins others."""
        last_frame = self._num_frames[self._boxes.video[self._live[0]]]
        self._end(self._live[:, last_frame < frame])
        self._live = self._live[:, last_frame >= frame]
        group = self._group[self._live[0]]
        order = np.lexsort((-self._means(frame), group))
        self._live, group = self._live[:, order], group[order]
        found = self._match(group, rows)
        # The original takes them from its list from the end.
        self._end(self._live[:, found < 0][:, ::-1])
        self._live = self._live[:, found >= 0]
        self._live[0] = rows[found[found >= 0]]
        begin = np.delete(rows, found[found >= 0])
        self._live = np.concatenate([self._live, self._begin(frame, begin)], axis=1)
        row, tube, _, place = self._live
        self._tube_of[row] = tube
        self._history[place, frame - self._first] = self._boxes.score[row]
        order = np.argsort(self._group[row], kind="stable")
        self._live = self._live[:, order]

    def _begin(self, frame: int, rows: np.ndarray) -> np.ndarray:
        """New tubes, as in `_live`."""
        count = len(rows)
        tubes = self._count + np.arange(count)
        self._count += count
        place, self._free = self._free[:count], self._free[count:]
        return np.stack([rows, tubes, np.full(count, frame), place])

    def _end(self, tubes: np.ndarray) -> None:
        self._ended.append(tubes[1])
        self._free = np.concatenate([self._free, tubes[3]])

    def _means(self, frame: int) -> np.ndarray:
        """Mean score of each tube before `frame`, as `np.mean` rounds it."""
        _, _, first, place = self._live
        result = np.empty(len(first))
        end = frame - self._first
        for begin, tubes in _equal(first):
            rows = self._history[place[tubes], begin - self._first : end]
            result[tubes] = rows.mean(axis=1)
        return result

    def _match(self, group: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Which of `rows` each tube takes; -1: none.

        Args:
          group: of each tube.
          rows: boxes of the frame, in each group by descending score.
        """
        of_rows = self._group[rows]
        low = np.searchsorted(of_rows, group, side="left")
        counts = np.searchsorted(of_rows, group, side="right") - low
        tube = np.repeat(np.arange(len(group)), counts)
        row = ranges(low, counts)
        box = self._boxes.box
        near = iou(box[rows[row]], box[self._live[0, tube]]) >= LINK_IOU
        tube, row = tube[near], row[near]
        found = np.full(len(group), -1)
        taken = np.zeros(len(rows), bool)
        # In turn the first, second, ... tubes of all groups choose.
        turn = np.arange(len(group)) - np.searchsorted(group, group)
        for _, pairs in _equal(turn[tube]):
            pairs = pairs[~taken[row[pairs]]]
            pairs = pairs[_is_first(tube[pairs])]
            found[tube[pairs]] = row[pairs]
            taken[row[pairs]] = True
        return found


def _cells(*columns: np.ndarray) -> np.ndarray:
    """A number for each row that is the same, and sorts, as its values do."""
    cell = np.zeros(len(columns[0]), np.int64)
    for column in columns:
        values = column - column.min(initial=0)
        cell = cell * (values.max(initial=0) + 1) + values
    return cell


def _is_first(sorted_values: np.ndarray) -> np.ndarray:
    """Which values differ from the one before."""
    return np.append(True, np.diff(sorted_values) != 0)[: len(sorted_values)]


def _equal(values: np.ndarray):
    """Each different value, and the ascending places where it is."""
    order = np.argsort(values, kind="stable")
    starts = np.flatnonzero(_is_first(values[order]))
    for start, end in zip(starts, [*starts[1:], len(values)], strict=False):
        yield values[order[start]], order[start:end]


def _wide_iou(a: np.ndarray, b: np.ndarray, pixel: float) -> np.ndarray:
    """IoU of (N, 4) boxes whose widths and heights are `pixel` more."""
    shared, area_a, area_b = 1.0, 1.0, 1.0
    for low, high in ((0, 2), (1, 3)):
        end = np.minimum(a[:, high], b[:, high])
        side = end - np.maximum(a[:, low], b[:, low]) + pixel
        shared = shared * np.maximum(0, side)
        area_a = area_a * (a[:, high] - a[:, low] + pixel)
        area_b = area_b * (b[:, high] - b[:, low] + pixel)
    with np.errstate(invalid="ignore"):  # 0 / 0
        return shared / (area_b + area_a - shared)
