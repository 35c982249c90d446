"""Readers and writers of annotation files, on real files and on broken ones."""

import errno
import gzip
import io
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from ava_jax import annotations
from ava_jax.annotations import label_checks
from ava_jax.annotations.ava_actions import AVA_ACTIONS
from ava_jax.annotations.label_map import count_classes
from ava_jax.errors import UserError

DATA = Path(__file__).parents[1] / "data" / "annotations"


def write(tmp_path: Path, text: str, name: str = "boxes.csv") -> Path:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


# ----------------------------------------------------------------- real files


@pytest.mark.parametrize(
    ("name", "kind", "rows", "keyframes", "first"),
    [
        # first: video, seconds, x1, label, entity, score, line
        (
            "val_v2.1_head.csv.gz",
            "ground_truth",
            1500,
            0,
            ("1j20qq1JyX4", 902, 0.002, 12, 1, None, 1),
        ),
        (
            "ava_sample.csv",
            "ground_truth",
            8,
            0,
            ("0f39OWEqJ24", 902, 0.031, 12, 0, None, 1),
        ),
        (
            "kinetics_head.csv",
            "ground_truth",
            274,
            26,
            ("00_77WAvZ_o", 17, 0.308489, 12, -1, None, 1),
        ),
        # The header calls the eighth column 'status', which is no person id.
        (
            "v1.0_head.csv",
            "ground_truth",
            49,
            0,
            ("053oq2xB3oU", 904, 0.061, 11, -1, None, 2),
        ),
        (
            "pose_only_tail.csv",
            "ground_truth",
            40,
            0,
            ("IzvOYVMltkI", 998, 0.257, 12, -1, None, 1),
        ),
        (
            "animal_head.csv",
            "ground_truth",
            60,
            0,
            ("IMG_0253_1", 3, 0.121875, 5, 1, None, 1),
        ),
        (
            "predicted_boxes.csv",
            "detections",
            127,
            0,
            ("1j20qq1JyX4", 902, 0.036, 0, -1, 0.995518, 1),
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_real_files(name, kind, rows, keyframes, first):
    table = annotations.read_boxes(DATA / name, kind=kind)
    assert (len(table), len(table.keyframe_video)) == (rows, keyframes)
    video, seconds, x1, label, entity, score, line = first
    assert table.videos[table.video[0]] == video
    assert (table.timestamp[0], table.box[0, 0]) == (seconds, x1)
    assert (table.label[0], table.entity[0], table.line[0]) == (label, entity, line)
    assert np.isnan(table.score[0]) if score is None else table.score[0] == score
    assert not table.problems


def test_every_number_is_what_float_makes_of_it():
    with gzip.open(DATA / "val_v2.1_head.csv.gz", "rt") as file:
        rows = [line.strip().split(",") for line in file]
    table = annotations.read_boxes(DATA / "val_v2.1_head.csv.gz")
    assert [table.videos[i] for i in table.video] == [row[0] for row in rows]
    assert table.timestamp.tolist() == [float(row[1]) for row in rows]
    assert table.box.tolist() == [[float(x) for x in row[2:6]] for row in rows]
    assert table.label.tolist() == [int(row[6]) for row in rows]
    assert table.entity.tolist() == [int(row[7]) for row in rows]
    assert table.line.tolist() == list(range(1, 1501))


# --------------------------------------------------------------- irregularities


@pytest.mark.parametrize("ending", ["\n", "\r\n"])
@pytest.mark.parametrize("tail", ["", "w,1,.1,.1,.2,.2,12.0, 3"])
def test_all_forms_in_one_file(tmp_path, ending, tail):
    """The tail has numbers that pyarrow does not convert as they are."""
    lines = [
        "\ufeffvideo,t,x1,y1,x2,y2,label,person_id",
        "v,0902,.1,.2,.3,.4,5,7",
        "",
        "v,903",
        "v,902.5,1e-1,0.2,0.3,0.4,,",
        '"w",12,.1,.2,.3,.4,6',
        "   ",
        "v,0004,.1,.2,.3,.4,5,8",
    ]
    lines += [tail] if tail else []
    path = tmp_path / "boxes.csv"
    path.write_bytes(ending.join(lines).encode())
    table = annotations.read_boxes(path)
    names = [table.videos[i] for i in table.video]
    assert names[:4] == ["v", "v", "w", "v"]
    assert table.timestamp[:4].tolist() == [902, 902.5, 12, 4]
    assert table.label[:4].tolist() == [5, 0, 6, 5]
    assert table.entity[:4].tolist() == [7, -1, -1, 8]
    assert table.line[:4].tolist() == [2, 5, 6, 8]
    assert table.digits[:4].tolist() == [4, 3, 2, 4]
    assert [table.videos[i] for i in table.keyframe_video] == ["v"]
    assert table.keyframe_timestamp.tolist() == [903]
    assert table.label[4:].tolist() == ([12] if tail else [])
    assert table.entity[4:].tolist() == ([3] if tail else [])


def test_a_quote_that_is_never_closed_harms_its_line_alone(tmp_path):
    good = GOOD.format(last=1)
    path = write(tmp_path, f'{good}v,1,"2,.2,.3,.4,5,1\n{good}"a,b",1,0,0,1,1,5,1\n')
    table = annotations.read_boxes(path, lenient=True)
    assert table.line.tolist() == [1, 3, 4]
    assert [table.videos[i] for i in table.video] == ["v", "v", "a,b"]
    (problem,) = table.problems
    assert problem.places == (f"{path}:2",)
    assert "3 columns" in problem.found


def test_blank_lines_before_a_header(tmp_path):
    table = annotations.read_boxes(
        write(tmp_path, f"\n\nvideo,t,x1,y1,x2,y2,label,id\n{GOOD.format(last=1)}")
    )
    assert table.line.tolist() == [4]


def test_bytes_that_are_not_utf8_are_replaced(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_bytes(b"v\xff,1,.1,.2,.3,.4,5,7\n")
    assert annotations.read_boxes(path).videos == ("v\ufffd",)


def test_gzip_is_known_by_content(tmp_path):
    path = tmp_path / "boxes.csv"
    path.write_bytes(gzip.compress(b"v,1,.1,.2,.3,.4,5,7\nv,2\n"))
    table = annotations.read_boxes(path)
    assert (len(table), len(table.keyframe_video)) == (1, 1)


@pytest.mark.parametrize("text", ["", "\n\n", "video,t,x1,y1,x2,y2,label\n"])
def test_a_file_without_rows_is_an_empty_table(tmp_path, text):
    table = annotations.read_boxes(write(tmp_path, text))
    assert len(table) == 0
    assert table.box.shape == (0, 4)


def test_detections_without_scores(tmp_path):
    path = write(tmp_path, "v,1,.1,.2,.3,.4,5\n")
    assert np.isnan(annotations.read_boxes(path, kind="detections").score).all()


GOOD = "v,0902,.1,.2,.3,.4,5,{last}\n"


@pytest.mark.parametrize(
    ("row", "kind", "name", "message"),
    [
        ("v,1,2", "ground_truth", "wrong number of columns", "3 columns"),
        ("v,1,.1,.2,.3,.4,5,1,9", "ground_truth", "wrong number of columns", "9 col"),
        ("v;1;.1;.2;.3;.4;5;1", "ground_truth", "wrong number of columns", "ween ';'"),
        ("v,x,.1,.2,.3,.4,5,1", "ground_truth", "timestamp is no number", "'x'"),
        ("v,x", "ground_truth", "timestamp is no number", "'x'"),
        ("v,,.1,.2,.3,.4,5,1", "ground_truth", "timestamp is no number", "''"),
        ("v,1,a,.2,.3,.4,5,1", "ground_truth", "x1 is no number", "'a'"),
        ("v,1,.1,,.3,.4,5,1", "ground_truth", "y1 is no number", "''"),
        ("v,1,.1,.2,nan,.4,5,1", "ground_truth", "x2 is no number", "'nan'"),
        ("v,1,.1,.2,.3,inf,5,1", "detections", "y2 is no number", "'inf'"),
        ("v,1,.1,.2,.3,.4,sit,1", "ground_truth", "label is no id", "'sit'"),
        ("v,1,.1,.2,.3,.4,5.5,1", "ground_truth", "label is no id", "'5.5'"),
        ("v,1,.1,.2,.3,.4,5,0.5", "ground_truth", "person id is no id", "detections"),
        ("v,1,.1,.2,.3,.4,5,nan", "detections", "score is no number", "'nan'"),
        ("v,1,.1,.2,.3,.4,5,", "detections", "score is no number", "''"),
        (",1,.1,.2,.3,.4,5,1", "ground_truth", "no video", "empty"),
    ],
)
def test_rows_that_cannot_be_read(tmp_path, row, kind, name, message):
    good = GOOD.format(last=1)
    path = write(tmp_path, f"{good}\n{row}\n{good}{row}\n")
    with pytest.raises(UserError, match=r"boxes\.csv:3\n.*boxes\.csv:5\n") as error:
        annotations.read_boxes(path, kind=kind)
    assert message in str(error.value)
    assert str(error.value).startswith(f"rows that cannot be read ({name}): 2\n")
    table = annotations.read_boxes(path, kind=kind, lenient=True)
    assert table.line.tolist() == [1, 4]
    (problem,) = table.problems
    assert problem.places == (f"{path}:3", f"{path}:5")
    assert problem.count == 2 and problem.is_problem


def test_unnamed_labels_are_noted():
    table = annotations.read_boxes(DATA / "val_v2.1_head.csv.gz")
    labels = annotations.read_labels(DATA / "labels_item.pbtxt")
    (finding,) = label_checks.check_unnamed(table, labels)
    assert finding.places == (f"{DATA / 'val_v2.1_head.csv.gz'}:1132",)
    assert finding.count == 1 and not finding.is_problem


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "No such file"),
        (b"\x80\x02\x00pickle", "not a text file"),
        (gzip.compress(b"v,1,.1,.2,.3,.4,5,7\n" * 999)[:40], "damaged"),
    ],
    # Named, because gzip writes the time, and workers must agree on the names.
    ids=["missing", "binary", "damaged gzip"],
)
def test_files_that_are_no_tables(tmp_path, content, message):
    path = tmp_path / "boxes.csv"
    if content is not None:
        path.write_bytes(content)
    for read in (
        annotations.read_boxes,
        annotations.read_labels,
        annotations.read_exclusions,
    ):
        with pytest.raises(UserError, match=message):
            read(path)


def test_kind_is_checked():
    with pytest.raises(ValueError, match="kind"):
        annotations.read_boxes(DATA / "ava_sample.csv", kind="boxes")


# --------------------------------------------------------------------- writing


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.parquet", "out.npz"])
def test_written_detections_read_the_same(tmp_path, name):
    rng = np.random.default_rng(0)
    rows = 1000
    # Scores as close as float32 can tell apart, boxes as a network gives them.
    score = np.float32(0.5) + np.arange(rows, dtype=np.float32) * np.spacing(
        np.float32(0.5)
    )
    table = annotations.BoxTable.from_columns(
        ["a", "b" if "csv" in name else "b,c"],
        rng.integers(0, 2, rows),
        np.where(rng.random(rows) < 0.5, 7, 5.016949),
        rng.random((rows, 4), np.float32),
        label=rng.integers(0, 81, rows),
        score=score,
    )
    annotations.write_detections(tmp_path / name, table)
    again = annotations.read_boxes(tmp_path / name, kind="detections")
    names = [[t.videos[i] for i in t.video] for t in (table, again)]
    assert names[0] == names[1]
    assert (again.timestamp == table.timestamp).all()
    assert (again.label == table.label).all()
    assert (again.score.astype(np.float32) == score).all()
    assert (again.box.astype(np.float32) == table.box.astype(np.float32)).all()
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_the_written_form(tmp_path):
    table = annotations.BoxTable.from_columns(
        ["v"], [0, 0], [2, 2.5], [[0, 0.25, 0.5, 1]] * 2, label=[3, 0], score=[0.5, 1]
    )
    annotations.write_detections(tmp_path / "out.csv", table)
    assert (tmp_path / "out.csv").read_text() == (
        "v,0002,0,0.25,0.5,1,3,0.5\nv,2.5,0,0.25,0.5,1,,1\n"
    )


def test_a_failed_write_leaves_the_old_file(tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("old")
    table = annotations.BoxTable.from_columns(["v"], [0], [2], [[0, 0, 1, 1]])
    with pytest.raises(ValueError, match="score"):
        annotations.write_detections(path, table)
    assert path.read_text() == "old"
    with pytest.raises(UserError, match="cannot be written"):
        annotations.write_detections(tmp_path / "no" / "out.csv", _one_row())


@pytest.mark.parametrize("name", ["out.csv", "out.csv.gz", "out.npz"])
def test_a_full_disk_leaves_nothing(tmp_path, name, monkeypatch):
    def replace(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(UserError, match=r"cannot be written \(No space left"):
        annotations.write_detections(tmp_path / name, _one_row())
    assert not list(tmp_path.iterdir())


def _one_row() -> annotations.BoxTable:
    return annotations.BoxTable.from_columns(
        ["v"], [0], [2], [[0, 0, 1, 1]], label=[1], score=[0.5]
    )


def test_binary_files_hold_the_numbers_as_they_are(tmp_path):
    table = annotations.BoxTable.from_columns(
        ["a", "b"],
        [1, 0],
        [902, 1 / 3],
        [[0, 1 / 3, 2 / 3, 1]] * 2,
        label=[3, 0],
        score=[0.1, 1e-12],
    )
    for name in ("out.parquet", "out.npz"):
        annotations.write_detections(tmp_path / name, table)
        again = annotations.read_boxes(tmp_path / name, kind="detections")
        assert [again.videos[i] for i in again.video] == ["b", "a"]
        for column in ("timestamp", "box", "label", "score"):
            assert (getattr(again, column) == getattr(table, column)).all()
            assert getattr(again, column).dtype == getattr(table, column).dtype


@pytest.mark.parametrize("kind", ["parquet", "npz"])
def test_binary_files_without_rows(tmp_path, kind):
    table = annotations.BoxTable.from_columns([], [], [], np.zeros((0, 4)), score=[])
    path = tmp_path / f"boxes.{kind}"
    annotations.write_detections(path, table)
    assert len(annotations.read_boxes(path, kind="detections")) == 0


def _npz(**changes) -> bytes:
    """An npz file of one detection, with some arrays changed (None: left out)."""
    names = ("timestamp", "x1", "y1", "x2", "y2", "label", "score")
    arrays = {"videos": np.array(["v"]), "video": np.zeros(1, int)}
    arrays |= {name: np.ones(1) for name in names} | changes
    file = io.BytesIO()
    np.savez(file, **{name: x for name, x in arrays.items() if x is not None})
    return file.getvalue()


def _npy(values) -> bytes:
    file = io.BytesIO()
    np.save(file, values)
    return file.getvalue()


@pytest.mark.parametrize(
    ("kind", "content", "message"),
    [
        ("parquet", None, "no such file"),
        ("parquet", b"no table", "not a table"),
        ("npz", None, "no such file"),
        ("npz", b"", "not a table"),
        ("npz", b"no table", "not a table"),
        ("npz", _npz()[:-30], "not a table"),
        ("npz", _npy(np.zeros(3)), "not a table"),
        ("npz", _npy(np.array([print], object)), "not a table"),
        ("npz", _npz(score=None), "score"),
        ("npz", _npz(videos=np.array([print], object)), "allow_pickle"),
        ("npz", _npz(x1=np.zeros(2)), "columns of numbers of one length"),
        ("npz", _npz(label=np.array(["a"])), "columns of numbers of one length"),
        ("npz", _npz(video=np.ones(1, int)), "no index into the 1 `videos`"),
        ("npz", _npz(score=np.array([np.nan])), "holds nulls, NaN"),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_binary_files_that_are_refused(tmp_path, kind, content, message):
    path = tmp_path / f"boxes.{kind}"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=rf"boxes\.{kind}: .*{message}"):
        annotations.read_boxes(path, kind="detections")


def test_parquet_files_with_nan(tmp_path):
    table = _one_row()
    table.box[0, 0] = np.nan
    annotations.write_detections(tmp_path / "boxes.parquet", table)
    with pytest.raises(UserError, match="holds nulls, NaN"):
        annotations.read_boxes(tmp_path / "boxes.parquet", kind="detections")


# ------------------------------------------------------------------ label maps


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("labels_item.pbtxt", 60),
        ("labels_oneline.pbtxt", 60),
        ("labels_list.txt", 60),
        ("labels_label.pbtxt", 80),
        ("labels_joined.pbtxt", 80),
        ("action_list.txt", 4),
    ],
)
def test_label_maps(name, count):
    labels = annotations.read_labels(DATA / name)
    assert len(labels) == count
    if count >= 60:
        assert labels[1] == "bend/bow (at the waist)"
        assert labels[79] == "talk to (e.g., self, a person, a group)"
        assert labels[80] == "watch (a person)"


@pytest.mark.parametrize(
    ("num_classes", "class_ids", "expected"),
    [(0, (), 13), (0, (2, 12), 3), (81, (), 81), (81, (2, 12), 81)],
)
def test_the_number_of_classes(tmp_path, num_classes, class_ids, expected):
    path = tmp_path / "actions.txt"
    path.write_text("2: run\n12: stand\n")
    assert count_classes(num_classes, class_ids, path) == expected
    path.unlink()
    if (num_classes, class_ids) == (0, ()):
        with pytest.raises(UserError, match="actions.txt.*model.num_classes=N"):
            count_classes(num_classes, class_ids, path)
    else:
        assert count_classes(num_classes, class_ids, path) == expected


def test_label_map_details(tmp_path):
    path = write(
        tmp_path,
        "# actions\nitem { id: 2 name: 'a \"b\" {c}' }\n"
        'label { label_id: 1 display_name: "x" name: "d \\"e\\"" }',
    )
    assert annotations.read_labels(path) == {2: 'a "b" {c}', 1: 'd "e"'}


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        # PySlowFast's, and `labels.json` of a working directory.
        ('{"walk": 2, "sit \\u00e0": 1}', {2: "walk", 1: "sit \u00e0"}),
        ('{"14": "walk", "12": "stand"}', {14: "walk", 12: "stand"}),
        # Its file of AVA's actions counts from 0, as its networks' outputs do.
        ('{"crawl": 1, "bend/bow (at the waist)": 0}', {2: "crawl", 1: AVA_ACTIONS[0]}),
    ],
)
def test_label_maps_in_json(tmp_path, text, labels):
    assert annotations.read_labels(write(tmp_path, text, "labels.json")) == labels


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        # With types, without, and with the line breaks lost.
        ("labels_label.pbtxt", {"pose": 14, "object": 49, "person": 17}),
        ("labels_joined.pbtxt", {"pose": 14, "object": 49, "person": 17}),
        ("labels_item.pbtxt", {"pose": 13, "object": 32, "person": 15}),
        ("labels_oneline.pbtxt", {"pose": 13, "object": 32, "person": 15}),
        ("labels_list.txt", {"pose": 13, "object": 32, "person": 15}),
        # None of AVA's actions.
        ("action_list.txt", {}),
    ],
)
def test_groups_of_real_label_maps(name, sizes):
    groups = annotations.read_action_groups(DATA / name)
    assert {group: len(members) for group, members in groups.items()} == sizes
    ends = {"pose": (1, 14), "object": (15, 63), "person": (64, 80)}
    for group, members in groups.items():
        low, high = ends[group]
        assert low <= min(members) and max(members) <= high


