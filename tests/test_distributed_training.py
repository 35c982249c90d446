"""Training on any number of devices and hosts is the same training."""

import json
import os
import random
import re
import signal
import time

import host_processes
import jax
import numpy as np
import pytest

pytestmark = pytest.mark.slow

LOG_EVERY = 4
PER_REPLICA = "--config.model.bn=per_replica"
# A small SlowFast that takes 20 steps of 8 clips.
FLAGS = (
    "--config=configs/mini.py",
    "--config.data.source=folder",
    "--config.data.clip_len=4",
    "--config.data.crop=32",
    "--config.data.train_short_side=(32,36)",
    "--config.data.test_short_side=32",
    "--config.data.max_boxes=4",
    "--config.model.width=8",
    "--config.model.slow_stride=2",
    "--config.model.fast_ratio=2",
    "--config.train.batch=8",
    "--config.train.epochs=20",
    f"--config.train.log_every={LOG_EVERY}",
    "--config.train.save_every_epochs=100",
    "--config.eval.every_epochs=0",
    "--config.eval.batch=8",
)


@pytest.fixture(scope="module")
def start(tiny_root):
    """Starts processes that train in a working directory."""

    def start(workdir, processes, devices, *flags, train=host_processes.train):
        arguments = (*FLAGS, *flags, f"--config.data.root={tiny_root}")
        arguments += (f"--workdir={workdir}",)
        return host_processes.start(
            train,
            processes,
            workdir.parent / "output",
            processes,
            arguments,
            devices=devices,
        )

    return start


@pytest.fixture(scope="module")
def trained(start, tmp_path_factory):
    """What training ends with, by topology; each is trained once."""
    results = {}

    def trained(processes, devices, *flags):
        key = (processes, devices, flags)
        if key not in results:
            workdir = tmp_path_factory.mktemp("run") / "run"
            finish(start(workdir, processes, devices, *flags))
            results[key] = checkpoint(workdir)
        return results[key]

    return trained


def finish(group):
    codes = group.wait()
    assert not any(codes), (codes, *(group.text(i)[-3000:] for i in range(len(codes))))


def checkpoint(workdir):
    """The arrays of the last step, by name."""
    import orbax.checkpoint as ocp

    folder = max((workdir / "checkpoints").iterdir(), key=lambda path: int(path.name))
    arrays = {}
    with ocp.PyTreeCheckpointer() as checkpointer:
        for item in ("variables", "optimizer"):
            tree = checkpointer.metadata(folder / item).item_metadata.tree
            on_host = jax.tree.map(lambda _: ocp.RestoreArgs(np.ndarray), tree)
            tree = checkpointer.restore(folder / item, restore_args=on_host)
            leaves = jax.tree_util.tree_leaves_with_path(tree)
            arrays |= {(item, jax.tree_util.keystr(key)): x for key, x in leaves}
    return arrays


# Norm of the difference over the norm. Sums over the batch are added up in another
# order, so a step differs by float32's rounding, and twenty steps of such a network
# enlarge it. A loss that averaged the devices' means, or other random numbers, would
# change the gradients as a whole.
LIMITS = {"params": 5e-5, "batch_stats": 2e-4, "trace": 2e-2}


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for group, limit in LIMITS.items():
        keys = [key for key in expected if f"['{group}']" in key[1]]
        assert keys
        a, b = (
            np.concatenate([np.ravel(tree[key]).astype(np.float64) for key in keys])
            for tree in (found, expected)
        )
        difference = np.linalg.norm(a - b) / np.linalg.norm(b)
        assert difference <= limit, group


@pytest.mark.parametrize("processes, devices", [(1, 8), (2, 2), (4, 1)])
def test_any_topology_trains_the_same_model(trained, processes, devices):
    expected = trained(1, 1)
    assert_close(trained(processes, devices), expected)


def test_hosts_with_statistics_of_their_own(trained):
    """Every device normalises by its two clips, so four are compared with four."""
    expected = trained(1, 4, PER_REPLICA)
    assert_close(trained(2, 2, PER_REPLICA), expected)


def test_a_stop_on_two_hosts_goes_on_on_one(start, trained, tmp_path):
    workdir = tmp_path / "run"
    group = start(workdir, 2, 2)
    wait_for(r"step 8/20", group)
    os.kill(group.processes[1].pid, signal.SIGTERM)  # one of them, and both stop
    assert group.wait() == [130, 130], group.text(0) + group.text(1)
    assert not (workdir / "metrics.json").exists()
    group = start(workdir, 1, 8)
    finish(group)
    [step] = re.findall(r"Resuming .* after step (\d+)", group.text())
    assert int(step) % LOG_EVERY == 0 and 8 <= int(step) < 20
    assert_close(checkpoint(workdir), trained(1, 8))
    history = (workdir / "history.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in history]
    assert steps == sorted(steps)
    assert {path.name for path in (workdir / "logs").iterdir()} == {"process_1.log"}


def wait_for(pattern, group):
    while not re.search(pattern, group.text()):
        assert group.processes[0].is_alive(), group.text()
        time.sleep(0.1)


def test_killed_at_any_moment_it_ends_with_the_same_bits(start, tmp_path):
    def start_small(workdir):
        flag = "--config.train.save_every_epochs=2"
        return start(workdir, 2, 1, flag, train=host_processes.train_small)

    since = time.monotonic()
    finish(start_small(tmp_path / "expected/run"))
    seconds = time.monotonic() - since
    expected = checkpoint(tmp_path / "expected/run")
    draw = random.Random(0)
    kills, runs = 0, 0
    while kills < 20:
        workdir = tmp_path / str(runs) / "run"
        workdir.parent.mkdir(exist_ok=True)
        group = start_small(workdir)
        victim = draw.choice(group.processes)
        victim.join(draw.uniform(0, seconds))
        if victim.exitcode is None:
            victim.kill()
            kills += 1
        # As a supervisor does; by itself the other one may take a minute.
        group.kill()
        if (workdir / "metrics.json").exists():
            runs += 1
    finish(start_small(workdir))
    for run in range(runs + 1):
        if (tmp_path / str(run)).exists():
            assert_same_bits(checkpoint(tmp_path / str(run) / "run"), expected)


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], key)
