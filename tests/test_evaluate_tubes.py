"""The command line that links and scores tubes, and the files that it reads."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from ava_jax import annotations, scoring
from ava_jax.annotations import tracks
from ava_jax.errors import UserError
from tests import multisports_files

ROOT = Path(__file__).parents[1]


def run(*arguments):
    return subprocess.run(
        [sys.executable, ROOT / "scripts" / "evaluate_csv.py", *map(str, arguments)],
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(ROOT), "PATH": ""},
    )


@pytest.fixture(params=[0, 1])
def case(request, tmp_path):
    """Description of a fixture, and the paths of ground truth and detections."""
    meta, arrays = multisports_files.load(request.param)
    truth = multisports_files.ground_truth(meta, arrays)
    truth = multisports_files.write_pickle(tmp_path / "multisports_GT.pkl", truth)
    dump = multisports_files.dump(meta, arrays)
    dump = multisports_files.write_pickle(tmp_path / "dump.pkl", dump)
    rows = tmp_path / "rows.csv"
    rows.write_text("\n".join(multisports_files.csv_rows(meta, arrays)) + "\n")
    return meta, truth, dump, rows


def scores(truth, detections, **options):
    found = annotations.read_boxes(detections, kind="detections", first_label=0)
    return scoring.score_tubes(
        annotations.read_multisports(truth), found, first_label=0, **options
    )


@pytest.mark.parametrize("kind", ["dump", "csv"])
def test_files_score_as_the_original(case, kind):
    meta, truth, dump, rows = case
    found = scores(truth, dump if kind == "dump" else rows, link_scores="last")
    # 4 decimals of percent, as the original rounds.
    assert round(100 * found["frame_mAP"], 4) == meta["metrics"]["frameAP"]
    for iou, value in found["video_mAP"].items():
        name = f"v_map{'_' if ':' in iou else '@'}{iou}"
        assert round(100 * value, 4) == meta["metrics"][name]
    per_class = {row["name"]: row for row in found["per_class"].values()}
    for name, value in meta["per_class"]["videoAP@0.2"].items():
        assert 100 * per_class[name]["video_AP"]["0.2"] == pytest.approx(value)
    for key, row in found["per_class"].items():
        assert meta["labels"][int(key)] == row["name"]


def test_the_command_line(tmp_path):
    meta, arrays = multisports_files.load(0)
    truth = multisports_files.ground_truth(meta, arrays)
    truth = multisports_files.write_pickle(tmp_path / "multisports_GT.pkl", truth)
    dump = multisports_files.dump(meta, arrays)
    dump = multisports_files.write_pickle(tmp_path / "dump.pkl", dump)
    files = ("--ground-truth", truth, "--detections", dump)
    out = tmp_path / "out.json"
    done = run(*files, "--protocol", "multisports", "--json", out)
    assert done.returncode == 0, done.stderr
    summary = json.loads(out.read_text())
    # With each box's own score, and the program says so.
    assert round(100 * summary["video_mAP"]["0.10:0.90"], 4) == 18.8148
    assert (summary["protocol"], summary["link_scores"]) == ("multisports", "own")
    assert "--link-scores own: boxes are linked" in done.stdout
    assert "0.6599" in done.stdout and "football shoot" in done.stdout
    options = ("--link-scores", "last", "--json", out)
    done = run(*files, "--protocol", "multisports", *options)
    assert "as in MMAction2 1.x" in done.stdout
    assert json.loads(out.read_text())["video_mAP"]["0.2"] == pytest.approx(0.34)

    done = run(*files)
    assert done.returncode == 2 and "--label-map" in done.stderr
    done = run(*files, "--protocol", "multisports", "--compare", dump)
    assert done.returncode == 2 and "no --exclusions, --compare" in done.stderr


def write_rows(path, rows):
    path.write_text("\n".join(",".join(map(str, row)) for row in rows) + "\n")
    return path


def test_rows_with_person_ids(tmp_path):
    box = (0.1, 0.2, 0.3, 0.9)
    # Persons 1 and 2 do 7; person 1 pauses in frames 31 and 32.
    truth = [("a", t, *box, 7, 1) for t in (*range(1, 31), *range(33, 53))]
    truth += [("a", t, 0.5, 0.2, 0.8, 0.9, 7, 2) for t in range(1, 41)]
    truth += [("a", 1, *box, "", 3)]
    found = [("a", t, *box, 7, 0.9) for t in range(1, 31)]
    found += [("a", t, 0.5, 0.2, 0.8, 0.9, 7, 0.8) for t in range(1, 21)]
    labels = tmp_path / "labels.txt"
    labels.write_text("7: jump\n8: run\n")
    out = tmp_path / "out.json"
    done = run(
        *("--ground-truth", write_rows(tmp_path / "truth.csv", truth)),
        *("--detections", write_rows(tmp_path / "found.csv", found)),
        *("--label-map", labels, "--protocol", "multisports", "--json", out),
    )
    assert done.returncode == 0, done.stderr
    summary = json.loads(out.read_text())
    assert summary["counts"]["ground_truth_tubes"] == 3
    assert summary["counts"]["linked_tubes"] == 2
    assert list(summary["per_class"]) == ["7"]
    # The second tube covers 19 of 39 steps: at 0.5 it is false.
    assert summary["video_mAP"]["0.5"] == pytest.approx(1 / 3)
    assert summary["video_mAP"]["0.2"] == pytest.approx(2 / 3)
    assert summary["frame_mAP"] == pytest.approx(50 / 90)


def test_ids_from_0_have_a_label_0(tmp_path):
    rows = [("a", 1, 0, 0, 1, 1, label, 0.5) for label in (0, "", 65)]
    path = write_rows(tmp_path / "rows.csv", rows)
    table = annotations.read_boxes(path, kind="detections", first_label=0)
    assert table.label.tolist() == [1, annotations.NO_LABEL, 66]
    table = annotations.read_boxes(path, kind="detections")
    assert table.label.tolist() == [0, annotations.NO_LABEL, 65]
    npz = tmp_path / "rows.npz"
    annotations.write_detections(npz, table)
    table = annotations.read_boxes(npz, kind="detections", first_label=0)
    assert table.label.tolist() == [1, 1, 66]
    labels = tmp_path / "labels.txt"
    labels.write_text("0: jump\n1: run\n")
    assert annotations.read_labels(labels, first_label=0) == {1: "jump", 2: "run"}
    with pytest.raises(UserError, match="action id 0, expected 1 or more"):
        annotations.read_labels(labels)


VIDEO = "football/v_case7_c000"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda truth: truth.pop("nframes"), "expected MultiSports"),
        (lambda truth: truth["gttubes"].pop(VIDEO), "is not in `nframes`"),
        (lambda truth: truth["nframes"].update({VIDEO: "many"}), "not of numbers"),
        (lambda truth: truth["resolution"].update({VIDEO: 720}), r"shape \(\)"),
        (lambda truth: truth["gttubes"].update({VIDEO: []}), "the tubes of"),
        (
            lambda truth: truth["gttubes"][VIDEO].update({66: [np.ones((2, 5))]}),
            "has label 66 of 66",
        ),
        (
            lambda truth: truth["gttubes"][VIDEO].update({0: [np.ones((2, 5))]}),
            "are not consecutive",
        ),
    ],
)
def test_other_pickles_are_refused(tmp_path, change, message):
    truth = multisports_files.ground_truth(*multisports_files.load(0))
    change(truth)
    path = multisports_files.write_pickle(tmp_path / "truth.pkl", truth)
    with pytest.raises(UserError, match=message):
        annotations.read_multisports(path)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (("elsewhere", 1, 0, 0, 1, 1, 3, 0.5), "does not test"),
        ((VIDEO, 71, 0, 0, 1, 1, 3, 0.5), "frames that their videos do not have"),
        ((VIDEO, 0, 0, 0, 1, 1, 3, 0.5), "frames that their videos do not have"),
        ((VIDEO, 1.5, 0, 0, 1, 1, 3, 0.5), "no frame numbers"),
        ((VIDEO, 1, 0, 0, 1, 1, 66, 0.5), "actions that the ground truth"),
        ((VIDEO, 1, 0, 0, 1, 1, "", 0.5), "actions that the ground truth"),
        ((VIDEO, 1, 0, 0, 640, 360, 3, 0.5), "boxes in pixels"),
        ((VIDEO, 1, 0, 0, 1, 1, 3), "rows without a score"),
    ],
)
def test_detections_that_cannot_be_linked(tmp_path, row, message):
    truth = multisports_files.ground_truth(*multisports_files.load(0))
    truth = multisports_files.write_pickle(tmp_path / "truth.pkl", truth)
    truth = annotations.read_multisports(truth)
    rows = [(f"{VIDEO}.mp4", 1, 0, 0, 1, 1, 3, 0.5), row]
    path = write_rows(tmp_path / "rows.csv", rows)
    table = annotations.read_boxes(path, kind="detections", first_label=0)
    (finding,) = tracks.check_linked(truth, table)
    assert message in str(finding) and "rows.csv:2" in str(finding)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([("a", 1, 0, 0, 1, 1, 7, "")], "rows without a person id"),
        ([("a", 1.5, 0, 0, 1, 1, 7, 1)], "no frame numbers"),
        ([("a", 1, 0, 0, 1, 1, 7, 1)] * 2, "a second box of a person"),
    ],
)
def test_rows_that_are_no_tracks(tmp_path, rows, message):
    table = annotations.read_boxes(write_rows(tmp_path / "truth.csv", rows))
    with pytest.raises(UserError, match=message):
        annotations.tracks_of_table(table, {7: "jump"})
