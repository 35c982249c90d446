"""The size of a file on a server, before it is downloaded."""

import requests

from ava_jax.published.mirror import mirrored

_TIMEOUT = (10, 20)


def remote_size(url: str) -> int:
    """Bytes of a published file; 0 if the server does not say.

    Raises:
      requests.RequestException: there is no answer.
    """
    # Otherwise the length would be that of the compressed file.
    headers = {"Accept-Encoding": "identity"}
    response = requests.head(
        mirrored(url), headers=headers, allow_redirects=True, timeout=_TIMEOUT
    )
    return int(response.headers.get("Content-Length", 0)) if response.ok else 0
