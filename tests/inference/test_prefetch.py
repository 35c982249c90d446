"""Stages that run at the same time."""

import threading

import pytest

from ava_jax.inference.prefetch import prefetch


def alive():
    return threading.active_count()


def test_items_keep_their_order():
    nested = prefetch(prefetch(range(200), 3), 1)
    assert list(nested) == list(range(200))


def test_no_more_than_asked_for_is_taken():
    taken, produced = [], threading.Semaphore(0)

    def source():
        for i in range(10):
            taken.append(i)
            produced.release()
            yield i

    stream = prefetch(source(), 2)
    assert next(stream) == 0
    for _ in range(4):  # what was used, two that wait, one in the thread's hand
        assert produced.acquire(timeout=10)
    assert not produced.acquire(timeout=0.05)
    assert taken == [0, 1, 2, 3]
    stream.close()


def test_the_newest_stay_if_none_may_wait():
    ended = threading.Event()

    def source():
        yield 0
        assert started.wait(10)
        yield from range(1, 50)
        ended.set()

    started = threading.Event()
    stream = prefetch(source(), 2, drop=True)
    assert next(stream) == 0
    started.set()
    assert ended.wait(10)
    assert list(stream) == [48, 49]


def test_an_error_comes_behind_the_items():
    def source():
        yield 1
        yield 2
        raise ValueError("broken")

    found = []
    with pytest.raises(ValueError, match="broken"):
        for item in prefetch(source(), 5):
            found.append(item)
    assert found == [1, 2]


def test_closing_ends_the_threads_and_closes_the_source():
    closed, before = threading.Event(), alive()

    def source():
        try:
            while True:
                yield 0
        finally:
            closed.set()

    inner = prefetch(source(), 2)
    outer = prefetch(inner, 2)
    next(outer)
    outer.close()
    assert closed.is_set()
    assert alive() == before
