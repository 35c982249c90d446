"""The doctor, on data broken on purpose: what it finds, where, and how often."""

import json
import pathlib
import pickle
import re
import shutil
import subprocess
import sys

import cv2
import from_config
import numpy as np
import pytest
import video_files

from ava_jax.checks import check
from ava_jax.checks.page import render
from ava_jax.data import dataset
from ava_jax.errors import UserError
from ava_jax.metrics.iou import iou

ROOT = pathlib.Path(__file__).parents[2]


def path(config, name):
    return pathlib.Path(config.data.root, name)


def frame(config, movie, index):
    return path(config, f"rawframes/{movie}/img_{index:05}.jpg")


def append(config, *rows, split="train"):
    """Adds rows to an annotation file; gives the number of the first one's line."""
    file = path(config, f"annotations/mini_{split}.csv")
    lines = file.read_text().splitlines()
    file.write_text("".join(f"{line}\n" for line in (*lines, *rows)))
    return len(lines) + 1


def change_proposals(config, change, split="train"):
    """Replaces the (key, boxes) pairs of a pickle."""
    file = path(config, f"annotations/mini_proposals_{split}.pkl")
    with file.open("rb") as content:
        proposals = pickle.load(content)
    with file.open("wb") as content:
        pickle.dump(dict(change(*item) for item in proposals.items()), content)


def rename_frames(config, movie, name):
    for index in range(1, 61):
        old = frame(config, movie, index)
        old.rename(old.with_name(name.format(index)))


# Each breaks the data set and gives what is to be found: the finding's name, how
# many, a pattern for the first place, and whether it is a problem (else a note).


def missing_movie(config):
    shutil.rmtree(path(config, "rawframes/mini_train_01"))
    return "movies without frames", 1, r"rawframes/mini_train_01$", True


def empty_folder(config):
    for file in path(config, "rawframes/mini_train_01").iterdir():
        file.unlink()
    return "movies without frames", 1, r"rawframes/mini_train_01$", True


def short_movie(config):
    for index in range(15, 61):
        frame(config, "mini_val_00", index).unlink()
    return "short movies", 1, r"mini_val_00: 1.4 s of frames, annotated up to", True


def rate_too_high(config):
    config.data.fps = 30
    return "wrong frame rate", 3, r"mini_train_00: 60 frames", True


def rate_too_low(config):
    config.data.fps = 5
    return "wrong frame rate", 3, r"mini_train_00: 60 frames", True


def rate_written_down(config):
    recipe = {"recipe": {"fps": 25}}
    path(config, "rawframes/manifest.json").write_text(json.dumps(recipe))
    return "frames extracted at another rate", 1, r"manifest\.json", True


def one_movie_counts_from_0(config):
    for index in range(1, 61):
        frame(config, "mini_train_00", index).rename(
            frame(config, "mini_train_00", index - 1)
        )
    name = "movies that count frames from 0"
    return name, 1, r"mini_train_00/img_00000\.jpg", True


def all_movies_count_from_0(config):
    for movie in ("mini_train_00", "mini_train_01", "mini_val_00"):
        for index in range(1, 61):
            old = frame(config, movie, index)
            old.rename(frame(config, movie, index - 1))
    name = "movies that count frames from 0"
    return name, 3, r"mini_train_00/img_00000\.jpg", False


def no_beginning(config):
    frame(config, "mini_train_00", 1).unlink()
    return "movies that lack their beginning", 1, r"/img_00002\.jpg", True


def more_digits(config):
    config.data.frame_name = "img_{:05}.jpg"
    rename_frames(config, "mini_train_00", "img_{:06}.jpg")
    return "movies whose frames are named otherwise", 1, r"mini_train_00$", True


def no_template(config):
    config.data.frame_name = "img.jpg"
    return "movies whose frames are named otherwise", 1, r"mini_train_00$", True


def gaps(config):
    for index in (17, 18, 40):
        frame(config, "mini_train_01", index).unlink()
    return "missing frames", 3, r"mini_train_01/img_00017\.jpg", True


def excused_gap(config):
    config.data.on_bad_frame = "nearest"
    frame(config, "mini_train_01", 17).unlink()
    return "missing frames", 1, r"mini_train_01/img_00017\.jpg", False


