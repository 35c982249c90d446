"""The miniature data set: its files, its labels, and what must not give them away."""

import collections
import importlib
import json
import pickle
import re

import cv2
import numpy as np
import pytest

from ava_jax.errors import UserError
from ava_jax.prepare import mini
from ava_jax.prepare.mini import figures, schedule
from ava_jax.prepare.mini.movie import Movie

POSES = {7, 8, 11, 12, 14}
TINY = mini.MiniSpec(train_movies=2, val_movies=1, seconds=5, height=48, width=64)


@pytest.fixture(scope="module")
def default_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "mini"
    mini.generate(root)
    return root


@pytest.fixture(scope="module")
def tiny_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data") / "tiny"
    mini.generate(root, TINY)
    return root


def read_lines(root, name):
    return (root / "annotations" / name).read_text().splitlines()


def read_people(root, split):
    """(key, entity id) -> (box, action ids); key is 'video,timestamp'."""
    people = {}
    for line in read_lines(root, f"mini_{split}.csv"):
        video, timestamp, *box, action, entity = line.split(",")
        box = tuple(float(value) for value in box)
        person = people.setdefault((f"{video},{timestamp}", entity), (box, set()))
        assert person[0] == box
        assert int(action) not in person[1]
        person[1].add(int(action))
    return people


class ArrayUnpickler(pickle.Unpickler):
    """Loads nothing but NumPy arrays."""

    def find_class(self, module, name):
        known = {"_reconstruct", "ndarray", "dtype", "encode"}
        if module.split(".")[0] in ("numpy", "_codecs") and name in known:
            return super().find_class(module, name)
        raise pickle.UnpicklingError(f"{module}.{name}")


def read_proposals(root, split):
    with (root / "annotations" / f"mini_proposals_{split}.pkl").open("rb") as file:
        return ArrayUnpickler(file).load()


def contents(root):
    files = (path for path in sorted(root.rglob("*")) if path.is_file())
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def iou(box, boxes):
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    common = np.prod(np.clip(high - low, 0, None), axis=1)
    areas = [np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (box, boxes)]
    return common / (areas[0] + areas[1] - common)


# Files ------------------------------------------------------------------------


def test_files_are_those_of_ava(tiny_root):
    annotations = {f"annotations/mini_{s}.csv" for s in mini.SPLITS}
    annotations |= {
        f"annotations/mini_{s}_excluded_timestamps.csv" for s in mini.SPLITS
    }
    annotations |= {f"annotations/mini_proposals_{s}.pkl" for s in mini.SPLITS}
    frames = {
        f"rawframes/{video}/img_{number:05}.jpg"
        for video in ("mini_train_00", "mini_train_01", "mini_val_00")
        for number in range(1, 51)
    }
    others = {"annotations/mini_action_list.pbtxt", "manifest.json"}
    assert set(contents(tiny_root)) == annotations | frames | others


def test_rows_have_avas_columns(default_root):
    row = re.compile(r"mini_(train|val)_\d\d,01[01]\d(,[01]\.\d{3}){4},\d{1,2},\d")
    for split in mini.SPLITS:
        for line in read_lines(default_root, f"mini_{split}.csv"):
            assert row.fullmatch(line), line


def test_boxes_lie_in_the_frame_at_key_frames(default_root):
    for split in mini.SPLITS:
        for (key, _), (box, _) in read_people(default_root, split).items():
            x1, y1, x2, y2 = box
            assert 0 <= x1 < x2 <= 1
            assert 0 <= y1 < y2 <= 1
            # Movies last from 100 to 119 s; the first and last have no boxes.
            assert 101 <= int(key.split(",")[1]) <= 118


def test_label_map_has_the_actions_of_the_rows(default_root):
    text = (default_root / "annotations" / "mini_action_list.pbtxt").read_text()
    items = re.findall(r'item \{\n  name: "(.+)"\n  id: (\d+)\n\}\n', text)
    assert {int(i): name for name, i in items} == mini.ACTIONS
    people = read_people(default_root, "val").values()
    assert set().union(*(actions for _, actions in people)) == set(mini.ACTIONS)


