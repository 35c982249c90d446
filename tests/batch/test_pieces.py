"""Parts of a video have the frames that one pass over it has."""

import itertools
from fractions import Fraction

import av
import numpy as np
import pytest
from video_files import pictures, write_video

from ava_jax.batch.plan import plan_pieces
from ava_jax.errors import UserError
from ava_jax.inference.clip_sampler import VideoSampling, sample_clips
from ava_jax.video import segment
from ava_jax.video.clip_sampling import ClipSampling
from ava_jax.video.reader import VideoReader

H264 = {"codec": "libx264", "pix_fmt": "yuv420p"}
SAMPLING = VideoSampling(ClipSampling(7.0, 8, 3), 48, 0.9)


def in_one_pass(path):
    with VideoReader(path) as video:
        return [as_tuple(clip) for clip in sample_clips(video, SAMPLING)]


def as_tuple(clip):
    return clip.time, clip.frame.tobytes(), clip.clip.tobytes()


def clips_of(path, piece):
    frames = segment.read_segment(path, piece.segment)
    clips = sample_clips(frames, SAMPLING, piece.first, piece.segment.skipped)
    return [as_tuple(c) for c in itertools.islice(clips, piece.stop - piece.first + 1)]


@pytest.mark.parametrize("seconds", [0.5, 6.0])
@pytest.mark.parametrize("start", [0, 5])
@pytest.mark.parametrize("name", ["a.mkv", "a.mp4", "a.ts", "lossless.mov"])
def test_clips_are_those_of_one_pass(tmp_path, name, start, seconds):
    rng = np.random.default_rng(len(name) + start)
    # Irregular, with pauses; whole ticks, so that ties occur; B-frames, several groups
    # of pictures.
    steps = rng.choice([1 / 30, 1 / 15, 1 / 10, 1 / 7, 0.5], 330)
    times = start + np.cumsum(steps) - steps[0]
    how = {} if name == "lossless.mov" else H264
    path = write_video(tmp_path / name, pictures(330), times=times, rotation=90, **how)
    expected = in_one_pass(path)
    pieces = plan_pieces(str(path), SAMPLING, seconds)
    assert len(pieces) > 5 and None not in pieces
    assert [p.first for p in pieces[1:]] == [p.stop for p in pieces[:-1]]
    assert pieces[-1].stop == len(expected)
    for piece in pieces:
        # One clip more than its own, which the next piece begins with.
        assert clips_of(path, piece) == expected[piece.first : piece.stop + 1]


# Name, codec, its options: key frames that are shown after frames that are stored after
# them, pictures that are renewed bit by bit.
CODECS = {
    "open.mp4": ("libx264", {"g": "15", "x264-params": "open-gop=1:bframes=4"}),
    "open.ts": ("libx264", {"g": "15", "x264-params": "open-gop=1:bframes=4"}),
    "hevc.mp4": ("libx265", {"g": "15", "x265-params": "open-gop=1:log-level=none"}),
    "bframes.avi": ("mpeg4", {"g": "12", "bf": "2"}),
    "a.mpg": ("mpeg2video", {"g": "12", "bf": "2"}),
    "a.webm": ("libvpx-vp9", {"g": "15", "deadline": "realtime"}),
    "refresh.ts": ("libx264", {"g": "30", "x264-params": "intra-refresh=1"}),
    "refresh.mp4": ("libx264", {"g": "30", "x264-params": "intra-refresh=1"}),
    "no_times.avi": ("libx264", {"g": "15"}),
}
NOT_ALL_SEEKABLE = ("refresh.mp4", "no_times.avi")


def write_encoded(path, codec, options):
    with av.open(str(path), "w") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        stream.height, stream.width, stream.pix_fmt = 48, 64, "yuv420p"
        for i, pixels in enumerate(pictures(150)):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts, frame.time_base = i, Fraction(1, 10)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


@pytest.mark.parametrize("name", CODECS)
def test_a_piece_is_that_of_one_pass_or_is_refused(tmp_path, name):
    path = write_encoded(tmp_path / name, *CODECS[name])
    expected = in_one_pass(path)
    pieces = plan_pieces(str(path), SAMPLING, 2.0)
    assert len(pieces) > 5 and None not in pieces
    refused = 0
    for piece in pieces:
        try:
            assert clips_of(path, piece) == expected[piece.first : piece.stop + 1]
        except segment.NotSeekable:
            refused += 1
    assert (refused > 0) == (name in NOT_ALL_SEEKABLE)


def test_without_times_the_video_is_one_piece(tmp_path):
    path = write_video(
        tmp_path / "a.h264", pictures(60), codec="libx264", pix_fmt="yuv420p"
    )
    assert plan_pieces(str(path), SAMPLING, 1.0) == [None]


def test_a_truncated_video_is_one_piece(tmp_path):
    path = write_video(tmp_path / "a.mov", pictures(60))
    path.write_bytes(path.read_bytes()[:-6000])
    assert plan_pieces(str(path), SAMPLING, 1.0) == [None]


def test_a_short_video_is_one_piece(tmp_path):
    path = write_video(tmp_path / "a.mov", pictures(20))
    assert plan_pieces(str(path), SAMPLING, 3.0) == [None]


def test_no_video(tmp_path):
    path = tmp_path / "a.mp4"
    path.write_bytes(b"")
    with pytest.raises(UserError, match="a.mp4 cannot be opened"):
        plan_pieces(str(path), SAMPLING, 1.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 9}, "10 frames instead of 9"),
        ({"start": 1.05}, "no frame at 1.050"),
        ({"end": 99.0}, "ends before 99"),
    ],
)
def test_other_frames_than_announced_are_noticed(tmp_path, change, message):
    path = write_video(tmp_path / "a.mov", pictures(60))
    fields = {"start": 1.0, "end": 2.0, "skipped": 10, "frames": 10}
    fields |= {"origin": 0.0, "size": (64, 48)}
    assert len(list(segment.read_segment(path, segment.Segment(**fields)))) == 50
    with pytest.raises(segment.NotSeekable, match=message):
        list(segment.read_segment(path, segment.Segment(**(fields | change))))
