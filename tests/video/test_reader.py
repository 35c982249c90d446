"""Videos of every kind, made here: what is read, what is refused."""

import itertools
import logging
import socket
import threading

import av
import cv2
import numpy as np
import pytest
from video_files import pictures, write_sound, write_video

from ava_jax.errors import UserError
from ava_jax.video.reader import VideoReader

FFV1 = {"codec": "ffv1", "pix_fmt": "bgr0"}
H264 = {"codec": "libx264", "pix_fmt": "yuv420p"}


def read(path):
    """(times, pictures) of a video."""
    with VideoReader(path) as video:
        frames = [(frame.time, frame.rgb) for frame in video]
        assert all(rgb.shape == (video.height, video.width, 3) for _, rgb in frames)
    return np.array([time for time, _ in frames]), np.array([rgb for _, rgb in frames])


@pytest.mark.parametrize(
    ("name", "options"), [("a.mov", {}), ("a.avi", {}), ("a.mkv", FFV1)]
)
def test_frames_are_the_files(tmp_path, name, options):
    expected = pictures(5)
    path = write_video(tmp_path / name, expected, fps=25, **options)
    times, found = read(path)
    # Matroska counts milliseconds.
    np.testing.assert_allclose(times, np.arange(5) / 25, atol=5e-4)
    np.testing.assert_array_equal(found, expected)


def test_what_it_says_of_itself(tmp_path):
    path = write_video(tmp_path / "a.mov", pictures(50), fps=25)
    with VideoReader(path) as video:
        assert (video.width, video.height, video.live) == (64, 48, False)
        assert video.fps == pytest.approx(25)
        assert video.duration == pytest.approx(2.0)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_phones_video_is_upright(tmp_path, rotation):
    expected = pictures(2)
    path = write_video(tmp_path / "a.mov", expected, rotation=rotation)
    _, found = read(path)
    turned = np.rot90(expected, rotation // 90, axes=(1, 2))
    np.testing.assert_array_equal(found, turned)


@pytest.mark.parametrize(
    "times",
    [
        [0, 0.04, 0.05, 0.9, 0.91],
        [7.5, 7.6, 8.0, 8.1, 20.0],
        np.arange(5) / 240,
    ],
    ids=["variable", "late start", "240 fps"],
)
def test_times(tmp_path, times):
    path = write_video(tmp_path / "a.mov", pictures(5), fps=240, times=times)
    found, _ = read(path)
    np.testing.assert_allclose(found, np.array(times) - times[0], atol=1e-4)


@pytest.mark.parametrize(
    ("height", "width", "options"),
    [(71, 97, {}), (2160, 3840, {"codec": "mjpeg", "pix_fmt": "yuvj420p"})],
    ids=["odd", "4K"],
)
def test_sizes(tmp_path, height, width, options):
    expected = np.resize(pictures(1), (1, height, width, 3))
    _, found = read(write_video(tmp_path / "a.mov", expected, **options))
    assert found.shape == expected.shape
    if not options:
        np.testing.assert_array_equal(found, expected)


def test_one_frame(tmp_path):
    times, found = read(write_video(tmp_path / "a.mov", pictures(1)))
    assert len(found) == 1 and times[0] == 0


@pytest.mark.parametrize(
    ("name", "options"),
    [("a.mkv", FFV1), ("a.mp4", H264), ("a.avi", {}), ("a.mov", {})],
)
def test_a_truncated_file_gives_what_is_there(tmp_path, caplog, name, options):
    path = write_video(tmp_path / name, pictures(60), fps=10, **options)
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 6 // 10])
    with caplog.at_level(logging.WARNING):
        times, _ = read(path)
    assert 0 < len(times) < 60
    assert any(str(path) in message for message in caplog.messages)


def test_a_whole_file_gives_no_warning(tmp_path, caplog):
    read(write_video(tmp_path / "a.mkv", pictures(60), fps=10, **FFV1))
    assert not caplog.messages


@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "a.flv"])
def test_a_file_that_starts_late_is_whole(tmp_path, name, caplog):
    times = 5 + np.arange(20) / 10
    path = write_video(
        tmp_path / name, pictures(20), times=times, codec="libx264", pix_fmt="yuv420p"
    )
    with VideoReader(path) as video:
        found = [frame.time for frame in video]
        # FLV has the first frame's time in its length, too.
        assert video.duration == pytest.approx(2.0, abs=0.3)
    np.testing.assert_allclose(found, np.arange(20) / 10, rtol=0, atol=1e-9)
    assert not caplog.records


