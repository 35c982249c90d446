"""Detections that other projects wrote: pickles and JSON."""

import json
import pathlib
import pickle

import numpy as np
import pytest

from ava_jax import annotations, scoring
from ava_jax.errors import UserError

DATA = pathlib.Path(__file__).parents[1] / "data" / "annotations" / "results"
FRAME_LIST = (
    "original_vido_id video_id frame_id path labels\n"
    'aaaaaaaaaaa 0 0 aaaaaaaaaaa/aaaaaaaaaaa_000001.jpg ""\n'
    'aaaaaaaaaaa 0 1 aaaaaaaaaaa/aaaaaaaaaaa_000002.jpg ""\n'
    'bbbbbbbbbbb 1 0 bbbbbbbbbbb/bbbbbbbbbbb_000001.jpg ""\n'
)


def read(path, **options):
    return annotations.read_boxes(path, kind="detections", **options)


def rows(table):
    """Every row as a tuple, in order."""
    return [
        (table.videos[video], seconds, *box, label, score)
        for video, seconds, box, label, score in zip(
            table.video,
            table.timestamp.tolist(),
            table.box.tolist(),
            table.label.tolist(),
            table.score.tolist(),
            strict=True,
        )
    ]


def test_a_dump_of_mmaction2_is_what_its_metric_writes():
    dump = read(DATA / "mmaction2_1x_dump.pkl")
    # Also the order of the rows, which decides ties.
    assert rows(dump) == rows(read(DATA / "mmaction2_1x_written.csv.gz"))


def test_a_dump_of_mmaction2_scores_as_there():
    names = annotations.read_labels(DATA / "labels.pbtxt")
    truth = annotations.read_boxes(DATA / "ground_truth.csv")
    summary = scoring.score_tables(
        truth,
        read(DATA / "mmaction2_1x_dump.pkl"),
        names,
        exclusions=annotations.read_exclusions(DATA / "excluded.csv"),
        protocol="mmaction2",
    )
    # `metrics` of the original, whose sort leaves the order of ties open.
    lowest, highest = summary["mAP_range"]
    assert lowest <= 0.8226380675920102 <= highest < lowest + 0.0005


def dump_samples():
    """The samples of the dump as JSON would hold them."""
    table = read(DATA / "mmaction2_1x_written.csv.gz")
    chosen = (table.video == 0) & (table.timestamp == 902)
    boxes, places = np.unique(table.box[chosen], axis=0, return_inverse=True)
    scores = np.zeros((len(boxes), 81))
    scores[places, table.label[chosen]] = table.score[chosen]
    found = {"bboxes": boxes.tolist(), "scores": scores.tolist()}
    empty = {"bboxes": [], "scores": []}
    return [
        {"img_key": "aaaaaaaaaaa,0902", "pred_instances": found},
        {"video_id": "b", "timestamp": "0903", "pred_instances": empty},
    ]


def test_samples_of_mmaction2_as_json(tmp_path):
    (tmp_path / "dump.json").write_text(json.dumps(dump_samples()))
    expected = [
        row
        for row in rows(read(DATA / "mmaction2_1x_written.csv.gz"))
        if row[:2] == ("aaaaaaaaaaa", 902)
    ]
    assert sorted(rows(read(tmp_path / "dump.json"))) == sorted(expected)


@pytest.mark.parametrize("index", [FRAME_LIST, "aaaaaaaaaaa\nbbbbbbbbbbb\n"])
def test_predictions_of_pyslowfast(index, tmp_path):
    (tmp_path / "val.csv").write_text(index)
    table = read(DATA / "pyslowfast.pkl", index=tmp_path / "val.csv")
    assert len(table) == 30 * 80
    # Made of the same numbers as the dump, where those up to 0.002 are missing.
    found = [row for row in rows(table) if row[7] > 0.002]
    expected = {row[:7]: row[7] for row in rows(read(DATA / "mmaction2_1x_dump.pkl"))}
    for row in found:
        key = (*row[:2], *np.round(row[2:6], 4), row[6])
        assert round(row[7], 4) == expected[key]
    # The first box comes with all of its classes.
    assert table.label[:80].tolist() == list(range(1, 81))
    assert (table.box[:80] == table.box[0]).all()


def test_dictionaries_of_pyslowfast():
    table = read(DATA / "pyslowfast_dictionaries.pkl")
    expected = {row[:7]: row[7] for row in rows(read(DATA / "mmaction2_1x_dump.pkl"))}
    found = {
        (*row[:2], *np.round(row[2:6], 4), row[6]): round(row[7], 4)
        for row in rows(table)
        if row[7] > 0.002
    }
    assert set(table.label) == {1, 4, 11, 12}
    assert found.items() <= expected.items() and len(found) > 50


