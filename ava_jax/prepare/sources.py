"""Data sets that the project brings along, made before training."""

import pathlib

import ml_collections

from ava_jax.errors import UserError


def prepare(
    config: ml_collections.ConfigDict, workdir: pathlib.Path
) -> ml_collections.ConfigDict:
    """Makes the data set that `config.data.source` names, if it must be made.

    Args:
      config: the whole configuration.
      workdir: where a made data set goes (into `data/`), unless `data.root` says.

    Returns:
      The configuration with `data.root` filled in.

    Raises:
      UserError: the source is unknown, or cannot be made.
    """
    config = config.copy_and_resolve_references()
    config.data.root = config.data.root or str(workdir / "data")
    if config.data.source == "mini":
        _make_mini(config)
    elif config.data.source == "vtest":
        from ava_jax.prepare import vtest

        vtest.prepare(config.data.root, config.data.video)
    elif config.data.source != "folder":
        raise UserError(
            f"config.data.source is {config.data.source!r}; it must be 'folder', "
            "'mini' or 'vtest'."
        )
    return config


def _make_mini(config) -> None:
    from ava_jax.prepare import mini

    spec = mini.MiniSpec(
        **config.data.mini,
        fps=config.data.fps,
        timestamp_start=config.data.timestamp_start,
    )
    mini.generate(config.data.root, spec)
