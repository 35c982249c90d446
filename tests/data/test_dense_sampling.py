"""Training clips between the annotated key frames."""

import pathlib

import from_config
import jax
import numpy as np
import pytest

from ava_jax.data import clips
from ava_jax.data.dataset import check_data
from ava_jax.errors import UserError
from ava_jax.runtime import consistency

A, B = "mini_train_00", "mini_train_01"
# Actions of the classes 1, 2 and 3; 11 is in the label map, but not learned.
STAND, WALK, CARRY, OTHER = 12, 14, 17, 11


def row(second, x, action, person, movie=A):
    box = f"{x},0.1,{x + 0.2:.3g},0.8"
    return f"{movie},{second},{box},{action}" + (f",{person}" if person != "" else "")


@pytest.fixture
def load(own):
    """Loads the training split of some rows."""

    def load(rows, rate=4, excluded=(), **data):
        folder = pathlib.Path(own.data.root, "annotations")
        (folder / "mini_train.csv").write_text("\n".join(rows))
        exclusions = folder / "mini_train_excluded_timestamps.csv"
        exclusions.write_text("\n".join(f"{A},{second}" for second in excluded))
        own.data.class_ids, own.model.num_classes = (STAND, WALK, CARRY), 4
        own.data.no_proposals = "full_frame"
        own.data.update(data | {"clips_per_second": rate})
        return from_config.load_split(own, "train")

    return load


def between(split):
    """(movie, second) -> [(x1, classes)] of the key frames without proposals."""
    found = {}
    for k in np.flatnonzero(np.diff(split.proposal_starts) == 0):
        people = slice(*split.truth_starts[k : k + 2])
        key = split.frames.videos[split.video[k]], round(split.second[k], 6)
        assert key not in found
        found[key] = [
            (round(x, 6), np.flatnonzero(classes).tolist())
            for x, classes in zip(
                split.truth_boxes[people, 0], split.truth_classes[people]
            )
        ]
    return found


MOVING = [
    row(101, 0.1, STAND, 7),
    row(101, 0.1, CARRY, 7),
    row(102, 0.5, WALK, 7),
]


def test_boxes_move_and_actions_are_the_nearer_ones(load):
    split = load(MOVING)
    assert between(split) == {
        (A, 101.25): [(0.2, [1, 3])],
        (A, 101.5): [(0.3, [1, 3])],  # in the middle the earlier one's
        (A, 101.75): [(0.4, [2])],
    }
    np.testing.assert_allclose(split.truth_boxes[2], [0.2, 0.1, 0.4, 0.8])
    # Rounded to the nearest frame: 10 (t - 100) + 1.
    assert split.centre.tolist() == [11, 21, 14, 16, 19]
    assert split.truth_starts.tolist() == [0, 1, 2, 3, 4, 5]
    for name in ("video", "centre", "truth_starts", "proposal_starts"):
        assert np.issubdtype(getattr(split, name).dtype, np.integer)
    assert split.truth_classes.dtype == np.float32


@pytest.mark.parametrize("rate", [0, 1])
def test_off(load, rate):
    split = load([row(101, 0.1, STAND, ""), row(102, 0.1, STAND, "")], rate)
    assert split.second.tolist() == [101, 102] and between(split) == {}


def test_annotated_key_frames_stay_as_they_are(load):
    plain, dense = load(MOVING, 0), load(MOVING)
    for name in ("video", "second", "centre", "truth_starts", "proposal_starts"):
        before = getattr(plain, name)
        np.testing.assert_array_equal(getattr(dense, name)[: len(before)], before)
    for name in ("truth_boxes", "truth_classes"):
        before = getattr(plain, name)
        np.testing.assert_array_equal(getattr(dense, name)[: len(before)], before)
    np.testing.assert_array_equal(plain.proposal_boxes, dense.proposal_boxes)


def test_who_is_left_out(load):
    split = load(
        [
            # Seen at one end; without an id; under two ids; two boxes under one id.
            row(101, 0.1, STAND, 1),
            row(102, 0.1, STAND, 2),
            row(101, 0.2, STAND, ""),
            row(102, 0.2, STAND, ""),
            row(102, 0.3, STAND, 5),
            row(102, 0.4, STAND, 5),
            row(103, 0.3, STAND, 5),
            # Another movie; 2 seconds apart; key frames with another one between.
            row(101, 0.5, STAND, 6),
            row(102, 0.5, STAND, 6, B),
            row(101, 0.6, STAND, 8, B),
            row(103, 0.6, STAND, 8, B),
            # The only one who is followed.
            row(102, 0.7, WALK, 9),
            row(103, 0.7, STAND, 9),
        ],
        rate=2,
    )
    assert between(split) == {(A, 102.5): [(0.7, [2])]}


def test_several_people_and_movies(load):
    split = load(
        [row(t, x, STAND, i) for t in (101, 102) for i, x in enumerate((0.1, 0.4))]
        # Negative ids are ids, but -1 is AVA's for none.
        + [row(t, 0.3, WALK, -5, B) for t in (101, 102, 103)],
        rate=2,
    )
    assert between(split) == {
        (A, 101.5): [(0.1, [1]), (0.4, [1])],
        (B, 101.5): [(0.3, [2])],
        (B, 102.5): [(0.3, [2])],
    }
    assert np.diff(split.truth_starts).tolist() == [2, 2, 1, 1, 1, 2, 1, 1]


