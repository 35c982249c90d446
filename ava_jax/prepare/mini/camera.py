"""The miniature's moving camera."""

import dataclasses

import numpy as np

HEIGHT = 1.5  # of the camera above the ground, m
FOCAL = 5 / 3  # focal length at zoom 1, in heights of the frame


@dataclasses.dataclass(frozen=True)
class Camera:
    """A camera at eye level that pans, zooms and shakes.

    It only turns, so the whole scene is one flat panorama: a point of the world
    has a place there, and the camera's movement moves, scales and rolls it.

    Attributes:
      size: (height, width) of the frames, pixels.
      pan: (T, 2) panorama pixels, from the horizon's middle to what is in the
        frame's centre.
      zoom: (T,)
      roll: (T,) radians.
    """

    size: tuple[int, int]
    pan: np.ndarray
    zoom: np.ndarray
    roll: np.ndarray

    @property
    def unit(self) -> float:
        """Pixels of this frame for one of a frame 144 pixels high."""
        return self.size[0] / 144

    @property
    def focal(self) -> float:
        """Focal length at zoom 1, pixels."""
        return FOCAL * self.size[0]

    def project(self, points: np.ndarray) -> np.ndarray:
        """Frame pixels (T, ..., 2) of world points (T, ..., 3) in metres."""
        x, y, z = np.moveaxis(points, -1, 0)
        panorama = np.stack([x / z, (HEIGHT - y) / z], axis=-1) * self.focal
        shape = (-1,) + (1,) * (points.ndim - 2)
        u, v = np.moveaxis(panorama, -1, 0)
        u = u - self.pan[:, 0].reshape(shape)
        v = v - self.pan[:, 1].reshape(shape)
        c = (self.zoom * np.cos(self.roll)).reshape(shape)
        s = (self.zoom * np.sin(self.roll)).reshape(shape)
        height, width = self.size
        return np.stack([c * u - s * v + width / 2, s * u + c * v + height / 2], -1)

    def pixels_per_metre(self, depth: np.ndarray) -> np.ndarray:
        """(T,) scale of things at (T,) depth in metres."""
        return self.focal * self.zoom / depth

    def panorama_matrix(self, frame: int, origin: tuple[float, float]) -> np.ndarray:
        """(2, 3) affine map from panorama image pixels to frame pixels.

        Args:
          frame: Index of the frame.
          origin: The horizon's middle in the panorama image.
        """
        c = self.zoom[frame] * np.cos(self.roll[frame])
        s = self.zoom[frame] * np.sin(self.roll[frame])
        turn = np.array([[c, -s], [s, c]])
        height, width = self.size
        middle = np.array([width / 2, height / 2])
        shift = middle - turn @ (np.asarray(origin) + self.pan[frame])
        return np.column_stack([turn, shift])


def draw_camera(
    rng: np.random.Generator, times: np.ndarray, size: tuple[int, int]
) -> Camera:
    """A camera with random movements at (T,) `times`, in seconds."""
    height, width = size
    unit = height / 144
    still = rng.uniform() < 0.2
    sweep = 0.0 if still else rng.uniform(0.05, 0.14) * width
    pan_x = sweep * _wander(rng, times, (0.06, 0.22))
    pan_y = 0.21 * height + 0.02 * height * _wander(rng, times, (0.05, 0.15))
    shake = rng.uniform(0.2, 1.3) * unit
    pan_x = pan_x + shake * _wander(rng, times, (0.4, 1.6))
    pan_y = pan_y + shake * _wander(rng, times, (0.4, 1.6))
    reach = 0.0 if still else rng.uniform(0.02, 0.12)
    zoom = rng.uniform(0.95, 1.05) + reach * _wander(rng, times, (0.05, 0.2))
    roll = np.deg2rad(rng.uniform(0, 1.5)) * _wander(rng, times, (0.1, 0.4))
    pan = np.stack([pan_x, pan_y], axis=-1)
    return Camera(size, pan, zoom, roll)


def _wander(
    rng: np.random.Generator, times: np.ndarray, band: tuple[float, float]
) -> np.ndarray:
    """A smooth random curve within -1..1 with frequencies (Hz) of a band."""
    rates, phases = rng.uniform(*band, 3), rng.uniform(0, 1, 3)
    waves = np.sin(2 * np.pi * (times[:, None] * rates + phases))
    return waves @ np.array([0.5, 0.3, 0.2])
