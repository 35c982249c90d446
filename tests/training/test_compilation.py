"""What is told before step 1, what is advised without memory, where programs lie."""

import dataclasses
import re

import from_config
import jax
import numpy as np
import pytest
import step_cases

from ava_jax import config as ava_config
from ava_jax.errors import UserError
from ava_jax.runtime import sharding
from ava_jax.runtime.compilation_cache import use_cache
from ava_jax.training import compilation, memory
from ava_jax.training.step_cost import GIB, StepCost, as_table, cost_lines
from ava_jax.training.train_state import init_state

# 16 clips need 93 GiB: 5.5 GiB a clip and 5 GiB of state.
COST = StepCost(
    parameters=int(0.5 * GIB),
    state_bytes=5 * GIB,
    gflops_per_clip=100.0,
    compile_seconds=12.3,
    bytes_per_device=93 * GIB,
    device_bytes=80 * GIB,
)


def config_of(**changes):
    config = ava_config.default()
    config.train.batch = 16
    config.update_from_flattened_dict(changes)
    return config


def compiled(**changes):
    """The compiled step of a small network, its state and a batch."""
    config = step_cases.small_config(**changes)
    mesh = sharding.make_mesh()
    module = step_cases.small_network(config)
    sgd = from_config.make_optimizer(config, np.full(9, 0.1))
    variables = step_cases.small_variables(config)
    variables = jax.device_put(variables, sharding.replicated(mesh))
    state = init_state(variables, sgd, mesh)
    step = from_config.make_train_step(module, sgd, config, mesh)
    batch = sharding.to_devices(step_cases.small_batch(config), mesh)
    return from_config.compile_step(module, step, state, config, mesh), state, batch


@pytest.fixture(scope="module")
def small_step():
    return compiled()


def test_what_was_compiled_is_what_runs(small_step):
    step, state, batch = small_step
    state = jax.tree.map(lambda x: x.copy(), state)
    compilations = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: compilations.append(event)
    )
    with jax.transfer_guard("disallow"):
        state, metrics = step(state, batch)
        state, metrics = step(state, batch)
    jax.block_until_ready(state)
    jax.monitoring.clear_event_listeners()
    assert not [event for event in compilations if "compile" in event]
    assert int(state.step) == 2
    assert np.isfinite(metrics["loss"])


def test_the_plan_is_of_the_program(small_step):
    step, state, batch = small_step
    cost = step.cost
    assert cost.parameters == sum(x.size for x in jax.tree.leaves(state.params))
    clips = batch["clip"].nbytes
    assert cost.bytes_per_device > cost.state_bytes + clips
    # Two convolutions of 3 x 3 x 3 and 3 x 8 multiplications a value, on 8 x 8 x 2.
    multiplications = 2 * 8 * 8 * 8 * (3 * 3 * 3 + 3 * 8)
    np.testing.assert_allclose(
        cost.gflops_per_clip, 2 * multiplications / 1e9, rtol=0.5
    )
    assert cost.compile_seconds > 0
    assert cost.device_bytes is None  # CPUs do not tell


def test_a_user_sees_all_that_matters():
    config = config_of(**{"train.accumulate": 2, "optim.lr": 0.1, "optim.lr_batch": 8})
    text = as_table(cost_lines(COST, config.optim, config.train, sharding.make_mesh()))
    for line in (
        r"devices +1 x cpu: 1 along 'data'",
        r"batch +16 clips a step, 16 a device in 2 parts",
        r"parameters +536.87 M",
        r"forward +100 GFLOP a clip",
        r"compilation +12.3 s",
        r"memory +93 of 80 GiB a device",
        r"learning rate +0.2: 0.1 at 8 clips, scaled to 16",
    ):
        assert re.search(line, text), text
    unknown = dataclasses.replace(COST, device_bytes=None, gflops_per_clip=0.0)
    text = as_table(
        cost_lines(unknown, config.optim, config.train, sharding.make_mesh())
    )
    assert "93 GiB a device (what it has is not known)" in text
    assert re.search("forward +not known", text)


def test_a_step_compiles_where_no_platform_counts_operations(monkeypatch):
    monkeypatch.setattr(compilation, "cpu_device", lambda: None)
    step, *_ = compiled()
    assert step.cost.gflops_per_clip == 0


def check(cost, config):
    memory.check(cost, config.train, config.model)


ADVICE = {
    # 80 * 0.95 - 5 GiB hold 12 clips; with 2 GiB of gradients, 8 are 51.
    "too large": (
        COST,
        {},
        ["batch=12:", "accumulate=2:", r"remat=\(2,\)", "bfloat16"],
    ),
    "much too large": (
        dataclasses.replace(COST, bytes_per_device=(5 + 16 * 30) * GIB),
        {},
        ["batch=2:", "accumulate=8:"],
    ),
    # 16 clips in 2 parts are 8 at a time: 11 GiB each; an even number of clips.
    "in parts already": (
        COST,
        {"train.accumulate": 2},
        ["batch=12:", "accumulate=4:"],
    ),
    "recomputed already": (COST, {"model.remat": (2, 3)}, [r"remat=\(2, 3, 4\)"]),
}


