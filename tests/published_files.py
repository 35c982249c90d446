"""Made-up published files on a server of this machine."""

import contextlib
import hashlib
import pathlib
from collections.abc import Iterator, Sequence

from file_server import FileServer, Served, file_server

from ava_jax import published
from ava_jax.published import download, table


@contextlib.contextmanager
def serving(monkeypatch, cache: pathlib.Path) -> Iterator[FileServer]:
    """A server that is asked in place of all hosts, with an empty cache."""
    monkeypatch.setattr(download, "BACK_OFF", 0.01)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with file_server() as server:
        monkeypatch.setenv("AVA_JAX_OFFLINE", "0")
        monkeypatch.setenv("AVA_JAX_MIRROR", server.url)
        monkeypatch.setenv("AVA_JAX_CACHE", str(cache))
        yield server


def publish(
    server: FileServer, file: published.PublishedFile, content: bytes
) -> published.PublishedFile:
    """Serves a file under its published path; its row, with the right checksum."""
    row = vars(file) | {"sha256": hashlib.sha256(content).hexdigest()[:8]}
    path = file.url.partition("://")[2].partition("/")[2]
    server.files[f"/{path}"] = Served(content)
    return published.PublishedFile(**row)


def use_table(monkeypatch, files: Sequence[published.PublishedFile]) -> None:
    """Puts these rows in place of the table."""
    by_key = {key: file for file in files for key in table.keys(file)}
    monkeypatch.setattr(table, "_by_key", lambda: by_key)