def test_groups_of_an_own_label_map(tmp_path):
    text = """
        label { name: "sing" label_id: 1 label_type: VOICE }
        label { name: "stand" label_id: 12 }
        label { name: "walk" label_id: 13 }
        label { name: "sit" label_id: 11 label_type: OBJECT_MANIPULATION }
        label { name: "fly" label_id: 14 label_type: VOICE }
    """
    groups = annotations.read_action_groups(write(tmp_path, text, "labels.pbtxt"))
    # A type comes first; without one, id and name must both be AVA's.
    assert groups == {"VOICE": [1, 14], "pose": [12], "object": [11]}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no labels"),
        ("item {\n  id: 3\n}\n", "line 3: .* no name"),
        ('item {\n  name: "a"\n}\n', "line 3: .* no id"),
        ('item { name: "a" id: 0 }', "line 1: action id 0"),
        ("0: a\n", "line 1: action id 0"),
        ("1: a\n2: b\n1: c\n", "line 3: action id 1 again"),
        ("1: a\nwalk\n", "line 2: 'walk'"),
        ('{\n"walk": 1,\n"sit": 1}', "line 3: action id 1 again"),
        ('{\n"walk": 1,\n"sit": 0}', "line 3: action id 0, expected 1 or more"),
        ('{"walk": 1', "cannot be read as JSON"),
        ('{"walk": true}', r"found \('walk', True\), expected an object of names"),
        ('{"walk": {"id": 1}}', "expected an object of names"),
        ('["walk", "sit"]', "found a list, expected an object of names"),
        ("{}", "no labels"),
    ],
)
def test_label_maps_that_are_refused(tmp_path, text, message):
    with pytest.raises(UserError, match=message):
        annotations.read_labels(write(tmp_path, text, "labels.txt"))


