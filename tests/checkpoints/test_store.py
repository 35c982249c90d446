"""Checkpoints on disk: kept, damaged, not written, of another model."""

import contextlib
import logging
import re
import resource
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from ava_jax import config as ava_config
from ava_jax.checkpoints import store
from ava_jax.errors import UserError
from ava_jax.runtime import sharding
from ava_jax.training.train_state import init_state

SGD = optax.chain(optax.trace(decay=0.9), optax.scale_by_learning_rate(0.1))


def state_at(step, *, ema=False, width=300):
    """A state whose arrays all depend on the step, and cannot be compressed away."""
    kernel = np.random.default_rng(step).random((width, 300), np.float32)
    params = {"backbone": {"kernel": jnp.asarray(kernel)}}
    variables = {"params": params, "batch_stats": {"mean": jnp.full(3, step + 0.25)}}
    state = init_state(variables, SGD, sharding.make_mesh(), ema=ema)
    trace = jax.tree.map(lambda x: x + step, state.opt_state)
    average = jax.tree.map(lambda x: -x, state.ema)
    return state.replace(step=jnp.asarray(step), opt_state=trace, ema=average)


def save(workdir, *at, **options):
    checkpoints = store.Store(workdir, keep=2)
    for step in at:
        checkpoints.save(state_at(step, **options))
    checkpoints.close()


def restored(workdir, **options):
    checkpoints = store.Store(workdir, keep=2)
    state = checkpoints.restore(state_at(0, **options))
    checkpoints.close()
    return state


def load_variables(workdir, like, *which):
    return store.load_variables(workdir, ava_config.default().model, like, *which)