def damaged_first_frame(config):
    frame(config, "mini_train_00", 1).write_bytes(b"no picture")
    return "damaged frames", 1, r"img_00001\.jpg: not a picture", True


def early_timestamp(config):
    line = append(config, "mini_train_00,0050,0.1,0.1,0.5,0.5,12,0")
    return "timestamps before their movie", 1, rf"mini_train\.csv:{line}$", True


def late_timestamp(config):
    line = append(config, "mini_train_00,0999,0.1,0.1,0.5,0.5,12,0")
    name = "timestamps after the end of their movie"
    return name, 1, rf"mini_train\.csv:{line}$", True


def pixels(config):
    line = append(config, "mini_train_00,0101,10,20,50,60,12,0")
    return "boxes in pixels", 1, rf"mini_train\.csv:{line}$", True


def outside_frame(config):
    line = append(config, "mini_train_00,0101,-0.1,0.1,0.5,0.5,12,0")
    return "boxes outside the frame", 1, rf"mini_train\.csv:{line}$", True


def inverted(config):
    line = append(config, "mini_train_00,0101,0.5,0.1,0.2,0.5,12,0")
    return "inverted boxes", 1, rf"mini_train\.csv:{line}$", True


def flat(config):
    line = append(config, "mini_train_00,0101,0.5,0.1,0.5,0.5,12,0")
    return "boxes without area", 1, rf"mini_train\.csv:{line}$", True


def unknown_label(config):
    rows = (f"mini_val_00,0101,0.1,0.1,0.5,0.5,{label},0" for label in (93, 94))
    line = append(config, *rows, split="val")
    return "action ids outside the label map", 2, rf"mini_val\.csv:{line}$", True


def label_zero(config):
    line = append(config, "mini_train_00,0101,0.1,0.1,0.5,0.5,0,0")
    return "rows without an action id", 1, rf"mini_train\.csv:{line}$", True


def unnamed_label(config):
    line = append(config, "mini_train_00,0101,0.1,0.1,0.5,0.5,13,0")
    name = "action ids that the label map does not name"
    return name, 1, rf"mini_train\.csv:{line}$", False


def label_without_class(config):
    config.data.class_ids, config.model.num_classes = (), 69
    return "action ids without a class", None, r"mini_train\.csv:\d+$", True


def too_many_classes(config):
    config.data.class_ids, config.model.num_classes = (), 81
    return "classes that nothing trains", 1, None, False


def class_count(config):
    config.model.num_classes = 81
    return "class ids that do not fit the number of classes", 1, None, True


def class_unknown_to_map(config):
    config.data.class_ids = (7, 8, 11, 12, 14, 17, 70)
    return "class ids that the label map lacks", 1, "70", True


def unreadable_rows(config):
    line = append(config, *["mini_train_00,0101,0.1"] * 4)
    name = "rows that cannot be read (wrong number of columns)"
    return name, 4, rf"mini_train\.csv:{line}$", True


def duplicates(config):
    first = path(config, "annotations/mini_train.csv").read_text().splitlines()[0]
    line = append(config, first, first)
    return "duplicate rows", 2, rf"mini_train\.csv:{line}$", True


def no_sample(config):
    file = path(config, "annotations/mini_train.csv")
    rows = [row for row in file.read_text().splitlines() if row.split(",")[6] != "14"]
    file.write_text("\n".join(rows))
    return "actions without samples", 1, r"mini_train\.csv: 14 walk", True


def shared_movie(config):
    first = path(config, "annotations/mini_train.csv").read_text().splitlines()[0]
    append(config, first, split="val")
    return "movies in both splits", 1, first.split(",")[0], True


def divided_movie(config):
    """Of which the key frames of one second are in the other split."""
    file = path(config, "annotations/mini_train.csv")
    rows = file.read_text().splitlines()
    moved = [row for row in rows if row.startswith("mini_train_00,0101")]
    file.write_text("".join(f"{row}\n" for row in rows if row not in moved))
    append(config, *moved, split="val")
    source, target = (
        path(config, f"annotations/mini_proposals_{split}.pkl")
        for split in ("train", "val")
    )
    both = pickle.loads(source.read_bytes()) | pickle.loads(target.read_bytes())
    target.write_bytes(pickle.dumps(both))
    return "movies in both splits", 1, "mini_train_00", False


def crowded(config):
    config.data.max_boxes = 1
    return "crowded key frames", None, r"mini_train_\d\d, second 10\d", True