# ------------------------------------------------------------------ exclusions


def test_exclusions(tmp_path):
    excluded = annotations.read_exclusions(DATA / "val_excluded.csv")
    assert len(excluded) == 37
    assert ("5BDj0ow5hnA", 1038.0) in excluded
    assert annotations.read_exclusions(write(tmp_path, "")) == set()


@pytest.mark.parametrize("row", ["v", "v,x", "v,1,2", ",3"])
def test_exclusions_that_are_refused(tmp_path, row):
    with pytest.raises(UserError, match="line 2: "):
        annotations.read_exclusions(write(tmp_path, f"v,1\n{row}\n"))


# ------------------------------------------------------------------- proposals


def test_proposals_of_a_pickle():
    proposals = annotations.read_proposals(DATA / "ava_proposals_sample.pkl")
    assert set(proposals) == {
        ("0f39OWEqJ24", 902.0),
        ("0f39OWEqJ24", 903.0),
        ("_-Z6wFjXtGQ", 902.0),
    }
    for boxes in proposals.values():
        assert boxes.dtype == np.float64
        assert boxes.shape[1] == 5


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickles_of_all_protocols(tmp_path, protocol):
    boxes = np.arange(8, dtype=np.float32).reshape(2, 4) / 8
    path = tmp_path / "proposals.pkl"
    content = {"a,b,0902": boxes, "v,3": np.zeros((0, 5)), "v,4.5": np.ones((1, 5))}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    proposals = annotations.read_proposals(path)
    # Without a score column, proposals count as certain.
    expected = np.column_stack([boxes, [1, 1]])
    assert (proposals["a,b", 902.0] == expected).all()
    assert proposals["v", 3.0].shape == (0, 5)
    assert (proposals["v", 4.5] == 1).all()


