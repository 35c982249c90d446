"""The miniature's scenery: panoramas, and things that stand in the way."""

import dataclasses

import cv2
import numpy as np

from ava_jax.prepare.mini.camera import FOCAL, HEIGHT, Camera
from ava_jax.prepare.mini.canvas import SHADOW, Colour, Polygon, fixed_point, hsv, shade

_BACK = 9.5  # distance of the backdrop, m
_TEXTURE = 48  # pixels of ground texture per metre
_GROUND = (8, 16)  # metres of ground texture, away from the camera and across


@dataclasses.dataclass(frozen=True)
class Panorama:
    """All that the camera may turn to."""

    image: np.ndarray  # BGR
    origin: tuple[float, float]  # the horizon's middle, x and y

    def view(self, camera: Camera, frame: int) -> np.ndarray:
        """The BGR frame, without figures."""
        height, width = camera.size
        return cv2.warpAffine(
            self.image,
            camera.panorama_matrix(frame, self.origin),
            (width, height),
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REFLECT_101,
        )


def draw_panorama(
    rng: np.random.Generator, scene: str, size: tuple[int, int]
) -> Panorama:
    """A panorama of one of SCENES, drawn at random, for frames of (height, width)."""
    unit = size[0] / 144
    height, width = int(1.7 * size[0]), int(1.8 * size[1])
    horizon = int(0.62 * size[0])
    focal = FOCAL * size[0]
    base = horizon + int(focal * HEIGHT / _BACK)
    backdrop, ground = _SCENES[scene]
    image = np.empty((height, width, 3), np.float32)
    image[:base] = backdrop(rng, base, width, unit)
    image[base:] = _in_perspective(ground(rng), height, width, horizon, focal)[base:]
    # The contact of ground and wall is darker, and light is never even.
    image[base : base + max(1, int(3 * unit))] *= 0.8
    image *= 1 + 0.08 * _noise(rng, height, width, 70 * unit)[..., None]
    image *= 1 + 0.03 * _noise(rng, height, width, 2 * unit)[..., None]
    image *= rng.uniform(0.8, 1.05)
    # Far things are paler: figures and what they hold stand out a little.
    image += 0.25 * (image.mean(axis=2, keepdims=True) + 30 - image)
    image = np.clip(np.round(image), 0, 255).astype(np.uint8)
    return Panorama(cv2.GaussianBlur(image, (0, 0), 0.6 * unit), (width / 2, horizon))


# Backdrops --------------------------------------------------------------------


def _street(rng, height, width, unit) -> np.ndarray:
    image = _gradient(hsv(0.57, 0.35, 0.9), hsv(0.57, 0.12, 0.95), height, width)
    x = -int(rng.integers(20) * unit)
    while x < width:
        house = int(rng.uniform(45, 90) * unit)
        top = int(rng.uniform(0.0, 0.35) * height)
        wall = hsv(rng.uniform(0, 0.15), rng.uniform(0.1, 0.5), rng.uniform(0.45, 0.85))
        _rectangle(image, (x, top, x + house, height), wall)
        _windows(rng, image, (x, top, x + house, height), wall, unit)
        x += house
    return image


def _windows(rng, image, box, wall, unit) -> None:
    x1, top, x2, bottom = box
    across, down = rng.uniform(13, 20) * unit, rng.uniform(20, 28) * unit
    glass = hsv(rng.uniform(0.5, 0.65), rng.uniform(0.1, 0.5), rng.uniform(0.2, 0.5))
    for y in np.arange(bottom - 10 * unit - down, top, -down):
        for x in np.arange(x1 + across * 0.3, x2 - across * 0.7, across):
            pane = (x, y, x + 0.55 * across, y + 0.6 * down)
            _rectangle(image, pane, shade(wall, 0.6))
            inner = (pane[0] + unit, pane[1] + unit, pane[2] - unit, pane[3] - unit)
            lit = rng.uniform() < 0.15
            _rectangle(image, inner, (140, 215, 245) if lit else glass)
    door = x1 + rng.uniform(0.1, 0.6) * (x2 - x1)
    colour = hsv(rng.uniform(), 0.5, 0.4)
    _rectangle(image, (door, bottom - 24 * unit, door + 13 * unit, bottom), colour)
    _rectangle(image, (x2 - 1.5 * unit, top, x2, bottom), shade(wall, 0.65))


