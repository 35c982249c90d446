"""Short trainings in processes of their own, and what they end with."""

import host_processes
import jax
import numpy as np

LOG_EVERY = 4
# A small SlowFast that takes 20 steps of 8 clips.
FLAGS = (
    "--config=configs/mini.py",
    "--config.data.source=folder",
    "--config.data.clip_len=4",
    "--config.data.crop=32",
    "--config.data.train_short_side=(32,36)",
    "--config.data.test_short_side=32",
    "--config.data.max_boxes=4",
    "--config.model.width=8",
    "--config.model.slow_stride=2",
    "--config.model.fast_ratio=2",
    "--config.train.batch=8",
    "--config.train.epochs=20",
    f"--config.train.log_every={LOG_EVERY}",
    "--config.train.save_every_epochs=100",
    "--config.eval.every_epochs=0",
    "--config.eval.batch=8",
)


def start(root, workdir, processes, devices, *flags, train=host_processes.train):
    """Starts processes that train on the data set of `root`."""
    arguments = (*FLAGS, *flags, f"--config.data.root={root}", f"--workdir={workdir}")
    return host_processes.start(
        train,
        processes,
        workdir.parent / "output",
        processes,
        arguments,
        devices=devices,
    )


def finish(group):
    """Waits for processes that have to succeed."""
    codes = group.wait()
    assert not any(codes), (codes, *(group.text(i)[-3000:] for i in range(len(codes))))


def checkpoint(workdir):
    """The arrays of the last step, by name."""
    import orbax.checkpoint as ocp

    folder = max((workdir / "checkpoints").iterdir(), key=lambda path: int(path.name))
    arrays = {}
    with ocp.PyTreeCheckpointer() as checkpointer:
        for item in ("variables", "optimizer"):
            tree = checkpointer.metadata(folder / item).item_metadata.tree
            on_host = jax.tree.map(lambda _: ocp.RestoreArgs(np.ndarray), tree)
            tree = checkpointer.restore(folder / item, restore_args=on_host)
            leaves = jax.tree_util.tree_leaves_with_path(tree)
            arrays |= {(item, jax.tree_util.keystr(key)): x for key, x in leaves}
    return arrays
