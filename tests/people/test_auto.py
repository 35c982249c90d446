"""The default person detector: YOLOX where it can be had, otherwise HOG."""

import dataclasses
import importlib.util

import onnx_networks
import pytest
from published_files import publish, serving, use_table
from test_onnx_detector import FRAME, PERSON, yolox

from ava_jax import published
from ava_jax.errors import UserError
from ava_jax.people import HogDetector, OnnxDetector, open_detector


@pytest.fixture
def server(monkeypatch, tmp_path):
    """Serves a network of YOLOX's outputs under the published path of YOLOX."""
    path = onnx_networks.save(tmp_path / "a.onnx", yolox(), (0, 2, 0, 9))
    file = dataclasses.replace(published.find("yolox"), size=0)
    with serving(monkeypatch, tmp_path / "cache") as server:
        with open(path, "rb") as network:
            use_table(monkeypatch, [publish(server, file, network.read())])
        yield server


def test_yolox_is_downloaded(server, capsys):
    detector = open_detector("auto")
    assert isinstance(detector, OnnxDetector)
    (person,) = detector(FRAME)
    assert person[:4] == pytest.approx(PERSON, abs=0.05)
    assert "HOG" not in capsys.readouterr().err
    assert isinstance(open_detector("yolox"), OnnxDetector)
    (served,) = server.files.values()
    assert len(served.told) == 1


def test_hog_says_why(server, monkeypatch, capsys):
    monkeypatch.setenv("AVA_JAX_OFFLINE", "1")
    assert isinstance(open_detector("auto"), HogDetector)
    line = capsys.readouterr().err
    path = published.cached_path(published.find("yolox"))
    for part in ("HOG", "partly hidden", "AVA_JAX_OFFLINE=1", f"put it at {path}"):
        assert part in line
    # Who names it does not want another one.
    with pytest.raises(UserError, match="AVA_JAX_OFFLINE=1"):
        open_detector("yolox")


def test_without_onnxruntime(server, monkeypatch, capsys):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert isinstance(open_detector("auto"), HogDetector)
    assert "pip install" in capsys.readouterr().err
    (served,) = server.files.values()
    assert served.told == []


def test_the_threshold_is_that_of_the_caller(server):
    assert len(open_detector("auto", threshold=0.99)(FRAME)) == 0