class Evil:
    """Unpickles to a call."""

    def __reduce__(self):
        return print, ("executed",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"v,1": Evil()}, "asks for builtins.print"),
        ([1, 2], "holds a list"),
        ({1: np.zeros((1, 5))}, "key 1"),
        ({"v": np.zeros((1, 5))}, "key 'v'"),
        ({"v,x": np.zeros((1, 5))}, "key 'v,x'"),
        ({"v,1": np.zeros((1, 3))}, r"shape \(1, 3\)"),
        ({"v,1": np.zeros(5)}, r"shape \(5,\)"),
        ({"v,1": np.array([["a"] * 5])}, "type <U1"),
        ({"v,1": np.full((1, 5), np.nan)}, "NaN"),
        ({"v,1": np.zeros((1, 5)), "v,0001": np.zeros((1, 5))}, "two entries"),
    ],
)
def test_pickles_that_are_refused(tmp_path, capsys, content, message):
    path = tmp_path / "proposals.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=message):
        annotations.read_proposals(path)
    assert "executed" not in capsys.readouterr().out


def test_a_damaged_pickle(tmp_path):
    path = tmp_path / "proposals.pkl"
    path.write_bytes((DATA / "ava_proposals_sample.pkl").read_bytes()[:200])
    with pytest.raises(UserError, match="not a pickle of proposals"):
        annotations.read_proposals(path)


