"""Counts of a service for Prometheus."""

from __future__ import annotations

import math
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from nearfar.serve.batcher import Batcher

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)


@dataclass(frozen=True)
class Metrics:
    """What is counted, in a registry of its own."""

    registry: CollectorRegistry
    requests: Counter
    seconds: Histogram
    texts: Counter

    @classmethod
    def of(cls, batcher: Batcher) -> Metrics:
        """The counts of a service with these batches."""
        registry = CollectorRegistry()
        waiting = Gauge("nearfar_waiting_tokens", "Tokens that wait to be embedded", registry=registry)
        waiting.set_function(lambda: batcher.waiting_tokens)
        rate = Gauge("nearfar_tokens_per_second", "Tokens a second of full batches, smoothed", registry=registry)
        rate.set_function(lambda: batcher.rate if math.isfinite(batcher.rate) else 0.0)
        cached = Gauge("nearfar_cache_bytes", "Memory of vectors of texts that came before", registry=registry)
        cached.set_function(lambda: batcher.cache.held)
        return cls(
            registry,
            Counter("nearfar_requests", "Requests by path and status", ["path", "status"], registry=registry),
            Histogram("nearfar_request_seconds", "Time to the answer", ["path"], buckets=SECONDS, registry=registry),
            Counter("nearfar_texts", "Texts that were asked for", ["path"], registry=registry),
        )

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        return generate_latest(self.registry)
