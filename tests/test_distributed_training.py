"""Training on any number of devices and hosts is the same training."""

import json
import os
import re
import signal
import time

import numpy as np
import pytest
import trainings

pytestmark = pytest.mark.slow

PER_REPLICA = "--config.model.bn=per_replica"


@pytest.fixture(scope="module")
def trained(tiny_root, tmp_path_factory):
    """What training ends with, by topology; each is trained once."""
    results = {}

    def trained(processes, devices, *flags):
        key = (processes, devices, flags)
        if key not in results:
            workdir = tmp_path_factory.mktemp("run") / "run"
            group = trainings.start(tiny_root, workdir, processes, devices, *flags)
            trainings.finish(group)
            results[key] = trainings.checkpoint(workdir)
        return results[key]

    return trained


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


@pytest.mark.parametrize(
    "processes, devices",
    [
        # One process with 8: test_train_step.py has it in short.
        pytest.param(1, 8, marks=pytest.mark.long),
        (2, 2),
        pytest.param(4, 1, marks=pytest.mark.long),
    ],
)
def test_any_topology_trains_the_same_model(trained, processes, devices):
    expected = trained(1, 1)
    assert_close(trained(processes, devices), expected)


def test_hosts_with_statistics_of_their_own(trained):
    """Every device normalises by its two clips, so four are compared with four."""
    expected = trained(1, 4, PER_REPLICA)
    assert_close(trained(2, 2, PER_REPLICA), expected)


def test_a_stop_on_two_hosts_goes_on_on_one(tiny_root, trained, tmp_path):
    workdir = tmp_path / "run"
    group = trainings.start(tiny_root, workdir, 2, 2)
    wait_for(r"step 8/20", group)
    os.kill(group.processes[1].pid, signal.SIGTERM)  # one of them, and both stop
    assert group.wait() == [130, 130], group.text(0) + group.text(1)
    assert not (workdir / "metrics.json").exists()
    group = trainings.start(tiny_root, workdir, 1, 8)
    trainings.finish(group)
    [step] = re.findall(r"Resuming .* after step (\d+)", group.text())
    assert int(step) % trainings.LOG_EVERY == 0 and 8 <= int(step) < 20
    assert_close(trainings.checkpoint(workdir), trained(1, 8))
    history = (workdir / "history.jsonl").read_text().splitlines()
    steps = [json.loads(line)["step"] for line in history]
    assert steps == sorted(steps)
    assert {path.name for path in (workdir / "logs").iterdir()} == {"process_1.log"}


def wait_for(pattern, group):
    while not re.search(pattern, group.text()):
        assert group.processes[0].is_alive(), group.text()
        time.sleep(0.1)