def test_excluded_key_frames_are_no_ends(load):
    rows = [row(t, 0.1, STAND, 1) for t in (101, 102, 103, 104)]
    assert set(between(load(rows, 2, excluded=[102]))) == {(A, 103.5)}
    # Nor is there a clip at one that nobody annotated.
    rows = [row(t, 0.1, STAND, 1) for t in (101, 102)]
    assert between(load(rows, 2, excluded=[101.5])) == {}
    assert len(between(load(rows, 2))) == 1


def test_key_frames_half_a_second_apart(load):
    rows = [row(t, 0.1 * i, STAND, 1) for i, t in enumerate((101.1, 101.6, 102.1))]
    assert between(load(rows, 2)) == {}
    assert between(load(rows, 4)) == {
        (A, 101.35): [(0.05, [1])],
        (A, 101.85): [(0.15, [1])],
    }
    # 2.5 parts are 2, and of the full second 5.
    five = load([*rows, row(103.1, 0.2, STAND, 1)], 5)
    seconds = [second for _, second in between(five)]
    assert seconds == [101.35, 101.85, 102.3, 102.5, 102.7, 102.9]
    assert five.centre[-4:].tolist() == [24, 26, 28, 30]
    np.testing.assert_array_equal(
        five.centre, clips.centre_frames(five.second, 10, 100)
    )


def test_a_second_is_a_second_though_floats_differ(load):
    assert 2.2 - 1.2 > 1
    rows = [row(t, 0.1, STAND, 1) for t in (1.2, 2.2)]
    assert set(between(load(rows, 2, timestamp_start=0))) == {(A, 1.7)}
    rows = [row(t, 0.1, STAND, 1) for t in (1.2, 2.21)]
    assert between(load(rows, 2, timestamp_start=0)) == {}


def test_actions_that_are_not_learned(load):
    """The box is known all the same, also where the key frame is not trained."""
    rows = [row(101, 0.1, STAND, 1), row(102, 0.5, OTHER, 1), row(103, 0.1, STAND, 1)]
    split = load(rows)
    assert split.second[:2].tolist() == [101, 103]
    assert between(split) == {
        (A, 101.25): [(0.2, [1])],
        (A, 101.5): [(0.3, [1])],
        (A, 102.75): [(0.2, [1])],
    }


def test_key_frames_that_are_skipped(load, own):
    """Without proposals they are not trained themselves; some movies not at all."""
    rows = [row(t, 0.1, STAND, 1, movie) for movie in (A, B) for t in (101, 102)]
    pathlib.Path(own.data.root, "annotations/proposals.csv").write_text(
        f"{A},101,0.1,0.1,0.3,0.8,,0.95"
    )
    own.data.train.proposals = "annotations/proposals.csv"
    assert len(load(rows, 2)) == 6
    own.data.no_proposals = "skip"
    split = from_config.load_split(own, "train")
    assert list(split.frames.videos) == [A]
    assert split.second.tolist() == [101, 101.5]


def test_no_ids(load):
    with pytest.raises(UserError, match=r"no row of .*mini_train\.csv has a person id"):
        load([row(101, 0.1, STAND, ""), row(102, 0.1, STAND, "")])


def test_no_more_clips_than_frames(load):
    with pytest.raises(UserError, match="clips_per_second is 11; expected 0"):
        load(MOVING, 11)


def test_the_log_says_what_was_added(load, caplog):
    with caplog.at_level("INFO"):
        load(MOVING, 0)
    before = [text for text in caplog.messages if text.startswith("train:")]
    caplog.clear()
    with caplog.at_level("INFO"):
        load(MOVING)
    assert [text for text in caplog.messages if text.startswith("train:")] == [
        *before,
        "train: 3 key frames with 3 people were added between the annotated ones",
    ]


def test_training_batches(tiny_config):
    plain = from_config.load_split(tiny_config, "train")
    tiny_config.data.clips_per_second = 5
    split = from_config.load_split(tiny_config, "train")
    assert len(split) > 3 * len(plain)
    assert from_config.steps_per_epoch(split, tiny_config) == -(-len(split) // 4)
    tiny_config.data.min_visible = 0.0
    tiny_config.data.positive_iou = 2.0  # none: only ground truth has labels
    steps = 4
    batches = list(
        from_config.train_batches(
            split, tiny_config, first_step=0, steps=steps, rows=range(4)
        )
    )
    keys = [from_config.key_frames(split, tiny_config, step) for step in range(steps)]
    assert (np.concatenate(keys) >= len(plain)).any()
    for key_frames, batch in zip(keys, batches):
        for k, mask, labels in zip(key_frames, batch["box_mask"], batch["labels"]):
            people = slice(*split.truth_starts[k : k + 2])
            np.testing.assert_array_equal(labels[mask], split.truth_classes[people])


def test_evaluation_is_untouched(tiny_config):
    before = from_config.load_split(tiny_config, "val")
    tiny_config.data.clips_per_second = 5
    after = from_config.load_split(tiny_config, "val")
    np.testing.assert_array_equal(before.second, after.second)
    np.testing.assert_array_equal(before.truth_boxes, after.truth_boxes)


def test_processes_compare_what_was_added(load, monkeypatch):
    said = []
    monkeypatch.setattr(jax, "process_count", lambda: 2)
    monkeypatch.setattr(consistency, "check_equal", lambda *args: said.append(args[1]))
    for x in (0.5, 0.6):
        # The same annotated rows but for an id, which only the added ones depend on.
        check_data("training", load([*MOVING, row(102, x, WALK, 8)]))
    check_data("training", load(MOVING, 0))
    assert len({str(fields) for fields in said}) == 3
