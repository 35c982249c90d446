"""What an import mends, asks for, leaves out and says, and the way back to the tool."""

import importlib.resources
import json
import re

import prepare_ava
import pytest
import tool_files
from importing import empty_frames_of, rows_of, run_import
from tool_files import ROWS

from ava_jax import annotations
from ava_jax.annotations.tools import WRITERS, recognise
from ava_jax.checks import check
from ava_jax.config import load
from ava_jax.data import dataset
from ava_jax.errors import UserError

HEADER = "video,time,x1,y1,x2,y2,action,person\n"
BOX = "0.1,0.1,0.3,0.9"


def write(path, text):
    path.write_text(text)
    return path


# ------------------------------------------------------------------- what is asked for
@pytest.mark.parametrize(
    ("write_file", "flags", "message"),
    [
        (tool_files.cvat_video, [], "rate of film is not known; give --fps RATE"),
        (tool_files.cvat_images, [], "--numbers seconds, or --numbers frames"),
        (tool_files.cvat_images, ["--numbers=frames"], "give --first-frame 0"),
        (
            tool_files.cvat_images,
            ["--numbers=frames", "--first-frame=0"],
            "give --fps RATE",
        ),
        (tool_files.via3_json, [], "size of film is not known; give --size"),
        (tool_files.csv_table, [], "size of film is not known; give --size"),
        (tool_files.via3_json, ["--size=200"], "200 is not WIDTHxHEIGHT in pixels"),
        (
            tool_files.cvat_images,
            ["--numbers=frames", "--first-frame=11", "--fps=10"],
            "found frame 10, expected 11 or more",
        ),
        (tool_files.csv_table, ["--columns=video"], "--columns: found 'video'"),
        (
            tool_files.csv_table,
            ["--columns=who=1"],
            "found 'who', expected one",
        ),
        (
            tool_files.csv_table,
            ["--columns=video=Film"],
            "expected 'Film' of",
        ),
        (
            tool_files.cvat_video,
            ["--fps=10", "--attributes=mood"],
            "no action, ",
        ),
    ],
)
def test_what_is_not_known_is_asked_for(write_file, flags, message, tmp_path, capsys):
    path = write_file(tmp_path)
    try:
        run_import(tmp_path / "own", path, *flags)
    except UserError as error:
        found = str(error)
    except SystemExit:
        found = capsys.readouterr().err
    assert message in found
    assert not (tmp_path / "own").exists()


def test_columns_without_a_header(tmp_path):
    path = write(
        tmp_path / "a.csv", "walk|a.mp4|25|20|10|40|80\nrun|a.mp4|50|1|1|9|9\n"
    )
    with pytest.raises(UserError, match="found 7 columns|the columns"):
        run_import(tmp_path / "own", path, "--columns=video=2,frame=3")
    run_import(
        tmp_path / "own",
        path,
        "--columns=action=1,video=2,frame=3,x=4,y=5,w=6,h=7",
        "--first-frame=0",
        "--fps=25",
        "--size=200x100",
    )
    assert rows_of(tmp_path / "own") == {
        ("a", 1.0, (0.1, 0.1, 0.3, 0.9), "walk", -1),
        ("a", 2.0, (0.005, 0.01, 0.05, 0.1), "run", -1),
    }


