"""Many videos at a time give what one at a time gives."""

import numpy as np
import pytest
from predictions import lines_of, predict

from ava_jax import people as person_detectors
from ava_jax.annotations.box_files import read_boxes
from ava_jax.predict import Detector
from ava_jax.visualization.result_files import detections, people_line


@pytest.fixture(scope="module")
def detector(checkpoint):
    return Detector.from_checkpoint(checkpoint)


@pytest.fixture(scope="module")
def in_one_pass(detector, people):
    """Table of detections and JSON lines of a video, by `predict_video`."""

    def run(path, every):
        boxes = person_detectors.open_detector(str(people), (64, 48), path.stem)
        found = list(detector.predict_video(path, boxes, every=every))
        table = detections(found, path.stem, (64, 48), detector.class_ids, 0.002)
        return table, [{"video": path.stem} | people_line(one) for one in found]

    return run


def assert_equal(found, lines, expected):
    tables, expected_lines = zip(*expected, strict=True)
    for name in ("timestamp", "box", "label"):
        wanted = np.concatenate([getattr(table, name) for table in tables])
        np.testing.assert_array_equal(getattr(found, name), wanted)
    names = [name for t in tables for name in np.array(t.videos)[t.video]]
    assert list(np.array(found.videos)[found.video]) == names
    # Sums of a batch have another order when the batch has other clips.
    wanted = np.concatenate([table.score for table in tables])
    np.testing.assert_allclose(found.score, wanted, rtol=0, atol=1e-6)
    without_scores = [drop_scores(line) for line in sum(expected_lines, [])]
    assert [drop_scores(line) for line in lines] == without_scores


def drop_scores(line):
    who = [(person["id"], person["box"]) for person in line["people"]]
    return line["video"], line["time"], who


@pytest.mark.parametrize(
    ("every", "piece", "batch", "beam"),
    [
        (1.0, 300.0, 1, ()),  # one piece a video
        (
            1.0,
            1.0,
            1,
            ("--direct_num_workers=2", "--direct_running_mode=multi_threading"),
        ),
        (1.0, 3.0, 2, ()),
        (0.7, 2.0, 1, ("--runner=DirectRunner",)),
    ],
)
def test_results_are_those_of_one_pass(
    in_one_pass, videos, checkpoint, people, tmp_path, every, piece, batch, beam
):
    given = sorted(videos.iterdir())
    where = {"checkpoint": checkpoint, "people": people, "out": tmp_path / "out"}
    where = {name: str(path) for name, path in where.items()}
    failed = predict(
        [videos / "*"], *beam, every=every, piece=piece, batch=batch, **where
    )
    assert failed == []
    out = tmp_path / "out"
    expected = [in_one_pass(path, every) for path in given]
    assert_equal(
        read_boxes(out / "actions-00000-of-00001.parquet", kind="detections"),
        lines_of(out),
        expected,
    )
    pieces = len(list(out.glob("work/pieces/*/*.npz")))
    assert pieces == 4 if piece == 300 else pieces > 8


@pytest.mark.slow
def test_processes(in_one_pass, videos, checkpoint, people, tmp_path):
    where = {"checkpoint": checkpoint, "people": people, "out": tmp_path / "out"}
    where = {name: str(path) for name, path in where.items()}
    beam = "--direct_num_workers=2", "--direct_running_mode=multi_processing"
    assert predict([videos / "*"], *beam, piece=1.0, **where) == []
    expected = [in_one_pass(path, 1.0) for path in sorted(videos.iterdir())]
    found = tmp_path / "out/actions-00000-of-00001.parquet"
    found = read_boxes(found, kind="detections")
    assert_equal(found, lines_of(tmp_path / "out"), expected)
