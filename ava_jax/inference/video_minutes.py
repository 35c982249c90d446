"""Long-term features of a lone video, for the detectors that need them."""

from collections.abc import Iterable

import numpy as np

from ava_jax.data.feature_bank import FeatureBank

_VIDEO = ""  # the only one of the bank


class VideoMinutes:
    """What a detector has seen of the people of a video, by second."""

    def __init__(
        self, found: Iterable[tuple[float, np.ndarray]], width: int, limit: int
    ):
        """Takes all features of the video.

        Args:
          found: of each key frame its time in seconds and the (n, width) float16
            features of its people.
          width: channels of a feature.
          limit: `config.data.bank_rows`; more where a minute has more people.
        """
        rows, parts = {}, [np.zeros((0, width), np.float16)]
        count = 0
        for time, features in found:
            rows[int(time)] = (0, count, len(features))
            parts.append(features)
            count += len(features)
        bank = FeatureBank("", width, (np.concatenate(parts),), {_VIDEO: rows})
        self._bank = bank
        seconds = np.arange(max(rows, default=-1) + 1)
        self._limit = max(limit, bank.most_of_a_minute(_VIDEO, seconds))

    def at(self, time: float, boxes: int) -> tuple[np.ndarray, np.ndarray]:
        """The features around a key frame, and which of them its boxes have.

        Args:
          time: of the key frame, seconds.
          boxes: how many, with padding.

        Returns:
          (M, W) float16 and (boxes, COLUMNS) int32, as `models.long_term` takes them.
        """
        minute = self._bank.minute(_VIDEO, time, self._limit)
        # The same features each time that a video is scored.
        rng = np.random.default_rng(round(time * 1000))
        return minute.padded(), minute.columns(boxes, rng)
