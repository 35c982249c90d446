"""Data sets that come with the project, created before training."""

import pathlib
import re

import ml_collections

from ava_jax.annotations import labels_file

_NAMES = {"mini": labels_file.MINIATURE, "vtest": labels_file.STREET}


def dataset_name(data: ml_collections.ConfigDict) -> str:
    """The name of a data set for users: AVA's with its version, or the folder's.

    Args:
      data: `config.data`.
    """
    if data.source in _NAMES:
        return _NAMES[data.source]
    # As AVA's own files are called, and MMAction2's copies.
    version = re.search(r"ava_val_v(\d+\.\d+)", data.val.boxes)
    return f"AVA v{version[1]}" if version else pathlib.Path(data.root).resolve().name


def prepare(data: ml_collections.ConfigDict, workdir: pathlib.Path) -> str:
    """Creates the data set that `config.data.source` names, if necessary.

    Args:
      data: `config.data`.
      workdir: a new data set goes into its `data/`, unless `data.root` is set.

    Returns:
      The folder of the data set, for `config.data.root`.

    Raises:
      UserError: the data set cannot be made.
    """
    root = data.root or str(workdir / "data")
    if data.source == "mini":
        from ava_jax.prepare import mini

        spec = mini.MiniSpec(
            **data.mini, fps=data.fps, timestamp_start=data.timestamp_start
        )
        mini.generate(root, spec)
    elif data.source == "vtest":
        from ava_jax.prepare import vtest

        vtest.prepare(root, data.video)
    return root
