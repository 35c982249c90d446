"""Seconds and fractions of the frame for what tools count in frames and pixels."""

import collections
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ava_jax.annotations.findings import Finding, listed
from ava_jax.annotations.tools import KeyFrame, ToolBox, ToolTable, Video
from ava_jax.annotations.tools.names import plain_name
from ava_jax.annotations.tools.table import PIXELS
from ava_jax.annotations.tools.tracks import nearest_frame, sample
from ava_jax.errors import UserError, join_first

NUMBERS = ("seconds", "frames")
# Digits that boxes and times keep: a millionth of the frame, a thousandth second.
_BOX_DIGITS, _TIME_DIGITS = 6, 3


@dataclasses.dataclass(frozen=True)
class Knowledge:
    """What the user says about the videos.

    Attributes:
      fps: frames a second; 0: the files or the videos say it.
      size: width and height of the frames, pixels; None: the same.
      every: seconds between the key frames that are taken of tracks; 0: the boxes that
        somebody drew.
      numbers: what numbers in the names of pictures count, of `NUMBERS`; '': not said.
      first_frame: the number of a video's first frame; None: not said.
      video: the video of pictures whose names have none.
    """

    fps: float = 0
    size: tuple[int, int] | None = None
    every: float = 1
    numbers: str = ""
    first_frame: int | None = None
    video: str = ""


def resolve(
    table: ToolTable, known: Knowledge, videos: Mapping[str, Video]
) -> ToolTable:
    """The same boxes in fractions, with seconds.

    Args:
      table: of a file, with the names that `videos` has.
      known: what the user says.
      videos: what is known of the video files.

    Returns:
      A table whose boxes and key frames have `time`, in the order of the file, or of
      the seconds if they are of tracks; with more notes.

    Raises:
      UserError: rate, size or the meaning of numbers is not known; the flag that says
        it is named.
    """
    table = _with_names(table, known)
    names = {item.video for item in (*table.boxes, *table.key_frames)}
    user = Video(known.fps, *(known.size or (0, 0)))
    facts = {
        name: user.filled(table.videos.get(name, Video())).filled(
            videos.get(name, Video())
        )
        for name in sorted(names)
    }
    table = dataclasses.replace(table, videos=facts)
    return _in_fractions(_in_seconds(table, known))


def _with_names(table: ToolTable, known: Knowledge) -> ToolTable:
    """Names for the videos of pictures that have none."""
    nameless = [item for item in (*table.boxes, *table.key_frames) if not item.video]
    if not nameless:
        return table
    if not known.video:
        raise UserError(
            f"{table.path}, {nameless[0].place}: found the name of a picture without "
            "its video, expected such as film_000031.jpg; give the name: --video film"
        )
    video = known.video

    def named(item):
        return item if item.video else dataclasses.replace(item, video=video)

    return dataclasses.replace(
        table,
        boxes=tuple(map(named, table.boxes)),
        key_frames=tuple(map(named, table.key_frames)),
        videos={name or video: facts for name, facts in table.videos.items()},
    )


def _in_seconds(table: ToolTable, known: Knowledge) -> ToolTable:
    items = [*table.boxes, *table.key_frames]
    counted = [item for item in items if item.time is None]
    if not counted:
        return table
    if not table.counts_frames and _are_seconds(table, counted[0], known):

        def timed(item):
            if item.time is not None:
                return item
            return dataclasses.replace(item, time=item.frame)

        return _mapped(table, timed)
    first = _first_frame(table, counted, known)
    _check_rates(table, {item.video for item in counted})

    def numbered(item):
        if item.time is not None:
            return item
        return dataclasses.replace(item, frame=int(item.frame) - first)

    table = _mapped(table, numbered)
    early = [item for item in counted if item.frame < first]
    if early:
        raise UserError(
            f"{table.path}, {early[0].place}: found frame {early[0].frame:g}, expected "
            f"{first} or more; say what the first frame's number is: --first-frame 0"
        )
    if table.is_tracked and known.every:
        return _sampled(table, known.every)
    if table.is_tracked:
        drawn = tuple(box for box in table.boxes if box.is_drawn)
        left = len(table.boxes) - len(drawn)
        table = dataclasses.replace(
            table, boxes=drawn, notes=(*table.notes, *_interpolated_left(table, left))
        )
    return _rounded(table)


def _mapped(table: ToolTable, change) -> ToolTable:
    return dataclasses.replace(
        table,
        boxes=tuple(map(change, table.boxes)),
        key_frames=tuple(map(change, table.key_frames)),
    )


def _are_seconds(table: ToolTable, one: ToolBox | KeyFrame, known: Knowledge) -> bool:
    if known.numbers:
        return known.numbers == NUMBERS[0]
    raise UserError(
        f"{table.path}, {one.place}: found the number {one.frame:g} in the name of a "
        "picture, expected to know what it counts; give --numbers seconds, or "
        "--numbers frames with --fps RATE"
    )


def _first_frame(
    table: ToolTable, counted: Sequence[ToolBox | KeyFrame], known: Knowledge
) -> int:
    if known.first_frame is not None:
        return known.first_frame
    if table.first_frame is not None:
        return table.first_frame
    if any(item.frame == 0 for item in counted):
        return 0
    raise UserError(
        f"{table.path}, {counted[0].place}: found frame {counted[0].frame:g} and "
        "nowhere frame 0, expected to know the number of a video's first frame; give "
        "--first-frame 0 (OpenCV, CVAT) or --first-frame 1 (FFmpeg)"
    )


def _check_rates(table: ToolTable, names: Iterable[str]) -> None:
    missing = sorted(name for name in names if not table.videos[name].fps)
    if missing:
        raise UserError(
            f"{table.path}: found numbers of frames, and the rate of "
            f"{join_first(missing)} is not known; give --fps RATE, or the folder of "
            "the video files: --videos DIR"
        )