@pytest.mark.parametrize(("split", "least"), [("train", 150), ("val", 40)])
def test_every_label_is_frequent_enough(default_root, split, least):
    people = read_people(default_root, split).values()
    counts = collections.Counter(a for _, actions in people for a in actions)
    assert min(counts[action] for action in mini.ACTIONS) >= least
    assert 0.75 < counts[12] / counts[14] < 1.33
    for _, actions in people:
        assert len(actions & POSES) == 1


@pytest.mark.parametrize("split", mini.SPLITS)
def test_excluded_key_frames_have_no_boxes(default_root, split):
    excluded = read_lines(default_root, f"mini_{split}_excluded_timestamps.csv")
    movies = {"train": 36, "val": 8}[split]
    assert len(excluded) == movies // 4
    assert not {key for key, _ in read_people(default_root, split)} & set(excluded)


def test_proposals_are_those_of_a_good_detector(default_root):
    people = read_people(default_root, "val")
    proposals = read_proposals(default_root, "val")
    truth = collections.defaultdict(list)
    for (key, _), (box, _) in people.items():
        truth[key].append(box)
    found = hits = confident = 0
    for key, boxes in proposals.items():
        assert boxes.dtype == np.float64
        assert boxes.shape[1] == 5
        assert len(boxes) >= 1
        assert np.all((boxes >= 0) & (boxes <= 1))
        best = boxes[boxes[:, 4] >= 0.9]
        if key in read_lines(default_root, "mini_val_excluded_timestamps.csv"):
            continue
        overlaps = [iou(np.array(b), best[:, :4]) for b in truth[key]]
        found += sum(o.max(initial=0) >= 0.5 for o in overlaps)
        confident += len(best)
        hits += sum(np.max(overlaps, axis=0, initial=0) >= 0.5) if overlaps else 0
    assert len(proposals) == 8 * 18
    assert 0.95 <= found / len(people) <= 0.99
    # Some confident boxes are false, and most of the others are.
    assert 0.01 < 1 - hits / confident < 0.10
    scores = np.concatenate(list(proposals.values()))[:, 4]
    assert np.mean(scores < 0.9) > 0.1


def test_spec_is_honoured(tmp_path):
    spec = mini.MiniSpec(
        seed=3,
        train_movies=1,
        val_movies=1,
        seconds=6,
        fps=7,
        timestamp_start=0,
        height=60,
        width=52,
    )
    mini.generate(tmp_path / "m", spec)
    frames = sorted((tmp_path / "m/rawframes/mini_train_00").iterdir())
    assert [frames[0].name, frames[-1].name] == ["img_00001.jpg", "img_00042.jpg"]
    assert cv2.imread(str(frames[-1])).shape == (60, 52, 3)
    keys = read_proposals(tmp_path / "m", "train")
    assert list(keys) == [f"mini_train_00,{t:04}" for t in range(1, 5)]


# Generating -------------------------------------------------------------------


def test_same_spec_gives_the_same_bytes(tmp_path, tiny_root):
    mini.generate(tmp_path / "again", TINY)
    assert contents(tmp_path / "again") == contents(tiny_root)


def test_movies_are_independent_of_each_other(tmp_path, tiny_root):
    mini.generate(tmp_path / "m", mini.MiniSpec(**{**vars(TINY), "train_movies": 1}))
    fewer, more = contents(tmp_path / "m"), contents(tiny_root)
    frames = [name for name in fewer if name.startswith("rawframes")]
    assert len(frames) == 100
    assert all(fewer[name] == more[name] for name in frames)


def test_seeds_and_splits_differ(tmp_path, tiny_root):
    mini.generate(tmp_path / "m", mini.MiniSpec(**{**vars(TINY), "seed": 1}))
    first = "rawframes/mini_{}_00/img_00001.jpg"
    images = [contents(tiny_root)[first.format(split)] for split in mini.SPLITS]
    images.append(contents(tmp_path / "m")[first.format("train")])
    assert len(set(images)) == 3


