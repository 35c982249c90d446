"""Where to download from: `AVA_JAX_MIRROR=URL`, `AVA_JAX_OFFLINE=1`."""

import os
import urllib.parse

from ava_jax.errors import UserError


def mirrored(url: str) -> str:
    """The URL that is asked: the published one, or its path on the mirror.

    Raises:
      UserError: the mirror has no http address.
    """
    mirror = os.environ.get("AVA_JAX_MIRROR")
    if not mirror:
        return url
    if not mirror.startswith(("http://", "https://")):
        raise UserError(
            f"AVA_JAX_MIRROR is {mirror!r}; expected an address such as "
            "http://mirror.example, to which the path of each published URL is added."
        )
    return mirror.rstrip("/") + urllib.parse.urlsplit(url).path


def is_offline() -> bool:
    """Whether nothing may be downloaded."""
    return os.environ.get("AVA_JAX_OFFLINE", "0") not in ("", "0")
