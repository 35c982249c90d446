"""One movie of the miniature: its frames, and who does what where in them."""

import dataclasses
import itertools

import cv2
import numpy as np

from ava_jax.prepare.mini import drawing, scenery, schedule
from ava_jax.prepare.mini.camera import Camera, draw_camera
from ava_jax.prepare.mini.canvas import cover, paint
from ava_jax.prepare.mini.figures import Figure, Path, draw_figure, move

_CUT = 0.45  # half the duration of an inserted shot, s
_CUT_EVERY = 4  # one movie in so many has an inserted shot

# An action counts only where so much of what shows it is visible.
_NEEDS = {"wave": "arm", "hold": "object"}
_VISIBLE = 0.4


@dataclasses.dataclass(frozen=True)
class Person:
    """A figure at a key frame."""

    entity: int
    box: tuple[float, float, float, float]  # x1, y1, x2, y2 as fractions
    actions: frozenset[str]  # those that can be seen
    visible: float  # share of the silhouette


class Movie:
    """A short scene with two to five figures.

    Attributes:
      figures: Everyone in it; a figure's entity id is its index.
      frame_count: Number of frames.
      cut_second: The key frame at which another shot is inserted, if any.
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
        """Draws up everything but the frames.

        Args:
          rng: Source of everything in the movie.
          index: Number of the movie in its split; every fourth, the first
            included, has a key frame at which another shot is inserted.
          seconds: Duration.
          fps: Frames per second.
          size: (height, width) of the frames, pixels.
        """
        self._fps = fps
        self._size = size
        self.frame_count = seconds * fps
        times = np.arange(self.frame_count) / fps
        self._camera = draw_camera(rng, times, size)
        scene, other_scene = rng.permutation(scenery.SCENES)[:2].tolist()
        self._panorama = scenery.draw_panorama(rng, scene, size)
        self.figures = _cast(rng, index, seconds, self._camera)
        self._drawn = [
            drawing.project(f, move(f, times), self._camera) for f in self.figures
        ]
        self._things = scenery.draw_things(rng, scene, self._camera)
        self._grain = _grain(rng, size)
        self._grain_at = rng.integers(0, 32, (self.frame_count, 2))
        self.cut_second = None
        if index % _CUT_EVERY == 0:
            self.cut_second = int(rng.integers(1, seconds - 1))
            other = scenery.draw_panorama(rng, other_scene, size)
            blur = max(3, size[1] // 12)
            self._inserted = cv2.blur(other.view(self._camera, 0), (blur, 3))

    def frame(self, index: int, *, figures: bool = True) -> np.ndarray:
        """A frame as (height, width, 3) uint8 BGR.

        Args:
          index: 0 is the movie's beginning.
          figures: False leaves out the figures, but not their shadows.
        """
        image = self._panorama.view(self._camera, index)
        self._draw_shadows(image, index)
        for thing in self._far_to_near(index):
            if figures or thing not in self._drawn:
                paint(image, thing.polygons(index), index)
        image = self._insert_shot(image, index)
        y, x = self._grain_at[index]
        height, width = self._size
        grain = self._grain[y : y + height, x : x + width]
        return cv2.subtract(cv2.add(image, grain), _GRAIN_MEAN)

    def people(self, second: int) -> list[Person]:
        """The figures at a key frame of which anything is in the picture."""
        people = []
        for entity, (mask, shares) in enumerate(self._seen(second * self._fps)):
            if shares["body"] > 0:
                actions = self.figures[entity].actions(second)
                hidden = {a for a, p in _NEEDS.items() if shares[p] < _VISIBLE}
                person = Person(entity, _box(mask), actions - hidden, shares["body"])
                people.append(person)
        return people

    def _far_to_near(self, frame: int) -> list:
        everything = [*self._drawn, *self._things]
        return sorted(everything, key=lambda thing: -thing.depth[frame])

    def _draw_shadows(self, image: np.ndarray, frame: int) -> None:
        light = np.full(image.shape, 255, np.uint8)
        paint(light, (t.shadow for t in (*self._drawn, *self._things)), frame)
        cv2.multiply(image, cv2.blur(light, (3, 3)), image, 1 / 255)

    def _insert_shot(self, image: np.ndarray, frame: int) -> np.ndarray:
        if self.cut_second is None:
            return image
        # Dissolves into the other shot and back.
        away = abs(frame / self._fps - self.cut_second) / _CUT
        share = min(1.0, max(0.0, 2 - 2 * away))
        return cv2.addWeighted(image, 1 - share, self._inserted, share, 0)

    def _seen(self, frame: int) -> list[tuple[np.ndarray, dict[str, float]]]:
        """Each figure's silhouette, as if alone, and its parts' visible shares."""
        height, width = self._size
        margin = max(height, width)  # what is outside of the frame counts as hidden
        canvas = (height + 2 * margin, width + 2 * margin)
        inside = np.s_[margin : margin + height, margin : margin + width]
        codes = {
            (drawn, part): number
            for number, (drawn, part) in enumerate(
                itertools.product(self._drawn, drawing.PARTS), start=1
            )
        }
        picture = np.zeros(canvas, np.uint8)
        for thing in self._far_to_near(frame):
            for part, polygons in thing.layers(frame):
                cover(picture, polygons, frame, codes.get((thing, part), 0), margin)
        seen = []
        for drawn in self._drawn:
            alone = {part: np.zeros(canvas, np.uint8) for part in drawing.PARTS}
            for part, polygons in drawn.layers(frame):
                cover(alone[part], polygons, frame, 1, margin)
            own = {part: picture == codes[drawn, part] for part in alone}
            silhouette = alone["body"] | alone["arm"]
            # What the figure itself holds does not hide it.
            visible = own | {"body": np.logical_or.reduce(list(own.values()))}
            whole = alone | {"body": silhouette}
            shares = {p: _share(visible[p][inside], whole[p], inside) for p in alone}
            seen.append((silhouette[inside], shares))
        return seen


def _share(visible: np.ndarray, whole: np.ndarray, inside) -> float:
    """How much of `whole` is visible inside the frame; 0 where there is nothing."""
    seen = np.count_nonzero(whole[inside] & visible)
    return seen / max(1, np.count_nonzero(whole))


def _cast(
    rng: np.random.Generator, index: int, seconds: int, camera: Camera
) -> list[Figure]:
    """Two to five figures, spread over the picture.

    Their numbers come in rounds of six movies, so that the sizes of the splits
    hardly depend on the seed.
    """
    count = (4, 3, 5, 4, 2, 5)[index % 6]
    tracks = zip(
        schedule.deal(rng, schedule.POSE_DECK, seconds, count),
        schedule.deal(rng, schedule.ARM_DECK, seconds, count),
        schedule.deal(rng, schedule.HAND_DECK, seconds, count),
        strict=True,
    )
    places = rng.permutation((2 * np.arange(count) + 1) / count - 1)
    depths = rng.permutation(np.linspace(3.7, 5.7, count + 1)[:-1])
    return [
        draw_figure(
            rng,
            path=_path(rng, place, depth, camera),
            poses=poses,
            arms=arms,
            hands=hands,
        )
        for place, depth, (poses, arms, hands) in zip(
            places, depths, tracks, strict=True
        )
    ]


def _path(rng: np.random.Generator, place: float, depth: float, camera: Camera) -> Path:
    depth = depth + rng.uniform(0, 0.4)
    metres = camera.size[1] / 2 / camera.focal * depth  # half the picture's width
    along, across = rng.uniform(0.5, 0.9), rng.uniform(0.12, 0.25)
    # At most about 0.6 m nearer or farther.
    angle = rng.uniform(-1, 1) * np.arcsin(min(0.8, 0.5 / along))
    return Path(
        centre=(metres * (0.8 * place + rng.uniform(-0.1, 0.1)), depth),
        axes=(along, across),
        angle=angle,
        backwards=bool(rng.integers(2)),
    )


_GRAIN_MEAN = (12, 12, 12, 0)


def _grain(rng: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """Sensor noise around _GRAIN_MEAN, larger than a frame to be shifted about."""
    height, width = size
    strength = rng.uniform(1.0, 3.0)
    grain = rng.normal(_GRAIN_MEAN[0], strength, (height + 32, width + 32, 3))
    return np.clip(np.round(grain), 0, 255).astype(np.uint8)


def _box(mask: np.ndarray) -> tuple[float, float, float, float]:
    """The extent of a mask's nonzero pixels, as fractions of its sides."""
    x, y, wide, high = cv2.boundingRect(mask)
    height, width = mask.shape
    return x / width, y / height, (x + wide) / width, (y + high) / height
