"""OpenCV's street video as a data set, where the video is at hand."""

import dataclasses
import json
import pathlib

import cv2
import from_config
import host_processes
import numpy as np
import published_files
import pytest

from ava_jax import published
from ava_jax.errors import UserError
from ava_jax.prepare import vtest
from ava_jax.published.checksum import mismatch
from configs import mini as mini_config

ROOT = pathlib.Path(__file__).parents[2]
PLACES = (
    ROOT.parent / "shared/media/vtest.avi",
    pathlib.Path("/usr/share/doc/opencv-doc/examples/data/vtest.avi"),
)


@pytest.fixture(scope="module")
def video():
    """Path of vtest.avi."""
    for path in PLACES:
        if path.is_file():
            return path
    pytest.skip(f"vtest.avi is at none of {[str(path) for path in PLACES]}")


@pytest.fixture(scope="module")
def root(video, tmp_path_factory):
    """The data set made from it."""
    root = tmp_path_factory.mktemp("vtest")
    vtest.prepare(root, video)
    return root


@pytest.mark.slow
def test_frames_are_the_videos(video, root):
    frames = sorted((root / "rawframes/vtest").iterdir())
    assert [frame.name for frame in frames[:2]] == ["img_00001.jpg", "img_00002.jpg"]
    assert len(frames) == 795
    capture = cv2.VideoCapture(str(video))
    for frame in frames[:3]:
        _, expected = capture.read()
        difference = cv2.imread(str(frame)).astype(int) - expected
        assert np.abs(difference).mean() < 2  # JPEG
    before = frames[0].stat().st_mtime_ns
    vtest.prepare(root, video)
    assert frames[0].stat().st_mtime_ns == before


@pytest.mark.slow
def test_annotations_fit_the_frames(root):
    config = mini_config.get_config("vtest")
    config.data.root = str(root)
    counts = {}
    for name in ("train", "val"):
        split = from_config.load_split(config, name)
        counts[name] = split.truth_classes[:, 1:].sum(0).astype(int).tolist()
        assert split.frames.size.tolist() == [[576, 768]]
    assert counts == {"train": [43, 264, 97], "val": [9, 131, 47]}


@pytest.mark.slow
def test_it_trains_and_evaluates(root, video, tmp_path):
    result = host_processes.command(
        tmp_path / "output",
        "--config=configs/mini.py:vtest",
        f"--config.data.video={video}",
        f"--config.data.root={root}",
        f"--workdir={tmp_path}",
        "--config.train.epochs=1",
        "--config.model.backbone=slowonly",
        "--config.model.width=8",
        "--config.data.test_short_side=64",
        "--config.data.crop=64",
        "--config.data.train_short_side=(64,64)",
    ).wait()
    assert result.returncode == 0, result.stderr
    metrics = json.loads((tmp_path / "metrics.json").read_text())
    assert set(metrics["per_class"]) == {"12", "14", "17"}
    assert metrics["counts"]["keyframes"] == 20


def other_size(tmp_path):
    path = tmp_path / "other.avi"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, (64, 48))
    writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    return path


def no_video(tmp_path):
    path = tmp_path / "text.avi"
    path.write_text("not a video")
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda _: "",
            r"made from OpenCV's vtest.avi\. .*AVA_JAX_OFFLINE.*opencv-doc",
        ),
        (lambda path: path / "missing.avi", r"there is no file .*missing.avi"),
        (no_video, r"text\.avi cannot be read as a video"),
        (other_size, r"other\.avi is 64x48, not 768x576"),
    ],
    ids=["none", "missing", "no video", "another video"],
)
def test_a_wrong_video_is_refused(make, message, tmp_path):
    root = tmp_path / "root"
    with pytest.raises(UserError, match=message):
        vtest.prepare(root, make(tmp_path))
    assert not root.exists()


def test_without_a_path_the_video_is_downloaded(monkeypatch, tmp_path):
    content = other_size(tmp_path).read_bytes()
    with published_files.serving(monkeypatch, tmp_path / "cache") as server:
        row = published.find("vtest.avi")
        file = published_files.publish(
            server, dataclasses.replace(row, size=0), content
        )
        published_files.use_table(monkeypatch, [file])
        # Any other video is refused, as one from a user is.
        with pytest.raises(UserError, match=r"published/vtest.avi is 64x48, not 768"):
            vtest.prepare(tmp_path / "root", "")
    assert published.cached_path(file).read_bytes() == content


def test_the_published_video_is_the_annotated_one(video):
    row = published.find("vtest.avi")
    assert mismatch(video, row.sha256, row.size) == ""
