"""The doctor, on data broken on purpose: what it finds, where, and how often."""

import json
import pathlib
import pickle
import re
import runpy
import shutil
import subprocess
import sys
from typing import NamedTuple

import cv2
import from_config
import numpy as np
import pytest
import video_files
from PIL import Image

from ava_jax.checks.page import render
from ava_jax.data import dataset
from ava_jax.errors import UserError
from ava_jax.files import write_json
from ava_jax.metrics.iou import iou
from ava_jax.workdir import as_dict

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


def rename_frames(config, movie, name, step=0):
    for index in range(1, 61):
        old = frame(config, movie, index)
        old.rename(old.with_name(name.format(index + step)))


def saved_as(movie, index, **options):
    """Writes a frame again, in another format or with another orientation."""

    def change(config):
        path = frame(config, movie, index)
        with Image.open(path) as image:
            image.save(path, **options)

    return change


def orientation(value):
    exif = Image.Exif()
    exif[0x0112] = value
    return exif


# What breaks the data set: each of these gives a function of the configuration, which
# returns the line of the first row that it adds, if it adds any.


def rows(*texts, split="train"):
    return lambda config: append(config, *texts, split=split)


def row(box="0.1,0.1,0.5,0.5", label=12, movie="mini_train_00", second="0101", **split):
    return rows(f"{movie},{second},{box},{label},0", **split)


def setting(**fields):
    """Of the configuration, with __ for the dots."""

    def change(config):
        config.update_from_flattened_dict(
            {name.replace("__", "."): value for name, value in fields.items()}
        )

    return change


def text(name, content):
    return lambda config: path(config, f"annotations/{name}").write_bytes(content)


def without_frames(movie, *indices):
    def change(config):
        for index in indices:
            frame(config, movie, index).unlink()

    return change


def renamed(name, *movies, step=0):
    def change(config):
        for movie in movies:
            rename_frames(config, movie, name, step)

    return change


def proposals(change, split="train"):
    return lambda config: change_proposals(config, change, split)


def in_turn(*changes):
    return lambda config: [change(config) for change in changes][-1]


def first_row(config):
    return path(config, "annotations/mini_train.csv").read_text().splitlines()[0]


def without_rows(config, is_gone):
    """Takes rows out of the training annotations; gives them."""
    file = path(config, "annotations/mini_train.csv")
    lines = file.read_text().splitlines()
    file.write_text("".join(f"{line}\n" for line in lines if not is_gone(line)))
    return [line for line in lines if is_gone(line)]


def divide_a_movie(config):
    """Moves one key frame to the other split."""
    moved = without_rows(config, lambda line: line.startswith("mini_train_00,0101"))
    append(config, *moved, split="val")
    source, target = (
        path(config, f"annotations/mini_proposals_{split}.pkl")
        for split in ("train", "val")
    )
    both = pickle.loads(source.read_bytes()) | pickle.loads(target.read_bytes())
    target.write_bytes(pickle.dumps(both))


def shift_seconds(key, boxes):
    video, second = key.split(",")
    return f"{video},{int(second) + 800:04}", boxes


class Found(NamedTuple):
    """What is to be found.

    Attributes:
      name: of the finding.
      count: None: any.
      place: pattern of the first one; LINE is the line that was added. None: any.
      is_problem: else it is a note.
      others: further problems that the breakage truly causes.
    """

    name: str
    count: int | None
    place: str | None
    is_problem: bool = True
    others: tuple[str, ...] = ()


MOVIES = "mini_train_00", "mini_train_01", "mini_val_00"
_FROM_0, _OTHER_NAMES = "movies that count frames from 0", "frames are named otherwise"
_KEYS, _MISSED = "key frames without proposals", "people whom no proposal covers"
_LATE = "timestamps after the end of their movie"
_NO_FRAMES = "movies without frames"
_TRAIN, _PKL = r"mini_train\.csv:LINE$", r"\.pkl: 'mini_train_00,0101'"
_FIRST = "mini_train_00/img_0000"