# ------------------------------------------------------------------- what is left out
CSV_CASES = {
    "boxes without an action": (
        f"a,1,{BOX},walk,1\na,1,0.5,0.5,0.6,0.6,,2\na,2,{BOX},person,1\n",
        {("a", 1.0, "walk", 1)},
        {("a", 2.0)},
        r"boxes without an action, left out: 2\n  .*boxes.csv: line 3, a at 1 s",
    ),
    "key frames without people": (
        f"a,1,{BOX},walk,1\na,3,,,,,,\n",
        {("a", 1.0, "walk", 1)},
        {("a", 3.0)},
        "2 key frames",
    ),
    "boxes given twice": (
        f"a,1,{BOX},walk,1\na,1,{BOX},walk,1\n",
        {("a", 1.0, "walk", 1)},
        set(),
        r"boxes given twice, left out: 1\n  .*line 3",
    ),
    "regions that are ignored": (
        f"a,1,{BOX},walk,1\na,2,{BOX},walk,1\na,2,0.5,0.5,0.9,0.9,ignore,\n",
        {("a", 1.0, "walk", 1)},
        set(),
        r"region that is not annotated, left out: 1\n  .*line 4, a at 2 s",
    ),
    "boxes without area": (
        f"a,1,{BOX},walk,1\na,2,1.2,0.1,1.4,0.9,walk,1\na,3,0.1,0.1,0.1,0.9,walk,1\n",
        {("a", 1.0, "walk", 1)},
        set(),
        r"boxes without area in the frame, left out: 2",
    ),
    "names that are mended": (
        f"a,1,{BOX},walk,1\na,2,{BOX},walk,1\nA.mp4,4,{BOX},walk,1\n",
        None,
        None,
        "found the video A, expected to know which of A and a it is",
    ),
    "actions that are mended": (
        f"a,1,{BOX},walk,1\na,2,{BOX},walk,1\na,3,{BOX},Walk_,1\n",
        {("a", t, "walk", 1) for t in (1.0, 2.0, 3.0)},
        set(),
        r"names of actions that were mended: 1\n  'Walk_' is 'walk'",
    ),
    "people with names": (
        f"a,1,{BOX},walk,Ann\na,2,{BOX},walk,Ann\na,2,0.5,0.5,0.9,0.9,walk,Bo\n",
        {("a", 1.0, "walk", 0), ("a", 2.0, "walk", 0), ("a", 2.0, "walk", 1)},
        set(),
        r"people with new numbers: 2\n  Ann of a is 0\n  Bo of a is 1",
    ),
    "people twice": (
        f"a,1,{BOX},walk,1\na,1,0.5,0.5,0.9,0.9,walk,1\n",
        {("a", 1.0, "walk", 1)},
        set(),
        r"people that are twice in a key frame: 1\n  a at 1 s: person 1",
    ),
    "several actions in a cell": (
        f"a,1,{BOX},walk;carry,1\n",
        {("a", 1.0, "walk", 1), ("a", 1.0, "carry", 1)},
        set(),
        "2 labels",
    ),
    "a name with a comma": (
        f'a,1,{BOX},"hand shake, long",1\n',
        {("a", 1.0, "hand shake, long", 1)},
        set(),
        "hand shake, long",
    ),
}


@pytest.mark.parametrize("case", CSV_CASES)
def test_nothing_is_lost_without_a_line(case, tmp_path, capsys):
    text, rows, empty, message = CSV_CASES[case]
    path = write(tmp_path / "boxes.csv", HEADER + text)
    if rows is None:
        with pytest.raises(UserError, match=message):
            run_import(tmp_path / "own", path)
        return
    run_import(tmp_path / "own", path)
    found = {(v, t, action, who) for v, t, _, action, who in rows_of(tmp_path / "own")}
    assert (found, empty_frames_of(tmp_path / "own")) == (rows, empty)
    assert re.search(message, capsys.readouterr().out)


def test_boxes_that_reach_out_are_clipped(tmp_path, capsys):
    path = write(tmp_path / "boxes.csv", HEADER + "a,1,-0.2,0.1,0.3,1.5,walk,1\n")
    run_import(tmp_path / "own", path)
    assert rows_of(tmp_path / "own") == {("a", 1.0, (0.0, 0.1, 0.3, 1.0), "walk", 1)}
    assert "boxes that were clipped to the frame: 1" in capsys.readouterr().out