def test_complete_folder_is_left_alone(tmp_path):
    mini.generate(tmp_path / "m", TINY)
    frame = tmp_path / "m/rawframes/mini_train_00/img_00001.jpg"
    frame.unlink()
    mini.generate(tmp_path / "m", TINY)
    assert not frame.exists()


def test_folder_of_another_spec_is_replaced(tmp_path):
    mini.generate(tmp_path / "m", TINY)
    spec = mini.MiniSpec(**{**vars(TINY), "train_movies": 1})
    mini.generate(tmp_path / "m", spec)
    assert not (tmp_path / "m/rawframes/mini_train_01").exists()
    manifest = json.loads((tmp_path / "m/manifest.json").read_text())
    assert manifest["spec"] == vars(spec)
    assert [path.name for path in tmp_path.iterdir()] == ["m"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("notes.txt", "mine"),
        ("manifest.json", '{"format": "another"}'),
        ("manifest.json", "not JSON"),
        ("rawframes", "half a data set"),
    ],
)
def test_foreign_folder_is_refused(tmp_path, name, text):
    (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match="was not made by"):
        mini.generate(tmp_path, TINY)
    assert contents(tmp_path) == {name: text.encode()}


def test_foreign_file_is_refused(tmp_path):
    (tmp_path / "m").write_text("mine")
    with pytest.raises(UserError, match="was not made by"):
        mini.generate(tmp_path / "m", TINY)
    with pytest.raises(UserError, match="could not be written"):
        mini.generate(tmp_path / "m" / "below", TINY)


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_stopped_halfway_leaves_what_was_there(tmp_path, monkeypatch, error):
    mini.generate(tmp_path / "m", TINY)
    before = contents(tmp_path)

    def stop(*args):
        raise error("disk full")

    module = importlib.import_module("ava_jax.prepare.mini.generate")
    monkeypatch.setattr(module, "propose", stop)
    with pytest.raises(KeyboardInterrupt if error is KeyboardInterrupt else UserError):
        mini.generate(tmp_path / "m", mini.MiniSpec(**{**vars(TINY), "seed": 1}))
    assert contents(tmp_path) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [("seconds", 2), ("fps", 12.5), ("val_movies", 0), ("height", 20), ("seed", -1)],
)
def test_spec_out_of_range(tmp_path, field, value):
    with pytest.raises(UserError, match=rf"{field} is {re.escape(str(value))}"):
        mini.generate(tmp_path / "m", mini.MiniSpec(**{field: value}))


# Pictures ---------------------------------------------------------------------


def test_boxes_fit_what_is_drawn():
    """The pixels that the figures change span their boxes."""
    checked = 0
    for index in range(4, 4 + 6 * 20, 6):  # movies with two figures
        rng = np.random.default_rng([5, index])
        movie = Movie(rng, index, seconds=8, fps=4, size=(144, 192))
        for second in set(range(1, 7)) - {movie.cut_second}:
            people = movie.people(second)
            if len(people) != 2 or min(person.visible for person in people) < 1:
                continue
            pictures = [movie.frame(4 * second, figures=f) for f in (True, False)]
            changed = cv2.absdiff(*pictures).max(axis=2) > 25
            rows, columns = (np.flatnonzero(changed.any(axis=a)) for a in (1, 0))
            drawn = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
            # Smoothed edges and outlines on a dark background: two pixels.
            boxes = np.array([person.box for person in people])
            box = np.concatenate([boxes[:, :2].min(0), boxes[:, 2:].max(0)])
            box = box * (192, 144, 192, 144)
            np.testing.assert_allclose(box, drawn, atol=2)
            checked += 1
    assert checked >= 10


def test_excluded_key_frame_shows_nobody():
    rng = np.random.default_rng(0)
    movie = Movie(rng, 0, seconds=8, fps=5, size=(48, 64))
    cut = 5 * movie.cut_second
    assert np.array_equal(movie.frame(cut), movie.frame(cut, figures=False))
    assert not np.array_equal(movie.frame(cut - 5), movie.frame(cut - 5, figures=False))


# Motion is the only cue -------------------------------------------------------