def _park(rng, height, width, unit) -> np.ndarray:
    image = _gradient(hsv(0.56, 0.45, 0.95), hsv(0.56, 0.1, 0.98), height, width)
    cloud = np.clip(0.4 * _noise(rng, height, width, 30 * unit), 0, 0.8)[..., None]
    image += (245 - image) * cloud
    for level, value in ((0.62, 0.55), (0.78, 0.45)):
        for x in np.arange(0, width, 9 * unit):
            leaf = hsv(rng.uniform(0.22, 0.36), 0.5, value * rng.uniform(0.8, 1.2))
            y = height * (level + 0.12 * rng.standard_normal())
            _disc(image, (x, y), rng.uniform(9, 20) * unit, leaf)
    hedge = hsv(rng.uniform(0.25, 0.36), 0.6, 0.33)
    _rectangle(image, (0, height - 15 * unit, width, height), hedge)
    leaves = _noise(rng, height, width, 3 * unit)[..., None]
    image *= 1 + 0.14 * leaves * (np.arange(height) > 0.4 * height)[:, None, None]
    return image


def _room(rng, height, width, unit) -> np.ndarray:
    wall = hsv(rng.uniform(), rng.uniform(0.1, 0.4), rng.uniform(0.6, 0.9))
    image = _gradient(shade(wall, 0.9), wall, height, width)
    pitch = rng.uniform(6, 14) * unit
    if rng.integers(2):
        for x in np.arange(0, width, 2 * pitch):
            _rectangle(image, (x, 0, x + pitch, height), shade(wall, 0.88))
    x = rng.uniform(0, 40) * unit
    while x < width:
        _picture(rng, image, x, height, unit)
        x += rng.uniform(45, 80) * unit
    skirting = (0, height - 5 * unit, width, height)
    _rectangle(image, skirting, shade(wall, 0.55))
    return image


def _picture(rng, image, x, height, unit) -> None:
    wide, high = rng.uniform(14, 30) * unit, rng.uniform(16, 28) * unit
    y = height - rng.uniform(60, 85) * unit
    frame = hsv(rng.uniform(0.03, 0.12), 0.6, rng.uniform(0.25, 0.6))
    _rectangle(image, (x, y, x + wide, y + high), frame)
    edge = 2 * unit
    inside = (x + edge, y + edge, x + wide - edge, y + high - edge)
    _rectangle(image, inside, hsv(rng.uniform(), 0.4, 0.8))
    hill = (x + wide / 2, y + high - edge)
    _rectangle(
        image, (inside[0], hill[1] - high * 0.35, inside[2], inside[3]), shade(frame, 2)
    )
    _disc(
        image, (hill[0], y + high * 0.4), wide * 0.14, hsv(rng.uniform(0, 0.2), 0.7, 1)
    )


# Grounds: textures of _GROUND metres -----------------------------


def _pavement(rng) -> np.ndarray:
    tile = hsv(rng.uniform(0.05, 0.15), rng.uniform(0.05, 0.2), rng.uniform(0.5, 0.75))
    image = _speckled(rng, tile)
    step = int(_TEXTURE * rng.choice([0.5, 1.0]))
    for at in range(2):
        image[at::step] *= 0.75
        image[:, at::step] *= 0.75
    return image


def _grass(rng) -> np.ndarray:
    image = _speckled(rng, hsv(rng.uniform(0.2, 0.32), 0.5, rng.uniform(0.4, 0.6)))
    for _ in range(100):
        at = rng.integers(0, image.shape[1::-1]).tolist()
        flower = (235, 240, 245) if rng.integers(2) else (90, 210, 240)
        cv2.circle(image, at, 2, flower, -1)
    return image


