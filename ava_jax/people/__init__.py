"""People in videos: where they are, and who is who from one moment to the next.

Detectors take an RGB frame and give boxes (N, 5); files of boxes give them by time;
the tracker numbers the people. Neither TensorFlow nor JAX.
"""

from ava_jax.people.detectors import FILES, open_detector
from ava_jax.people.files import PeopleByTime, read_people
from ava_jax.people.hog import HogDetector
from ava_jax.people.onnx_detector import OnnxDetector
from ava_jax.people.tracker import Tracker

__all__ = [
    "FILES",
    "HogDetector",
    "OnnxDetector",
    "PeopleByTime",
    "Tracker",
    "open_detector",
    "read_people",
]
