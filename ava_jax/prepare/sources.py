"""Data sets that come with the project, created before training."""

import pathlib

import ml_collections


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
