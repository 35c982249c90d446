import errno
import io
from fractions import Fraction

import av
import numpy as np
import pytest
from video_files import pictures, write_video

from ava_jax import errors
from ava_jax.video.writer import VideoWriter


def read(path):
    """(times, pictures, the stream's facts) of a video."""
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        facts = stream.codec_context.name, stream.codec_context.pix_fmt
        frames = [
            (f.time, f.to_ndarray(format="rgb24")) for f in container.decode(stream)
        ]
    return [time for time, _ in frames], [picture for _, picture in frames], facts


def write(path, frames, times, **options):
    size = frames[0].shape[1::-1]
    with VideoWriter(path, size, 10, **options) as writer:
        for picture, time in zip(frames, times, strict=True):
            writer.write(picture, time)


def smooth_pictures(count, height, width):
    """Ramps, which survive compression."""
    y, x = np.mgrid[:height, :width]
    ramps = [np.stack([x * 2, y * 2, np.full_like(x, 8 * i)], -1) for i in range(count)]
    return np.array(ramps).astype(np.uint8)


@pytest.mark.parametrize("size", [(48, 64), (47, 63)])
def test_writes_what_players_play(tmp_path, size):
    frames = smooth_pictures(12, *size)
    write(tmp_path / "a" / "out.mp4", frames, np.arange(12) / 10)
    times, found, facts = read(tmp_path / "a" / "out.mp4")
    assert facts == ("h264", "yuv420p")
    np.testing.assert_allclose(times, np.arange(12) / 10, atol=1e-4)
    assert found[0].shape == (48, 64, 3)  # even
    height, width = size
    for given, seen in zip(frames, found, strict=True):
        difference = np.abs(seen[:height, :width].astype(int) - given)
        # Compressed, with colours at half the resolution: colours stay what they were.
        assert difference.mean() < 4
    assert not list(tmp_path.rglob("*.partial"))


def test_keeps_irregular_times(tmp_path):
    times = [0.0, 0.1, 0.5, 0.52, 0.9, 2.0]
    write(tmp_path / "out.mp4", pictures(6), times)
    np.testing.assert_allclose(read(tmp_path / "out.mp4")[0], times, atol=1e-4)


SOUND_RATE = 16_000


def write_film(path, codec, seconds=1.0, delay=0.0):
    """A video of 10 frames a second with a sound; `delay` is where both begin."""
    count = round(seconds * SOUND_RATE)
    wave = (8000 * np.sin(np.arange(count) / 20)).astype(np.int16)[None]
    with av.open(str(path), "w") as container:
        film = container.add_stream("mpeg4", rate=10)
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        track = container.add_stream(codec, rate=SOUND_RATE, layout="mono")
        for i, picture in enumerate(pictures(round(10 * seconds))):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = i + round(10 * delay), Fraction(1, 10)
            container.mux(film.encode(frame))
        container.mux(film.encode())
        sound = av.AudioFrame.from_ndarray(wave, format="s16", layout="mono")
        sound.sample_rate, sound.pts = SOUND_RATE, round(delay * SOUND_RATE)
        sound.time_base = Fraction(1, SOUND_RATE)
        container.mux(track.encode(sound))
        container.mux(track.encode())
    return path


def sound_packets(path):
    """Their times from the first picture on, and their bytes."""
    with av.open(str(path)) as container:
        film = container.streams.video[0]
        start = film.start_time * film.time_base
        packets = [p for p in container.demux(audio=0) if p.size]
        return [float(p.pts * p.time_base - start) for p in packets], [
            bytes(p) for p in packets
        ]


@pytest.mark.parametrize(
    ("name", "codec", "delay"),
    [("in.mp4", "aac", 0), ("in.mkv", "libmp3lame", 0), ("in.ts", "aac", 3.0)],
)
def test_sound_is_copied_as_it_is(tmp_path, name, codec, delay):
    source = write_film(tmp_path / name, codec, delay=delay)
    frames = pictures(10)
    write(tmp_path / "out.mp4", frames, np.arange(10) / 10, sound_of=source)
    times, content = sound_packets(tmp_path / "out.mp4")
    expected_times, expected = sound_packets(source)
    # MPEG-TS has a header before each packet, which MP4 has elsewhere.
    assert len(content) == len(expected) > 5
    assert all(whole.endswith(bare) for bare, whole in zip(content, expected))
    # Matroska counts milliseconds.
    np.testing.assert_allclose(times, expected_times, atol=1.1e-3)


def test_sound_ends_with_the_pictures(tmp_path):
    source = write_film(tmp_path / "in.mp4", "aac", seconds=3)
    write(tmp_path / "out.mp4", pictures(10), np.arange(10) / 10, sound_of=source)
    times, _ = sound_packets(tmp_path / "out.mp4")
    assert 0.9 < max(times) < 1.0


def test_a_video_without_sound(tmp_path):
    source = write_video(tmp_path / "in.mov", pictures(5))
    write(tmp_path / "out.mp4", pictures(5), np.arange(5) / 10, sound_of=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio


def test_sound_that_mp4_cannot_hold_is_left_out(tmp_path, caplog):
    source = write_film(tmp_path / "in.avi", "pcm_mulaw")
    write(tmp_path / "out.mp4", pictures(5), np.arange(5) / 10, sound_of=source)
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio
    assert "pcm_mulaw" in caplog.text


def test_a_damaged_sound_ends_early(tmp_path):
    whole = write_film(tmp_path / "whole.ts", "aac", seconds=2).read_bytes()
    source = tmp_path / "in.ts"
    source.write_bytes(whole[: len(whole) // 2])
    write(tmp_path / "out.mp4", pictures(20), np.arange(20) / 10, sound_of=source)
    assert len(read(tmp_path / "out.mp4")[0]) == 20


def test_nothing_is_left_of_an_error(tmp_path):
    out = tmp_path / "out.mp4"
    out.write_text("the result of yesterday")
    with pytest.raises(KeyError), VideoWriter(out, (64, 48), 10) as writer:
        writer.write(pictures(1)[0], 0.0)
        raise KeyError
    assert out.read_text() == "the result of yesterday"
    assert list(tmp_path.iterdir()) == [out]


def test_cannot_be_written(tmp_path):
    with pytest.raises(errors.UserError, match="cannot be written"):
        VideoWriter("/proc/none/out.mp4", (64, 48), 10)
    with pytest.raises(errors.UserError, match="/dev/full"):
        write("/dev/full/out.mp4", pictures(1), [0.0])


def test_disk_full(tmp_path, monkeypatch):
    real_open = av.open

    class Full:
        """A disk with room for the head of the file."""

        def __init__(self, path):
            self._file = io.FileIO(path, "w")

        def write(self, data):
            if self._file.tell() + len(data) > 1000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return self._file.write(data)

        def seek(self, *where):
            return self._file.seek(*where)

        def tell(self):
            return self._file.tell()

    def open_on_full_disk(path, mode="r", *arguments, **options):
        file = Full(path) if mode == "w" else path
        return real_open(file, mode, *arguments, **options)

    monkeypatch.setattr(av, "open", open_on_full_disk)
    frames = np.random.default_rng(0).integers(0, 255, (60, 48, 64, 3), np.uint8)
    with pytest.raises(errors.UserError, match="No space left on device.*--out"):
        write(tmp_path / "out.mp4", frames, np.arange(60) / 10)
    assert not list(tmp_path.iterdir())