def _sampled(table: ToolTable, every: float) -> ToolTable:
    rates = {name: facts.fps for name, facts in table.videos.items()}
    sampled = sample(table.boxes, every, rates)
    notes = [
        *listed(
            "boxes between the key frames, left out",
            [table.path] * bool(sampled.between),
            f"Of the tracks, a box every {every:g} s was taken.",
            "Take others: --every SECONDS (0: those that were drawn).",
            count=sampled.between,
            is_problem=False,
        ),
        *listed(
            "boxes at key frames, interpolated",
            [table.path] * bool(sampled.interpolated),
            "The track has boxes before and after these seconds, and none at them.",
            "",
            count=sampled.interpolated,
            is_problem=False,
        ),
    ]
    return dataclasses.replace(table, boxes=sampled.boxes, notes=(*table.notes, *notes))


def _interpolated_left(table: ToolTable, count: int) -> list[Finding]:
    return listed(
        "interpolated boxes, left out",
        [table.path] * bool(count),
        "Those that somebody drew were taken.",
        "",
        count=count,
        is_problem=False,
    )


def _rounded(table: ToolTable) -> ToolTable:
    """Frames as seconds: whole ones where a frame is the nearest to one."""
    moved = []

    def timed(item):
        if item.time is not None:
            return item
        fps = table.videos[item.video].fps
        exact = item.frame / fps
        if nearest_frame(round(exact), fps) == item.frame:
            if abs(exact - round(exact)) > 10**-_TIME_DIGITS:
                moved.append(f"{table.path}: {item.place}")
            return dataclasses.replace(item, time=float(round(exact)))
        return dataclasses.replace(item, time=round(exact, _TIME_DIGITS))

    table = _mapped(table, timed)
    notes = listed(
        "frames taken for the nearest whole second",
        moved,
        "They are less than half a frame away from it.",
        "",
        is_problem=False,
    )
    return dataclasses.replace(table, notes=(*table.notes, *notes))


def _in_fractions(table: ToolTable) -> ToolTable:
    if not table.boxes:
        return table
    names = [box.video for box in table.boxes]
    array = np.array([box.box for box in table.boxes])
    if table.unit == PIXELS:
        missing = sorted({n for n in names if not table.videos[n].width})
        if missing:
            raise UserError(
                f"{table.path}: found boxes in pixels, and the size of "
                f"{join_first(missing)} is not known; give --size WIDTHxHEIGHT, or the "
                "folder of the video files: --videos DIR"
            )
        sides = [(table.videos[n].width, table.videos[n].height) * 2 for n in names]
        array = array / sides
    array = array.round(_BOX_DIGITS) + 0.0  # no negative zeros
    boxes = [
        dataclasses.replace(box, box=tuple(row))
        for box, row in zip(table.boxes, array.tolist(), strict=True)
    ]
    return dataclasses.replace(table, boxes=tuple(boxes))


def match_names(
    tables: Sequence[ToolTable], folder: Mapping[str, Video]
) -> tuple[list[ToolTable], list[Finding]]:
    """Names of videos as the files have them, where there is one reading.

    Args:
      tables: of all files.
      folder: the video files, by name; empty: they are not there.

    Raises:
      UserError: names that differ in case or padding alone, and no video file says
        which is right.
    """
    names = {i.video for t in tables for i in (*t.boxes, *t.key_frames) if i.video}
    plain = collections.defaultdict(set)
    for name in folder or names:
        plain[plain_name(name)].add(name)
    mended, unknown = {}, []
    for name in sorted(names):
        candidates = plain[plain_name(name)]
        if name in folder or (not folder and len(candidates) == 1):
            continue
        if len(candidates) > 1:
            raise UserError(
                f"{tables[0].path}: found the video {name}, expected to know which of "
                f"{' and '.join(sorted(candidates))} it is; write the names as those "
                "of the files, and give their folder: --videos DIR"
            )
        if candidates:
            mended[name] = next(iter(candidates))
        else:
            unknown.append(name)
    notes = [
        *listed(
            "names of videos that were mended",
            [f"{name} is {known}" for name, known in mended.items()],
            "They differ in case, padding or marks alone.",
            "",
            is_problem=False,
        ),
        *listed(
            "videos that are not in the folder",
            unknown if folder else [],
            f"It has {join_first(sorted(folder))}.",
            "Put them there before the frames are extracted, or correct the names.",
            is_problem=False,
        ),
    ]
    return [_renamed(table, mended) for table in tables], notes


def _renamed(table: ToolTable, mended: Mapping[str, str]) -> ToolTable:
    if not mended:
        return table
    table = _mapped(
        table,
        lambda i: dataclasses.replace(i, video=mended.get(i.video, i.video)),
    )
    videos = {mended.get(name, name): facts for name, facts in table.videos.items()}
    return dataclasses.replace(table, videos=videos)


def probe(folder: pathlib.Path) -> dict[str, Video]:
    """What the video files of a folder say; empty if there is none.

    Raises:
      UserError: a video cannot be read, or PyAV is not installed.
    """
    from ava_jax.prepare.extract import find_videos
    from ava_jax.video.reader import SUFFIXES, VideoReader

    found: dict[str, Video] = {}
    if not folder.is_dir() or not any(
        path.suffix.lower() in SUFFIXES for path in folder.iterdir()
    ):
        return found
    for path in find_videos(folder):
        with VideoReader(path) as reader:
            fps, seconds = reader.fps or 0, reader.duration or 0
            found[path.stem] = Video(
                fps, reader.width, reader.height, round(fps * seconds)
            )
    return found
