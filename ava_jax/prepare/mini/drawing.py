"""Drawing of the miniature: strokes, colours, and the camera's view."""

import dataclasses
from typing import NamedTuple

import cv2
import numpy as np

Colour = tuple[int, int, int]  # BGR

OVERSAMPLING = 2  # pictures are drawn this much larger, then reduced

_EYE, _HORIZON = 1.5, 0.3  # m above the ground; in heights of the frame
_FOCAL = 5 / 3  # focal length, in heights of the frame
_BITS = 4  # fraction bits of the coordinates given to OpenCV


class Stroke(NamedTuple):
    """A round-ended line through points, or a rounded shape if `filled`."""

    points: list[complex]  # x + yj in pixels of the frame
    width: float  # pixels
    colour: Colour
    filled: bool = False


@dataclasses.dataclass(frozen=True)
class View:
    """A camera at eye level; `size` is the frame's (height, width) in pixels."""

    size: tuple[int, int]

    def scale(self, depth: float) -> float:
        """Pixels per metre at `depth` metres from the camera."""
        return _FOCAL * self.size[0] / depth

    def ground(self, x: float, depth: float) -> complex:
        """The pixel of a point on the ground, `x` metres right of the middle."""
        scale, (height, width) = self.scale(depth), self.size
        return complex(width / 2 + scale * x, _HORIZON * height + scale * _EYE)


def paint(image: np.ndarray, strokes: list[Stroke], value: int | None = None) -> None:
    """Draws, in order, into an image that is larger than the frame by `OVERSAMPLING`.

    The image is BGR, or has one channel, which gets `value` instead of colours.
    """
    for points, width, colour, filled in strokes:
        ink = colour if value is None else value
        pixels = np.array(points, complex).view(float).reshape(-1, 2)
        pixels = [np.round(pixels * (OVERSAMPLING << _BITS)).astype(np.int32)]
        if filled:
            cv2.fillPoly(image, pixels, ink, cv2.LINE_8, _BITS)
        width = max(1, round(width * OVERSAMPLING))
        cv2.polylines(image, pixels, filled, ink, width, cv2.LINE_8, _BITS)


def outlined(strokes: list[Stroke], outline: float) -> list[Stroke]:
    """All outlines, `outline` pixels wide, then all strokes: they join seamlessly."""
    edges = [
        s._replace(width=s.width + 2 * outline, colour=shade(s.colour, 0.45))
        for s in strokes
    ]
    return edges + strokes


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """BGR of a colour given by fractions."""
    pixel = np.array([[[hue * 360, saturation, value]]], np.float32)
    bgr = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0]
    return tuple(int(c) for c in np.round(bgr * 255))


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor below 1) or lighter."""
    return tuple(int(min(255, c * factor)) for c in colour)