@pytest.mark.parametrize("name", ADVICE)
def test_too_large_a_step_is_told_with_what_fits(name):
    cost, changes, expected = ADVICE[name]
    with pytest.raises(UserError) as error:
        check(cost, config_of(**changes))
    message = str(error.value)
    assert re.search(r"16 clips .* needs [\d.]+ GiB .* JAX may use 80.0", message)
    for text in expected:
        assert re.search(text, message), message


def test_nothing_is_advised_that_cannot_help():
    state_only = dataclasses.replace(COST, state_bytes=90 * GIB)
    config = config_of(**{"model.remat": (2, 3, 4, 5), "model.dtype": "bfloat16"})
    with pytest.raises(UserError) as error:
        check(state_only, config)
    assert "train.batch" not in str(error.value)
    assert "remat" not in str(error.value)
    assert "a smaller network" in str(error.value)


@pytest.mark.parametrize("device_bytes", [None, 93 * GIB])
def test_what_fits_or_is_not_known_is_left_alone(device_bytes):
    cost = dataclasses.replace(COST, device_bytes=device_bytes)
    check(cost, config_of())


ERRORS = {
    # XLA:TPU's figures, at compilation.
    "Ran out of memory in memory space hbm. Used 93.00G of 80.00G hbm.": (
        "needs 93.0 GiB .* may use 80.0",
        "batch=12:",
    ),
    "Out of memory while trying to allocate 12884901888 bytes.": (
        "does not fit",
        "batch=8:",
    ),
}


@pytest.mark.parametrize("text", ERRORS)
def test_running_out_of_memory_is_explained(text):
    error = jax.errors.JaxRuntimeError(f"RESOURCE_EXHAUSTED: {text}")
    cost = dataclasses.replace(COST, bytes_per_device=0)
    with pytest.raises(UserError) as raised:
        memory.explain(error, cost, config_of().train, config_of().model)
    for expected in ERRORS[text]:
        assert re.search(expected, str(raised.value))
    assert raised.value.__cause__ is error


@pytest.mark.parametrize("message", ["RESOURCE_EXHAUSTED: no memory", "INTERNAL: bug"])
def test_errors_of_the_first_step(message, small_step):
    step, state, batch = small_step

    def program(state, batch):
        raise jax.errors.JaxRuntimeError(message)

    failing = compilation.CompiledStep(
        program, step.cost, config_of().train, config_of().model
    )
    about_memory = message.startswith("RESOURCE")
    expected = UserError if about_memory else jax.errors.JaxRuntimeError
    with pytest.raises(expected, match="accumulate" if about_memory else "bug"):
        failing(state, batch)


def test_the_advised_batch_does_fit(monkeypatch, small_step):
    """Of a device that has two thirds of what the step needs."""
    step, *_ = small_step
    has = int(step.cost.bytes_per_device * 2 / 3)
    monkeypatch.setattr(memory, "device_bytes", lambda: has)
    with pytest.raises(UserError) as error:
        compiled()
    batch = int(re.search(r"train.batch=(\d+)", str(error.value))[1])
    assert 1 < batch < step_cases.BATCH
    smaller, *_ = compiled(**{"train.batch": batch})
    assert smaller.cost.bytes_per_device <= has


@pytest.fixture
def cache_setting(monkeypatch):
    """JAX's setting, which is put back afterwards."""
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.delenv("AVA_JAX_CACHE")
    jax.config.update("jax_compilation_cache_dir", None)
    yield lambda: jax.config.jax_compilation_cache_dir
    jax.config.update("jax_compilation_cache_dir", before)


def test_programs_are_kept_in_the_users_cache(cache_setting, monkeypatch, tmp_path):
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    use_cache()
    assert cache_setting() == str(tmp_path / ".cache/ava_jax/xla")
    assert (tmp_path / ".cache/ava_jax/xla").is_dir()


def test_programs_are_kept_where_the_environment_says(
    cache_setting, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    use_cache()
    assert cache_setting() == str(tmp_path / "ava_jax/xla")
    jax.config.update("jax_compilation_cache_dir", None)
    monkeypatch.setenv("AVA_JAX_CACHE", str(tmp_path / "own"))
    use_cache()
    assert cache_setting() == str(tmp_path / "own/xla")
    jax.config.update("jax_compilation_cache_dir", "elsewhere")
    use_cache()
    assert cache_setting() == "elsewhere"


def test_a_cache_that_cannot_be_written_is_no_error(cache_setting, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    use_cache()
    assert cache_setting() is None
