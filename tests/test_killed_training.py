"""Training that is killed and started again ends as if nothing had happened."""

import random
import time

import host_processes
import numpy as np
import pytest
import trainings

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("kills", [5, pytest.param(20, marks=pytest.mark.long)])
def test_killed_at_any_moment_it_ends_with_the_same_bits(tiny_root, tmp_path, kills):
    def start(workdir):
        return trainings.start(
            tiny_root,
            workdir,
            2,
            1,
            "--config.train.save_every_epochs=2",
            "--config.train.log_every=1",
            train=host_processes.train_small,
        )

    group = start(tmp_path / "expected/run")
    trainings.finish(group)
    lines = len(group.text().splitlines())
    expected = trainings.checkpoint(tmp_path / "expected/run")
    draw = random.Random(0)
    done, runs = 0, []
    while done < kills or not (runs[-1] / "metrics.json").exists():
        if not runs or (runs[-1] / "metrics.json").exists():
            runs.append(tmp_path / str(len(runs)) / "run")
            runs[-1].parent.mkdir()
        group = start(runs[-1])
        if done == kills:
            trainings.finish(group)
        elif kill_at(group, draw.randrange(lines), draw):
            done += 1
    for run in runs:
        assert_same_bits(trainings.checkpoint(run), expected)


def kill_at(group, line, draw):
    """Kills one process soon after a line of the log; whether it was still there."""
    victim = draw.choice(group.processes)
    while victim.is_alive() and len(group.text().splitlines()) < line:
        time.sleep(0.01)
    victim.join(draw.uniform(0, 0.3))
    there = victim.is_alive()
    # And the other one, as a supervisor does; by itself it may take a minute.
    victim.kill()
    group.kill()
    return there


def assert_same_bits(a, b):
    assert a.keys() == b.keys()
    for key in a:
        np.testing.assert_array_equal(a[key], b[key], key)
