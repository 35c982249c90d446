"""Clips of a stream, against the data pipeline's."""

import weakref

import numpy as np
import pytest
from video_files import pictures, write_video

from ava_jax.data import clips
from ava_jax.data.frames.video_files import open_videos
from ava_jax.inference.clip_sampler import VideoSampling, sample_clips
from ava_jax.video.clip_sampling import ClipSampling
from ava_jax.video.reader import VideoReader


class Frame:
    """A frame whose number can be read from its pixels, also when it is scaled."""

    def __init__(self, number, time, size=(4, 6)):
        self.time = time
        self.rgb = np.full((*size, 3), number, np.uint8)


def stream(count, fps):
    return (Frame(i, i / fps) for i in range(count))


@pytest.mark.parametrize("fps", [10, 30])
@pytest.mark.parametrize(
    ("count", "clip_len", "interval", "every"),
    [
        (90, 4, 16, 1.0),
        (90, 32, 2, 0.5),
        (40, 8, 8, 0.25),
        (25, 5, 3, 1 / 30),
        (7, 3, 1, 0.13),
        (1, 8, 2, 1.0),
        (12, 4, 0, 0.3),
    ],
)
def test_clips_equal_the_data_pipelines(fps, count, clip_len, interval, every):
    clip = ClipSampling(fps, clip_len, interval)
    sampling = VideoSampling(clip, 4, every)
    found = list(sample_clips(stream(count, fps), sampling))
    assert found
    for k, sampled in enumerate(found):
        assert sampled.time == pytest.approx(k * every)
        # The movie's frames are counted from 1 there.
        centre = clips.centre_frames(k * every, fps, 0)
        indices = clips.frame_indices(centre, 1, count, clip.offsets()) - 1
        np.testing.assert_array_equal(sampled.clip[:, 0, 0, 0], indices)
        assert (sampled.frame == centre - 1).all()
    assert clips.centre_frames(len(found) * every, fps, 0) > count


@pytest.mark.parametrize("source_fps", [10, 24, 60])
def test_a_files_clips_equal_the_data_pipelines(tmp_path, source_fps):
    path = write_video(tmp_path / "a.mov", pictures(90), fps=source_fps)
    store = open_videos(tmp_path, ["a"], fps=10)
    with VideoReader(path) as video:
        clip = ClipSampling(fps=10, clip_len=4, interval=3)
        found = list(sample_clips(video, VideoSampling(clip, 48, 0.5)))
    for sampled in found:
        centre = clips.centre_frames(sampled.time, 10, 0)
        indices = clips.frame_indices(
            centre, store.first[0], store.last[0], clip.offsets()
        )
        expected = [store.read(0, int(index)) for index in indices]
        np.testing.assert_array_equal(sampled.clip, expected)
        np.testing.assert_array_equal(sampled.frame, store.read(0, centre))
    assert found[-1].time + 0.6 >= 90 / source_fps


def test_a_clip_comes_with_the_last_frame_of_its_clip():
    taken = []

    def source():
        for frame in stream(100, 10):
            taken.append(frame.time)
            yield frame

    for k, _ in enumerate(
        sample_clips(source(), VideoSampling(ClipSampling(10, 4, 5), 4, 1.0))
    ):
        # Its last frame, and one more to know that it was the nearest.
        assert taken[-1] == pytest.approx(k + 0.5 + 0.1)


@pytest.mark.parametrize("count", [90, 900])
def test_memory_does_not_grow_with_the_video(count):
    pictures = []

    def source():
        for i in range(count):
            frame = Frame(i % 256, i / 30, size=(40, 60))
            pictures.append(weakref.ref(frame.rgb))
            yield frame

    for _ in sample_clips(source(), VideoSampling(ClipSampling(30, 32, 2), 4, 1.0)):
        # Key-frames: the last one yielded and this one, two of open clips, one
        # that begins; two frames at the source.
        assert sum(picture() is not None for picture in pictures) <= 7
