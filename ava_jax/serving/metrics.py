"""Metrics of the service, in Prometheus' format."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600)


class Metrics:
    """Counters of one application.

    Attributes:
      requests: by path and status.
      seconds: from a request's arrival to its last byte, by path.
      active: requests that are worked on.
      waiting: requests that wait for it.
    """

    media_type = CONTENT_TYPE_LATEST

    def __init__(self, batches: Callable[[], dict[int, int]]):
        """Starts from zero.

        Args:
          batches: how many batches there were, by the number of their clips.
        """
        self._registry = registry = CollectorRegistry()
        self._batches = batches
        self.requests = Counter(
            "ava_jax_requests", "Requests", ["path", "status"], registry=registry
        )
        self.seconds = Histogram(
            "ava_jax_request_seconds",
            "Seconds of a request",
            ["path"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.active = Gauge("ava_jax_active", "Requests at work", registry=registry)
        self.waiting = Gauge("ava_jax_waiting", "Requests waiting", registry=registry)
        registry.register(self)

    def collect(self):
        """What the thread that scores has counted."""
        batches = dict(self._batches())
        clips = sum(size * count for size, count in batches.items())
        for name, text, value in (
            ("batches", "Batches scored", sum(batches.values())),
            ("clips", "Clips scored", clips),
        ):
            yield CounterMetricFamily(f"ava_jax_{name}", text, value=value)

    def text(self) -> bytes:
        """For GET /metrics."""
        return generate_latest(self._registry)