def assert_same(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


@pytest.mark.parametrize("ema", [False, True])
def test_everything_comes_back(tmp_path, ema):
    save(tmp_path, 7, ema=ema)
    assert_same(restored(tmp_path, ema=ema), state_at(7, ema=ema))
    expected = state_at(7, ema=ema).variables
    assert_same(load_variables(tmp_path, state_at(0).variables), expected)


def test_the_newest_and_the_best_are_kept(tmp_path):
    checkpoints = store.Store(tmp_path, keep=1)
    for step, mean_ap in ((1, 0.1), (2, 0.9), (3, 0.5), (4, None)):
        checkpoints.save(state_at(step), mean_ap)
    checkpoints.close()
    assert {path.name for path in (tmp_path / "checkpoints").iterdir()} == {"2", "4"}
    assert (checkpoints.latest_step(), checkpoints.best_step()) == (4, 2)


def largest_file(checkpoint):
    return max(
        checkpoint.glob("variables/**/d/*"), key=lambda path: path.stat().st_size
    )


def flip_a_bit(checkpoint):
    path = largest_file(checkpoint)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def shorten(checkpoint):
    path = largest_file(checkpoint)
    path.write_bytes(path.read_bytes()[:-1])


DAMAGES = {
    "a bit": (flip_a_bit, r"/d/\w+ was changed since it was written"),
    "a shorter file": (shorten, r"/d/\w+ has \d+ bytes, not \d+"),
    "a lost file": (lambda c: largest_file(c).unlink(), "No such file"),
    "a lost item": (lambda c: shutil.rmtree(c / "optimizer"), "optimizer/.*No such"),
    "half a copy": (lambda c: (c / "checksums.json").unlink(), "checksums.json.*No"),
    "a broken list": (lambda c: (c / "checksums.json").write_text("{"), "cannot be"),
}


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_newest_checkpoint_gives_way_to_the_one_before(
    tmp_path, name, caplog
):
    damage, reason = DAMAGES[name]
    save(tmp_path, 10, 20)
    damage(tmp_path / "checkpoints/20")
    assert_same(restored(tmp_path), state_at(10))
    [error] = [r.getMessage() for r in caplog.records if r.levelno == logging.ERROR]
    pattern = rf"step 20 is damaged: .*{reason}.*damaged_checkpoints/20 now.*step 10"
    assert re.search(pattern, error), error
    assert (tmp_path / "damaged_checkpoints/20").is_dir()
    save(tmp_path, 20)  # which training does when it comes there again
    assert_same(restored(tmp_path), state_at(20))


def test_without_a_whole_checkpoint_nothing_is_touched(tmp_path):
    save(tmp_path, 10, 20)
    for step in ("10", "20"):
        flip_a_bit(tmp_path / "checkpoints" / step)
    message = r"is whole:\n  20: .*changed.*\n  10: .*changed.*\n.*--workdir"
    with pytest.raises(UserError, match=message):
        store.Store(tmp_path)
    assert sorted(x.name for x in (tmp_path / "checkpoints").iterdir()) == ["10", "20"]


def test_inference_passes_over_damage_and_changes_nothing(tmp_path, caplog):
    save(tmp_path, 10, 20, 30)
    shutil.rmtree(tmp_path / "checkpoints/20/optimizer")  # which it does not need
    flip_a_bit(tmp_path / "checkpoints/30")
    like = state_at(0).variables
    assert_same(load_variables(tmp_path, like), state_at(20).variables)
    assert "checkpoints/30 is damaged" in caplog.text
    assert (tmp_path / "checkpoints/30").is_dir()


def test_what_a_killed_save_left_is_removed(tmp_path):
    save(tmp_path, 10)
    left = tmp_path / "checkpoints/20.orbax-checkpoint-tmp"
    shutil.copytree(tmp_path / "checkpoints/10", left)
    assert_same(restored(tmp_path), state_at(10))
    assert not left.exists()


@contextlib.contextmanager
def full_disk():
    """No file grows over 100 KB; a checkpoint here has 360 KB for an item."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_costs_no_checkpoint_that_is_there(tmp_path):
    save(tmp_path, 10)
    message = r"step 20 could not be written to .*Make room there"
    with full_disk(), pytest.raises(UserError, match=message):
        save(tmp_path, 20)
    # Nor room for what was not finished.
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["10"]
    assert_same(restored(tmp_path), state_at(10))


def test_training_goes_on_when_a_save_fails(tmp_path, caplog):
    save(tmp_path, 10)
    checkpoints = store.Store(tmp_path, keep=2)
    with full_disk():
        checkpoints.save(state_at(20))
        checkpoints.save(state_at(30))
    checkpoints.save(state_at(40))
    checkpoints.close()
    assert "step 20 could not be written" in caplog.text
    assert_same(restored(tmp_path), state_at(40))


def test_a_mistake_in_the_program_is_no_full_disk(tmp_path):
    checkpoints = store.Store(tmp_path)
    state = state_at(10)
    with pytest.raises((TypeError, ValueError), match="(?i)type|object"):
        checkpoints.save(state.replace(batch_stats={"mean": object()}))
        checkpoints.close()


@pytest.mark.parametrize("which, step", [("latest", 30), ("best", 20), ("10", 10)])
def test_a_checkpoint_is_chosen(which, step, tmp_path):
    checkpoints = store.Store(tmp_path, keep=3)
    for saved, mean_ap in {10: 0.2, 20: 0.3, 30: 0.1}.items():
        checkpoints.save(state_at(saved), mean_ap)
    checkpoints.close()
    found = load_variables(tmp_path, state_at(0).variables, which)
    assert_same(found, state_at(step).variables)


@pytest.mark.parametrize(
    "which, message",
    [
        ("best", "'best'; .* has the checkpoints of steps 10, none .* evaluated"),
        ("7", "'7'; .* has the checkpoints of steps 10"),
    ],
)
def test_no_such_checkpoint(which, message, tmp_path):
    save(tmp_path, 10)
    with pytest.raises(UserError, match=message):
        load_variables(tmp_path, state_at(0).variables, which)


def test_another_model_is_refused(tmp_path):
    save(tmp_path, 10)
    with pytest.raises(UserError, match=r"another model.*kernel.*\(300, 300\).*\(200"):
        restored(tmp_path, width=200)
