"""Annotates a video file: the video with actions, a page, and the data."""

import contextlib
import itertools
import os
import pathlib
import time
from collections.abc import Sequence

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.inference.video_results import KeyFrameResult
from ava_jax.people.files import PeopleByTime
from ava_jax.people.hog import HogDetector
from ava_jax.predict import Detector
from ava_jax.report import video_page
from ava_jax.report.people import Annotator, track_color
from ava_jax.runtime import preemption
from ava_jax.video.writer import VideoWriter
from ava_jax.visualization import result_files
from ava_jax.visualization.annotated_stream import AnnotatedStream, Options, open_stream
from ava_jax.visualization.key_pictures import KeyPictures
from ava_jax.visualization.progress import StreamProgress

__all__ = ["Options", "annotate_video"]

_TOP = 3  # actions of a person in the picture
_PAGE_TOP, _PAGE_SCORE = 12, 0.05  # actions of a person that the page knows
_EMBEDDED = 6_000_000  # bytes of a video that becomes part of its page


def annotate_video(
    detector: Detector,
    source: str,
    out: str | os.PathLike,
    options: Options,
    signals: preemption.PreemptionHandler | None = None,
) -> str:
    """Writes the annotated video, its page, and its results as CSV and JSON lines.

    Files appear only when they are complete. Ctrl-C ends the video early; the files
    then hold what was processed up to that point.

    Args:
      detector: scores the actions.
      source: path of a video, address, or number of a camera. A live source gives a
        video of its key frames.
      out: the MP4 file; the others have its name with .html, .csv and .jsonl.
      options: of the annotation.
      signals: what a signal handler sets that is installed already.

    Returns:
      A summary for the user: what was found and written.

    Raises:
      UserError: the source is no video, or the files cannot be written.
    """
    out = pathlib.Path(out)
    if out.suffix.lower() != ".mp4":
        raise UserError(f"{out}: the result is an MP4 file; give --out FILE.mp4")
    for path in (out, *_data_files(out)):
        for given, what in ((source, "video"), (options.people, "file of boxes")):
            if path.exists() and os.path.exists(given) and path.samefile(given):
                raise UserError(
                    f"{path} is the {what} itself; give another --out FILE.mp4"
                )
    started = time.monotonic()
    with contextlib.ExitStack() as stack:
        signals = signals or stack.enter_context(preemption.handle_signals())
        stream = open_stream(detector, source, options, stack)
        pictures = KeyPictures()
        notice = _domain_notice(detector, options)
        length = _write_video(stream, out, options, signals, pictures, notice)
    if length is None:
        return "Stopped before the first key frame: nothing was written."
    written = _write_data(detector, source, stream, length, out, options, pictures)
    seconds = time.monotonic() - started
    lines = []
    if signals.stop_requested:
        lines.append("Stopped: the files hold what was processed so far.")
    lines += [notice] if notice else []
    lines += _summary(stream, length, seconds, options)
    return "\n".join([*lines, *(f"  {path}" for path in [out, *written])])


def _write_video(
    stream: AnnotatedStream,
    out: pathlib.Path,
    options: Options,
    signals: preemption.PreemptionHandler,
    pictures: KeyPictures,
    notice: str,
) -> float | None:
    """Writes the annotated video; its length in seconds, None if it is empty."""
    first = next(stream.frames, None)
    if first is None:
        return None
    stream.size, stream.start = first.image.shape[1::-1], first.time
    annotator = Annotator(stream.size, notice)
    last = first.time
    with (
        VideoWriter(out, annotator.size, stream.fps, stream.sound_of) as writer,
        StreamProgress(stream) as progress,
    ):
        for frame in itertools.chain([first], stream.frames):
            who = frame.people
            actions = who.actions(options.threshold, _TOP)
            picture = annotator.draw(frame.image, who.boxes, who.track_ids, actions)
            time_here = frame.time - first.time
            writer.write(picture, time_here)
            pictures.add(time_here, who.time - first.time, len(who.boxes), picture)
            progress.update(frame)
            last = frame.time
            if signals.stop_requested:
                break
    length = last - first.time + 1 / stream.fps
    # The predictor runs ahead of the frames: drop results after the last frame.
    stream.results = [x for x in stream.results if x.time < first.time + length]
    return length