def test_a_late_start_hides_no_damage(tmp_path, caplog):
    times = 5 + np.arange(40) / 10
    path = write_video(
        tmp_path / "a.mkv",
        pictures(40),
        times=times,
        codec="libx264",
        pix_fmt="yuv420p",
    )
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with VideoReader(path) as video:
        assert video.duration == pytest.approx(4.0)
        assert len(list(video)) < 30
    assert "is damaged after" in caplog.text or "may be truncated" in caplog.text


def test_a_network_stream_is_live():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        address = f"udp://127.0.0.1:{probe.getsockname()[1]}"
    stop = threading.Event()
    thread = threading.Thread(target=send, args=(address, stop))
    thread.start()
    try:
        with VideoReader(address) as video:
            assert (video.live, video.width, video.height) == (True, 64, 48)
            frames = [frame for frame, _ in zip(video, range(5))]
    finally:
        stop.set()
        thread.join()
    assert frames[0].time == 0
    assert (np.diff([frame.time for frame in frames]) > 0).all()


def send(address, stop):
    """Sends a picture every 40 ms, as a camera would."""
    with av.open(address, "w", format="mpegts") as container:
        # Every picture can be decoded without others.
        stream = container.add_stream("mpeg2video", rate=25, options={"g": "1"})
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for i, picture in enumerate(itertools.cycle(pictures(10))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = i
            container.mux(stream.encode(frame))
            if stop.wait(0.04):
                break


def no_frames(path):
    return write_video(path.with_suffix(".mov"), pictures(1)[:0])


def text(path):
    path = path.with_suffix(".mp4")
    path.write_text("not a video")
    return path


def picture(path):
    path = path.with_suffix(".jpg")
    cv2.imwrite(str(path), pictures(1)[0])
    return path


def picture_under_another_name(path):
    return picture(path).rename(path.with_suffix(".mp4"))


def web_page(path):
    return "http://127.0.0.1:9/watch"


def test_a_stream_of_pictures_is_a_video(tmp_path):
    path = picture(tmp_path / "a")
    path.write_bytes(3 * path.read_bytes())
    stream = path.rename(tmp_path / "stream")
    with VideoReader(stream) as video:
        assert len(list(video)) == 3


def without_index(path):
    path = write_video(path.with_suffix(".mkv"), pictures(5), **FFV1)
    path.write_bytes(path.read_bytes()[:100])
    return path


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path, "no video file"),
        (lambda path: path.parent, "is a folder"),
        (picture, "a.jpg is a still picture.*give a video"),
        (picture_under_another_name, "a.mp4 is a still picture"),
        (web_page, "127.0.0.1:9/watch cannot be opened .*download the video first"),
        (text, "cannot be opened"),
        (without_index, "cannot be opened|no video"),
        (no_frames, "no frame|no video stream"),
        (lambda path: write_sound(path.with_suffix(".mp3")), "no video stream.*audio"),
        (lambda path: write_sound(path.with_suffix(".mp3"), cover=True), "no video"),
        (lambda path: 97, "97 cannot be opened|Camera 97"),
        (lambda path: "rtsp://127.0.0.1:9/a", "rtsp://127.0.0.1:9/a cannot be opened"),
    ],
    ids=[
        "missing",
        "folder",
        "picture",
        "renamed",
        "page",
        "text",
        "cut",
        "empty",
        "sound",
        "cover",
        "camera",
        "address",
    ],
)
def test_what_is_no_video_is_refused(tmp_path, make, message):
    with pytest.raises(UserError, match=message):
        VideoReader(make(tmp_path / "a"))
