"""Scores clips of several requests in one batch."""

import collections
import dataclasses
import itertools
import queue
import threading
from collections.abc import Sequence
from concurrent.futures import Future

import numpy as np

from ava_jax.inference.clip_scorer import ClipScorer, Row

_STOP = None


@dataclasses.dataclass
class _Waiting:
    row: Row
    done: Future


class Batcher:
    """A thread that scores what waits, in batches of clips of one size.

    A batch has 1, 2, 4, ... clips, up to the largest, so that few programs are
    compiled. It starts when the device is free: nothing waits for company, and the
    busier the device, the larger the batches.
    """

    def __init__(self, scorer: ClipScorer, largest: int):
        """Starts the thread.

        Args:
          scorer: of the clips.
          largest: clips of a batch, at most.
        """
        self._scorer = scorer
        doubled = itertools.takewhile(
            lambda size: size < largest, (2**i for i in itertools.count())
        )
        self._sizes = (*doubled, largest)
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self.batches: collections.Counter[int] = collections.Counter()  # by clips
        self._thread = threading.Thread(target=self._work, name="batches", daemon=True)
        self._thread.start()

    def score(self, rows: Sequence[Row], timeout: float) -> np.ndarray:
        """(N, num_classes) float32 of the boxes of the rows; waits for them.

        Args:
          rows: of one clip, from `ClipScorer.rows`; may be none.
          timeout: seconds.

        Raises:
          TimeoutError: they were not scored in time.
        """
        waiting = [_Waiting(row, Future()) for row in rows]
        for one in waiting:
            self._queue.put(one)
        for one in waiting:
            one.done.result(timeout)
        return self._scorer.results(rows)

    def warm_up(self, row: Row) -> None:
        """Compiles the programs of all sizes of batches for clips like a row's."""
        for size in self._sizes:
            self._scorer.start([row] * size, size)
            row.result()

    def close(self) -> None:
        """Scores what waits, and ends the thread."""
        self._queue.put(_STOP)
        self._thread.join()

    def _work(self) -> None:
        # By the size of the clips, in the order of arrival.
        waiting: dict[tuple, collections.deque[_Waiting]] = {}
        stopping = False
        while waiting or not stopping:
            stopping |= self._take(waiting, wait=not (waiting or stopping))
            if not waiting:
                continue
            size = next(iter(waiting))
            line = waiting.pop(size)
            count = min(len(line), self._sizes[-1])
            chosen = [line.popleft() for _ in range(count)]
            if line:
                waiting[size] = line  # behind the other sizes
            self._score(chosen)

    def _take(self, waiting, wait: bool) -> bool:
        """Sorts all that has come by size; whether it is the end."""
        while True:
            try:
                one = self._queue.get(block=wait)
            except queue.Empty:
                return False
            if one is _STOP:
                return True
            waiting.setdefault(one.row.clip.shape, collections.deque()).append(one)
            wait = False

    def _score(self, chosen: list[_Waiting]) -> None:
        size = next(size for size in self._sizes if size >= len(chosen))
        try:
            self._scorer.start([one.row for one in chosen], size)
            chosen[0].row.result()  # one batch at a time: the next ones grow meanwhile
        except Exception as error:  # the requests are told, and the thread goes on
            for one in chosen:
                one.done.set_exception(error)
            return
        self.batches[len(chosen)] += 1
        for one in chosen:
            one.done.set_result(None)