CASES = {
    "missing movie": (
        lambda config: shutil.rmtree(path(config, "rawframes/mini_train_01")),
        Found(_NO_FRAMES, 1, "rawframes/mini_train_01$"),
    ),
    "empty folder": (
        without_frames("mini_train_01", *range(1, 61)),
        Found(_NO_FRAMES, 1, "rawframes/mini_train_01$"),
    ),
    "short movie": (
        without_frames("mini_val_00", *range(15, 61)),
        Found(
            "short movies",
            1,
            "mini_val_00: 1.4 s of frames, annotated up to",
            others=(_LATE,),
        ),
    ),
    "WebP": (
        saved_as("mini_train_00", 1, format="WEBP"),
        Found("frames in another format", 1, f"{_FIRST}1.jpg: WEBP$"),
    ),
    "rotated by EXIF": (
        saved_as("mini_train_00", 60, format="JPEG", exif=orientation(6)),
        Found("frames with an EXIF orientation", 1, r"mini_train_00/img_00060\.jpg$"),
    ),
    "rate too high": (
        setting(data__fps=30),
        Found("wrong frame rate", 3, "mini_train_00: 60 frames"),
    ),
    "rate too low": (
        setting(data__fps=5),
        Found("wrong frame rate", 3, "mini_train_00: 60 frames"),
    ),
    "rate written down": (
        text("../rawframes/manifest.json", b'{"recipe": {"fps": 25}}'),
        Found("frames extracted at another rate", 1, r"manifest\.json"),
    ),
    "one movie counts from 0": (
        renamed("img_{:05}.jpg", "mini_train_00", step=-1),
        Found(_FROM_0, 1, f"{_FIRST}0"),
    ),
    "names of the first movie": (
        in_turn(
            *(renamed(f"{movie}_frame_{{:04}}.jpg", movie) for movie in MOVIES),
            setting(data__frame_name="mini_train_00_frame_{:04}.jpg"),
        ),
        Found(f"movies whose {_OTHER_NAMES}", 2, "rawframes/mini_train_01$"),
    ),
    "all movies count from 0": (
        renamed("img_{:05}.jpg", *MOVIES, step=-1),
        Found(_FROM_0, 3, f"{_FIRST}0", False),
    ),
    "no beginning": (
        without_frames("mini_train_00", 1),
        Found("movies that lack their beginning", 1, f"{_FIRST}2"),
    ),
    "more digits": (
        in_turn(
            setting(data__frame_name="img_{:05}.jpg"),
            renamed("img_{:06}.jpg", "mini_train_00"),
        ),
        Found(f"movies whose {_OTHER_NAMES}", 1, "mini_train_00$"),
    ),
    "no template": (
        setting(data__frame_name="img.jpg"),
        Found(f"movies whose {_OTHER_NAMES}", 1, "mini_train_00$"),
    ),
    "gaps": (
        without_frames("mini_train_01", 17, 18, 40),
        Found("missing frames", 3, r"mini_train_01/img_00017\.jpg"),
    ),
    "excused gap": (
        in_turn(
            setting(data__on_bad_frame="nearest"), without_frames("mini_train_01", 17)
        ),
        Found("missing frames", 1, r"mini_train_01/img_00017\.jpg", False),
    ),
    "damaged first frame": (
        lambda config: frame(config, "mini_train_00", 1).write_bytes(b"no picture"),
        Found("damaged frames", 1, r"img_00001\.jpg: not a picture"),
    ),
    "early timestamp": (
        row(second="0050"),
        Found("timestamps before their movie", 1, _TRAIN, others=(_KEYS,)),
    ),
    "late timestamp": (row(second="0999"), Found(_LATE, 1, _TRAIN, others=(_KEYS,))),
    "pixels": (row("10,20,50,60"), Found("boxes in pixels", 1, _TRAIN)),
    "outside": (row("-0.1,0.1,0.5,0.5"), Found("boxes outside the frame", 1, _TRAIN)),
    "inverted": (row("0.5,0.1,0.2,0.5"), Found("inverted boxes", 1, _TRAIN)),
    "flat": (row("0.5,0.1,0.5,0.5"), Found("boxes without area", 1, _TRAIN)),
    "unknown label": (
        rows(
            *(f"mini_val_00,0101,0.1,0.1,0.5,0.5,{label},0" for label in (93, 94)),
            split="val",
        ),
        Found("action ids outside the label map", 2, r"mini_val\.csv:LINE$"),
    ),
    "label zero": (row(label=0), Found("rows without an action id", 1, _TRAIN)),
    "unnamed label": (
        row(label=13),
        Found("action ids that the label map does not name", 1, _TRAIN, False),
    ),
    "label without class": (
        setting(data__class_ids=(), model__num_classes=69),
        Found("action ids without a class", None, r"mini_train\.csv:\d+$"),
    ),
    "too many classes": (
        setting(data__class_ids=(), model__num_classes=81),
        Found("classes that nothing trains", 1, None, False),
    ),
    "class count": (
        setting(model__num_classes=81),
        Found("class ids that do not fit the number of classes", 1, None),
    ),
    "class unknown to map": (
        setting(data__class_ids=(7, 8, 11, 12, 14, 17, 70)),
        Found("class ids that the label map lacks", 1, "70"),
    ),
    "unreadable rows": (
        rows(*["mini_train_00,0101,0.1"] * 4),
        Found("rows that cannot be read (wrong number of columns)", 4, _TRAIN),
    ),
    "duplicates": (
        lambda config: append(config, *[first_row(config)] * 2),
        Found("duplicate rows", 2, _TRAIN),
    ),
    "no sample": (
        lambda config: without_rows(config, lambda line: line.split(",")[6] == "14"),
        Found("actions without samples", 1, r"mini_train\.csv: 14 walk"),
    ),
    "shared movie": (
        lambda config: append(config, first_row(config), split="val"),
        Found("movies in both splits", 1, "mini_train_00", others=(_KEYS,)),
    ),
    "divided movie": (
        divide_a_movie,
        Found("movies in both splits", 1, "mini_train_00", False),
    ),
    "crowded": (
        setting(data__max_boxes=1),
        Found("crowded key frames", None, r"mini_train_\d\d, second 10\d"),
    ),
    "missing file": (
        setting(data__val__exclusions="annotations/nowhere.csv"),
        Found("missing files", 1, r"nowhere\.csv \(config\.data\.val\.exclusions\)"),
    ),
    "no annotations": (text("mini_val.csv", b""), Found("no annotations", 1, None)),
    "two nearly equal boxes": (
        # Half a pixel apart, as when every action was drawn for itself.
        rows(
            "mini_train_00,0101,0.1,0.1,0.5,0.5,12,9",
            "mini_train_00,0101,0.105,0.1,0.505,0.5,14,9",
        ),
        Found("people in two nearly equal boxes", 1, r"mini_train\.csv:\d+$"),
    ),
    "two people at one place": (
        rows(
            "mini_train_00,0101,0.1,0.1,0.5,0.5,12,8",
            "mini_train_00,0101,0.105,0.1,0.505,0.5,14,9",
        ),
        Found("people in two nearly equal boxes", 1, r"mini_train\.csv:\d+$", False),
    ),
    "damaged labels": (
        text("mini_action_list.pbtxt", b"walk\n"),
        Found("label map", 1, None),
    ),
    "damaged exclusions": (
        text("mini_train_excluded_timestamps.csv", b"mini_train_00\n"),
        Found("excluded timestamps", 1, None),
    ),
    "damaged proposals": (
        text("mini_proposals_val.pkl", b"\x80\x02nonsense"),
        Found("proposals", 1, None),
    ),
    "other names": (
        proposals(lambda key, boxes: (key.replace("mini", "Mini"), boxes)),
        Found(_KEYS, None, r"mini_train\.csv:\d+: no key 'mini_train_00,010\d'"),
    ),
    "other seconds": (
        proposals(shift_seconds, split="val"),
        Found(_KEYS, None, r"mini_val\.csv:\d+: no key 'mini_val_00,010\d'"),
    ),
    "empty key frame without proposals": (
        rows("mini_val_00,0105", split="val"),
        Found(_KEYS, 1, r"mini_val\.csv: no key 'mini_val_00,0105'"),
    ),
    "accepted lack of proposals": (
        in_turn(
            setting(data__no_proposals="skip"), rows("mini_val_00,0105", split="val")
        ),
        Found(_KEYS, 1, None, False),
    ),
    "unpadded keys": (
        proposals(lambda key, boxes: (key.replace(",0", ","), boxes)),
        Found(
            "proposal keys that are not padded",
            None,
            r"mini_proposals_train\.pkl: 'mini_train_00,101'",
            False,
        ),
    ),
    "pixel proposals": (
        proposals(lambda key, boxes: (key, boxes * (96, 72, 96, 72, 1))),
        Found("proposals in pixels", None, _PKL, others=(_MISSED,)),
    ),
    "inverted proposals": (
        proposals(lambda key, boxes: (key, boxes[:, [2, 1, 0, 3, 4]])),
        Found("inverted proposals", None, _PKL, others=(_MISSED,)),
    ),
    "percent scores": (
        proposals(lambda key, boxes: (key, boxes * (1, 1, 1, 1, 100))),
        Found("proposals with scores outside 0 to 1", None, r"\.pkl: 'mini"),
    ),
    "person ids for scores": (
        proposals(
            lambda key, boxes: (
                key,
                np.hstack([boxes[:, :4], np.arange(len(boxes))[:, None] % 2]),
            )
        ),
        Found(
            "proposals with person ids for scores",
            None,
            r"\.pkl: 'mini",
            others=(_MISSED,),
        ),
    ),
    "proposals off the frame": (
        proposals(
            lambda key, boxes: (
                key,
                np.vstack([boxes, [1.2, 0.1, 1.5, 0.5, 0.99]]).astype(np.float32),
            )
        ),
        Found("proposals off the frame", None, r"\.pkl: 'mini"),
    ),
    "low scores": (
        proposals(lambda key, boxes: (key, boxes * (1, 1, 1, 1, 0.5))),
        Found(
            "key frames whose proposals all have low scores",
            None,
            r"\.pkl: 'mini_train_00,010\d'",
            False,
            others=(_MISSED,),
        ),
    ),
    "proposals elsewhere": (
        proposals(lambda key, boxes: (key, np.array([[0, 0, 0.01, 0.01, 0.99]]))),
        Found(_MISSED, None, r"misses \d$"),
    ),
}


