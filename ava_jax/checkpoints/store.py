"""Checkpoints on disk, written by Orbax.

A checkpoint has two items: `variables` (parameters and statistics: all that
inference needs) and, from training, `optimizer` (its state and the step).
"""

import os
import pathlib
from typing import Any

import flax
import jax
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers

from ava_jax.checkpoints import converter, pytorch_file
from ava_jax.errors import UserError
from ava_jax.steps import TrainState

FOLDER = "checkpoints"


class Store:
    """The checkpoints of one working directory.

    Saving is asynchronous and atomic: a checkpoint has its name only when it is
    whole. The newest ones and the one of the best mAP are kept.
    """

    def __init__(self, workdir: str | os.PathLike, keep: int = 1):
        """Opens the store.

        Args:
          workdir: the working directory; checkpoints lie in `checkpoints/`.
          keep: how many of the newest are kept.
        """
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(keep),
                checkpoint_managers.BestN(
                    get_metric_fn=_mean_ap, n=1, keep_checkpoints_without_metrics=False
                ),
            ]
        )
        options = ocp.CheckpointManagerOptions(
            best_fn=_mean_ap, preservation_policy=policy
        )
        folder = pathlib.Path(workdir).absolute() / FOLDER
        self._manager = ocp.CheckpointManager(folder, options=options)

    def latest_step(self) -> int | None:
        """Step of the newest checkpoint, None without any."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """Step of the checkpoint with the best mAP, None without any."""
        return self._manager.best_step()

    def save(self, state: TrainState, mean_ap: float | None = None) -> None:
        """Starts writing a checkpoint; one of the same step stays as it is.

        Args:
          state: what to write, named by its step.
          mean_ap: its mAP, if it was evaluated.
        """
        step = int(state.step)
        if step == self.latest_step():
            return
        items = ocp.args.Composite(
            variables=ocp.args.StandardSave(state.variables),
            optimizer=ocp.args.StandardSave(_optimizer_item(state)),
        )
        metrics = None if mean_ap is None else {"mAP": mean_ap}
        self._manager.save(step, args=items, metrics=metrics)

    def restore(self, state: TrainState) -> TrainState:
        """The newest checkpoint, laid out on the devices as `state` is."""
        abstract = jax.tree.map(_abstract, state)
        items = ocp.args.Composite(
            variables=ocp.args.StandardRestore(abstract.variables),
            optimizer=ocp.args.StandardRestore(_optimizer_item(abstract)),
        )
        restored = self._manager.restore(self.latest_step(), args=items)
        return TrainState(
            step=restored["optimizer"]["step"],
            opt_state=flax.serialization.from_state_dict(
                state.opt_state, restored["optimizer"]["opt_state"]
            ),
            **restored["variables"],
        )

    def close(self) -> None:
        """Waits for what is being written."""
        self._manager.close()


def save_variables(path: str | os.PathLike, variables: dict[str, Any]) -> None:
    """Writes variables as the checkpoint of step 0, whole or not at all.

    Args:
      path: the directory; the checkpoint lies in `checkpoints/`.
      variables: arrays of JAX or NumPy.
    """
    folder = pathlib.Path(path).absolute() / FOLDER
    with ocp.CheckpointManager(folder) as manager:
        items = ocp.args.Composite(variables=ocp.args.StandardSave(variables))
        manager.save(0, args=items)


def load_variables(path: str | os.PathLike, like: dict[str, Any]) -> dict[str, Any]:
    """Parameters and statistics of a working directory's newest checkpoint.

    Args:
      path: a working directory, one that the converter wrote, or a PyTorch file
        (a head that does not fit then stays as it is in `like`).
      like: variables of the model, whose shapes and layout the result has.

    Raises:
      UserError: there is no checkpoint, or it is of another model.
    """
    if pathlib.Path(path).is_file():
        return _load_pytorch(path, like)
    folder = pathlib.Path(path).absolute() / FOLDER
    if not folder.is_dir():
        raise UserError(
            f"{path} holds no checkpoint: there is no folder {FOLDER}/ in it. Give a "
            "working directory of a training run, or train first."
        )
    handlers = {"variables": ocp.StandardCheckpointHandler()}
    with ocp.CheckpointManager(folder, item_handlers=handlers) as manager:
        step = manager.latest_step()
        if step is None:
            raise UserError(f"{folder} is empty: no checkpoint was finished there.")
        saved = manager.item_metadata(step)["variables"]
        _check_same_shapes(path, saved, like)
        items = ocp.args.Composite(
            variables=ocp.args.StandardRestore(jax.tree.map(_abstract, like))
        )
        return manager.restore(step, args=items)["variables"]


def _load_pytorch(path, like):
    tensors = pytorch_file.read_pytorch(path)
    variables, report = converter.convert_like(tensors, like)
    logging.info("%s: %d tensors, %s.", path, len(report.used), report.family)
    for note in report.notes:
        logging.warning("%s: %s", path, note)
    return jax.tree.map(lambda x, y: jax.device_put(x, y.sharding), variables, like)


def _mean_ap(metrics: dict[str, float]) -> float:
    return metrics["mAP"]


def _abstract(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def _optimizer_item(state: TrainState) -> dict[str, Any]:
    opt_state = flax.serialization.to_state_dict(state.opt_state)
    return {"step": state.step, "opt_state": opt_state}


def _check_same_shapes(path, saved, like) -> None:
    saved, like = (
        {jax.tree_util.keystr(key): x.shape for key, x in _leaves(tree)}
        for tree in (saved, like)
    )
    wrong = sorted(key for key in saved | like if saved.get(key) != like.get(key))
    if wrong:
        key = wrong[0]
        raise UserError(
            f"The checkpoint in {path} is of another model: {len(wrong)} of "
            f"{len(like)} arrays differ, first {key}, which is {saved.get(key)} there "
            f"and {like.get(key)} in config.model. Give the configuration that it was "
            "trained with (config.json beside it)."
        )


def _leaves(tree):
    return jax.tree_util.tree_leaves_with_path(tree)