def test_a_file_that_is_not_utf_8(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_bytes((HEADER + f"a,1,{BOX},fällt,1\n").encode("latin-1"))
    with pytest.raises(UserError, match=r"boxes\.csv: byte \d+ is no UTF-8"):
        run_import(tmp_path / "own", path)


def test_tracks_are_sampled_once_a_second(tmp_path, capsys):
    """Between drawn boxes the tool interpolates, and so does the import."""
    path = tool_files.cvat_video(tmp_path)
    text = path.read_text().replace('frame="20"', 'frame="30"')
    text = text.replace('frame="21"', 'frame="31"')
    path.write_text(text)
    run_import(tmp_path / "own", path, "--fps=10")
    found = {row for row in rows_of(tmp_path / "own") if row[4] == 4 and row[1] > 1}
    assert found == {
        # Half way, with the actions of the box before.
        ("film", 2.0, (0.15, 0.1, 0.35, 0.9), "walk", 4),
        ("film", 2.0, (0.15, 0.1, 0.35, 0.9), "carry", 4),
        ("film", 3.0, (0.2, 0.1, 0.4, 0.9), "walk", 4),
    }
    assert "boxes at key frames, interpolated: 1" in capsys.readouterr().out
    run_import(tmp_path / "drawn", path, "--fps=10", "--every=0")
    assert {row[1] for row in rows_of(tmp_path / "drawn")} == {1.0, 3.0}


# ------------------------------------------------------------------------- the data set
def test_splits_have_every_action(tmp_path, capsys):
    """Movies are chosen for validation so that each action is on both sides."""
    rows = [f"m{i},{t},{BOX},{'rare' if i in (3, 6) else 'walk'},1\n" for i in range(8)
            for t in (1, 2)]  # fmt: skip
    path = write(tmp_path / "boxes.csv", HEADER + "".join(rows))
    flags = ["import", str(path), "--config=configs/own.py"]
    for name in ("one", "two"):
        root = f"--config.data.root={tmp_path / name}"
        prepare_ava.main([*flags, root, "--val-share=0.25", "--seed=3"])
    train, val = (rows_of(tmp_path / "one", split) for split in ("train", "val"))
    assert len({row[0] for row in val}) == 2 and not {r[0] for r in val} & {
        r[0] for r in train
    }
    assert {row[3] for row in train} == {row[3] for row in val} == {"walk", "rare"}
    assert val == rows_of(tmp_path / "two", "val")
    shown = capsys.readouterr().out
    assert re.search(r"train.csv: 6 movies, 12 key frames, 12 boxes, 12 labels", shown)
    root = f"--config.data.root={tmp_path / 'three'}"
    prepare_ava.main([*flags, root, "--val-videos=m0, m1"])
    assert {row[0] for row in rows_of(tmp_path / "three", "val")} == {"m0", "m1"}
    with pytest.raises(UserError, match="--val-videos: found m9, expected some of m0"):
        prepare_ava.main([*flags, root, "--val-videos=m9", "--replace"])


def test_a_data_set_is_not_written_over(tmp_path):
    path = write(tmp_path / "boxes.csv", HEADER + f"a,1,{BOX},walk,1\n")
    run_import(tmp_path / "own", path)
    with pytest.raises(UserError, match=r"train\.csv and .*val\.csv: there already"):
        run_import(tmp_path / "own", path)
    more = write(tmp_path / "more.csv", HEADER + f"b,1,{BOX},run,1\n")
    run_import(tmp_path / "own", path, more, "--replace")
    labels = annotations.read_labels(tmp_path / "own/annotations/actions.txt")
    assert labels == {1: "walk", 2: "run"}  # ids stay


def test_a_given_label_map_holds(tmp_path):
    labels = write(
        tmp_path / "map.pbtxt",
        'label { name: "run" label_id: 8 label_type: PERSON_MOVEMENT }\n',
    )
    path = write(tmp_path / "boxes.csv", HEADER + f"a,1,{BOX},8,1\na,2,{BOX},Run,1\n")
    run_import(tmp_path / "own", path, f"--labels={labels}")
    assert {row[3] for row in rows_of(tmp_path / "own")} == {"run"}
    kept = tmp_path / "own/annotations/actions.txt"
    assert annotations.read_action_groups(kept) == {"pose": [8]}
    path.write_text(HEADER + f"a,1,{BOX},runs,1\n")
    with pytest.raises(UserError, match=r"found the action 'runs'.*nearest: 'run'"):
        run_import(tmp_path / "other", path, f"--labels={labels}")
    path.write_text(HEADER + f"a,1,{BOX},3,1\n")
    with pytest.raises(UserError, match="found the action 3, expected to know"):
        run_import(tmp_path / "other", path)


def test_two_files_of_one_video(tmp_path, capsys):
    """Person 1 of one file is not person 1 of another one."""
    paths = [
        write(tmp_path / f"{i}.csv", HEADER + f"a,{i},{BOX},walk,1\n") for i in (1, 2)
    ]
    run_import(tmp_path / "own", *paths)
    assert {row[1:2] + row[4:] for row in rows_of(tmp_path / "own")} == {
        (1.0, 0),
        (2.0, 1),
    }
    assert "people with new numbers: 2" in capsys.readouterr().out


# --------------------------------------------------------------------- there and back
@pytest.fixture(scope="module")
def street(tmp_path_factory):
    """The annotations of the street video as an own data set."""
    root = tmp_path_factory.mktemp("street")
    source = importlib.resources.files("ava_jax.prepare") / "vtest_annotations"
    folder = root / "annotations"
    folder.mkdir()
    for name, target in (
        ("vtest_train.csv", "train.csv"),
        ("vtest_val.csv", "val.csv"),
        ("vtest_action_list.pbtxt", "actions.txt"),
    ):
        (folder / target).write_bytes((source / name).read_bytes())
    with open(folder / "val.csv", "a") as file:
        file.write("vtest,0079\n")
    return root


def export(root, format, out, *flags):
    prepare_ava.main(
        [
            "export",
            "--config=configs/own.py",
            f"--config.data.root={root}",
            f"--format={format}",
            f"--out={out}",
            *flags,
        ]
    )


@pytest.mark.parametrize("format", WRITERS)
def test_there_and_back(format, street, tmp_path, capsys):
    out = tmp_path / "project"
    export(street, format, out, "--fps=10", "--size=768x576")
    path = out / "vtest.xml" if out.is_dir() else out
    labels = street / "annotations/actions.txt"
    run_import(
        tmp_path / "own", path, f"--labels={labels}", "--fps=10", "--size=768x576"
    )
    expected = rows_of(street, "train") | rows_of(street, "val")
    assert len(expected) == 591 and rows_of(tmp_path / "own") == expected
    empty = {("vtest", 79.0)}
    printed = capsys.readouterr().out
    if format in ("via3", "coco"):
        assert empty_frames_of(tmp_path / "own") == empty
    else:
        assert empty_frames_of(tmp_path / "own") == set()
        assert "key frames without people, left out: 1\n  vtest at 79 s" in printed


@pytest.mark.parametrize(
    ("format", "flags", "message"),
    [
        ("cvat", ["--fps=10"], "--size of vtest is not known, expected for cvat"),
        ("cvat", ["--size=768x576"], "--fps of vtest is not known, expected for cvat"),
        ("coco", [], "--size of vtest is not known, expected for coco"),
    ],
)
def test_what_an_export_needs(format, flags, message, street, tmp_path):
    with pytest.raises(UserError, match=message):
        export(street, format, tmp_path / "out", *flags)
    with pytest.raises(UserError, match=r"train\.csv: not found|cannot be read"):
        export(tmp_path, format, tmp_path / "out", "--fps=10", "--size=7x7")


# ------------------------------------------------------------------------- the doctor
@pytest.mark.parametrize(
    ("write_file", "tool"),
    [
        (tool_files.cvat_video, "CVAT"),
        (tool_files.via2_csv, "VIA 2"),
        (tool_files.via3_csv, "VIA 3"),
        (tool_files.coco, "COCO"),
        (tool_files.label_studio, "Label Studio"),
    ],
)
def test_the_doctor_and_the_trainer_know_a_tools_file(
    write_file, tool, street, tmp_path
):
    path = write_file(tmp_path)
    assert recognise(path) == tool
    data = load("configs/own.py").data
    data.root = str(street)
    data.train.boxes = str(path)
    (tmp_path / "rawframes").mkdir()
    data.frames = str(tmp_path / "rawframes")
    data.train.proposals = data.val.proposals = "annotations/val.csv"
    with pytest.raises(
        UserError, match=f"format of {tool}.*\n.*\n.*ava-jax prepare import"
    ):
        dataset.load_split(data, "train", 18)
    verdict = check.examine(data, 18).verdict
    (finding,) = (f for f in verdict.findings if "format" in f.name)
    assert finding.name == f"annotations in the format of {tool}"
    assert f"import {path}" in finding.remedy


def test_avas_own_files_are_no_tools(street):
    assert recognise(street / "annotations/train.csv") == ""
    assert recognise(street / "annotations/none.csv") == ""


def test_the_movies_ending_and_case_are_told(street, tmp_path):
    data = load("configs/own.py").data
    data.root = str(street)
    data.frames = str(tmp_path)
    (tmp_path / "VTest_").mkdir()
    people = write(tmp_path / "people.csv", "vtest,1,0.1,0.1,0.2,0.9,,0.95\n")
    data.train.proposals, data.no_proposals = str(people), "skip"
    with pytest.raises(UserError, match="There is 'VTest_', which may be 'vtest'"):
        dataset.load_split(data, "train", 18)


def test_ids_of_coco_are_kept(tmp_path):
    path = tool_files.coco(tmp_path)
    content = json.loads(path.read_text())
    for entry in (*content["categories"], *content["annotations"]):
        key = "category_id" if "bbox" in entry else "id"
        entry[key] += 10
    path.write_text(json.dumps(content))
    run_import(tmp_path / "own", path, "--fps=10")
    labels = annotations.read_labels(tmp_path / "own/annotations/actions.txt")
    assert labels == {11: "stand", 12: "walk", 13: "carry"}
    assert rows_of(tmp_path / "own") == ROWS
