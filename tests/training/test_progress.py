"""The figures of training's speed, by a clock that the test sets."""

import logging as python_logging
import time

import jax
import pytest

from ava_jax.training.progress import Progress


@pytest.fixture
def clock(monkeypatch):
    """Seconds, in a list."""
    now = [100.0]
    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    return now


def test_speed_is_of_training_since_the_last_report(clock, caplog):
    caplog.set_level(python_logging.INFO, "absl")
    progress = Progress(first_step=10, steps=50, batch=6, show=True)
    for _ in range(4):
        with progress.data_wait():
            clock[0] += 1
        clock[0] += 2
    with progress.pause():
        clock[0] += 1000  # an evaluation
    first = progress.report(14, {"loss": 0.25, "lr": 0.1})
    clock[0] += 1
    second = progress.report(15, {"loss": 0.25, "lr": 0.1})
    progress.close()

    devices = jax.device_count()
    assert first == {
        "clips_per_second": 2.0,
        "clips_per_second_per_device": 2.0 / devices,
        "data_wait": pytest.approx(1 / 3),
    }
    assert second["clips_per_second"] == 6 and second["data_wait"] == 0
    assert caplog.messages == [
        "step 14/50, loss 0.2500, lr 0.1, 2.0 clips/s, 33 % waiting for data, "
        "01:48 left",
        "step 15/50, loss 0.2500, lr 0.1, 6.0 clips/s, 0 % waiting for data, "
        "00:35 left",
    ]


def test_other_processes_show_nothing(clock, caplog):
    caplog.set_level(python_logging.INFO, "absl")
    progress = Progress(first_step=0, steps=50, batch=6, show=False)
    clock[0] += 1
    assert progress.report(1, {"loss": 0.25, "lr": 0.1})["clips_per_second"] == 6
    assert not caplog.messages
