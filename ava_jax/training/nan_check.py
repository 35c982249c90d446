"""Stopping a training that has left the finite numbers, with what it was given."""

from collections.abc import Mapping, Sequence

import ml_collections
import numpy as np

from ava_jax.data import pipeline
from ava_jax.data.split import Split
from ava_jax.errors import UserError
from ava_jax.runtime import sharding
from ava_jax.workdir import Workdir, write_json

# Metric -> what a user calls it. The parameters' norm counts too: it is what would
# be saved.
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
    config: ml_collections.ConfigDict,
    workdir: Workdir,
    saved: int | None,
) -> None:
    """Looks for the first step whose numbers are not finite.

    Args:
      window: metrics of the last steps, up to and with `step`.
      step: number of the last one, from 1.
      split: the training split.
      config: the whole configuration.
      workdir: where `bad_batch.json` with the clips of that step is written.
      saved: step of the newest checkpoint, None without any.

    Raises:
      UserError: there is one.
    """
    first = step - len(window) + 1
    for number, metrics in enumerate(window, first):
        for name, meaning in _WATCHED.items():
            if not np.isfinite(metrics[name]):
                clips = _clips(split, config, number)
                if sharding.is_first_host():
                    batch = {"step": number, "clips": clips}
                    write_json(workdir / "bad_batch.json", batch)
                raise UserError(
                    f"The {meaning} became {metrics[name]} in step {number} (looked at "
                    f"with steps {first} to {step}). "
                    + _advice(clips, config, workdir, saved)
                )


def _clips(split, config, step: int) -> list[tuple[str, float]]:
    """Movie and second of the key-frames of a step, from 1."""
    key_frames = pipeline.key_frames(split, config, step - 1)
    videos = split.frames.videos
    return [(videos[split.video[k]], float(split.second[k])) for k in key_frames]


def _advice(clips, config, workdir, saved: int | None) -> str:
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
        f"(--config.optim.lr, {config.optim.lr} now) or lengthen its warm-up, with "
        "--accept_config_changes to go on in this workdir."
    )
