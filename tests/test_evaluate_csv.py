"""The command line that scores CSV files, and what it says about bad ones."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ava_jax import annotations
from ava_jax.annotations import detection_checks

ROOT = Path(__file__).parents[1]
DATA = ROOT / "tests" / "data" / "annotations"
LABELS = {5: "fall down", 6: "get up"}


def run(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "evaluate_csv.py", *arguments],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )


def flags(**changes):
    values = {
        "ground-truth": DATA / "val_v2.1_head.csv.gz",
        "detections": DATA / "detections.csv",
        "label-map": DATA / "labels_item.pbtxt",
        "exclusions": DATA / "excluded.csv",
    }
    values |= changes
    return [
        str(part) for name, value in values.items() for part in (f"--{name}", value)
    ]


def test_scores_and_compares(tmp_path):
    out = tmp_path / "out.json"
    # The same detections in another kind of file.
    npz = tmp_path / "detections.npz"
    table = annotations.read_boxes(DATA / "detections.csv", kind="detections")
    annotations.write_detections(npz, table)
    compare = DATA / "detections.csv"
    done = run(
        *flags(detections=npz, json=out, protocol="mmaction2", compare=compare),
        *("--resamples", "3", "--report", tmp_path / "report"),
    )
    assert done.returncode == 0, done.stderr
    assert f"Report: {tmp_path / 'report' / 'index.html'}" in done.stdout
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert f"<b>{json.loads(out.read_text())['mAP']:.3f}</b>mAP, mmaction2" in page
    summary = json.loads(out.read_text())
    reference = json.loads((DATA / "reference_map.json").read_text())
    assert summary["protocol"] == "mmaction2"
    for name, values in reference.items():
        found = summary["protocols"][name]
        assert found["mAP"] == pytest.approx(values["mAP"], abs=1e-14)
        assert f"{values['mAP']:.4f}" in done.stdout
        assert set(found["groups"]) == {"pose", "object", "person"}
    assert set(summary["counts"]["per_class"]) == set(summary["per_class"])
    interval = summary["interval"]
    assert interval["low"] <= interval["mAP"] <= interval["high"]
    assert interval["mAP"] == pytest.approx(summary["mAP"], abs=1e-13)
    assert "95 % interval" in done.stdout or "more than one video" in done.stdout
    zero = {"difference": 0, "low": 0, "high": 0}
    assert summary["comparison"]["mAP"] == zero
    # A class that is not averaged is not compared, and shown so.
    assert summary["comparison"]["per_class"]["4"]["difference"] is None
    assert " n/a" in done.stdout
    # What is doubtful is said once, on the other stream.
    assert done.stderr.count("that the label map does not name") == 3
    assert "Traceback" not in done.stderr


def test_several_files_a_side_are_runs(tmp_path):
    out = tmp_path / "out.json"
    lines = (DATA / "detections.csv").read_text().splitlines()
    half = tmp_path / "half.csv"
    half.write_text("\n".join(lines[::2]) + "\n")
    files = [DATA / "detections.csv", half]
    done = run(
        *flags(json=out, resamples=20),
        *("--detections", *files, "--compare", half, half),
    )
    assert done.returncode == 0, done.stderr
    comparison = json.loads(out.read_text())["comparison"]["mAP"]
    whole = json.loads(out.read_text())["mAP"]
    done = run(*flags(detections=half, json=out, resamples=0))
    assert done.returncode == 0 and "interval" not in done.stdout
    # The mean of both against twice the worse: half of the difference.
    expected = (json.loads(out.read_text())["mAP"] - whole) / 2
    assert comparison["difference"] == pytest.approx(expected, abs=1e-13)
    assert "interval" not in json.loads(out.read_text())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"detections": "nowhere.csv"}, "nowhere.csv: cannot be read"),
        ({"label-map": DATA / "detections.csv"}, "expected a label"),
        ({"exclusions": DATA / "detections.csv"}, "expected video,timestamp"),
        ({"json": "/nowhere/out.json"}, "cannot be written"),
        ({"detections": DATA / "predicted_boxes.csv"}, "No row has an action"),
    ],
)
def test_users_errors_have_no_traceback(changes, message):
    done = run(*flags(**changes))
    assert done.returncode == 1
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_no_fewer_than_no_resamples():
    done = run(*flags(), "--resamples=-1")
    assert done.returncode == 2
    assert "-1 is not a whole number, 0 or more" in done.stderr


def test_lenient_goes_on(tmp_path):
    text = (DATA / "detections.csv").read_text()
    detections = tmp_path / "detections.csv"
    detections.write_text("1j20qq1JyX4,902,a,b,c,d,12,0.5\n" + text)
    done = run(*flags(detections=detections))
    assert done.returncode == 1
    assert "detections.csv:1\nThe first: x1 is 'a'" in done.stderr
    out = tmp_path / "out.json"
    done = run(*flags(detections=detections, json=out), "--lenient")
    assert done.returncode == 0, done.stderr
    assert "WARNING" in done.stderr
    reference = json.loads((DATA / "reference_map.json").read_text())
    assert json.loads(out.read_text())["mAP"] == pytest.approx(
        reference["pyslowfast"]["mAP"], abs=1e-14
    )


TRUTH = "v,0902,.1,.2,.3,.4,5,0\nv,0903,.1,.2,.3,.4,6,0\n"
FOUND = "v,0902,.1,.2,.3,.4,5,.5\nv,0903,.1,.2,.3,.4,6,.5\n"


@pytest.mark.parametrize(
    ("truth", "found", "name", "line", "count", "fatal"),
    [
        (TRUTH, FOUND + "v,0904,.1,.2,.3,.4,5,.5\n" * 2, *("without ground", 3, 2, 0)),
        (TRUTH + "v,9,0,0,1,1,5,0\n", FOUND, "without detections", 3, 1, 0),
        (TRUTH, FOUND.replace("v,", "v.mp4,"), "no common key frame", 1, 2, 1),
        (TRUTH, FOUND + "v,902,.1,.2,.3,.4,5,1.5\n", "scores outside", 3, 1, 0),
        (TRUTH, FOUND + "v,902,.1,.2,.3,.4,5,-.5\n", "scores outside", 3, 1, 0),
        (TRUTH, "v,902,.1,.2,.3,.4,5\n", "without a score", 1, 1, 0),
        (TRUTH, TRUTH, "seem to be ground truth", 1, 2, 0),
        (TRUTH, TRUTH.replace(",0\n", ",1\n"), "seem to be ground truth", 1, 2, 0),
        (TRUTH, TRUTH.replace(",0\n", "\n"), "seem to be ground truth", 1, 2, 0),
        (TRUTH, TRUTH.replace(",.1,", ",.11,"), "seem to be ground truth", 1, 2, 0),
        (
            TRUTH,
            FOUND.replace("4,5,", "4,0,").replace("4,6,", "4,5,"),
            *("from 0", 1, 1, 1),
        ),
        (TRUTH, FOUND + "v,902,.1,.2,.3,.4,0,.5\n", "without an action id", 3, 1, 0),
        (TRUTH, FOUND + "v,902,10,20,30,40,5,.5\n", "pixel", 3, 1, 1),
        (TRUTH, FOUND * 200 + "v,902,10,20,30,40,5,.5\n", "pixel", 401, 1, 0),
        (TRUTH, FOUND * 20 + "v,902,10,20,30,40,5,.5\n", "pixel", 41, 1, 1),
        (TRUTH + "v,902,10,20,30,40,5,1\n", FOUND, "pixel", 3, 1, 1),
        (TRUTH, FOUND + "v,902,-.1,.2,.3,1.1,5,.5\n", "outside the frame", 3, 1, 0),
        (TRUTH, FOUND + "v,902,.3,.2,.1,.4,5,.5\n", "inverted", 3, 1, 0),
        (TRUTH, FOUND + "v,902,.3,.2,.1,.4,5,.5\n" * 3, "inverted", 3, 3, 1),
        (TRUTH + "v,902,.3,.2,.1,.4,5,0\n", FOUND, "inverted", 3, 1, 1),
        (TRUTH, FOUND + "v,902,.3,.2,.3,.4,5,.5\n", "without area", 3, 1, 0),
        (TRUTH, FOUND + "v,902,.3,.2,.4,.4,7,.5\n", "does not name", 3, 1, 0),
        (TRUTH + "v,902,.3,.2,.4,.4,7,0\n", FOUND, "does not name", 3, 1, 0),
        (TRUTH, FOUND + "v,902,.3,.2,.4,.4,,.5\n", "without an action", 3, 1, 0),
        (TRUTH, "v,902,.3,.2,.4,.4,7,.5\n", "nothing to score", 0, 1, 1),
        (TRUTH, "", "nothing to score", 0, 1, 1),
        ("", FOUND, "nothing to score", 0, 1, 1),
        (TRUTH, FOUND.replace(",0", ","), "unpadded timestamp", 1, 2, 0),
        (TRUTH.replace(",0", ","), FOUND, "unpadded timestamp", 1, 2, 0),
    ],
)
def test_what_is_doubtful(tmp_path, truth, found, name, line, count, fatal):
    tables = []
    for kind, text in (("ground_truth", truth), ("detections", found)):
        path = tmp_path / f"{kind}.csv"
        path.write_text(text)
        tables.append(annotations.read_boxes(path, kind=kind))
    (finding,) = (
        finding
        for finding in detection_checks.check_detections(*tables, LABELS)
        if name in finding.name
    )
    assert (finding.count, finding.is_problem) == (count, bool(fatal))
    assert finding.places[0].endswith(f".csv:{line}" if line else ".csv")


def test_certain_detections_are_no_ground_truth():
    """Other boxes, all with a score of 1."""
    truth, found = (
        annotations.BoxTable.from_columns(
            ["v"],
            np.zeros(2),
            [902, 903],
            np.array([[0, 0, 0.5, end]] * 2),
            label=[5, 6],
            score=np.ones(2),
        )
        for end in (0.5, 0.6)
    )
    assert detection_checks.check_detections(truth, found, LABELS) == []


def test_nothing_is_doubtful_about_good_files(tmp_path):
    tables = []
    for kind, text in (("ground_truth", TRUTH), ("detections", FOUND)):
        path = tmp_path / f"{kind}.csv"
        path.write_text(text)
        tables.append(annotations.read_boxes(path, kind=kind))
    assert detection_checks.check_detections(*tables, LABELS) == []
    # In pixels on both sides, IoU is right.
    for table in tables:
        table.box[:] *= 100
    findings = detection_checks.check_detections(*tables, LABELS)
    assert [finding.is_problem for finding in findings] == [False, False]
