"""Annotations joined with frames; what is refused, and how."""

import gzip
import pathlib
import pickle
import shutil
import types

import cv2
import from_config
import numpy as np
import pytest

from ava_jax.data import timing_checks
from ava_jax.errors import UserError
from ava_jax.metrics.iou import iou


def annotations(config, name):
    return f"{config.data.root}/annotations/{name}"


def append(path, text):
    with open(path, "a") as file:
        file.write(text)


def test_joined_arrays(tiny_config):
    split = from_config.load_split(tiny_config, "train")
    assert split.truth_starts[-1] == len(split.truth_boxes) == len(split.truth_classes)
    assert split.proposal_starts[-1] == len(split.proposal_boxes)
    assert (np.diff(split.truth_starts) > 0).all()
    assert split.class_ids.tolist() == [0, 7, 8, 11, 12, 14, 17, 69]
    assert len(split) == len(set(zip(split.video.tolist(), split.second.tolist())))
    np.testing.assert_array_equal(split.centre, (split.second - 100) * 10 + 1)
    assert split.frames.size.tolist() == [[72, 96]] * len(split.frames.videos)
    # Labels of one box make one person: as many label rows as the file has.
    rows = [
        row
        for row in zip(
            split.ground_truth.video.tolist(), split.ground_truth.timestamp.tolist()
        )
        if (split.ground_truth.videos[row[0]], row[1]) not in split.excluded
    ]
    assert split.truth_classes.sum() == len(rows)


def test_custom_classes_are_remapped_and_others_dropped(tiny_config):
    every = from_config.load_split(tiny_config, "train")
    tiny_config.data.class_ids = (14, 12)
    tiny_config.model.num_classes = 3
    split = from_config.load_split(tiny_config, "train")
    columns = [every.class_ids.tolist().index(i) for i in (14, 12)]
    np.testing.assert_array_equal(
        split.truth_classes[:, 1:].sum(0), every.truth_classes[:, columns].sum(0)
    )
    assert (split.truth_classes.sum(1) > 0).all()


def test_gzipped_files_and_unpadded_timestamps_load_alike(own):
    before = from_config.load_split(own, "val")
    path = annotations(own, "mini_val.csv")
    text = pathlib.Path(path).read_text().replace(",0", ",")
    with gzip.open(path + ".gz", "wt") as file:
        file.write(text)
    own.data.val.boxes += ".gz"
    after = from_config.load_split(own, "val")
    np.testing.assert_array_equal(before.truth_boxes, after.truth_boxes)
    np.testing.assert_array_equal(before.second, after.second)


def break_label(config):
    path = annotations(config, "mini_train.csv")
    line = pathlib.Path(path).read_text().count("\n") + 1
    append(path, "mini_train_00,0101,0.1,0.1,0.5,0.5,93,0\n")
    return rf"action ids outside the label map: 1\n.*mini_train\.csv:{line}\n.* is 93"


def boxes_in_pixels(config):
    row = "mini_train_00,0101,10,20,50,60,12,0\n"
    append(annotations(config, "mini_train.csv"), row)
    return r"boxes in pixels: 1\n.*mini_train\.csv:\d+\n.*10 20 50 60"


def inverted_boxes(config):
    row = "mini_train_00,0101,0.5,0.2,0.1,0.6,12,0\n"
    append(annotations(config, "mini_train.csv"), row)
    return r"inverted boxes: 1\n.*mini_train\.csv:\d+\n.*0\.5 0\.2 0\.1 0\.6"


def _proposals(config, *boxes):
    """Gives the first training key frame these proposals."""
    path = annotations(config, "mini_proposals_train.pkl")
    with open(path, "rb") as file:
        content = pickle.load(file)
    content[min(content)] = np.array(boxes)
    with open(path, "wb") as file:
        pickle.dump(content, file)


def proposals_in_pixels(config):
    _proposals(config, [10, 20, 50, 60, 0.9])
    return r"proposals in pixels: 1\n.*\.pkl: 'mini_train_00,"


def inverted_proposals(config):
    _proposals(config, [0.5, 0.2, 0.1, 0.6, 0.9])
    return r"inverted proposals: 1\n.*\.pkl: 'mini_train_00,"


def person_ids_as_scores(config):
    _proposals(config, [0.1, 0.2, 0.5, 0.6, 7])
    return r"proposals with scores outside 0 to 1: 1\n.*'mini_train_00,.*\n.*has 7"


def percent_in_a_csv(config):
    path = annotations(config, "mini_train.csv")
    config.data.train.proposals = "annotations/percent.csv"
    row = "mini_train_00,0101,0.1,0.2,0.5,0.6,12,90\n"
    pathlib.Path(path).with_name("percent.csv").write_text(row)
    return r"proposals with scores outside 0 to 1: 1\n.*'mini_train_00,0101'\n.*has 90"


