"""What every reader of an annotation tool's files gives, and every writer takes."""

import dataclasses
from collections.abc import Mapping

from ava_jax.annotations.findings import Finding

PIXELS, FRACTIONS = "pixels", "fractions"


@dataclasses.dataclass(frozen=True)
class ToolBox:
    """A person at one moment of a video.

    Attributes:
      video: name of the video, as in the file.
      box: x1, y1, x2, y2 in the table's unit.
      actions: names of the actions; empty: none is known.
      time: seconds from the beginning of the video; None: `frame` says it.
      frame: number of the frame, in `ToolTable.first_frame`'s counting; None: `time`
        says it.
      person: name or number of the person; '' if the tool has none.
      place: where in the file: 'line 12', or a path in its JSON.
      ends: the person is not seen between this box and the next one of the track.
      is_drawn: somebody drew it; otherwise the tool has interpolated it.
      is_ignored: a region that is not annotated, as COCO's crowds.
    """

    video: str
    box: tuple[float, float, float, float]
    actions: tuple[str, ...] = ()
    time: float | None = None
    frame: float | None = None
    person: str = ""
    place: str = ""
    ends: bool = True
    is_drawn: bool = True
    is_ignored: bool = False


@dataclasses.dataclass(frozen=True)
class KeyFrame:
    """A moment that was annotated and shows nobody; see `ToolBox`."""

    video: str
    time: float | None = None
    frame: float | None = None
    place: str = ""


@dataclasses.dataclass(frozen=True)
class Video:
    """What is known of a video; 0: it is not.

    Attributes:
      fps: frames a second.
      width: of the frames, pixels.
      height: of the frames, pixels.
      frames: how many there are.
    """

    fps: float = 0
    width: int = 0
    height: int = 0
    frames: int = 0

    def filled(self, other: "Video") -> "Video":
        """This one, with what it lacks from `other`."""
        pairs = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Video(*(own or given for own, given in pairs))


@dataclasses.dataclass(frozen=True)
class ToolTable:
    """The labelled boxes of a file.

    Attributes:
      path: of the file.
      tool: what wrote it, such as 'CVAT for video 1.1'.
      boxes: in the order of the file.
      key_frames: those without a box.
      videos: what the file says of each video, by name.
      unit: 'pixels' or 'fractions', of all boxes.
      actions: names in the order of the file, with their ids; None: it gives none.
      first_frame: the number that the first frame of a video has; None: the file
        does not say.
      counts_frames: False: `frame` is a number in the name of a picture, which may
        count seconds.
      is_tracked: boxes are those of tracks, which hold between them, too.
      notes: what was changed and left.
    """

    path: str
    tool: str
    boxes: tuple[ToolBox, ...]
    key_frames: tuple[KeyFrame, ...] = ()
    videos: Mapping[str, Video] = dataclasses.field(default_factory=dict)
    unit: str = PIXELS
    actions: Mapping[str, int | None] = dataclasses.field(default_factory=dict)
    first_frame: int | None = 0
    counts_frames: bool = True
    is_tracked: bool = False
    notes: tuple[Finding, ...] = ()
