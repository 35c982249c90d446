"""People on key frames, detected by a pipeline, are those of one process."""

import pathlib
import re

import numpy as np
import pytest

from ava_jax import people
from ava_jax.batch import proposals
from ava_jax.errors import UserError
from ava_jax.prepare import detect_people

PROCESSES = ["--direct_num_workers=2", "--direct_running_mode=multi_processing"]


@pytest.fixture
def data(own, tmp_path, monkeypatch):
    """A data set whose key frames are in parts of three."""
    monkeypatch.setattr(proposals, "_KEY_FRAMES", 3)
    for split in ("train", "val"):
        own.data[split].proposals = f"{split}.csv"
    return own.data


class Half:
    """Finds one person on the left, and none in dark pictures."""

    def __init__(self, fails=()):
        self.calls = 0
        self.fails = fails

    def __call__(self, image):
        self.calls += 1
        if self.calls in self.fails:
            raise UserError("The detector broke.")
        height, width = image.shape[:2]
        box = [0, 0, width / 2, height, 0.5 + image.mean() / 1000]
        return np.array([box] * int(image[0, 0].sum() % 2), np.float32)


def files_of(data):
    return {
        split: pathlib.Path(data.root, data[split].proposals)
        for split in ("train", "val")
    }


def in_one_process(data, detector):
    """Text of the files by one process, and the lines; the files are removed."""
    lines = list(detect_people.write_proposals(data, ["train", "val"], detector))
    texts = {split: path.read_text() for split, path in files_of(data).items()}
    for path in files_of(data).values():
        path.unlink()
    return texts, lines


@pytest.mark.parametrize("beam", [[], ["--runner=DirectRunner"]], ids=str)
def test_files_are_those_of_one_process(data, monkeypatch, beam):
    monkeypatch.setattr(people, "open_detector", lambda *_, **__: Half())
    texts, lines = in_one_process(data, "hog")
    assert list(proposals.write_proposals(data, ["train", "val"], "hog", beam)) == lines
    assert {k: path.read_text() for k, path in files_of(data).items()} == texts
    assert any(text.count("\n") > 3 for text in texts.values())
    # What was kept for a restart is gone.
    assert not [p for path in files_of(data).values() for p in path.parent.glob("*.p*")]
    with pytest.raises(UserError, match=r"train\.csv is there"):
        list(proposals.write_proposals(data, ["train"], "hog", beam))


def test_the_same_call_continues(data, monkeypatch):
    broken, whole = Half(fails=[6]), Half()
    opened = iter([broken, whole])
    monkeypatch.setattr(people, "open_detector", lambda *_, **__: next(opened))
    with pytest.raises(UserError, match=r"^The detector broke\.$"):
        list(proposals.write_proposals(data, ["train"], "hog"))
    path = files_of(data)["train"]
    assert not path.exists()
    kept = len(list(path.parent.glob("train.csv.parts/*.npz")))
    assert kept >= 1
    list(proposals.write_proposals(data, ["train"], "hog"))
    key_frames = len(detect_people.KeyFrames.of_split(data, "train"))
    assert whole.calls == key_frames - 3 * kept
    monkeypatch.setattr(people, "open_detector", lambda *_, **__: Half())
    text = path.read_text()
    path.unlink()
    assert in_one_process(data, "hog")[0]["train"] == text


@pytest.mark.slow
def test_processes(data):
    data.val.proposals = "one.csv"
    (line,) = detect_people.write_proposals(data, ["val"], "hog")
    expected = files_of(data)["val"].read_text()
    data.val.proposals = "many.csv"
    (many,) = proposals.write_proposals(data, ["val"], "hog", PROCESSES)
    assert files_of(data)["val"].read_text() == expected
    assert many == line.replace("one.csv", "many.csv")


@pytest.mark.parametrize("write", [detect_people, proposals])
def test_a_file_of_boxes_is_no_detector(data, tmp_path, write):
    (tmp_path / "people.csv").write_text("")
    with pytest.raises(UserError, match=r"people\.csv has boxes already"):
        list(write.write_proposals(data, ["val"], str(tmp_path / "people.csv")))


def test_a_key_frame_without_a_frame_stops_it(data, monkeypatch):
    monkeypatch.setattr(people, "open_detector", lambda *_, **__: Half())
    path = pathlib.Path(data.root, data.val.boxes)
    row = re.sub(r",\d+,", ",0099,", path.read_text().splitlines()[0], count=1)
    path.write_text(path.read_text() + row + "\n")
    with pytest.raises(UserError, match=r"^Second 99 of mini_val_00 is not among"):
        list(proposals.write_proposals(data, ["val"], "hog"))