@pytest.mark.parametrize(("change", "expected"), CASES.values(), ids=CASES)
def test_what_is_wrong_is_found_and_placed(own, change, expected):
    line = change(own)
    verdict = from_config.examine(own).verdict
    finding = next(f for f in verdict.findings if f.name == expected.name)
    assert finding.is_problem == expected.is_problem
    assert expected.count in (None, finding.count)
    assert finding.count >= len(finding.places)
    if expected.place:
        assert re.search(expected.place.replace("LINE", str(line)), finding.places[0])
    # Nothing else is said but what follows from it.
    problems = {f.name for f in verdict.findings if f.is_problem}
    assert problems - {expected.name} == set(expected.others)
    assert verdict.is_clean == (not problems)
    text = verdict.as_text()
    assert f"{expected.name}: " in text and all(p in text for p in finding.places)


@pytest.mark.parametrize("class_ids", [(7, 8, 11, 12, 14, 17, 69), (14, 12)])
def test_clean_data_is_clean(tiny_config, class_ids):
    tiny_config.data.class_ids = class_ids
    tiny_config.model.num_classes = len(class_ids) + 1
    verdict = from_config.examine(tiny_config, every_frame=True).verdict
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


def test_names_by_movie_need_no_template(own):
    for movie in MOVIES:
        rename_frames(own, movie, movie + "_frame_{:04}.jpg")
    assert from_config.examine(own).verdict.is_clean
    own.data.frame_name = "mini_train_00_frame_{:04}.jpg"
    findings = {f.name: f for f in from_config.examine(own).verdict.findings}
    remedy = "--config.data.frame_name='{video}_frame_{:04}.jpg' reads them"
    assert remedy in findings[f"movies whose {_OTHER_NAMES}"].found