def _data_files(out: pathlib.Path) -> list[pathlib.Path]:
    """Page, CSV and JSON lines."""
    return [out.with_suffix(end) for end in (".html", ".csv", ".jsonl")]


def _write_data(
    detector: Detector,
    source: str,
    stream: AnnotatedStream,
    length: float,
    out: pathlib.Path,
    options: Options,
    pictures: KeyPictures,
) -> list[pathlib.Path]:
    """Writes page, CSV and JSON lines, and returns their paths."""
    page, csv, lines = _data_files(out)
    name = pathlib.Path(source).stem
    result_files.write_csv(
        csv,
        stream.results,
        name,
        stream.size,
        detector.class_ids,
        threshold=detector.config.eval.action_threshold,
        start=options.start,
    )
    result_files.write_jsonl(lines, stream.results)
    small = out.stat().st_size <= _EMBEDDED
    text = video_page.render(
        f"Actions in {name}",
        out.read_bytes() if small else out.name,
        _sightings(stream),
        duration=length,
        every=options.every,
        threshold=options.threshold,
        colors={n: track_color(n) for n in _numbers(stream.results)},
        notes=[
            _domain_notice(detector, options),
            _found(stream),
            *_advice(stream, options),
        ],
        poster=pictures.poster(),
        pictures=pictures.evenly_spread(),
        model=_model(detector),
        actions=detector.labels[1:],
    )
    files.replace(page, text)
    return [page, csv, lines]


def _model(detector: Detector) -> str:
    learned = f", trained on {detector.trained_on}" if detector.trained_on else ""
    return f"Model: {detector.config.name}{learned}; {len(detector.labels) - 1} actions"


def _sightings(stream: AnnotatedStream) -> list[video_page.Sighting]:
    return [
        video_page.Sighting(result.time - stream.start, number, actions)
        for result in stream.results
        for number, actions in zip(
            result.track_ids.tolist(),
            result.actions(_PAGE_SCORE, _PAGE_TOP),
            strict=True,
        )
    ]


def _numbers(results: Sequence[KeyFrameResult]) -> list[int]:
    return sorted(
        {number for result in results for number in result.track_ids.tolist()}
    )


def _found(stream: AnnotatedStream) -> str:
    count = len(_numbers(stream.results))
    who = {0: "Nobody was", 1: "1 person was"}.get(count, f"{count} people were")
    moments = len(stream.results)
    return f"{who} found at {moments} key frame{'s' if moments != 1 else ''}."


def _advice(stream: AnnotatedStream, options: Options) -> list[str]:
    """What to try if nobody was found."""
    if _numbers(stream.results):
        return []
    if isinstance(stream.people, PeopleByTime):
        return _advice_on_times(stream, options.start)
    if not isinstance(stream.people, HogDetector):
        return []
    return [
        "HOG finds only people who are seen whole and upright; --detector "
        "yolox or onnx:FILE is a better detector, --person-score takes a lower score."
    ]


def _domain_notice(detector: Detector, options: Options) -> str:
    """That the scores mean nothing, if the model has seen nothing like the video."""
    if detector.config.data.source != "mini" or options.is_own_data:
        return ""
    return "This model knows drawn figures only: its scores mean nothing here."


def _advice_on_times(stream: AnnotatedStream, start: float) -> list[str]:
    """How to shift the times of a file of boxes, if none is in the video."""
    if not stream.results:
        return []
    first, last = (float(stream.people.times[i] + start) for i in (0, -1))
    begin, end = (stream.results[i].time + start for i in (0, -1))
    if first <= end and begin <= last:
        return []
    return [
        f"The file of boxes is of the seconds {first:g} to {last:g}, and the key "
        f"frames of the video are at {begin:g} to {end:g}. If its first box is at the "
        f"beginning of the video: --start {first:g}"
    ]


def _summary(
    stream: AnnotatedStream, length: float, seconds: float, options: Options
) -> list[str]:
    lines = [_found(stream), *_advice(stream, options)]
    speed = f"{length / seconds:.2f}x real time"
    return [*lines, f"{length:.1f} s of video in {seconds:.1f} s, {speed}."]
