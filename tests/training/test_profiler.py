"""Which steps a trace has."""

import jax
import pytest

from ava_jax.training.profiler import Profile


@pytest.mark.parametrize(
    # The last one: the step whose result the end of the trace waits for.
    "steps, first_step, last_step, traced, awaited",
    [
        ("", 1, 20, [], []),
        ("10-15", 1, 20, [10, 11, 12, 13, 14, 15], [15]),
        ("1-1", 1, 20, [1], [1]),
        # Training is resumed in the range, after it, ends in it, ends before it.
        ("10-15", 12, 20, [12, 13, 14, 15], [15]),
        ("10-15", 16, 20, [], []),
        ("10-15", 1, 12, [10, 11, 12], []),
        ("10-15", 1, 9, [], []),
    ],
)
def test_the_steps_of_the_range_are_traced(
    steps, first_step, last_step, traced, awaited, tmp_path, monkeypatch
):
    running, found, results = [], [], []
    monkeypatch.setattr(
        jax.profiler, "start_trace", lambda folder, **_: running.append(folder)
    )
    monkeypatch.setattr(jax.profiler, "stop_trace", lambda: running.remove(folder))
    monkeypatch.setattr(jax, "block_until_ready", results.append)
    folder = str(tmp_path)
    profile = Profile(steps, tmp_path)
    for step in range(first_step, last_step + 1):
        profile.before(step)
        if running:
            found.append(step)
        profile.after(step, step)
    profile.close()
    assert found == traced
    assert not running
    assert results == awaited


def test_one_process_traces(tmp_path, monkeypatch):
    monkeypatch.setattr(jax.profiler, "start_trace", lambda *_, **__: pytest.fail())
    profile = Profile("1-2", tmp_path, write=False)
    profile.before(1)
    profile.after(1, None)
    profile.close()