def test_recall_is_that_of_plain_loops(tiny_config):
    split = from_config.load_split(tiny_config, "train")
    best = []
    for k in range(len(split)):
        truth = split.truth_boxes[slice(*split.truth_starts[k : k + 2])]
        found = split.proposal_boxes[slice(*split.proposal_starts[k : k + 2])]
        best += [max((iou(t, p) for p in found), default=0) for t in truth]
    recall = from_config.examine(tiny_config).verdict.splits["train"]["recall"]
    for least, share in recall.items():
        assert share == np.mean([value >= float(least) for value in best])


def test_every_frame_is_opened_when_asked(own):
    whole = frame(own, "mini_train_00", 20).read_bytes()
    frame(own, "mini_train_00", 20).write_bytes(whole[: len(whole) // 2])
    frame(own, "mini_val_00", 30).write_bytes(b"")
    cv2.imwrite(str(frame(own, "mini_val_00", 31)), np.zeros((50, 50, 3), np.uint8))
    assert from_config.examine(own).verdict.is_clean
    totals = []

    def progress(items, total):
        totals.append(total)
        return items

    verdict = from_config.examine(own, every_frame=True, progress=progress).verdict
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
    assert from_config.examine(filmed, every_frame=True).verdict.is_clean
    file = path(filmed, "rawframes/mini_train_01.mov")
    content = bytearray(file.read_bytes())
    middle = len(content) // 2
    content[middle:] = bytes(len(content) - middle)  # as an aborted download leaves it
    file.write_bytes(content)
    assert from_config.examine(filmed).verdict.is_clean
    verdict = from_config.examine(filmed, every_frame=True).verdict
    (finding,) = (f for f in verdict.findings if f.is_problem)
    assert (finding.name, finding.count) == ("damaged frames", 1)
    assert re.search(r"mini_train_01\.mov: ends 3\.0 s before", finding.places[0])
    file.write_text("no video")
    assert any(
        "mini_train_01.mov" in f.found
        for f in from_config.examine(filmed).verdict.findings
    )


def test_packed_frames_are_read_when_asked(own, tmp_path):
    from ava_jax.prepare import ava_builder

    whole = frame(own, "mini_train_00", 20).read_bytes()
    frame(own, "mini_train_00", 20).write_bytes(whole[: len(whole) // 2])
    ava_builder.pack(own.data, tmp_path / "packed")
    own.data.root, own.data.frame_store = str(tmp_path / "packed"), "packed"
    assert from_config.examine(own).verdict.is_clean
    verdict = from_config.examine(own, every_frame=True).verdict
    (finding,) = (f for f in verdict.findings if f.is_problem)
    assert (finding.name, finding.count) == ("damaged frames", 1)
    assert "Frame 20 of movie mini_train_00" in finding.places[0]
    own.data.on_bad_frame = "nearest"
    assert from_config.examine(own, every_frame=True).verdict.is_clean


def test_all_is_told_at_once(own):
    names = "missing movie", "inverted", "duplicates", "damaged proposals"
    together = [CASES[name] for name in (*names, "unknown label")]
    for change, _ in together:
        change(own)
    expected = {found.name for _, found in together}
    found = {f.name for f in from_config.examine(own).verdict.findings if f.is_problem}
    assert found >= expected


def test_the_reason_for_missing_keys_is_told(own):
    CASES["other names"][0](own)
    (finding,) = (
        f
        for f in from_config.examine(own).verdict.findings
        if f.name == "key frames without proposals"
    )
    assert "does not know mini_train_00; it knows Mini_train_00" in finding.found


def test_the_trainer_has_the_last_word(own, monkeypatch):
    def refuse(data, name, num_classes):
        raise UserError(f"no {name} today")

    monkeypatch.setattr(dataset, "load_split", refuse)
    findings = [f for f in from_config.examine(own).verdict.findings if f.is_problem]
    assert [f.found for f in findings] == ["no train today", "no val today"]


def test_the_page_shows_suspicious_key_frames(own):
    CASES["pixels"][0](own)
    examination = from_config.examine(own)
    page = render(examination.verdict, examination.image)
    assert "Boxes in pixels: 1" in page
    assert page.count("<figure>") >= 2  # that key frame, and people not found


@pytest.mark.parametrize("class_ids", [(12, 14, 17), ()])
def test_the_label_map_says_how_many_classes_there_are(own, class_ids):
    own.data.class_ids, own.model.num_classes = class_ids, 0
    verdict = from_config.examine(own).verdict
    assert verdict.is_clean, verdict.as_text()


def run(*arguments):
    return subprocess.run(
        [sys.executable, "scripts/check_ava.py", *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )


SMALL = [
    f"--config.data.mini.{field}"
    for field in ("train_movies=1", "val_movies=1", "seconds=4")
]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["{run}"], 0, "data: clean"),
        (["--workdir={run}"], 0, "data: clean"),
        # The data set is made there.
        (["--config=configs/mini.py", *SMALL, "--workdir={tmp}/new"], 1, "new/data: "),
        (["--config=configs/mini.py"], 2, "or --workdir DIR if training makes it"),
        (["{tmp}"], 2, "holds no config.json. Give the working directory"),
        ([], 2, "give --config FILE[:VARIANT], or the directory of a run"),
        (["{run}", "--config=configs/mini.py"], 2, "give it without --config"),
    ],
)
def test_the_doctor_takes_what_training_takes(
    own, tmp_path, monkeypatch, capsys, arguments, status, message
):
    own.data.source, own.data.root = "folder", str(tmp_path / "data")
    (tmp_path / "run").mkdir()
    write_json(tmp_path / "run/config.json", as_dict(own))
    for name in ("TF_ENABLE_ONEDNN_OPTS", "TF_CPP_MIN_LOG_LEVEL"):
        monkeypatch.setenv(name, "2")  # so that what the script sets does not last
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(
        sys,
        "argv",
        [a.format(run=tmp_path / "run", tmp=tmp_path) for a in ["", *arguments]],
    )
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(ROOT / "scripts/check_ava.py"), run_name="__main__")
    out, err = capsys.readouterr()
    assert (end.value.code or 0) == status, out + err
    assert message.lower() in (out + err).lower()


def test_command_line(own, tmp_path):
    CASES["inverted"][0](own)
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
        (["--config=configs/mini.py", "--extra"], "no flag --extra"),
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
        from_config.examine(tiny_config)
