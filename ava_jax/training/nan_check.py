"""Stops a training whose loss, gradient or parameters are not finite."""

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from ava_jax import files
from ava_jax.data import pipeline
from ava_jax.data.split import Split
from ava_jax.errors import UserError
from ava_jax.workdir import Workdir

# Metric -> its name in messages. The norm of the parameters is checked too, because
# the parameters are what a checkpoint would save.
_WATCHED = {
    "loss": "loss",
    "grad_norm": "gradient's norm",
    "param_norm": "norm of the parameters",
}
_NAMED = 8  # clips in the message


def check(
    window: Sequence[Mapping[str, float]],
    step: int,
    split: Split,
    *,
    batch: int,
    seed: int,
    lr: float,
    workdir: Workdir,
    saved: int | None,
) -> None:
    """Raises at the first step with a metric that is not finite.

    Args:
      window: metrics of the last steps, up to and with `step`.
      step: number of the last one, from 1.
      split: the training split.
      batch: clips of a step.
      seed: of the order of the key frames.
      lr: `config.optim.lr`, for the message.
      workdir: where `bad_batch.json` with the clips of that step is written.
      saved: step of the newest checkpoint, or None.

    Raises:
      UserError: a metric is not finite; names the step and its clips.
    """
    first = step - len(window) + 1
    for number, metrics in enumerate(window, first):
        for name, meaning in _WATCHED.items():
            if not np.isfinite(metrics[name]):
                clips = _clips(split, number, batch, seed)
                if jax.process_index() == 0:
                    bad = {"step": number, "clips": clips}
                    files.write_json(workdir / "bad_batch.json", bad)
                raise UserError(
                    f"The {meaning} became {metrics[name]} in step {number} (looked at "
                    f"with steps {first} to {step}). "
                    + _advice(clips, lr, workdir, saved)
                )


def _clips(split, step: int, batch: int, seed: int) -> list[tuple[str, float]]:
    """Movie and second of the key frames of a step, counted from 1."""
    key_frames = pipeline.key_frames(split, step - 1, batch=batch, seed=seed)
    videos = split.frames.videos
    return [(videos[split.video[k]], float(split.second[k])) for k in key_frames]


def _advice(clips, lr: float, workdir, saved: int | None) -> str:
    named = ", ".join(f"{movie} at {second:g} s" for movie, second in clips[:_NAMED])
    more = f" and {len(clips) - _NAMED} more" if len(clips) > _NAMED else ""
    kept = (
        f"The checkpoint of step {saved} is kept"
        if saved is not None
        else "There is no checkpoint yet"
    )
    return (
        f"Its clips: {named}{more}; all are in {workdir / 'bad_batch.json'}. {kept}; "
        "nothing was saved after it. Look at those clips, or lower the learning rate "
        f"(--config.optim.lr, {lr} now) or lengthen its warm-up, with "
        "--accept-config-changes to continue in this workdir."
    )
