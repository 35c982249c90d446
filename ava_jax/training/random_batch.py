"""Random training batches, for measuring without data."""

import jax
import numpy as np

from ava_jax.models.long_term import NAMES


def random_batch(
    spec: dict[str, jax.ShapeDtypeStruct], rows: int, seed: int = 0
) -> dict[str, np.ndarray]:
    """`rows` rows of a batch like `spec`; nearly every box has a label.

    Args:
      spec: from `train_step.batch_spec`.
      rows: clips of this host.
      seed: of the values.
    """
    rng = np.random.default_rng(seed)
    clip, labels = (spec[name].shape[1:] for name in ("clip", "labels"))
    boxes, classes = labels
    corners = rng.uniform(0, clip[1], (2, rows, boxes, 2))
    batch = {
        "clip": rng.integers(0, 256, (rows, *clip), dtype=np.uint8),
        "boxes": np.concatenate(
            [corners.min(0), corners.max(0)], axis=-1, dtype=np.float32
        ),
        "box_mask": np.ones((rows, boxes), bool),
        "labels": (rng.random((rows, *labels)) < 2 / classes).astype(np.float32),
    }
    if NAMES[0] in spec:
        features, columns = (spec[name].shape[1:] for name in NAMES)
        bank = rng.standard_normal((rows, *features), np.float32).astype(np.float16)
        drawn = rng.integers(0, len(bank[0]) + 1, (rows, *columns), np.int32)
        batch |= dict(zip(NAMES, (bank, drawn)))
    return batch