COCO_ROWS = [
    {"image_id": 7, "category_id": 12, "bbox": [32, 24, 64, 48], "score": 0.5},
    {"image_id": 8, "category_id": 80, "bbox": [0, 0, 320, 240], "score": 0.25},
]
IMAGES = [
    {"id": 7, "width": 320, "height": 240, "file_name": "a_b_0902.jpg"},
    {"id": 8, "width": 320, "height": 240, "video_id": 3, "frame_id": 75},
]
VIDEOS = [{"id": 3, "name": "c", "fps": 25}]
COCO_EXPECTED = [
    ("a_b", 902, 0.1, 0.1, 0.3, 0.3, 12, 0.5),
    ("c", 3, 0, 0, 1, 1, 80, 0.25),
]


def test_coco_with_its_images_or_those_of_another_file(tmp_path):
    source = {"images": IMAGES, "videos": VIDEOS}
    whole, parts, index = (tmp_path / f"{name}.json" for name in "abc")
    whole.write_text(json.dumps({**source, "annotations": COCO_ROWS}))
    parts.write_text(json.dumps(COCO_ROWS))
    index.write_text(json.dumps(source))
    for table in (read(whole), read(parts, index=index)):
        for row, expected in zip(rows(table), COCO_EXPECTED, strict=True):
            # x2 is x + width, divided before: an error of a last digit.
            assert row[0] == expected[0]
            np.testing.assert_allclose(row[1:], expected[1:], rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", ["a_b,0902", "a_b/902.jpg", "a_b_902.0.png"])
def test_coco_whose_images_name_the_key_frame(name, tmp_path):
    box = [0.25, 0.25, 0.5, 0.5]
    row = {"image_id": name, "category_id": 1, "bbox": box, "score": 0.5}
    (tmp_path / "a.json").write_text(json.dumps([row]))
    [row] = rows(read(tmp_path / "a.json"))
    assert row == ("a_b", 902, 0.25, 0.25, 0.75, 0.75, 1, 0.5)


BAD = {
    "numbers for videos": (DATA / "pyslowfast.pkl", {}, "0 to 1.*--index"),
    "too few names": (DATA / "pyslowfast.pkl", {"index": "a\n"}, "1 names.*--index"),
}


@pytest.mark.parametrize(("path", "options", "message"), BAD.values(), ids=list(BAD))
def test_names_of_videos_are_asked_for(path, options, message, tmp_path):
    if "index" in options:
        (tmp_path / "names.txt").write_text(options["index"])
        options = {"index": tmp_path / "names.txt"}
    with pytest.raises(UserError, match=f"(?s){path}.*{message}"):
        read(path, **options)


PICKLED = {
    "results of 0.x": ([[np.zeros((0, 5))] * 80] * 4, "0.x"),
    "no frame": ([{"pred_instances": {"bboxes": np.zeros((1, 4)),
                                      "scores": np.ones((1, 81))}}], "key frame"),
    "shapes": ([{"img_key": "a,1", "pred_instances": {
        "bboxes": np.zeros((1, 4)), "scores": np.ones((2, 81))}}], "entry 0.*shape"),
    "NaN": ([{"img_key": "a,1", "pred_instances": {
        "bboxes": np.full((1, 4), np.nan), "scores": np.ones((1, 81))}}], "NaN"),
    "shapes of three": ((np.ones((3, 80)), np.ones((2, 5)), np.ones((3, 2))), "shapes"),
    "other keys": (({"a,1": []}, {"a,2": []}, {"a,1": []}), "different key frames"),
    "other numbers": (({"a,1": [[0, 0, 1, 1]]}, {"a,1": []}, {"a,1": []}), "differ"),
    "no key": (({"a": []}, {"a": []}, {"a": []}), "'a'.*timestamp"),
    "a number": (7, "holds 7"),
    "a class": ([pathlib.PurePosixPath("a")], "pathlib"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "message"), PICKLED.values(), ids=list(PICKLED))
def test_other_pickles(content, message, tmp_path):
    path = tmp_path / "found.pkl"
    path.write_bytes(pickle.dumps(content))
    with pytest.raises(UserError, match=f"(?s){path}.*{message}"):
        read(path)


JSONS = {
    "no image": ([{**COCO_ROWS[0], "image_id": 9}], {"images": IMAGES}, "--index"),
    "no name": (COCO_ROWS, None, "'7' names no key frame.*--index"),
    "no size": ([{**COCO_ROWS[0], "image_id": "a_1"}], None, "no size.*--index"),
    "no score": ([{"image_id": "a_1", "category_id": 1, "bbox": [0, 0, 1, 1]}],
                 None, "score"),
    "no time": ([{**COCO_ROWS[0]}],
                {"images": [{"id": 7, "video": "a"}]}, "no time"),
    "no list": ({"mAP/overall": 0.2}, None, "annotations"),
    "NaN": ([{"image_id": "a_1", "category_id": 1, "bbox": [0, 0, 1, 1],
              "score": float("nan")}], None, "NaN"),
}  # fmt: skip


@pytest.mark.parametrize(("content", "images", "message"), JSONS.values(), ids=JSONS)
def test_other_json(content, images, message, tmp_path):
    path, index = tmp_path / "found.json", None
    path.write_text(json.dumps(content))
    if images:
        index = tmp_path / "images.json"
        index.write_text(json.dumps(images))
    with pytest.raises(UserError, match=f"(?s){path}.*{message}"):
        read(path, index=index)