def missing_file(config):
    config.data.val.exclusions = "annotations/nowhere.csv"
    return "missing files", 1, r"nowhere\.csv \(config\.data\.val\.exclusions\)", True


def no_annotations(config):
    path(config, "annotations/mini_val.csv").write_text("")
    return "no annotations", 1, None, True


def damaged_labels(config):
    path(config, "annotations/mini_action_list.pbtxt").write_text("walk\n")
    return "label map", 1, None, True


def damaged_exclusions(config):
    name = "annotations/mini_train_excluded_timestamps.csv"
    path(config, name).write_text("mini_train_00\n")
    return "excluded timestamps", 1, None, True


def damaged_proposals(config):
    name = "annotations/mini_proposals_val.pkl"
    path(config, name).write_bytes(b"\x80\x02nonsense")
    return "proposals", 1, None, True


def other_names(config):
    change_proposals(config, lambda key, boxes: (key.replace("mini", "Mini"), boxes))
    place = r"mini_train\.csv:\d+: no key 'mini_train_00,010\d'"
    return "key frames without proposals", None, place, True


def other_seconds(config):
    def shift(key, boxes):
        video, second = key.split(",")
        return f"{video},{int(second) + 800:04}", boxes

    change_proposals(config, shift, split="val")
    place = r"mini_val\.csv:\d+: no key 'mini_val_00,010\d'"
    return "key frames without proposals", None, place, True


def empty_key_frame_without_proposals(config):
    append(config, "mini_val_00,0105", split="val")
    place = r"mini_val\.csv: no key 'mini_val_00,0105'"
    return "key frames without proposals", 1, place, True


def accepted_lack_of_proposals(config):
    config.data.no_proposals = "skip"
    append(config, "mini_val_00,0105", split="val")
    return "key frames without proposals", 1, None, False


def unpadded_keys(config):
    change_proposals(config, lambda key, boxes: (key.replace(",0", ","), boxes))
    place = r"mini_proposals_train\.pkl: 'mini_train_00,101'"
    return "proposal keys that are not padded", None, place, False


def pixel_proposals(config):
    change_proposals(config, lambda key, b: (key, b * (96, 72, 96, 72, 1)))
    return "proposals in pixels", None, r"\.pkl: 'mini_train_00,0101'", True


def inverted_proposals(config):
    change_proposals(config, lambda key, boxes: (key, boxes[:, [2, 1, 0, 3, 4]]))
    return "inverted proposals", None, r"\.pkl: 'mini_train_00,0101'", True


def percent_scores(config):
    change_proposals(config, lambda key, b: (key, b * (1, 1, 1, 1, 100)))
    return "proposals with scores outside 0 to 1", None, r"\.pkl: 'mini", True


def low_scores(config):
    change_proposals(config, lambda key, b: (key, b * (1, 1, 1, 1, 0.5)))
    name = "key frames whose proposals all have low scores"
    return name, None, r"\.pkl: 'mini_train_00,010\d'", False


def proposals_elsewhere(config):
    corner = np.array([[0, 0, 0.01, 0.01, 0.99]])
    change_proposals(config, lambda key, boxes: (key, corner))
    return "people whom no proposal covers", None, r"misses \d$", True


BREAKAGES = [
    missing_movie,
    empty_folder,
    short_movie,
    rate_too_high,
    rate_too_low,
    rate_written_down,
    one_movie_counts_from_0,
    all_movies_count_from_0,
    no_beginning,
    more_digits,
    no_template,
    gaps,
    excused_gap,
    damaged_first_frame,
    early_timestamp,
    late_timestamp,
    pixels,
    outside_frame,
    inverted,
    flat,
    unknown_label,
    label_zero,
    unnamed_label,
    label_without_class,
    too_many_classes,
    class_count,
    class_unknown_to_map,
    unreadable_rows,
    duplicates,
    no_sample,
    shared_movie,
    divided_movie,
    crowded,
    missing_file,
    no_annotations,
    damaged_labels,
    damaged_exclusions,
    damaged_proposals,
    other_names,
    other_seconds,
    empty_key_frame_without_proposals,
    accepted_lack_of_proposals,
    unpadded_keys,
    pixel_proposals,
    inverted_proposals,
    percent_scores,
    low_scores,
    proposals_elsewhere,
]


