"""The miniature's scenery: what stands still around the figures."""

import cv2
import numpy as np

from ava_jax.prepare.mini.drawing import OVERSAMPLING, Colour, View, hsv, shade

_BACK, _NEAREST = 9.5, 2.0  # m from the camera: the ends of the ground


def draw_scene(rng: np.random.Generator, name: str, view: View) -> np.ndarray:
    """One of SCENES at random, BGR, larger than the frame by `OVERSAMPLING`."""
    height, width = (OVERSAMPLING * side for side in view.size)
    backdrop, *ground = SCENES[name]
    image = np.zeros((height, width, 3), np.float32)
    base = _draw_ground(rng, image, view, *ground)
    backdrop(rng, image[:base], height / 144)
    # The contact of ground and wall is darker, and light is never even.
    image[base : base + height // 48] *= 0.8
    for strength, cell in ((0.08, height / 2), (0.03, height / 72)):
        image *= 1 + strength * _noise(rng, image, cell)
    # Distant things are paler, so that figures stand out.
    image = 0.75 * image + 0.25 * (image.mean(axis=2, keepdims=True) + 30)
    image = np.clip(np.round(image), 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(image, (0, 0), height / 240)


def _draw_ground(rng, image, view, colours, row: float, tone: float) -> int:
    """Draws rows `row` metres deep in perspective, which differ by `tone`.

    Returns the pixel row in which the ground begins.
    """
    colour = hsv(*rng.uniform(*colours))
    depths = np.arange(_BACK, _NEAREST, -row)
    tops = [round(OVERSAMPLING * view.ground(0, depth).imag) for depth in depths]
    for top in tops:
        image[top:] = shade(colour, 1 + tone * rng.uniform(-1, 1))
        image[top : top + 1] *= 1 - 2 * tone
    return tops[0]


# Backdrops: `unit` pixels of an image are a 144th of the frame's height.


def _street(rng: np.random.Generator, image: np.ndarray, unit: float) -> None:
    height, width = image.shape[:2]
    _fill_sky(image)
    x = -rng.uniform(0, 20) * unit
    while x < width:
        right, top = x + rng.uniform(45, 90) * unit, rng.uniform(0, 0.35) * height
        wall = hsv(*rng.uniform((0, 0.1, 0.45), (0.15, 0.5, 0.85)))
        glass = hsv(*rng.uniform((0.5, 0.1, 0.2), (0.65, 0.5, 0.5)))
        _rectangle(image, x, top, right, height, wall)
        across, down = rng.uniform(13, 20) * unit, rng.uniform(20, 28) * unit
        for y in np.arange(height - 10 * unit - down, top, -down):
            for left in np.arange(x + 0.3 * across, right - 0.7 * across, across):
                pane = (140, 215, 245) if rng.uniform() < 0.15 else glass
                end = left + 0.55 * across, y + 0.6 * down
                _rectangle(image, left, y, *end, pane, edge=shade(wall, 0.6))
        x = right


def _park(rng: np.random.Generator, image: np.ndarray, unit: float) -> None:
    height, width = image.shape[:2]
    _fill_sky(image)
    for level, value in ((0.62, 0.55), (0.78, 0.45)):
        for x in np.arange(0, width, 9 * unit):
            leaf = hsv(rng.uniform(0.22, 0.36), 0.5, value * rng.uniform(0.8, 1.2))
            y = height * (level + 0.12 * rng.standard_normal())
            _disc(image, x, y, rng.uniform(9, 20) * unit, leaf)
    hedge = hsv(rng.uniform(0.25, 0.36), 0.6, 0.33)
    _rectangle(image, 0, height - 15 * unit, width, height, hedge)
    leaves = image[int(0.4 * height) :]
    leaves *= 1 + 0.14 * _noise(rng, leaves, 3 * unit)


def _room(rng: np.random.Generator, image: np.ndarray, unit: float) -> None:
    height, width = image.shape[:2]
    wall = hsv(*rng.uniform((0, 0.1, 0.6), (1, 0.4, 0.9)))
    image[:] = wall
    pitch, stripe = rng.uniform(6, 14) * unit, shade(wall, rng.choice([0.88, 1.0]))
    for x in np.arange(0, width, 2 * pitch):
        _rectangle(image, x, 0, x + pitch, height, stripe)
    for x in np.arange(rng.uniform(0, 40), width / unit, rng.uniform(45, 80)) * unit:
        wide, high = rng.uniform(14, 30) * unit, rng.uniform(16, 28) * unit
        y = height - rng.uniform(50, 75) * unit
        sky, hill = hsv(rng.uniform(), 0.3, 0.9), hsv(rng.uniform(0.2, 0.45), 0.5, 0.6)
        _rectangle(image, x, y, x + wide, y + high, sky, edge=hsv(0.08, 0.6, 0.4))
        _disc(image, x + 0.5 * wide, y + 0.4 * high, 0.14 * wide, (60, 200, 250))
        _rectangle(image, x + unit, y + 0.6 * high, x + wide, y + high, hill)
    _rectangle(image, 0, height - 5 * unit, width, height, shade(wall, 0.55))


# The backdrop, and of the ground: least and greatest hue, saturation and value; see
# `_draw_ground`.
SCENES = {
    "street": (_street, ((0.05, 0.05, 0.5), (0.15, 0.2, 0.75)), 0.7, 0.05),
    "park": (_park, ((0.2, 0.5, 0.4), (0.32, 0.6, 0.6)), 1.0, 0.05),
    "room": (_room, ((0.05, 0.4, 0.45), (0.1, 0.6, 0.7)), 0.4, 0.15),
}


def _fill_sky(image: np.ndarray) -> None:
    share = np.linspace(0, 1, len(image))[:, None, None]
    image[:] = share * hsv(0.57, 0.1, 0.97) + (1 - share) * hsv(0.57, 0.45, 0.93)


def _noise(rng: np.random.Generator, image: np.ndarray, cell: float) -> np.ndarray:
    """Smooth noise of about standard deviation 1, features `cell` pixels wide."""
    height, width = image.shape[:2]
    rows, columns = (max(2, int(np.ceil(n / cell)) + 1) for n in (height, width))
    coarse = rng.standard_normal((rows, columns)).astype(np.float32)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)[..., None]


def _rectangle(image, x1, y1, x2, y2, colour: Colour, edge: Colour | None = None):
    corners = [(round(x), round(y)) for x, y in ((x1, y1), (x2, y2))]
    cv2.rectangle(image, *corners, colour, -1)
    if edge:
        cv2.rectangle(image, *corners, edge, max(1, len(image) // 80))


def _disc(image: np.ndarray, x: float, y: float, radius: float, colour: Colour) -> None:
    cv2.circle(image, (round(x), round(y)), round(radius), colour, -1)
