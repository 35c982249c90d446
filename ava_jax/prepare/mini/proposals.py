"""The miniature's proposals."""

import numpy as np

from ava_jax.metrics.iou import iou

VISIBLE = 0.5  # people of whom less can be seen are not annotated


def propose(rng: np.random.Generator, people: list) -> np.ndarray:
    """Boxes as a person detector would give them.

    Most people are found with a high score, some twice, a few with a low score
    or not at all. People hardly visible may be found too. Other boxes are
    false, most of them with low scores.

    Args:
      rng: Source of the detector's errors.
      people: `movie.Person`, everyone of whom something is visible.

    Returns:
      (N, 5) float64, N at least 1: x1, y1, x2, y2 as fractions, score; best first.
    """
    boxes = []
    for person in people:
        clear = person.visible >= VISIBLE
        if rng.uniform() < (0.98 if clear else person.visible):
            sure = clear and rng.uniform() < 0.98
            score = 1 - 0.1 * rng.beta(1, 4) if sure else rng.uniform(0.3, 0.95)
            boxes.append(_jittered(rng, person.box, rng.uniform(0.005, 0.04), score))
        if clear and rng.uniform() < 0.04:
            boxes.append(_jittered(rng, person.box, 0.1, rng.uniform(0.5, 0.95)))
    true = np.array([person.box for person in people]).reshape(-1, 4)
    for _ in range(rng.poisson(0.7)):
        box = _false_box(rng)
        if np.all(iou(np.tile(box, (len(true), 1)), true) < 0.3):
            believed = rng.uniform() < 0.15
            score = rng.uniform(0.9, 0.97) if believed else 0.9 * rng.beta(1, 2)
            boxes.append((*box, score))
    boxes = boxes or [(*_false_box(rng), 0.05)]
    return np.array(sorted(boxes, key=lambda box: -box[4]), np.float64)


def _jittered(rng: np.random.Generator, box, sigma: float, score: float):
    x1, y1, x2, y2 = box
    shift = sigma * np.clip(rng.standard_normal(4), -2, 2) * ((x2 - x1, y2 - y1) * 2)
    return (*np.clip(box + shift, 0, 1), score)


def _false_box(rng: np.random.Generator) -> tuple[float, ...]:
    height = rng.uniform(0.25, 0.75)
    width = height * rng.uniform(0.2, 0.6)
    x, y = rng.uniform(0, 1 - width), rng.uniform(0, 1 - height)
    return x, y, x + width, y + height