# What else a breakage truly breaks.
_MISSED, _KEYS = "people whom no proposal covers", "key frames without proposals"
CONSEQUENCES = {
    short_movie: {"timestamps after the end of their movie"},
    early_timestamp: {_KEYS},
    late_timestamp: {_KEYS},
    shared_movie: {_KEYS},
    pixel_proposals: {_MISSED},
    inverted_proposals: {_MISSED},
    low_scores: {_MISSED},
}


@pytest.mark.parametrize("breakage", BREAKAGES, ids=lambda f: f.__name__)
def test_what_is_wrong_is_found_and_placed(own, breakage):
    name, count, place, is_problem = breakage(own)
    verdict = check.examine(own).verdict
    finding = next(f for f in verdict.findings if f.name == name)
    assert finding.is_problem == is_problem
    assert count in (None, finding.count)
    assert finding.count >= len(finding.places)
    assert place is None or re.search(place, finding.places[0]), finding.places
    # Nothing else is said but what follows from it.
    problems = {f.name for f in verdict.findings if f.is_problem}
    assert problems - {name} == CONSEQUENCES.get(breakage, set())
    assert verdict.is_clean == (not problems)
    text = verdict.as_text()
    assert f"{name}: " in text and all(p in text for p in finding.places)


@pytest.mark.parametrize("class_ids", [(7, 8, 11, 12, 14, 17, 69), (14, 12)])
def test_clean_data_is_clean(tiny_config, class_ids):
    tiny_config.data.class_ids = class_ids
    tiny_config.model.num_classes = len(class_ids) + 1
    verdict = check.examine(tiny_config, every_frame=True).verdict
    assert verdict.is_clean
    assert "clean" in verdict.headline
    for name in ("train", "val"):
        split = from_config.load_split(tiny_config, name)
        told = verdict.splits[name]
        assert told["key_frames"] == len(split)
        assert told["people"] == len(split.truth_boxes)
        assert told["labels"] == split.truth_classes.sum()
        assert told["proposals"] == len(split.proposal_boxes)
        samples = split.truth_classes[:, 1:].sum(0).astype(int).tolist()
        assert list(told["samples"].values()) == samples


def test_recall_is_that_of_plain_loops(tiny_config):
    split = from_config.load_split(tiny_config, "train")
    best = []
    for k in range(len(split)):
        truth = split.truth_boxes[slice(*split.truth_starts[k : k + 2])]
        found = split.proposal_boxes[slice(*split.proposal_starts[k : k + 2])]
        best += [max((iou(t, p) for p in found), default=0) for t in truth]
    recall = check.examine(tiny_config).verdict.splits["train"]["recall"]
    for least, share in recall.items():
        assert share == np.mean([value >= float(least) for value in best])


