"""Checkpoints for MMAction2, so that nothing trained here is locked in."""

import os

import ava_jax
from ava_jax import config as ava_config
from ava_jax import workdir
from ava_jax.checkpoints.pytorch import background_class
from ava_jax.checkpoints.pytorch.convert_file import read_variables
from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.checkpoints.pytorch.writer import write_pytorch

# Options that MMAction2's modules do not have.
_FOREIGN = ("lateral_norm", "slow_sampling", "temporal_blocks", "nonlocal_mode")


def export_file(path: str | os.PathLike, out: str | os.PathLike) -> list[str]:
    """Writes the newest checkpoint of a directory as a PyTorch file.

    Args:
      path: a working directory, or one that the converter wrote.
      out: the file: `torch.load(weights_only=True)` reads it, and MMAction2, whose
        keys its `state_dict` has.

    Returns:
      Fields of config.model that MMAction2's networks do not have, with their
      values: it would compute something else from these weights.

    Raises:
      UserError: there is no checkpoint.
    """
    config, variables = read_variables(path)
    meta = {"config_name": config.name, "ava_jax_version": ava_jax.__version__}
    state = to_state_dict(variables)
    if not config.model.background_class:
        state = background_class.without_class(state)
        # Where MMEngine has the configuration.
        meta["cfg"] = background_class.WITHOUT
    write_pytorch(out, state, meta)
    usual = workdir.as_dict(ava_config.default().model)
    foreign = ("backbone",) if config.model.backbone == "i3d" else _FOREIGN
    return [
        f"config.model.{field} = {config.model[field]!r}"
        for field in foreign
        if workdir.as_dict(config.model)[field] != usual[field]
    ]
