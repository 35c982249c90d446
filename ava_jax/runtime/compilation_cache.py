"""The cache of compiled programs on disk."""

import os
import pathlib

import jax
from absl import logging


def use_cache() -> None:
    """Caches compiled programs on disk for later runs.

    The folder is `$XDG_CACHE_HOME/ava_jax/xla`, or `~/.cache/ava_jax/xla`. JAX's own
    settings (such as `JAX_COMPILATION_CACHE_DIR`) take precedence. Does nothing if the
    folder is not writable. Call it after `initialize`, before anything is compiled.

    Several CPU devices use no cache: a program from the cache does not keep the order
    of its collectives and can hang (jax 0.10.2).
    """
    if jax.default_backend() == "cpu" and jax.device_count() > 1:
        jax.config.update("jax_enable_compilation_cache", False)
        return
    if jax.config.jax_compilation_cache_dir is not None:
        return
    home = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(home, "ava_jax", "xla")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        writable = os.access(folder, os.W_OK)
    except OSError:
        writable = False
    if writable:
        jax.config.update("jax_compilation_cache_dir", str(folder))
    else:
        logging.info("Compiled programs are not cached: %s is not writable.", folder)
