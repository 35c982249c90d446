"""Frame-mAP and video-mAP against MMAction2 1.2.0's results and its rules."""

import dataclasses

import numpy as np
import pytest
from benchmarks import plain_video_map
from benchmarks import video_map as made_up

from ava_jax.metrics import tubes as tubes_lib
from ava_jax.metrics import video_map
from ava_jax.metrics.tubes import FrameBoxes, Tubes
from tests import multisports_files

NOT_SCORED = (
    "aerobic kick jump",
    "aerobic off axis jump",
    "aerobic butterfly jump",
    "aerobic balance turn",
    "basketball save",
    "basketball jump ball",
)


class Case:
    """A fixture: what the original was given, and what it made of it."""

    def __init__(self, number):
        self.meta, self.arrays = multisports_files.load(number)
        self.videos = self.meta["test_videos"][0]
        self.num_frames = np.array([self.meta["nframes"][v] for v in self.videos])
        video, frame, label = self.arrays["detections"][:, :3].T.astype(np.int64)
        score, box = np.split(self.arrays["detections"][:, 3:], [1], axis=1)
        self.detections = FrameBoxes(video, frame, label, box, score[:, 0])
        self.truth = self._truth()
        names = enumerate(self.meta["labels"])
        self.class_ids = [i for i, name in names if name not in NOT_SCORED]

    def _truth(self):
        columns = []
        for name, rows in self.arrays.items():
            if name.startswith("gttubes/"):
                video, label, track = name.removeprefix("gttubes/").rsplit("/", 2)
                ids = [self.videos.index(video), int(label), int(track)]
                columns.append(np.hstack([np.tile(ids, (len(rows), 1)), rows]))
        rows = np.concatenate(columns)
        return Tubes.from_tracks(*rows[:, :4].T.astype(np.int64), rows[:, 4:])

    def evaluate(self, **options):
        return video_map.evaluate(
            self.truth, self.detections, self.class_ids, self.num_frames, **options
        )


@pytest.fixture(scope="module", params=[0, 1])
def case(request):
    return Case(request.param)


def percent(values):
    return {name: round(100 * value, 4) for name, value in values.items()}


def test_equals_the_original(case):
    result = case.evaluate(link_scores="last")
    metrics = dict(case.meta["metrics"])
    assert round(100 * result.frame_mean, 4) == metrics.pop("frameAP")
    names = {f"v_map{'_' if ':' in name else '@'}{name}" for name in result.video}
    assert names == set(metrics)
    for name, value in percent(result.video_means).items():
        assert value == metrics[f"v_map{'_' if ':' in name else '@'}{name}"]


def test_average_precision_of_each_class(case):
    result = case.evaluate(link_scores="last")
    found = {
        "frameAP@0.5": result.frame,
        "videoAP@0.2": result.video["0.2"],
        "videoAP@0.5": result.video["0.5"],
    }
    for name, values in case.meta["per_class"].items():
        ours = {case.meta["labels"][i]: 100 * v for i, v in found[name].items()}
        # The original adds up areas in another order.
        assert ours == pytest.approx(values, abs=1e-12)


def test_tubes_are_the_originals(case):
    tubes = case.evaluate(link_scores="last").tubes
    found = [name for name in case.arrays if name.endswith("/tube")]
    assert len(tubes) == len(found)
    places = dict.fromkeys(tubes.label.tolist(), 0)
    for i, label in enumerate(tubes.label.tolist()):
        original = f"tubes/{label}/{places[label]}"
        places[label] += 1
        assert case.videos[tubes.video[i]] == case.arrays[f"{original}/video"]
        assert tubes.score[i] == case.arrays[f"{original}/score"]
        rows = slice(*tubes.starts[i : i + 2])
        expected = case.arrays[f"{original}/tube"]
        np.testing.assert_array_equal(tubes.frame[rows], expected[:, 0])
        np.testing.assert_array_equal(tubes.box[rows], expected[:, 1:5])


@pytest.mark.parametrize(
    ("number", "expected"),
    [(0, (37.3333, 6.6667, 18.8148)), (1, (45.8333, 29.1667, 25.9259))],
)
def test_each_boxs_own_score(number, expected):
    # The original functions with that one line changed.
    case = Case(number)
    result = case.evaluate()
    means = percent(result.video_means)
    assert tuple(means[name] for name in ("0.2", "0.5", "0.10:0.90")) == expected
    assert round(100 * result.frame_mean, 4) == case.meta["metrics"]["frameAP"]
    assert result.link_scores == "own"


