"""`scripts/benchmark.py model` and `precision`, on networks that run in seconds."""

import argparse
import importlib
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ava_jax.checkpoints.pytorch.converter import to_state_dict
from ava_jax.errors import UserError
from ava_jax.models import build_detector

SCRIPTS = pathlib.Path(__file__).parents[2] / "scripts"
TINY = """
from ava_jax import config as ava_config

def get_config():
    config = ava_config.default()
    config.model.backbone = {backbone!r}
    config.model.depth, config.model.width = 14, 8
    config.model.vit_size = "mini"
    config.model.slow_stride = 4
    config.data.clip_len = 16 if config.model.backbone == "vit" else 8
    return config
"""


@pytest.fixture
def load(monkeypatch):
    """Imports a module of scripts/benchmarks as the script does."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    return lambda name: importlib.import_module(f"benchmarks.{name}")


@pytest.fixture(params=["slowfast", "slowonly", "vit"])
def tiny(request, tmp_path):
    """Path of a small network's configuration."""
    path = tmp_path / f"{request.param}.py"
    path.write_text(TINY.format(backbone=request.param))
    return str(path)


def measured(module, arguments):
    parser = argparse.ArgumentParser()
    module.add_arguments(parser)
    return module.run(parser.parse_args(arguments))


def test_every_combination_is_timed(load, tmp_path, capsys):
    path = tmp_path / "tiny.py"
    path.write_text(TINY.format(backbone="slowonly"))
    model = load("model")
    results = measured(
        model,
        f"--config {path} --batch 1 2 --dtype float32 bfloat16 --size 32x40 "
        "--repeats 1 --compare conv3d --kernels 2".split(),
    )
    found = [(case["dtype"], case["batch"]) for case in results["cases"]]
    assert found == [
        ("float32", 1),
        ("float32", 2),
        ("bfloat16", 1),
        ("bfloat16", 2),
    ]
    for case in results["cases"]:
        assert case["gflop_per_clip"] == results["cases"][0]["gflop_per_clip"] > 0
        assert set(case["models"]) == {"folded", "conv3d"}
        for row in case["models"].values():
            np.testing.assert_allclose(
                row["clips_per_second"] * row["seconds_per_step"], case["batch"]
            )
            achieved = case["gflop_per_clip"] * row["clips_per_second"]
            np.testing.assert_allclose(
                row["share_of_matmul_rate"], achieved / case["matmul_gflop_per_second"]
            )
            assert row["memory_gib"] > 0
            assert len(row["kernels"]) == 2
    model.show(results)
    assert capsys.readouterr().out.count("conv3d ") == 4 * 3  # a row, two kernels


def test_a_program_without_memory_is_a_row(load, monkeypatch, tmp_path, capsys):
    path = tmp_path / "tiny.py"
    path.write_text(TINY.format(backbone="slowonly"))
    model = load("model")
    compile_one = model._compile

    def fail_on_conv3d(case, name):
        if name == "conv3d":
            raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: 80 GiB\nmore")
        return compile_one(case, name)

    monkeypatch.setattr(model, "_compile", fail_on_conv3d)
    arguments = f"--config {path} --size 32x40 --repeats 1 --compare conv3d"
    results = measured(model, arguments.split())
    rows = results["cases"][0]["models"]
    assert rows["conv3d"] == {"error": "out of memory"}
    assert rows["folded"]["clips_per_second"] > 0
    model.show(results)
    assert "out of memory" in capsys.readouterr().out


def test_longest_operations_come_first(load):
    product = jax.jit(lambda x: jnp.sin(x @ x) + 1)
    x = jnp.ones((256, 256))
    rows = load("kernels").longest(lambda _: product(x).block_until_ready(), 3)
    assert rows
    spent = [row["ms"] for row in rows]
    assert spent == sorted(spent, reverse=True)
    assert 0 < sum(row["share"] for row in rows) <= 1


def test_precision_is_measured_against_the_fixtures(load):
    name = "slowonly_kinetics_pretrained_r50_4x16x1_20e_ava_rgb"
    rows = measured(load("precision"), ["--variant", name])["configs"][name]
    # The bounds of the parity tests; bfloat16 has 8 bits, over 50 layers.
    assert rows["float32, highest"]["logits"] < 2e-5
    assert rows["float32, highest"]["scores"] < 5e-6
    assert 1e-3 < rows["bfloat16"]["logits"] < 0.1


def test_the_torch_network_is_the_same(load, tiny):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchvision.ops")
    model, torch_detector = load("model"), load("torch_detector")
    case = model.Case(tiny, "infer", "float32", 2, 3, (64, 80))
    variables, clips, boxes, _ = model._device_inputs(case)
    step = torch_detector.Step(
        case.load().model, "infer", model._host_inputs(case), compiled=False
    )
    state = to_state_dict(jax.tree.map(np.asarray, variables))
    state = {key: torch.from_numpy(np.array(value)) for key, value in state.items()}
    missing = step.detector.load_state_dict(state, strict=False)
    assert not missing.unexpected_keys
    # `to_state_dict` may leave out the counters, which nothing is computed from.
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)
    logits = build_detector(case.load().model).apply(variables, clips, boxes)
    # Float32 sums in two orders.
    np.testing.assert_allclose(step.logits(), logits, rtol=0, atol=5e-6)


def test_the_torch_network_refuses_what_it_lacks(load, tmp_path):
    pytest.importorskip("torch")
    pytest.importorskip("torchvision.ops")
    path = tmp_path / "context.py"
    text = TINY.format(backbone="slowfast")
    path.write_text(text.replace("return", "config.model.context = True; return"))
    case = load("model").Case(str(path), "infer", "float32", 1, 1, (32, 32))
    with pytest.raises(UserError, match="config.model.context = True, only False"):
        load("torch_detector").Detector(case.load().model)
