"""Figures of compiled programs."""

import argparse
import importlib
import pathlib

import jax
import pytest

from ava_jax.errors import UserError

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
TINY = """
from ava_jax import config as ava_config

def get_config():
    config = ava_config.default()
    config.model.depth, config.model.width = 14, 8
    config.model.slow_stride, config.data.clip_len = 4, 8
    return config
"""


@pytest.fixture
def compile_program(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return importlib.import_module("benchmarks.compile_program")


@pytest.mark.parametrize(
    ("text", "size"),
    [
        # As they are: rows of 128 lanes, 8 sublanes.
        ("f32[256,128]{1,0:T(8,128)}", (256 * 128 * 4, 1)),
        # 8 channels take 128 lanes.
        (
            "bf16[8,32,64,64,8]{4,3,2,1,0:T(8,128)(2,1)}",
            (2 * 8 * 32 * 64 * 64 * 128, 16),
        ),
        # The fastest axis is the first one.
        ("bf16[256,128,128,40]{0,3,2,1:T(8,128)(2,1)}", (2 * 256 * 128 * 128 * 40, 1)),
        ("f32[3,5]{1,0}", (60, 1)),
        ("pred[4]{0:T(512)}", (512, 128)),
        ("f32[]", None),
        ("(f32[2]{0}, f32[3]{0})", None),
    ],
)
def test_size_with_padding(compile_program, text, size):
    assert compile_program.buffer_size(text) == size


@pytest.mark.parametrize("mode", ["train", "infer"])
def test_this_hosts_program(compile_program, tmp_path, capsys, mode):
    path = tmp_path / "tiny.py"
    path.write_text(TINY)
    parser = argparse.ArgumentParser()
    compile_program.add_arguments(parser)
    flags = f"--config {path} --mode {mode} --clips 2 --size 64x64 --dtype float32"
    flags += " --devices 1 --program folded conv3d --buffers 3"
    results = compile_program.run(parser.parse_args(flags.split()))
    assert results["device_kind"] == jax.devices()[0].device_kind
    for row in results["programs"].values():
        assert row["flops"] > 1e7 and row["bytes_accessed"] > 1e6
        assert 0 < row["temp_bytes"] < row["memory_bytes"]
        sizes = [buffer["bytes"] for buffer in row["buffers"]]
        assert len(sizes) == 3 and sizes == sorted(sizes, reverse=True)
        assert "fits" not in row  # nothing is known of this host's chip
    compile_program.show(results)
    assert "GB accessed" in capsys.readouterr().out


def test_unknown_topologies_are_named(compile_program):
    platforms = jax.config.jax_platforms
    try:
        with pytest.raises(
            UserError, match=r"topology v9:1x1(.|\n)*pip install libtpu"
        ):
            compile_program._devices("v9:1x1")
    finally:
        jax.config.update("jax_platforms", platforms)
