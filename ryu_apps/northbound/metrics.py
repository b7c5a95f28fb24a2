"""Numbers of the interface for Prometheus; the names are in docs/rest.md and stay.

The registry of collectors is our own, so that tests and others in the process do not meet in
the library's global one; the controller may add its collectors to `collectors`.
"""

from collections.abc import Callable, Iterable
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ryu_apps.northbound.context import Places
from ryu_apps.northbound.registry import Registry
from ryu_apps.northbound.watch import Switchboard, Watchers

_METHODS = frozenset({"GET", "HEAD", "PUT", "POST", "PATCH", "DELETE"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10)


class _Drift(Collector):
    """What others did to our flows, by switch."""

    def __init__(self, switches: Switchboard) -> None:
        self._switches = switches

    def collect(self) -> Iterable[Metric]:
        """Read when somebody looks."""
        text = "Flows mended after others changed or deleted them"
        family = CounterMetricFamily("ovs_metadata_flows_repaired", text, labels=["dpid"])
        for view in self._switches.switches():
            family.add_metric([f"{view.dpid:016x}"], view.drift.repaired)
        yield family


class Metrics:
    """The collectors of one controller."""

    def __init__(self, collectors: CollectorRegistry | None = None) -> None:
        self.collectors = collectors or CollectorRegistry()
        ProcessCollector(registry=self.collectors)
        PlatformCollector(registry=self.collectors)
        self._requests = Counter(
            "ovs_metadata_rest_requests",
            "REST requests answered",
            ["method", "path", "status"],
            registry=self.collectors,
        )
        self._seconds = Histogram(
            "ovs_metadata_rest_seconds",
            "Time to the answer's head, by path",
            ["path"],
            buckets=_BUCKETS,
            registry=self.collectors,
        )

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request; `path` is the route's, never the sender's own text."""
        self._requests.labels(method if method in _METHODS else "other", path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def observe(self, registry: Registry, watchers: Watchers, batches: Places) -> None:
        """Tell what these count, whenever somebody looks."""
        gauges: dict[str, tuple[str, Callable[[], float]]] = {
            "droplets": ("Registered droplets", lambda: registry.count),
            "claimed_ports": ("Port names droplets claim", lambda: registry.claims.count),
            "registry_writable": ("0 after a write failed", lambda: registry.last_error is None),
            "registry_damaged": ("1 after damage was found", lambda: registry.damage is not None),
            "registry_age_seconds": (
                "Since when others may have written to the registry unheard; 0: nobody else writes",
                registry.age,
            ),
            "watchers": ("Open watch streams", lambda: watchers.count),
            "batches": ("Batches under way", lambda: batches.taken),
        }
        for name, (text, value) in gauges.items():
            gauge = Gauge(f"ovs_metadata_{name}", text, registry=self.collectors)
            gauge.set_function(value)
        counts = {
            "switches": "Switches known, connected or not",
            "followers": "Metadata servers that are waited for, of all switches",
            "news_waiting": "News of switches and claims that no session has dealt with yet",
        }
        for name, text in counts.items():
            gauge = Gauge(f"ovs_metadata_{name}", text, registry=self.collectors)
            gauge.set_function(partial(_count, watchers.switchboard, name))
        self.collectors.register(_Drift(watchers.switchboard))

    def exposition(self) -> tuple[bytes, str]:
        """The text to serve and its content type."""
        return generate_latest(self.collectors), CONTENT_TYPE_LATEST


def _count(switchboard: Switchboard, name: str) -> float:
    return switchboard.counts()[name]
