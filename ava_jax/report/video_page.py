"""The page of a video: a player with a timeline of everybody's actions."""

from collections.abc import Sequence
from typing import NamedTuple
from urllib.parse import quote

from ava_jax.report import page, style


class Sighting(NamedTuple):
    """The actions of one person at one key frame."""

    time: float  # seconds
    person: int
    actions: Sequence[tuple[str, float]]  # name and score


class Picture(NamedTuple):
    """An annotated key frame."""

    time: float  # seconds
    people: int  # how many it shows
    jpeg: bytes


def render(
    title: str,
    video: str | bytes,
    sightings: Sequence[Sighting],
    *,
    duration: float,
    every: float,
    threshold: float,
    colors: dict[int, style.Color],
    notes: Sequence[str] = (),
    poster: bytes | None = None,
    pictures: Sequence[Picture] = (),
    model: str = "",
    actions: Sequence[str] = (),
) -> str:
    """Renders the page as HTML, which needs no network.

    Args:
      title: title of the page.
      video: path of an MP4 file relative to the page, or the file itself, which
        then becomes part of the page.
      sightings: sorted by time.
      duration: length of the video in seconds.
      every: seconds from one key frame to the next.
      threshold: initial minimum score of the actions shown.
      colors: colours of the people, as in the video.
      notes: sentences above the timeline.
      poster: JPEG that is shown until the video plays.
      pictures: key frames, shown if the video is not part of the page: it may have
        been left behind.
      model: a sentence about it.
      actions: names of those that it knows.
    """
    shown = {"duration": round(duration, 3), "every": every, "threshold": threshold}
    is_file = isinstance(video, bytes)
    return page.render(
        "video.html",
        title=title,
        notes=notes,
        video=page.data_url(video, "video/mp4") if is_file else quote(video),
        file=None if is_file else video,
        poster=poster and page.data_url(poster),
        pictures=[] if is_file else pictures,
        has_people=bool(sightings),
        model=model,
        actions=actions,
        data=shown | _data(sightings, colors),
    )


def _data(sightings: Sequence[Sighting], colors: dict[int, style.Color]) -> dict:
    """The data for the script: actions by number, people in order of appearance."""
    names: dict[str, int] = {}
    people: dict[int, list] = {}
    for sighting in sightings:
        scores = [
            [names.setdefault(name, len(names)), round(score, 2)]
            for name, score in sighting.actions
        ]
        moment = [round(sighting.time, 3), scores]
        people.setdefault(sighting.person, []).append(moment)
    return {
        "actions": [style.short_action(name) for name in names],
        "people": [
            {
                "id": person,
                "color": style.hex_color(colors[person]),
                "ink": style.hex_color(style.ink_on(colors[person])),
                "moments": moments,
            }
            for person, moments in people.items()
        ],
    }
