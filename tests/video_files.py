"""Writes small videos of every kind."""

from fractions import Fraction

import av
import numpy as np

_TICKS = 12_000  # a second, for frames that come irregularly


def pictures(count, height=48, width=64):
    """(count, height, width, 3) uint8, each different, with edges and ramps."""
    y, x = np.mgrid[:height, :width]
    frames = []
    for i in range(count):
        bar = (x + 3 * i) % 32 < 8
        frames.append(np.stack([4 * x % 256, bar * 255, (5 * y + 20 * i) % 256], -1))
    return np.array(frames).astype(np.uint8)


def write_video(
    path, frames, fps=10, times=None, codec="png", pix_fmt="rgb24", rotation=None
):
    """Writes a video; by default without loss, in RGB.

    Args:
      path: ends in .mov, .avi, or in .mkv, .mp4 or .ts with a codec that these have.
      frames: (T, H, W, 3) uint8.
      fps: frames a second, unless there are
      times: of the frames, in seconds.
      codec: FFmpeg's name.
      pix_fmt: likewise.
      rotation: degrees by which a player must turn the frames to the left.
    """
    ticks = fps
    if times is None:
        times = np.arange(len(frames)) / fps
    else:
        ticks = _TICKS
    # The index of .mov and .mp4 at the front, where a cut file still has it.
    front = str(path).endswith((".mov", ".mp4"))
    options = {"movflags": "faststart"} if front else {}
    with av.open(str(path), "w", container_options=options) as container:
        stream = container.add_stream(codec, rate=fps)
        stream.height, stream.width = frames.shape[1:3]
        stream.pix_fmt = pix_fmt
        stream.codec_context.time_base = Fraction(1, ticks)
        if rotation:
            stream.set_display_rotation(rotation)
        container.start_encoding()
        for time, pixels in zip(times, frames, strict=True):
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = round(time * ticks)
            frame.time_base = Fraction(1, ticks)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def write_sound(path, cover=False):
    """Writes half a second of silence, with a picture of the album or without."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libmp3lame", rate=16_000, layout="mono")
        picture = container.add_stream("mjpeg", rate=1) if cover else None
        if cover:
            picture.height, picture.width, picture.pix_fmt = 48, 64, "yuvj420p"
            picture.disposition = av.stream.Disposition.attached_pic
        silence = np.zeros((1, 8_000), np.int16)
        frame = av.AudioFrame.from_ndarray(silence, format="s16p", layout="mono")
        frame.sample_rate, frame.pts = 16_000, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
        if cover:
            image = av.VideoFrame.from_ndarray(pictures(1)[0], format="rgb24")
            image.pts = 0
            container.mux(picture.encode(image))
            container.mux(picture.encode(None))
    return path