def test_every_frame_is_opened_when_asked(own):
    whole = frame(own, "mini_train_00", 20).read_bytes()
    frame(own, "mini_train_00", 20).write_bytes(whole[: len(whole) // 2])
    frame(own, "mini_val_00", 30).write_bytes(b"")
    cv2.imwrite(str(frame(own, "mini_val_00", 31)), np.zeros((50, 50, 3), np.uint8))
    assert check.examine(own).verdict.is_clean
    totals = []

    def progress(items, total):
        totals.append(total)
        return items

    verdict = check.examine(own, every_frame=True, progress=progress).verdict
    problems = {f.name: f for f in verdict.findings if f.is_problem}
    assert set(problems) == {
        "damaged frames",
        "frames of another size than their movie",
    }
    damaged = problems["damaged frames"].places
    assert re.search(r"mini_train_00/img_00020\.jpg: .*truncated", damaged[0])
    assert re.search(r"mini_val_00/img_00030\.jpg: empty file", damaged[1])
    (place,) = problems["frames of another size than their movie"].places
    assert re.search(r"mini_val_00/img_00031\.jpg: 50x50, others 96x72", place)
    assert totals == [180]


@pytest.fixture
def filmed(own):
    """The same data set as video files."""
    rawframes = path(own, "rawframes")
    for movie in sorted(rawframes.iterdir()):
        images = [cv2.imread(str(file))[:, :, ::-1] for file in sorted(movie.iterdir())]
        file = rawframes / f"{movie.name}.mov"
        video_files.write_video(file, np.array(images), fps=10)
        shutil.rmtree(movie)
    own.data.frame_store, own.data.video_start = "video", 100
    return own


def test_videos_are_read_to_their_end_when_asked(filmed):
    assert check.examine(filmed, every_frame=True).verdict.is_clean
    file = path(filmed, "rawframes/mini_train_01.mov")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle:] = bytes(len(content) - middle)  # as an aborted download leaves it
    file.write_bytes(content)
    assert check.examine(filmed).verdict.is_clean
    verdict = check.examine(filmed, every_frame=True).verdict
    (finding,) = (f for f in verdict.findings if f.is_problem)
    assert (finding.name, finding.count) == ("damaged frames", 1)
    assert re.search(r"mini_train_01\.mov: ends 3\.0 s before", finding.places[0])
    file.write_text("no video")
    assert any(
        "mini_train_01.mov" in f.found for f in check.examine(filmed).verdict.findings
    )


def test_packed_frames_are_read_when_asked(own, tmp_path):
    from ava_jax.prepare import ava_builder

    whole = frame(own, "mini_train_00", 20).read_bytes()
    frame(own, "mini_train_00", 20).write_bytes(whole[: len(whole) // 2])
    ava_builder.pack(own.data, tmp_path / "packed")
    own.data.root, own.data.frame_store = str(tmp_path / "packed"), "packed"
    assert check.examine(own).verdict.is_clean
    verdict = check.examine(own, every_frame=True).verdict
    (finding,) = (f for f in verdict.findings if f.is_problem)
    assert (finding.name, finding.count) == ("damaged frames", 1)
    assert "Frame 20 of movie mini_train_00" in finding.places[0]
    own.data.on_bad_frame = "nearest"
    assert check.examine(own, every_frame=True).verdict.is_clean


def test_all_is_told_at_once(own):
    together = (missing_movie, inverted, duplicates, damaged_proposals, unknown_label)
    expected = {breakage(own)[0] for breakage in together}
    found = {f.name for f in check.examine(own).verdict.findings if f.is_problem}
    assert found >= expected


def test_the_reason_for_missing_keys_is_told(own):
    other_names(own)
    (finding,) = (
        f
        for f in check.examine(own).verdict.findings
        if f.name == "key frames without proposals"
    )
    assert "does not know mini_train_00; it knows Mini_train_00" in finding.found


def test_the_trainer_has_the_last_word(own, monkeypatch):
    def refuse(data, name, num_classes):
        raise UserError(f"no {name} today")

    monkeypatch.setattr(dataset, "load_split", refuse)
    findings = [f for f in check.examine(own).verdict.findings if f.is_problem]
    assert [f.found for f in findings] == ["no train today", "no val today"]


def test_the_page_shows_suspicious_key_frames(own):
    pixels(own)
    examination = check.examine(own)
    page = render(examination.verdict, examination.image)
    assert "Boxes in pixels: 1" in page
    assert page.count("<figure>") >= 2  # that key frame, and people not found


def run(*arguments):
    return subprocess.run(
        [sys.executable, "scripts/check_ava.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


def test_command_line(own, tmp_path):
    inverted(own)
    result = run(
        *(
            "--config=configs/mini.py",
            f"--config.data.root={own.data.root}",
            "--frames",
        ),
        *(f"--json={tmp_path / 'verdict.json'}", f"--html={tmp_path / 'page.html'}"),
    )
    assert result.returncode == 1, result.stderr
    assert "PROBLEM (train): inverted boxes: 1" in result.stdout
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    assert verdict["verdict"] == "problems"
    assert verdict["findings"][0]["name"] == "inverted boxes"
    assert verdict["findings"][0]["count"] == 1
    assert "Inverted boxes: 1" in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--config"),
        (["--config=configs/mini.py", "--config.data.rot=x"], "config.data.root"),
        (["--config=configs/mini.py", "--json=/dev/null/x"], "cannot be written"),
        (["--config=configs/mini.py", "extra"], "extra"),
    ],
)
def test_what_cannot_be_checked_exits_with_2(arguments, message):
    result = run(*arguments)
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("root", ["", "nowhere"])
def test_without_a_data_set_there_is_nothing_to_check(tiny_config, root):
    tiny_config.data.root = root
    with pytest.raises(UserError, match=r"--config\.data\.root=DIR"):
        check.examine(tiny_config)
