import numpy as np
import pytest
from video_files import pictures, write_sound, write_video

from ava_jax.errors import BadFrame
from ava_jax.video.reader import VideoReader
from ava_jax.video.resample import at_rate
from ava_jax.video.seekable import SeekableVideo


def test_frames_are_those_that_the_reader_gives(tmp_path):
    times = np.cumsum(np.tile([0.1, 0.03, 0.26], 8))
    path = write_video(tmp_path / "a.mov", pictures(24), times=times, rotation=90)
    with VideoReader(path) as reader:
        expected = [frame.rgb for _, frame in at_rate(reader, 10)]
    video = SeekableVideo(path, 10)
    assert video.last() == len(expected) - 1
    assert (video.height, video.width) == expected[0].shape[:2]
    last = len(expected) - 1
    for numbers in ([last, 3, 3, 0], [5], [last + 7]):
        for number, found in zip(numbers, video.read(numbers), strict=True):
            np.testing.assert_array_equal(found, expected[min(number, last)])
    video.close()


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.mov", "a.ts"])
@pytest.mark.parametrize("start", [0, 5])
def test_files_that_do_not_start_at_0(tmp_path, name, start):
    # Three groups of pictures, so that there are places to seek to.
    times = start + np.arange(600) / 10
    path = write_video(
        tmp_path / name, pictures(600), times=times, codec="libx264", pix_fmt="yuv420p"
    )
    with VideoReader(path) as reader:
        expected = [frame.rgb for _, frame in at_rate(reader, 10)]
    assert len(expected) == 600
    video = SeekableVideo(path, 10)
    assert video.last() == 599
    numbers = [0, 5, 19, 300, 599]
    for number, found in zip(numbers, video.read(numbers), strict=True):
        np.testing.assert_array_equal(found, expected[number])
    video.close()


def test_a_short_transport_stream_that_starts_late(tmp_path):
    times = 5 + np.arange(20) / 10
    path = write_video(
        tmp_path / "a.ts", pictures(20), times=times, codec="libx264", pix_fmt="yuv420p"
    )
    video = SeekableVideo(path, 10)
    assert video.last() == 19
    assert len(video.read(range(20))) == 20
    video.close()


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path / "missing", "No such file"),
        (lambda path: write_sound(path / "a.mp3", cover=True), "no video stream"),
        (
            lambda path: write_video(path / "a.mov", pictures(1)[:0]),
            "no frame|no video stream",
        ),
    ],
    ids=["missing", "cover", "empty"],
)
def test_what_is_no_video_is_refused(tmp_path, make, message):
    with pytest.raises(BadFrame, match=f"cannot be read as a video .*({message})"):
        SeekableVideo(make(tmp_path), 10)