@pytest.mark.parametrize("link_scores", ["own", "last"])
def test_equals_the_plain_restatement(link_scores):
    truth, detections, num_frames = made_up.make_tracks(5_000, seed=3)
    # Scores with one decimal: many are equal.
    detections = dataclasses.replace(detections, score=np.round(detections.score, 1))
    classes = range(0, made_up.CLASSES, 2)
    result = video_map.evaluate(
        truth, detections, classes, num_frames, link_scores=link_scores
    )
    expected = plain_video_map.evaluate(
        made_up.by_video(truth),
        made_up.as_rows(detections),
        classes,
        num_frames,
        made_up.CLASSES,
        own_scores=link_scores == "own",
    )
    found = {"frame": result.frame_mean, **result.video_means}
    # The order in which areas are added up differs.
    assert found == pytest.approx(expected, abs=1e-14)
    assert 0.1 < found["0.2"] < 0.9


def boxes_of(frames, box=(10, 10, 50, 90), score=0.5):
    """A person who stands still in some frames of video 0, doing 0."""
    frames = np.asarray(frames, np.int64)
    zeros = np.zeros(len(frames), np.int64)
    box = np.tile(np.array(box, np.float64), (len(frames), 1))
    return FrameBoxes(zeros, frames, zeros, box, np.full(len(frames), score))


def tracks_of(boxes):
    track = np.zeros_like(boxes.label)
    return Tubes.from_tracks(boxes.video, boxes.label, track, boxes.frame, boxes.box)


def test_no_detections_and_no_truth():
    truth, nothing = tracks_of(boxes_of(range(1, 21))), boxes_of([])
    result = video_map.evaluate(truth, nothing, [0, 1], np.array([20]))
    assert (result.frame_mean, len(result.tubes)) == (0, 0)
    assert set(result.video_means.values()) == {0}
    found = boxes_of(range(1, 21))
    result = video_map.evaluate(tracks_of(nothing), found, [0, 1], np.array([20]))
    assert result.frame_mean is None and len(result.tubes) == 1
    assert set(result.video_means.values()) == {None}


def test_a_tube_ends_at_a_gap():
    boxes = boxes_of([*range(3, 18), *range(19, 40), 45])
    for tubes in (tracks_of(boxes), tubes_lib.link(boxes, np.array([60]), shortest=1)):
        np.testing.assert_array_equal(tubes.first_frame, [3, 19, 45])
        np.testing.assert_array_equal(tubes.lengths, [15, 21, 1])
        np.testing.assert_array_equal(tubes.frame, boxes.frame)
    kept = tubes_lib.link(boxes, np.array([60]), shortest=16)
    np.testing.assert_array_equal(kept.first_frame, [19])
    assert not len(tubes_lib.link(boxes_of(range(30), score=0.0049), np.array([60])))


def test_overlap_of_tubes():
    first = tracks_of(boxes_of(range(1, 11)))
    half = tracks_of(boxes_of(range(1, 11), box=(10, 10, 50, 50)))
    later = tracks_of(boxes_of(range(6, 21)))
    last, apart = tracks_of(boxes_of(range(10, 15))), tracks_of(boxes_of([11, 12]))
    only = np.zeros(1, np.int64)
    overlaps = [
        video_map.tube_iou(first, only, other, only)[0]
        for other in (first, half, later, last, apart)
    ]
    # The span of frames 1 to 10 counts 9; of one common frame, 0.
    assert overlaps == [1, 0.5, 4 / 19, 0, 0]


def test_boxes_in_fractions_need_no_pixel():
    # Two people side by side, each 0.1 wide: one more would be beyond the frame.
    left, right = (0.1, 0.1, 0.2, 0.9), (0.3, 0.1, 0.4, 0.9)
    both = [
        np.concatenate(column)
        for column in zip(
            *(
                [getattr(b, f.name) for f in dataclasses.fields(b)]
                for b in (boxes_of([1], left), boxes_of([1], right))
            ),
            strict=True,
        )
    ]
    boxes = FrameBoxes(*both)
    np.testing.assert_array_equal(tubes_lib.suppress(boxes, pixel=0).score, boxes.score)
    assert tubes_lib.suppress(boxes).score.min() < 0.2


def test_an_unknown_rule_for_scores():
    boxes = boxes_of([1])
    with pytest.raises(ValueError, match="link_scores is 'best'"):
        video_map.evaluate(
            tracks_of(boxes), boxes, [0], np.array([1]), link_scores="best"
        )
