import json

import numpy as np
import pytest
from video_results import result

from ava_jax import errors, scoring
from ava_jax.annotations import read_boxes
from ava_jax.visualization.result_files import write_csv, write_jsonl

CLASS_IDS = (0, 12, 14, 79)
RESULTS = [
    result(0.0, {1: ((16, 12, 32, 48), (0.9, 0.001, 0.2))}),
    result(1.0, {}),
    result(1.5, {1: ((16, 12, 32, 48), (0.5, 0, 0)), 4: ((-8, 0, 80, 24), (0, 1, 0))}),
]


def test_csv_is_what_ava_reads(tmp_path):
    path = tmp_path / "out.csv"
    write_csv(path, RESULTS, "movie", (64, 48), CLASS_IDS, start=900)
    table = read_boxes(path, kind="detections")
    assert table.videos == ("movie",)
    assert table.timestamp.tolist() == [900, 900, 901.5, 901.5]
    assert table.label.tolist() == [12, 79, 12, 14]
    np.testing.assert_allclose(table.score, [0.9, 0.2, 0.5, 1.0], rtol=1e-7)
    np.testing.assert_array_equal(
        table.box, [[0.25, 0.25, 0.5, 1.0]] * 3 + [[0, 0, 1, 0.5]]
    )
    assert path.read_text().startswith("movie,0900,0.25,")


def test_csv_can_be_scored(tmp_path):
    truth = tmp_path / "truth.csv"
    truth.write_text("movie,0000,0.25,0.25,0.5,1,12,0\nmovie,0001,0,0,1,0.5,14,0\n")
    write_csv(tmp_path / "out.csv", RESULTS, "movie", (64, 48), CLASS_IDS)
    tables = read_boxes(truth), read_boxes(tmp_path / "out.csv", kind="detections")
    summary = scoring.score_tables(*tables, {12: "stand", 14: "walk"})
    assert summary["per_class"] == {"12": 1.0, "14": 0.0}


@pytest.mark.parametrize("results", [[], [result(0.0, {})]])
def test_nobody(tmp_path, results):
    write_csv(tmp_path / "out.csv", results, "movie", (64, 48), CLASS_IDS)
    assert (tmp_path / "out.csv").read_text() == ""
    write_jsonl(tmp_path / "out.jsonl", results)
    lines = (tmp_path / "out.jsonl").read_text().splitlines()
    assert [json.loads(line) for line in lines] == [{"time": 0, "people": []}] * len(
        results
    )


def test_json_lines(tmp_path):
    write_jsonl(tmp_path / "out.jsonl", RESULTS)
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").open()]
    assert [line["time"] for line in lines] == [0, 1, 1.5]
    talk = RESULTS[0].labels[3]
    # The best first; below 0.05 is not told.
    assert list(lines[0]["people"][0]["actions"].items()) == [
        ("stand", 0.9),
        (talk, 0.2),
    ]
    assert lines[2]["people"][1] == {
        "id": 4,
        "box": [-8, 0, 80, 24],
        "actions": {"walk": 1},
    }


@pytest.mark.parametrize("write", [write_jsonl, write_csv])
def test_cannot_be_written(tmp_path, write):
    more = () if write is write_jsonl else ("movie", (64, 48), CLASS_IDS)
    with pytest.raises(errors.UserError, match="none/out.*cannot be written"):
        write(tmp_path / "none" / "out", RESULTS, *more)
    assert not list(tmp_path.iterdir())
