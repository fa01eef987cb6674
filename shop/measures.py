"""What `/metrics` tells, in the text format of Prometheus."""

from __future__ import annotations

from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from shop.service import Service

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)


class Measures:
    """Counters of one service, in a registry of their own.

    Attributes:
        requests: By route and status.
        seconds: By route.
        shed: Requests refused because too many waited.
        events: Stored, by kind.
        reloads: Runs published since the start.
        reload_failures: Runs that could not be loaded.
    """

    def __init__(self) -> None:
        """All at 0."""
        self.registry = CollectorRegistry()
        self.requests = Counter("stylerec_requests", "Requests answered", ["route", "status"], registry=self.registry)
        self.seconds = Histogram(
            "stylerec_request_seconds", "Time to answer", ["route"], buckets=SECONDS, registry=self.registry
        )
        self.shed = Counter(
            "stylerec_shed", "Requests refused with 503 because too many waited", registry=self.registry
        )
        self.events = Counter("stylerec_events", "Events stored", ["event"], registry=self.registry)
        self.reloads = Counter("stylerec_reloads", "Runs published since the start", registry=self.registry)
        self.reload_failures = Counter(
            "stylerec_reload_failures", "Published runs that could not be loaded", registry=self.registry
        )

    def watch(self, service: Service) -> None:
        """Add what is read off the service when asked."""
        gauges = {
            "stylerec_waiting_requests": ("Requests that wait for recommendations", lambda: service.batcher.waiting),
            "stylerec_event_fsyncs": ("Times that events were forced to disk", lambda: service.log.fsyncs),
            "stylerec_items": ("Items served", lambda: len(service.published.snapshot.fitted.items)),
        }
        for name, (about, read) in gauges.items():
            Gauge(name, about, registry=self.registry).set_function(read)

    def text(self) -> bytes:
        """The text."""
        return generate_latest(self.registry)
