"""The cache of compiled programs on disk."""

import os

import jax
from absl import logging

from ava_jax import files


def use_cache() -> None:
    """Caches compiled programs on disk for later runs.

    The folder is `xla/` in `files.cache_folder()`. JAX's own settings (such as
    `JAX_COMPILATION_CACHE_DIR`) take precedence. Does nothing if the folder is not
    writable. Call it after `initialize`, before anything is compiled.

    Several CPU devices use no cache: a program from the cache does not keep the order
    of its collectives and can hang (jax 0.10.2).
    """
    if jax.default_backend() == "cpu" and jax.device_count() > 1:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if jax.config.jax_compilation_cache_dir is not None:
        return
    folder = files.cache_folder() / "xla"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if writable:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    else:
        logging.info("Compiled programs are not cached: %s is not writable.", folder)