def test_a_pickle_of_python_2(tmp_path):
    """Written by hand: str keys and array data are byte strings there."""
    file = io.BytesIO()
    file.write(b"\x80\x02}U\x06v,0902cnumpy.core.multiarray\n_reconstruct\n")
    file.write(b"cnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01K\x01K\x05\x86cnumpy\n")
    file.write(b"dtype\nU\x02f4K\x00K\x01\x87R(K\x03U\x01<NNNJ\xff\xff\xff\xff")
    file.write(b"J\xff\xff\xff\xffK\x00tb\x89U\x14")
    file.write(np.array([0.25, 0.5, 0.75, 1, 0.9], "<f4").tobytes() + b"tbs.")
    path = tmp_path / "proposals.pkl"
    path.write_bytes(file.getvalue())
    boxes = annotations.read_proposals(path)["v", 902.0]
    assert boxes[0].astype(np.float32).tolist() == pytest.approx(
        [0.25, 0.5, 0.75, 1, 0.9], abs=1e-7
    )


def test_proposals_of_csv_files(tmp_path):
    proposals = annotations.read_proposals(DATA / "predicted_boxes.csv")
    assert sum(map(len, proposals.values())) == 127
    assert proposals["1j20qq1JyX4", 902.0][0].tolist() == [
        0.036,
        0.098,
        0.550,
        0.979,
        0.995518,
    ]
    path = write(
        tmp_path, "v,1,0,0,.5,.5,3,.2\nv,0001,0,0,.5,.5,4,.7\nv,1,0,0,1,1,3,.1\n"
    )
    boxes = annotations.read_proposals(path)
    assert boxes["v", 1.0].tolist() == [[0, 0, 0.5, 0.5, 0.7], [0, 0, 1, 1, 0.1]]


