"""Colours and polygons of the miniature."""

from collections.abc import Iterable
from typing import NamedTuple

import cv2
import numpy as np

Colour = tuple[int, int, int]  # BGR

SHADOW: Colour = (150, 145, 145)  # what a shadow leaves of the light

_BITS = 4  # fraction bits of the coordinates given to OpenCV


class Polygon(NamedTuple):
    """A convex polygon in each frame of a movie."""

    points: np.ndarray  # (T, n, 2) from `fixed_point`
    colour: Colour


def fixed_point(points: np.ndarray) -> np.ndarray:
    """Pixel coordinates as OpenCV's fixed-point integers.

    A coordinate's whole numbers are pixel edges here and pixel centres there.
    """
    return np.round((points - 0.5) * (1 << _BITS)).astype(np.int32)


def paint(image: np.ndarray, polygons: Iterable[Polygon], frame: int) -> None:
    """Draws the polygons of a frame into a BGR image, edges smoothed."""
    for points, colour in polygons:
        cv2.fillConvexPoly(image, points[frame], colour, cv2.LINE_AA, _BITS)


def cover(
    mask: np.ndarray, polygons: Iterable[Polygon], frame: int, value: int, margin: int
) -> None:
    """Fills the polygons of a frame in a mask with `value`.

    Args:
      mask: (height, width) uint8, larger than the frame by `margin` pixels on
        every side.
      polygons: What to fill.
      frame: Index of the frame.
      value: 0 to 255.
      margin: Pixels.
    """
    shift = margin << _BITS
    for points, _ in polygons:
        cv2.fillConvexPoly(mask, points[frame] + shift, value, cv2.LINE_8, _BITS)


def hsv(hue: float, saturation: float, value: float) -> Colour:
    """BGR of a colour given by fractions."""
    pixel = np.array([[[hue * 360, saturation, value]]], np.float32)
    bgr = cv2.cvtColor(pixel, cv2.COLOR_HSV2BGR)[0, 0]
    return tuple(int(c) for c in np.round(bgr * 255))


def shade(colour: Colour, factor: float) -> Colour:
    """The colour made darker (factor below 1) or lighter."""
    return tuple(int(min(255, c * factor)) for c in colour)
