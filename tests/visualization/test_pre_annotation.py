"""What is suggested for people to correct: from a video to its files."""

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from made_up import made_up_variables
from video_files import pictures, write_video

from ava_jax import annotations, people
from ava_jax.annotations import tools
from ava_jax.checkpoints.pytorch import convert_file
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.writer import write_pytorch
from ava_jax.errors import UserError
from ava_jax.predict import Detector
from ava_jax.visualization.pre_annotation import FORMATS, Options, pre_annotate

THRESHOLD = 0.52  # between the scores that the made-up network gives
LABELS = {1: "stand", 2: "<script>walk"}
# Two people in a, who move to the right; the second is not there at 0.
PEOPLE = """\
a,0000,0.1,0.2,0.3,0.8,,0.9
a,0001,0.12,0.2,0.32,0.8,,0.9
a,0001,0.7,0.2,0.9,0.8,,0.8
a,0002,0.14,0.2,0.34,0.8,,0.9
a,0002,0.7,0.2,0.9,0.8,,0.3
b,0001,0.5,0.1,0.6,0.9,,0.9
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("videos")
    for name, count in (("a", 30), ("b", 20)):
        write_video(folder / f"{name}.mov", pictures(count))
    (folder / "people.csv").write_text(PEOPLE)
    return folder


def annotate(folder, out, detector=None, **options):
    videos = [str(folder / f"{name}.mov") for name in ("a", "b")]
    options = Options(people=str(folder / "people.csv"), **options)
    return pre_annotate(videos, out, options, detector=detector, labels=LABELS)


def page_data(out):
    page = (out / "review.html").read_text()
    text = page.split('<script type="application/json" id="data">')[1]
    return json.loads(text.partition("</script>")[0])


def test_people_without_a_model(folder, tmp_path):
    out = tmp_path / "out"
    told = annotate(folder, out)
    assert "5 key frames, 5 boxes of 3 people; 5 s of video" in told
    assert (out / "boxes.csv").read_text() == (
        "a,0000,0.1,0.2,0.3,0.8,,1\n"
        "a,0001,0.12,0.2,0.32,0.8,,1\n"
        "a,0001,0.7,0.2,0.9,0.8,,2\n"
        "a,0002,0.14,0.2,0.34,0.8,,1\n"
        "b,0000\n"
        "b,0001,0.5,0.1,0.6,0.9,,1\n"
    )
    assert annotations.read_labels(out / "actions.txt") == LABELS
    header, *rows = (out / "next.csv").read_text().splitlines()
    assert header == "video,timestamp,reason,value"
    assert rows == [
        f"{key},spread over the video,0.000"
        for key in ("a,0000", "b,0000", "a,0002", "b,0001", "a,0001")
    ]
    data = page_data(out)
    assert data["actions"] == [[1, "stand"], [2, "<script>walk"]]
    assert [frame["time"] for frame in data["frames"]] == [
        *("0000", "0001", "0002", "0000", "0001")
    ]
    assert not (out / "scores.csv").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_projects_of_tools(folder, tmp_path, format):
    annotate(folder, tmp_path, format=format)
    paths = {"cvat": ["cvat/a.xml", "cvat/b.xml"]}.get(format, [f"{format}.json"])
    found = [box for path in paths for box in tools.read(tmp_path / path).boxes]
    assert len([box for box in found if box.is_drawn]) == 5
    assert {box.person for box in found} == {"1", "2"}


@pytest.fixture(scope="module")
def detector(new_tiny_config):
    config = new_tiny_config()
    config.model.backbone, config.model.num_classes = "slowonly", 3
    return Detector(config, made_up_variables(config.model), LABELS)


def test_a_model_suggests_actions(folder, tmp_path, detector):
    annotate(folder, tmp_path, detector, every=0.5, threshold=THRESHOLD, batch=2)
    scores = annotations.read_boxes(tmp_path / "scores.csv", kind="detections")
    kept = annotations.read_boxes(tmp_path / "boxes.csv")
    found = people.open_detector(str(folder / "people.csv"), (64, 48), "a", 0.5)
    film = folder / "a.mov"
    results = list(detector.predict_video(film, found, every=0.5, batch=2))
    rows = [
        (result.time, number, result.scores[k, 1:])
        for result in results
        for k, number in sorted(enumerate(result.track_ids), key=lambda x: x[1])
    ]
    assert len(rows) == 8
    # The made-up network gives every action more than evaluation's threshold.
    of_a = scores.select(scores.video == 0, np.zeros(0, bool))
    np.testing.assert_array_equal(of_a.timestamp, np.repeat([r[0] for r in rows], 2))
    np.testing.assert_array_equal(of_a.label, [1, 2] * 8)
    expected = np.concatenate([row[2] for row in rows])
    np.testing.assert_array_equal(of_a.score.astype(np.float32), expected)
    suggested = [
        (time, number, label)
        for time, number, values in rows
        for label in np.flatnonzero(values >= THRESHOLD) + 1
    ]
    assert 0 < len(suggested) < 16
    given = kept.select((kept.video == 0) & (kept.label > 0), kept.keyframe_video < 0)
    columns = (given.timestamp, given.entity, given.label)
    assert [*zip(*columns, strict=True)] == suggested
    rows_of_choice = (tmp_path / "next.csv").read_text().splitlines()[1:]
    assert len(rows_of_choice) == len(results) + 4
    assert all(float(row.split(",")[3]) <= 1 for row in rows_of_choice)
    data = page_data(tmp_path)
    # The action with more of the scores comes first.
    sums = [scores.score[scores.label == label].sum() for label in (1, 2)]
    assert data["actions"][0][0] == 1 + np.argmax(sums)
    assert set(data["frames"][0]["people"][0]["scores"]) == {"1", "2"}


def test_the_command(folder, tmp_path, new_tiny_config, capsys):
    config = new_tiny_config()
    config.model.backbone = "slowonly"
    weights = to_state_dict(made_up_variables(config.model))
    write_pytorch(tmp_path / "tiny.pth", weights, {})
    convert_file.convert_file(tmp_path / "tiny.pth", tmp_path / "tiny", config)
    path = Path(__file__).parents[2] / "scripts/prepare_ava.py"
    main = runpy.run_path(str(path))["main"]
    out = tmp_path / "out"
    flags = [f"--detector={folder / 'people.csv'}", f"--out={out}", "--format=via3"]
    main(
        ["annotate", str(folder / "a.mov"), f"--checkpoint={tmp_path / 'tiny'}", *flags]
    )
    names = ["boxes.csv", "actions.txt", "next.csv", "review.html", "scores.csv"]
    written = [str(out / name) for name in [*names, "via3.json"]]
    assert capsys.readouterr().out.split()[-6:] == written
    scores = annotations.read_boxes(out / "scores.csv", kind="detections")
    known = annotations.read_labels(out / "actions.txt")
    assert set(scores.label.tolist()) == set(known)
    # Without a checkpoint the actions are AVA's.
    main(["annotate", str(folder / "a.mov"), *flags])
    assert len(annotations.read_labels(out / "actions.txt")) == 80


def test_bad_input(folder, tmp_path):
    film = str(folder / "a.mov")
    options = Options(people=str(folder / "people.csv"))
    with pytest.raises(UserError, match="have the same name"):
        pre_annotate([film, film], tmp_path, options, labels=LABELS)
    with pytest.raises(UserError, match="has no end"):
        pre_annotate(["0"], tmp_path, options, labels=LABELS)
    with pytest.raises(UserError, match="expected 1/10 or more"):
        pre_annotate([film], tmp_path, Options(every=0.01, people="hog"), labels=LABELS)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="cannot be made"):
        pre_annotate([film], tmp_path / "file", options, labels=LABELS)
