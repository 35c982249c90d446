"""A video in; the same with people's actions on it, a page and their data out."""

import contextlib
import itertools
import os
import pathlib
import time
from collections.abc import Sequence

from ava_jax import files
from ava_jax.errors import UserError
from ava_jax.inference.video_predictor import KeyFrameResult
from ava_jax.predict import Detector
from ava_jax.report import video_page
from ava_jax.runtime import preemption
from ava_jax.video.writer import VideoWriter
from ava_jax.visualization import result_files
from ava_jax.visualization.annotated_stream import Film, Options, open_film
from ava_jax.visualization.progress import FilmProgress
from ava_jax.visualization.video_visualizer import Annotator, track_color

__all__ = ["Options", "annotate_video"]

_TOP = 3  # actions of a person in the picture
_PAGE_TOP, _PAGE_SCORE = 12, 0.05  # actions of a person that the page knows
_EMBEDDED = 6_000_000  # bytes of a video that becomes part of its page


def annotate_video(
    detector: Detector, source: str, out: str | os.PathLike, options: Options
) -> str:
    """Writes the annotated video, its page, and its results as CSV and JSON lines.

    Nothing is left half-written. Ctrl-C ends the video there: all files are of what
    was seen until then.

    Args:
      detector: scores the actions.
      source: path of a video, address, or number of a camera. Of what is live, the
        annotated video has the key-frames.
      out: the MP4 file; the others have its name, with .html, .csv and .jsonl.
      options: see there.

    Returns:
      What was found and written, for the user.

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
        signals = stack.enter_context(preemption.handle_signals())
        film = open_film(detector, source, options, stack)
        length = _write_film(film, out, options, signals)
    if length is None:
        return "Stopped before the first key-frame: nothing was written."
    files = _write_data(detector, source, film, length, out, options)
    seconds = time.monotonic() - started
    lines = []
    if signals.stop_requested:
        lines.append("Stopped: the files are of what was seen until then.")
    lines += _summary(film, length, seconds, options)
    return "\n".join([*lines, *(f"  {path}" for path in [out, *files])])


def _write_film(
    film: Film,
    out: pathlib.Path,
    options: Options,
    signals: preemption.PreemptionHandler,
) -> float | None:
    """Writes the annotated video; its length in seconds, None: there is none."""
    first = next(film.shots, None)
    if first is None:
        return None
    film.size, film.start = first.frame.shape[1::-1], first.time
    annotator = Annotator(film.size)
    last = first.time
    with (
        VideoWriter(out, annotator.size, film.fps, film.sound_of) as writer,
        FilmProgress(film) as progress,
    ):
        for shot in itertools.chain([first], film.shots):
            who = shot.people
            actions = who.actions(options.threshold, _TOP)
            picture = annotator.draw(shot.frame, who.boxes, who.track_ids, actions)
            writer.write(picture, shot.time - first.time)
            progress.update(shot)
            last = shot.time
            if signals.stop_requested:
                break
    length = last - first.time + 1 / film.fps
    # Results run ahead of the frames, which may have been stopped.
    film.results = [x for x in film.results if x.time < first.time + length]
    return length


def _data_files(out: pathlib.Path) -> list[pathlib.Path]:
    """Page, CSV and JSON lines."""
    return [out.with_suffix(end) for end in (".html", ".csv", ".jsonl")]


def _write_data(
    detector: Detector,
    source: str,
    film: Film,
    length: float,
    out: pathlib.Path,
    options: Options,
) -> list[pathlib.Path]:
    """Page, CSV and JSON lines; their paths."""
    page, csv, lines = _data_files(out)
    name = pathlib.Path(source).stem
    result_files.write_csv(
        *(csv, film.results, name, film.size, detector.class_ids),
        threshold=detector.config.eval.action_threshold,
        start=options.start,
    )
    result_files.write_jsonl(lines, film.results)
    small = out.stat().st_size <= _EMBEDDED
    text = video_page.render(
        f"Actions in {name}",
        out.read_bytes() if small else out.name,
        _sightings(film),
        duration=length,
        every=options.every,
        threshold=options.threshold,
        colors={n: track_color(n) for n in _numbers(film.results)},
        notes=[_found(film)],
    )
    files.replace(page, text)
    return [page, csv, lines]


def _sightings(film: Film) -> list[video_page.Sighting]:
    return [
        video_page.Sighting(result.time - film.start, number, actions)
        for result in film.results
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


def _found(film: Film) -> str:
    count = len(_numbers(film.results))
    who = {0: "Nobody was", 1: "1 person was"}.get(count, f"{count} people were")
    moments = len(film.results)
    return f"{who} found at {moments} key-frame{'s' if moments != 1 else ''}."


def _summary(film: Film, length: float, seconds: float, options: Options) -> list[str]:
    lines = [_found(film)]
    if options.people == "hog" and not _numbers(film.results):
        lines.append(
            "HOG finds only people who are seen whole and upright; --detector "
            "onnx:FILE.onnx takes a better detector, --person-score a lower score."
        )
    speed = f"{length / seconds:.2f}x real time"
    return [*lines, f"{length:.1f} s of video in {seconds:.1f} s, {speed}."]
