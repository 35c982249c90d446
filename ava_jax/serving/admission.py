"""How many requests are worked on, and how many may wait."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from ava_jax.serving.metrics import Metrics


class Full(Exception):
    """As many requests wait as may."""


class Admission:
    """Lets some requests in, makes some wait, and refuses the others."""

    def __init__(self, parallel: int, queue: int, metrics: Metrics):
        """Of nobody.

        Args:
          parallel: requests that are worked on at a time.
          queue: requests that may wait.
          metrics: are told of both.
        """
        self._places = asyncio.Semaphore(parallel)
        self._queue = queue
        self._metrics = metrics
        self._waiting = 0

    @contextlib.asynccontextmanager
    async def place(self, timeout: float) -> AsyncIterator[None]:
        """A place at work, given back at the end.

        Raises:
          Full: too many wait.
          TimeoutError: it did not come in time.
        """
        if self._places.locked() and self._waiting >= self._queue:
            raise Full
        self._waiting += 1
        self._metrics.waiting.inc()
        try:
            await asyncio.wait_for(self._places.acquire(), timeout)
        finally:
            self._waiting -= 1
            self._metrics.waiting.dec()
        self._metrics.active.inc()
        try:
            yield
        finally:
            self._metrics.active.dec()
            self._places.release()
