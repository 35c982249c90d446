"""Frame-mAP and video-mAP against MMAction2 1.2.0's results and its rules."""

import json
from pathlib import Path

import numpy as np
import pytest

from ava_jax.metrics import video_map
from ava_jax.metrics.tubes import FrameBoxes, Tubes

REFERENCE = Path(__file__).parents[1] / "data" / "reference" / "multisports"
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
        path = REFERENCE / f"multisports_eval_{number}"
        self.meta = json.loads(path.with_suffix(".json").read_text())
        self.arrays = dict(np.load(path.with_suffix(".npz")))
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