def _planks(rng) -> np.ndarray:
    wood = hsv(rng.uniform(0.05, 0.1), rng.uniform(0.4, 0.6), rng.uniform(0.45, 0.7))
    image = _speckled(rng, wood)
    wide = _TEXTURE // 4
    for row in range(0, len(image), wide):
        image[row : row + wide] *= rng.uniform(0.85, 1.1)
        image[row : row + 1] *= 0.6
        for cut in rng.integers(0, image.shape[1], 3).tolist():
            image[row : row + wide, cut : cut + 1] *= 0.6
    return image


def _speckled(rng, colour: Colour) -> np.ndarray:
    size = [metres * _TEXTURE for metres in _GROUND]
    image = np.full((*size, 3), colour, np.float32)
    image *= 1 + 0.12 * _noise(rng, *size, 4)[..., None]
    return image * (1 + 0.08 * _noise(rng, *size, 30)[..., None])


def _in_perspective(texture, height, width, horizon, focal) -> np.ndarray:
    """The ground as the camera sees it, sampled twice as finely and averaged."""
    rows = np.maximum((np.arange(2 * height) + 0.5) / 2 - horizon, 1.0)
    columns = (np.arange(2 * width) + 0.5) / 2 - width / 2
    depth = focal * HEIGHT / rows
    x = columns[None] * (depth / focal)[:, None] + _GROUND[1] / 2
    z = np.broadcast_to(depth[:, None] - 2, x.shape)
    at = [(a * _TEXTURE).astype(np.float32) for a in (x, z)]
    fine = cv2.remap(texture, *at, cv2.INTER_LINEAR, None, cv2.BORDER_REFLECT)
    return cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA)


_SCENES = {
    "street": (_street, _pavement),
    "park": (_park, _grass),
    "room": (_room, _planks),
}
SCENES = tuple(_SCENES)


# Things -----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, eq=False)
class Thing:
    """Something that stands still, seen by a camera over a whole movie."""

    depth: np.ndarray  # (T,)
    shadow: Polygon
    parts: list[Polygon]  # far to near

    def layers(self, frame: int) -> list[tuple[str, list[Polygon]]]:
        """What to draw in a frame, in the form of a figure's layers."""
        return [("thing", self.polygons(frame))]

    def polygons(self, frame: int) -> list[Polygon]:
        """What to draw in a frame, in order."""
        del frame  # it is always the same
        return self.parts


def draw_things(rng: np.random.Generator, scene: str, camera: Camera) -> list[Thing]:
    """Posts and bushes (stools in a room) in the way, litter on the ground."""
    low = _stool if scene == "room" else _bush
    half = camera.size[1] / 2
    things = []
    for draw, most, nearest, farthest in (
        (_post, 1, 3.0, 3.6),
        (low, 2, 3.3, 6.5),
        (_litter, 1, 3.8, 8.5),
    ):
        for _ in range(rng.integers(most + 1)):
            depth = rng.uniform(nearest, farthest)
            x = rng.uniform(-1.2, 1.2) * half * depth / camera.focal
            things.append(_thing(draw(rng), x, depth, camera))
    return things


def _thing(shapes, x: float, depth: float, camera: Camera) -> Thing:
    frames = len(camera.zoom)

    def seen(points: np.ndarray) -> np.ndarray:
        points = points + np.array([x, 0, depth])
        moving = np.broadcast_to(points, (frames, *points.shape))
        return fixed_point(camera.project(moving))

    parts = []
    for points, colour in shapes:
        points = np.insert(np.asarray(points, float), 2, 0.0, axis=-1)
        parts.append(Polygon(seen(points), colour))
    wide = max(np.abs(np.asarray(points)[:, 0]).max() for points, _ in shapes)
    circle = _circle(0, 0, 1.15 * wide)
    ground = np.stack([circle[:, 0], 0 * circle[:, 0], 0.5 * circle[:, 1]], axis=-1)
    return Thing(np.full(frames, depth), Polygon(seen(ground), SHADOW), parts)


def _post(rng):
    wide, colour = rng.uniform(0.03, 0.06), hsv(rng.uniform(), 0.3, 0.35)
    return [
        (_box(-wide, 0, wide, 4.0), colour),
        (_box(-0.4 * wide, 0, 0.1 * wide, 4.0), shade(colour, 1.5)),
        (_box(-1.7 * wide, 0, 1.7 * wide, 0.12), shade(colour, 0.7)),
    ]


