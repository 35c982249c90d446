"""Published files on a server of this machine."""

import hashlib
import pathlib
import sys

import numpy as np
import pytest
from file_server import Served
from published_files import serving

from ava_jax.published import PublishedFile, cached_path, download

# The reference weights are shared with the tests of models and checkpoints.
TESTS = pathlib.Path(__file__).parents[1]
sys.path += [str(TESTS / "models"), str(TESTS / "checkpoints")]


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Asked in place of all hosts; the cache is empty, and nobody waits for long."""
    monkeypatch.setattr(download, "TIMEOUT", (1, 0.3))
    with serving(monkeypatch, tmp_path / "cache") as server:
        yield server


@pytest.fixture
def publish(server):
    """Puts a file on the server: its row of the table, and how it is served."""

    def publish(content=None, *, digits=8, name="net", **how):
        if content is None:
            content = np.random.default_rng(len(name)).bytes(100_000)
        sha256 = hashlib.sha256(content).hexdigest()[:digits]
        url = f"https://download.example/models/{name}.pth"
        file = PublishedFile(name, "detector", url, "AVA", "somebody", sha256=sha256)
        served = server.files[f"/models/{name}.pth"] = Served(content, **how)
        return file, served

    return publish


@pytest.fixture
def left():
    """Names of what is in the folder of a file's cache; locks stay for ever."""

    def left(file):
        folder = cached_path(file).parent
        return sorted(p.name for p in folder.iterdir() if p.suffix != ".lock")

    return left