def break_columns(config):
    append(annotations(config, "mini_train.csv"), "mini_train_00,0101,0.1\n")
    return r"mini_train\.csv:\d+\nThe first: 3 columns"


def empty_file(config):
    pathlib.Path(annotations(config, "mini_train.csv")).write_text("")
    return r"mini_train\.csv"


def missing_file(config):
    config.data.train.boxes = "annotations/nowhere.csv"
    return r"missing files: 1\n.*annotations/nowhere\.csv \(config\.data\.train\.boxes"


def no_frames(config):
    shutil.rmtree(f"{config.data.root}/rawframes")
    return r"missing files: 1\n.*rawframes \(config\.data\.frames"


def no_movie(config):
    shutil.rmtree(f"{config.data.root}/rawframes/mini_train_01")
    return r"1 of 2 movies have no frame folder .*mini_train_01"


def gap_in_movie(config):
    (pathlib.Path(config.data.root) / "rawframes/mini_train_00").joinpath(
        "img_00017.jpg"
    ).unlink()
    return r"mini_train_00: frame img_00017\.jpg is missing"


def broken_first_frame(config):
    path = f"{config.data.root}/rawframes/mini_train_00/img_00001.jpg"
    with open(path, "wb") as file:
        file.write(b"no picture")
    return r"img_00001\.jpg is not a readable JPEG"


def other_frame_name(config):
    config.data.frame_name = "frame_{:06}.jpg"
    return r"has no frame named like frame_000001\.jpg"


def bad_frame_name(config):
    config.data.frame_name = "img.jpg"
    return r"config\.data\.frame_name is 'img\.jpg'"


def wrong_rate(config):
    config.data.fps = 30
    return r"(?s)after the end of their movie.*Check config\.data\.fps"


def extracted_at_another_rate(config):
    manifest = pathlib.Path(config.data.root, "rawframes/manifest.json")
    manifest.write_text('{"recipe": {"fps": 25}}')
    return r"extracted at another rate: 1\n.*manifest\.json\n.*--config\.data\.fps=25"


def crowded(config):
    config.data.max_boxes = 1
    return r"config\.data\.max_boxes is 1"


def class_count(config):
    config.model.num_classes = 81
    return r"--config\.model\.num_classes=8"


def unknown_class(config):
    config.data.class_ids = (7, 8, 11, 12, 14, 17, 70)
    return r"class ids that the label map lacks: 1\n  70\n"


def unpadded_keys(config):
    path = annotations(config, "mini_proposals_train.pkl")
    with open(path, "rb") as file:
        proposals = pickle.load(file)
    other = {key.replace("mini", "Mini"): value for key, value in proposals.items()}
    with open(path, "wb") as file:
        pickle.dump(other, file)
    return (
        r"(?s)key frames without proposals: \d+\n.*no key 'mini_train.*knows Mini_train"
    )


BREAKAGES = [
    break_label,
    boxes_in_pixels,
    inverted_boxes,
    proposals_in_pixels,
    inverted_proposals,
    person_ids_as_scores,
    percent_in_a_csv,
    break_columns,
    empty_file,
    missing_file,
    no_frames,
    no_movie,
    gap_in_movie,
    broken_first_frame,
    other_frame_name,
    bad_frame_name,
    wrong_rate,
    extracted_at_another_rate,
    crowded,
    class_count,
    unknown_class,
    unpadded_keys,
]


def test_the_last_frame_may_be_a_key_frame(own):
    store = from_config.load_split(own, "train").frames
    last = 100 + (int(store.last[0]) - 1) / own.data.fps
    row = f"{store.videos[0]},{last:g},0.1,0.1,0.5,0.5,12,0\n"
    append(annotations(own, "mini_train.csv"), row)
    own.data.no_proposals = "full_frame"
    split = from_config.load_split(own, "train")
    assert last in split.second


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda f: f.__name__)
def test_what_is_wrong_is_said(own, breakage):
    message = breakage(own)
    with pytest.raises(UserError, match=message):
        from_config.load_split(own, "train")


def test_a_rate_that_is_too_low_is_warned_of(own, caplog):
    # 12 s of frames, it would seem, for annotations that end after 4 s.
    own.data.fps = 5
    from_config.load_split(own, "train")
    assert "wrong frame rate: 2" in caplog.text
    assert "config.data.fps is 5, but the movies would continue" in caplog.text


def test_one_movie_that_seems_too_long_is_a_note():
    # 80 s at 30 frames a second, annotated up to second 78.
    store = types.SimpleNamespace(
        videos=("film",), origin=np.array([1]), last=np.array([2400])
    )
    key_frames = types.SimpleNamespace(
        videos=("film",), video=np.zeros(2, int), second=np.array([1.0, 78.0])
    )
    assert timing_checks.check_rate(key_frames, store, 30, 0) == []
    (finding,) = timing_checks.check_rate(key_frames, store, 10, 0)
    assert finding.name == "wrong frame rate" and not finding.is_problem
    assert "fit 29.97 or 30 a second" in finding.found


