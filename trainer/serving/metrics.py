"""The server's metrics, for Prometheus.

metrics = Metrics()
metrics.count("predict", 200, seconds=0.012)
metrics.text()          # what GET /metrics answers
"""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.process_collector import ProcessCollector

UNPARSED = "unparsed"  # the route of what was refused before it had one
_SECONDS = (0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
_TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counters in a registry of their own, so that several servers fit into a process."""

    def __init__(self) -> None:
        self._registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        self._requests = Counter(
            "longhaul_requests", "Answered requests.", ("route", "status"), registry=registry
        )
        self._seconds = Histogram(
            "longhaul_request_seconds",
            "Time from a request's headers to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self.texts = Counter("longhaul_texts", "Predicted texts.", registry=registry)
        self.batch_texts = Histogram(
            "longhaul_batch_texts", "Texts of a batch.", buckets=_TEXTS, registry=registry
        )
        self.waiting_texts = Gauge(
            "longhaul_waiting_texts", "Texts that wait for a batch.", registry=registry
        )

    def count(self, route: str, status: int, seconds: float | None = None) -> None:
        """Counts an answered request, with its time if it came as far as a route."""
        self._requests.labels(route, str(status)).inc()
        if seconds is not None:
            self._seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """Returns all metrics in Prometheus's text format, `CONTENT_TYPE_LATEST`."""
        return generate_latest(self._registry)
