"""Published weights and files by name: a table, and downloads into a cache.

    path = published.fetch("slowfast_kinetics_pretrained_r50_4x16x1_20e_ava_rgb")

`download.download` fetches other files. Neither TensorFlow nor JAX.
"""

from ava_jax.published.cache import cached_path, damage, fetch
from ava_jax.published.table import PublishedFile, all_files, find, get, nearest

__all__ = [
    "PublishedFile",
    "all_files",
    "cached_path",
    "damage",
    "fetch",
    "find",
    "get",
    "nearest",
]