def test_key_frames_without_proposals(own):
    path = annotations(own, "mini_proposals_val.pkl")
    with open(path, "rb") as file:
        proposals = pickle.load(file)
    whole = from_config.load_split(own, "val")
    del proposals[f"{whole.frames.videos[0]},{int(whole.second[0]):04}"]
    with open(path, "wb") as file:
        pickle.dump(proposals, file)
    own.data.no_proposals = "skip"
    assert len(from_config.load_split(own, "val")) == len(whole) - 1
    own.data.no_proposals = "full_frame"
    split = from_config.load_split(own, "val")
    assert len(split) == len(whole)
    np.testing.assert_array_equal(
        split.proposal_boxes[: split.proposal_starts[1]], [[0, 0, 1, 1]]
    )
    own.data.no_proposals = "guess"
    with pytest.raises(UserError, match="config.data.no_proposals is 'guess'"):
        from_config.load_split(own, "val")


def test_weak_proposals_are_dropped_but_never_all(own):
    second = from_config.load_split(own, "val").second[:2].astype(int)
    video = from_config.load_split(own, "val").frames.videos[0]
    path = annotations(own, "mini_proposals_val.pkl")
    with open(path, "rb") as file:
        proposals = pickle.load(file)
    boxes = np.array([[0.1, 0.1, 0.5, 0.5], [0.2, 0.2, 0.6, 0.6]])
    for t, scores in zip(second, [(0.95, 0.5), (0.7, 0.6)]):
        proposals[f"{video},{t:04}"] = np.column_stack([boxes, scores])
    with open(path, "wb") as file:
        pickle.dump(proposals, file)
    split = from_config.load_split(own, "val")
    assert np.diff(split.proposal_starts)[:2].tolist() == [1, 1]
    np.testing.assert_array_equal(split.proposal_boxes[0], boxes[0])


def test_the_log_says_how_well_proposals_fit(tiny_config, caplog):
    with caplog.at_level("INFO"):
        split = from_config.load_split(tiny_config, "train")

    def best(k):
        truth = split.truth_boxes[slice(*split.truth_starts[k : k + 2])]
        found = split.proposal_boxes[slice(*split.proposal_starts[k : k + 2])]
        return [max(iou(a, b) for b in found) for a in truth]

    best = np.concatenate([best(k) for k in range(len(split))])
    expected = [f"{100 * (best >= least).mean():.1f} %" for least in (0.5, 0.9)]
    assert expected[0] != expected[1]
    (line,) = [message for message in caplog.messages if message.startswith("train:")]
    assert line.startswith(
        f"train: {len(split)} key frames of 2 movies, 0 frames missing, "
        f"{len(split.truth_boxes)} people, {len(split.proposal_boxes)} proposals that "
        f"find {expected[0]} of the people at IoU 0.5 and {expected[1]} at 0.9; labels:"
    )


def test_people_keep_the_order_of_the_file(own):
    """Rows of one box are one person, wherever they stand; boxes are not sorted."""
    rows = [
        "mini_train_01,0103,0.5,0.1,0.9,0.8,12,0",
        "mini_train_00,0102,0.4,0.1,0.6,0.8,12,0",
        "mini_train_00,0102,0.1,0.1,0.3,0.8,14,1",
        "mini_train_01,0102,0.2,0.1,0.4,0.8,14,0",
        "mini_train_00,0102,0.4,0.1,0.6,0.8,17,0",
        "mini_train_00,0103,0.1,0.1,0.3,0.8,3,1",  # not learned
    ]
    path = pathlib.Path(annotations(own, "mini_train.csv"))
    path.write_text("\n".join(rows))
    own.data.no_proposals = "full_frame"
    own.data.class_ids, own.model.num_classes = (12, 14, 17), 4
    split = from_config.load_split(own, "train")
    names = [split.frames.videos[v] for v in split.video]
    assert list(zip(names, split.second.tolist())) == [
        ("mini_train_01", 102.0),
        ("mini_train_01", 103.0),
        ("mini_train_00", 102.0),
    ]
    assert split.truth_starts.tolist() == [0, 1, 2, 4]
    assert split.truth_boxes[:, 0].tolist() == [0.2, 0.5, 0.4, 0.1]
    assert split.truth_classes.tolist() == [
        [0, 0, 1, 0],
        [0, 1, 0, 0],
        [0, 1, 0, 1],
        [0, 0, 1, 0],
    ]


def test_frame_sizes_may_differ(own):
    folder = pathlib.Path(own.data.root) / "rawframes/mini_train_01"
    for path in folder.iterdir():
        cv2.imwrite(str(path), np.zeros((50, 90, 3), np.uint8))
    split = from_config.load_split(own, "train")
    assert split.frames.size.tolist() == [[72, 96], [50, 90]]
