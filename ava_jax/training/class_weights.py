"""Weights of the actions in the loss, from how many boxes have each of them."""

import numpy as np

from ava_jax.errors import UserError

_BETA = 0.999  # of the effective number; Cui et al. try 0.9 to 0.9999


def class_weights(setting: str, counts: np.ndarray) -> np.ndarray | None:
    """The factor of the loss of each action where a box has it.

    With n boxes of an action, 'inverse' is in proportion to 1 / n, 'sqrt_inverse' to
    1 / sqrt(n), and 'effective_number' to (1 - b) / (1 - b^n) with b = 0.999 (Cui et
    al., arXiv:1901.05555). They are scaled so that the mean over all labels is 1,
    which leaves the loss about as large as it was; 'inverse' is then scikit-learn's
    'balanced'. (Cui et al. scale to a mean of 1 over the classes, and weigh boxes
    without the action, too.) Numbers are taken as they are.

    Args:
      setting: `config.model.class_weights`.
      counts: (classes - 1,) training boxes of each class but class 0.

    Returns:
      (classes - 1,) float32; 1 for an action without boxes. None for 'none'.

    Raises:
      UserError: another number of weights than of classes.
    """
    if setting == "none":
        return None
    if setting not in _SHAPES:
        return _given(setting, len(counts))
    counts = np.asarray(counts, np.float64)
    has = counts > 0
    weights = _SHAPES[setting](np.where(has, counts, 1))
    scale = counts.sum() / max((weights * counts).sum(), 1e-300)
    return np.where(has, weights * scale, 1).astype(np.float32)


_SHAPES = {
    "inverse": lambda n: 1 / n,
    "sqrt_inverse": lambda n: n**-0.5,
    "effective_number": lambda n: (1 - _BETA) / (1 - _BETA**n),
}


def _given(setting: str, classes: int) -> np.ndarray:
    weights = np.array([float(x) for x in setting.strip("()[], ").split(",")])
    if len(weights) != classes:
        raise UserError(
            f"config.model.class_weights has {len(weights)} numbers, and the model "
            f"{classes} actions (classes 1 to {classes}; class 0 has none). Give a "
            "number for each, in the order of data.class_ids or of the ids of the "
            "label map, or 'inverse', 'sqrt_inverse' or 'effective_number'."
        )
    return weights.astype(np.float32)