def _bush(rng):
    hue = rng.uniform(0.2, 0.38)
    wide, high = rng.uniform(0.25, 0.45), rng.uniform(0.15, 0.35)
    shapes = []
    for value in np.linspace(0.2, 0.6, 24):
        # Leaves are lighter and sparser towards the top.
        across, radius = rng.uniform(-1, 1), rng.uniform(0.06, 0.11)
        up = high * value / 0.6 * (1.2 - across**2) * rng.uniform(0.6, 1)
        colour = hsv(hue, 0.6, value * rng.uniform(0.85, 1.15))
        shapes.append((_circle(wide * across, max(up, 0.8 * radius), radius), colour))
    return shapes


def _stool(rng):
    wood = hsv(rng.uniform(0.03, 0.12), rng.uniform(0.3, 0.7), rng.uniform(0.3, 0.6))
    wide, high = rng.uniform(0.2, 0.35), rng.uniform(0.35, 0.5)
    dark, leg = shade(wood, 0.6), 0.035
    return [
        (_box(-wide, 0.05, -wide + 2 * leg, high), dark),
        (_box(wide - 2 * leg, 0.05, wide, high), dark),
        (_box(-0.85 * wide, 0, -0.85 * wide + 2 * leg, high), wood),
        (_box(0.85 * wide - 2 * leg, 0, 0.85 * wide, high), wood),
        (_box(-1.1 * wide, high - 0.05, 1.1 * wide, high + 0.04), dark),
        (_box(-1.1 * wide, high, 1.1 * wide, high + 0.04), shade(wood, 1.25)),
    ]


def _litter(rng):
    """What might be held, but is not."""
    colour = hsv(rng.uniform(), rng.uniform(0.85, 1), rng.uniform(0.7, 1))
    dark = shade(colour, 0.45)
    kind = rng.integers(3)
    if kind == 0:
        ball, shine = _circle(0, 0.14, 0.14), _circle(-0.03, 0.19, 0.05)
        rim = _circle(0, 0.14, 0.16)
        return [(rim, dark), (ball, colour), (shine, shade(colour, 1.5))]
    if kind == 1:
        return [
            (_box(-0.22, -0.02, 0.22, 0.32), dark),
            (_box(-0.2, 0, 0.2, 0.3), colour),
            (_box(-0.04, 0, 0.04, 0.3), shade(colour, 1.4)),
        ]
    bag = [(-0.17, 0), (0.17, 0), (0.12, 0.27), (-0.12, 0.27)]
    rim = [(-0.19, -0.02), (0.19, -0.02), (0.14, 0.29), (-0.14, 0.29)]
    return [(_box(-0.02, 0.2, 0.02, 0.38), dark), (rim, dark), (bag, colour)]


def _box(x1: float, y1: float, x2: float, y2: float):
    return [(x1, y1), (x2, y1), (x2, y2), (x1, y2)]


def _circle(x: float, y: float, radius: float) -> np.ndarray:
    turn = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    return np.stack([x + radius * np.cos(turn), y + radius * np.sin(turn)], axis=-1)


# Paint ------------------------------------------------------------------------


def _gradient(top: Colour, bottom: Colour, height: int, width: int) -> np.ndarray:
    share = np.linspace(0, 1, height)[:, None, None]
    column = (1 - share) * np.asarray(top) + share * np.asarray(bottom)
    return np.repeat(column, width, axis=1).astype(np.float32)


def _noise(rng, height: int, width: int, cell: float) -> np.ndarray:
    """Smooth noise of about standard deviation 1, features `cell` pixels wide."""
    rows, columns = (max(2, int(np.ceil(n / cell)) + 1) for n in (height, width))
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def _rectangle(image: np.ndarray, box, colour: Colour) -> None:
    x1, y1, x2, y2 = (max(0, round(float(value))) for value in box)
    image[y1:y2, x1:x2] = colour


def _disc(image: np.ndarray, centre, radius: float, colour: Colour) -> None:
    cv2.circle(image, [round(float(c)) for c in centre], round(radius), colour, -1)
