"""One movie of the miniature: its frames, and who does what where in them."""

import dataclasses

import cv2
import numpy as np

from ava_jax.prepare.mini import scenery, schedule
from ava_jax.prepare.mini.drawing import Stroke, View, paint
from ava_jax.prepare.mini.figures import Figure
from ava_jax.prepare.mini.puppet import strokes

_CUT = 0.45  # half the duration of an inserted shot, s
_CUT_EVERY = 4  # every fourth movie has an inserted shot
_DEPTHS = 6.0, 4.2  # m, between which figures are spread
_SHADOW = (160, 155, 155)  # what a shadow leaves of the light


@dataclasses.dataclass(frozen=True)
class Person:
    """A figure at a key frame."""

    entity: int
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions
    actions: frozenset[str]
    visible: float  # share of the silhouette in the frame


class Movie:
    """A short scene with two to five figures.

    Attributes:
      figures: Everyone in it; a figure's entity id is its index.
      cut_second: The key frame at which another shot is inserted, if any: in every
        fourth movie of a split, the first (`index` 0) included.
    """

    def __init__(
        self,
        rng: np.random.Generator,
        index: int,
        *,
        seconds: int,
        fps: int,
        size: tuple[int, int],
    ):
        """Prepares all but the frames, whose `size` is (height, width)."""
        self._fps = fps
        self._view = View(size)
        names = rng.permutation(list(scenery.SCENES))[:2].tolist()
        scenes = [scenery.draw_scene(rng, name, self._view) for name in names]
        self._scene, self._inserted = scenes
        self.figures = _cast(rng, index, seconds, self._view)
        cut_second = int(rng.integers(1, seconds - 1))
        self.cut_second = None if index % _CUT_EVERY else cut_second

    def frame(self, index: int, *, figures: bool = True) -> np.ndarray:
        """A frame as (height, width, 3) uint8 BGR, with or without its figures."""
        time = index / self._fps
        if self.cut_second is not None and abs(time - self.cut_second) < _CUT:
            image = self._inserted
        else:
            image = self._scene.copy()
            self._draw_shadows(image, time)
            for entity in self._far_to_near(time) if figures else ():
                paint(image, strokes(self.figures[entity], time, self._view))
        size = self._view.size[::-1]
        return cv2.resize(image, size, interpolation=cv2.INTER_AREA)

    def people(self, second: int) -> list[Person]:
        """The figures at a key frame of which anything is in the picture."""
        height, width = self._scene.shape[:2]
        drawn = [strokes(figure, second, self._view) for figure in self.figures]
        picture = np.zeros((height, width), np.uint8)
        for entity in self._far_to_near(second):
            paint(picture, drawn[entity], entity + 1)
        people = []
        for entity, figure in enumerate(self.figures):
            alone = np.zeros_like(picture)
            paint(alone, drawn[entity], entity + 1)
            if np.any(seen := alone * (picture == alone)):
                x, y, w, h = cv2.boundingRect(alone)
                box = x / width, y / height, (x + w) / width, (y + h) / height
                visible = np.count_nonzero(seen) / np.count_nonzero(alone)
                people.append(Person(entity, box, figure.actions(second), visible))
        return people

    def _far_to_near(self, time: float) -> list[int]:
        depths = [figure.place(time)[1] for figure in self.figures]
        return np.argsort(depths)[::-1].tolist()

    def _draw_shadows(self, image: np.ndarray, time: float) -> None:
        light = np.full_like(image, 255)
        for figure in self.figures:
            x, depth, _ = figure.place(time)
            half = 0.35 + 0.5 * figure.poses.weight(time, "lie")
            ends = [self._view.ground(x + side * half, depth) for side in (-1, 1)]
            paint(light, [Stroke(ends, 0.2 * self._view.scale(depth), _SHADOW)])
        cv2.multiply(image, light, image, 1 / 255)


def _cast(rng, index: int, seconds: int, view: View) -> list[Figure]:
    """Two to five figures, spread over the picture.

    Their numbers come in rounds of six movies, so that the sizes of the splits
    hardly depend on the seed.
    """
    count = (4, 3, 5, 4, 2, 5)[index % 6]
    decks = schedule.POSE_DECK, schedule.ARM_DECK, schedule.HAND_DECK
    tracks = [schedule.deal(rng, deck, seconds, count) for deck in decks]
    places = rng.permutation((2 * np.arange(count) + 1) / count - 1)
    depths = rng.permutation(np.linspace(*_DEPTHS, count)).tolist()
    figures = []
    for place, depth, *states in zip(places, depths, *tracks, strict=True):
        half = view.size[1] / 2 / view.scale(depth)  # of the picture's width, m
        x = half * (0.75 * place + rng.uniform(-0.1, 0.1))
        figures.append(Figure(rng, complex(x, depth), states))
    return figures
