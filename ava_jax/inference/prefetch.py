"""Prefetching: stages of a stream run concurrently."""

import collections
import threading
from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

Item = TypeVar("Item")


def prefetch(items: Iterable[Item], size: int, *, drop: bool = False) -> Iterator[Item]:
    """Yields the items, which a thread produces ahead of their use.

    The thread ends with the items, or when this generator is closed. An error in it is
    raised here, after the items that preceded it.

    Args:
      items: iterated, and closed if a generator, in the thread.
      size: largest number of items in the buffer.
      drop: drop the oldest item of a full buffer, so that the thread never waits.
    """
    buffer: _Buffer[Item] = _Buffer(size, drop)
    thread = threading.Thread(target=_fill, args=(buffer, items), daemon=True)
    thread.start()
    try:
        yield from buffer
    finally:
        buffer.close()
        thread.join()


class _Buffer(Generic[Item]):
    """A bounded buffer between two threads."""

    def __init__(self, size: int, drop: bool):
        self._size = size
        self._drop = drop
        self._items: collections.deque[Item] = collections.deque()
        self._changed = threading.Condition()
        self._ended = False
        self._closed = False
        self._error: BaseException | None = None

    def put(self, item: Item) -> bool:
        """Adds an item; returns False after `close`."""
        with self._changed:
            if self._drop and len(self._items) == self._size:
                self._items.popleft()
            self._changed.wait_for(
                lambda: len(self._items) < self._size or self._closed
            )
            self._items.append(item)
            self._changed.notify_all()
            return not self._closed

    def end(self, error: BaseException | None = None) -> None:
        """Marks the end of the items."""
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify_all()

    def close(self) -> None:
        """Makes `put` return False: the reader has stopped."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[Item]:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._items or self._ended)
                if not self._items:
                    break
                item = self._items.popleft()
                self._changed.notify_all()
            yield item
        if self._error is not None:
            raise self._error


def _fill(buffer: "_Buffer[Any]", items: Iterable[Any]) -> None:
    iterator = iter(items)
    try:
        for item in iterator:
            if not buffer.put(item):
                break
        if hasattr(iterator, "close"):
            iterator.close()
    except BaseException as error:
        buffer.end(error)
    else:
        buffer.end()