def figure(poses, arms=("down",), change=4.5):
    def track(states):
        return schedule.Track(states, (change,) * (len(states) - 1))

    rng = np.random.default_rng(7)
    return figures.Figure(rng, 5j, [track(poses), track(arms), track(("empty",))])


LATER = np.arange(5, 9, 0.1)


def moves(figure, name):
    """How far a joint moves after second 5, in body heights."""
    at = [figures.joints(figure, time)[name] for time in LATER]
    return np.abs(np.subtract(at, at[0])).max()


def test_standing_figure_is_a_walking_one_stopped():
    walks, stops = figure(("walk",)), figure(("walk", "stand"))
    for time in LATER:
        assert figures.joints(stops, time) == figures.joints(walks, 4.5)
        assert stops.place(time) == walks.place(4.5)
    assert np.ptp([walks.place(time)[0] for time in LATER]) > 0.5
    assert moves(walks, "ankle near") > 0.2
    assert moves(walks, "ankle far") > 0.2


def test_still_arm_is_a_waving_one_stopped():
    waves, stops = (
        figure(("stand",), arms) for arms in (("wave",), ("wave", "raised"))
    )
    for time in LATER:
        assert figures.joints(stops, time) == figures.joints(waves, 4.5)
    assert moves(waves, "hand far") > 0.2
    assert moves(waves, "hand near") == 0


def distance(a, b):
    """Of Kolmogorov and Smirnov: the largest gap of two distributions."""
    values = np.sort(np.concatenate([a, b]))
    shares = (np.searchsorted(np.sort(s), values, "right") / len(s) for s in (a, b))
    return np.abs(np.subtract(*shares)).max()


@pytest.fixture(scope="module")
def observations():
    """What one frame shows of people, by pose and by what the arm does."""
    seen = collections.defaultdict(list)
    for index in range(160):
        rng = np.random.default_rng([11, index])
        movie = Movie(rng, index, seconds=20, fps=2, size=(48, 64))
        for second in range(1, 19):
            for person in movie.people(second):
                x1, y1, x2, y2 = person.box
                who = movie.figures[person.entity]
                pose, arm = who.poses.at(second), who.arms.at(second)
                values = {
                    "x": (x1 + x2) / 2,
                    "foot": y2,
                    "height": y2 - y1,
                    "shape": (x2 - x1) / (y2 - y1),
                    "visible": person.visible,
                    "holds": float(who.hands.at(second) == "hold"),
                    "raised": float(arm != "down"),
                    "shirt": float(sum(who.shirt)),
                }
                seen[pose].append(values)
                if pose != "lie":
                    seen[arm].append(values | {"pose": float(pose == "walk")})
    return seen


@pytest.mark.parametrize(("first", "second"), [("stand", "walk"), ("raised", "wave")])
def test_one_frame_does_not_tell(observations, first, second):
    """Two states that motion alone tells apart look alike in every measure."""
    a, b = observations[first], observations[second]
    assert 0.9 < len(a) / len(b) < 1.1
    for name in a[0]:
        gap = distance(*(np.array([v[name] for v in values]) for values in (a, b)))
        # Some 580 independent spells of 4 s each: chance alone reaches 0.08
        # for one measure in twenty.
        assert gap < 0.1, name


def test_poses_do_differ_in_one_frame(observations):
    a, b = (
        np.array([v["shape"] for v in observations[pose]]) for pose in ("stand", "lie")
    )
    assert distance(a, b) > 0.8


def test_tracks_change_away_from_key_frames():
    rng = np.random.default_rng(2)
    tracks = schedule.deal(rng, schedule.POSE_DECK, 20, 200)
    for track in tracks:
        changes = np.array(track.changes)
        assert np.abs(changes - np.round(changes)).min() > 0.4
        bounds = np.concatenate([[0], changes, [20]])
        assert np.diff(bounds).min() >= 2.5
    assert isinstance(tracks[0].at(3.0), str)


def test_folder_is_readable_by_others(tiny_root):
    assert tiny_root.stat().st_mode & 0o055 == 0o055