# ------------------------------------------------------------------ key frames


def test_key_frames_of_two_tables(tmp_path):
    first = annotations.read_boxes(
        write(
            tmp_path, "b,0902,0,0,1,1,1\na,17.000000,0,0,1,1,1\nb,902,0,0,1,1,2\nc,5\n"
        )
    )
    second = annotations.read_boxes(
        write(tmp_path, "a,17,0,0,1,1,1\nb,17,0,0,1,1,1\nc,5.0,0,0,1,1,1\n", "2.csv")
    )
    frames = annotations.index_frames(first, second)
    names = [
        [(frames.videos[frames.video[i]], frames.timestamp[i]) for i in numbers]
        for numbers in (*frames.rows, frames.keyframes[0])
    ]
    assert names == [
        [("b", 902), ("a", 17), ("b", 902)],
        [("a", 17), ("b", 17), ("c", 5)],
        [("c", 5)],
    ]
    assert len(frames.video) == 4
    numbers = frames.numbers([("b", 902.0), ("b", 1.0), ("x", 17.0), ("c", 5.0)])
    assert numbers.tolist() == [frames.rows[0][0], frames.keyframes[0][0]]


def test_key_frames_of_nothing(tmp_path):
    empty = annotations.read_boxes(write(tmp_path, ""))
    frames = annotations.index_frames(empty, empty)
    assert [len(rows) for rows in frames.rows] == [0, 0]
    assert frames.numbers([("v", 1.0)]).tolist() == []
