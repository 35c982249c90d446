"""Motion model of a box: a Kalman filter with constant velocity."""

import numpy as np

# Standard deviations in heights of the person and seconds: jitter of a detected box,
# velocity of a new person (people walk about one height a second), and acceleration.
_JITTER = 0.05
_FIRST_SPEED = (0.7, 0.3, 0.15, 0.15)  # of centre x and y, width, height
_ACCELERATION = (0.6, 0.3, 0.2, 0.2)


class Motion:
    """Centre, size and their velocities of one box.

    The four measures are filtered independently: each has a value and a velocity, with
    random accelerations.
    """

    def __init__(self, box: np.ndarray):
        """Starts with a box (4,) xyxy, at rest."""
        values = _measures(box)
        height = max(values[3], 1.0)
        self._state = np.stack([values, np.zeros(4)], axis=1)
        self._noise = (_JITTER * height) ** 2
        self._acceleration = (np.array(_ACCELERATION) * height) ** 2
        # (4, 2, 2): of each measure and its velocity.
        self._covariance = np.zeros((4, 2, 2))
        self._covariance[:, 0, 0] = self._noise
        self._covariance[:, 1, 1] = (np.array(_FIRST_SPEED) * height) ** 2

    def box(self) -> np.ndarray:
        """(4,) xyxy, the expected box."""
        centre, size = self._state[:2, 0], np.maximum(self._state[2:, 0], 0)
        return np.concatenate([centre - size / 2, centre + size / 2])

    def advance(self, seconds: float) -> None:
        """Predicts the state `seconds` later."""
        step = np.array([[1.0, seconds], [0.0, 1.0]])
        driven = np.outer([seconds**2 / 2, seconds], [seconds**2 / 2, seconds])
        self._state = self._state @ step.T
        self._covariance = step @ self._covariance @ step.T
        self._covariance += self._acceleration[:, None, None] * driven

    def observe(self, box: np.ndarray) -> None:
        """Updates the state with a detected box (4,) xyxy."""
        residual = _measures(box) - self._state[:, 0]
        gain = self._covariance[:, :, 0] / (self._covariance[:, :1, 0] + self._noise)
        self._state += gain * residual[:, None]
        self._covariance -= gain[:, :, None] * self._covariance[:, :1, :]


def _measures(box: np.ndarray) -> np.ndarray:
    """Centre x and y, width and height of a box (4,) xyxy."""
    return np.concatenate([(box[:2] + box[2:]) / 2, box[2:] - box[:2]])
