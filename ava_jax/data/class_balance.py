"""How often each action is trained, in the lines before the first step."""

import numpy as np

from ava_jax.data import repeat_factors
from ava_jax.data.split import Split

_SHOWN = 8  # actions in a line; of more the commonest and the rarest


def box_counts(split: Split) -> np.ndarray:
    """(num_classes - 1,) int64, boxes of every class but class 0."""
    return split.truth_classes[:, 1:].astype(bool).sum(0)


def lines(split: Split, threshold: float, weights: np.ndarray | None) -> dict[str, str]:
    """Boxes of the actions, and if they are in use, weights and repeat factors.

    Args:
      split: of training.
      threshold: `config.data.repeat_threshold`.
      weights: (num_classes - 1,) of the classes in the loss, or None.

    Returns:
      Texts by name; the actions are in the order of their boxes, most first.
    """
    found = {"boxes by action": _listed(split, [f"{n:,}" for n in box_counts(split)])}
    if weights is not None:
        found["class weights"] = _listed(split, [f"{w:.3g}" for w in weights])
    if threshold:
        shares = repeat_factors.frequency(split.truth_starts, split.truth_classes)
        factors = repeat_factors.class_factors(shares, threshold)
        found["repeat factors"] = (
            _listed(split, [f"{factor:.3g}" for factor in factors[1:]])
            + f"; {repeat_factors.epoch_size(split.repeats):,} clips an epoch of "
            f"{len(split):,} key frames"
        )
    return found


def _listed(split: Split, values: list[str]) -> str:
    """'walk 264, stand 43': the values of the actions that have boxes."""
    counts = box_counts(split)
    order = np.argsort(-counts, kind="stable")[: np.count_nonzero(counts)]
    texts = [f"{_name(split, i + 1)} {values[i]}" for i in order]
    if len(texts) > _SHOWN:
        half = _SHOWN // 2
        texts[half:-half] = [f"... ({len(texts) - _SHOWN} more)"]
    without = np.count_nonzero(counts == 0)
    return ", ".join(texts) + (f"; {without} without boxes" if without else "")


def _name(split: Split, class_number: int) -> str:
    action = int(split.class_ids[class_number])
    return split.labels.get(action, str(action))
