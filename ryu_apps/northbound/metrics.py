"""What the controller counts, in the form of `metric_table`, for prometheus_client.

The registry of collectors is our own, so that tests and others in the process do not meet in
the library's global one.
"""

import platform
from collections import Counter as Tally
from collections.abc import Iterable, Mapping
from importlib.metadata import version

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
)
from prometheus_client.core import Metric as Family
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector

from ovs_metadata_logs import lines_dropped
from ryu_apps.binding.figures import Durations, Figures
from ryu_apps.binding.views import PortState, SwitchState, SwitchView
from ryu_apps.northbound.context import Places
from ryu_apps.northbound.metric_table import METHODS, METRICS, OUTLETS, PREFIX, Metric
from ryu_apps.northbound.registry import Registry
from ryu_apps.northbound.watch import Watchers

Samples = Mapping[tuple[str, ...], float]

# These the library counts itself, as they happen.
_REST = ("rest_requests", "rest_seconds")
_BY_NAME = {metric.name: metric for metric in METRICS}


class Metrics:
    """The collectors of one controller."""

    def __init__(self, collectors: CollectorRegistry | None = None) -> None:
        self.collectors = collectors or CollectorRegistry()
        ProcessCollector(registry=self.collectors)
        PlatformCollector(registry=self.collectors)
        requests, seconds = (_BY_NAME[name] for name in _REST)
        self._requests = Counter(
            PREFIX + requests.name, requests.text, list(requests.labels), registry=self.collectors
        )
        self._seconds = Histogram(
            PREFIX + seconds.name,
            seconds.text,
            list(seconds.labels),
            buckets=seconds.buckets,
            registry=self.collectors,
        )

    def answered(self, method: str, path: str, status: int, seconds: float) -> None:
        """Count a request; `path` is the route's, never the sender's own text."""
        self._requests.labels(method if method in METHODS else "other", path, status).inc()
        self._seconds.labels(path).observe(seconds)

    def observe(self, registry: Registry, watchers: Watchers, batches: Places) -> None:
        """Tell what these count, whenever somebody looks."""
        self.collectors.register(_Collector(registry, watchers, batches))

    def exposition(self) -> tuple[bytes, str]:
        """The text to serve and its content type."""
        return generate_latest(self.collectors), CONTENT_TYPE_LATEST


class _Collector(Collector):
    """All of the table but what the library counts, read when somebody looks."""

    def __init__(self, registry: Registry, watchers: Watchers, batches: Places) -> None:
        self._registry = registry
        self._watchers = watchers
        self._batches = batches

    def collect(self) -> Iterable[Family]:
        """As prometheus_client asks for it."""
        switchboard = self._watchers.switchboard
        figures = switchboard.figures
        samples = (
            self._own()
            | _of_switches(switchboard.switches())
            | _of_figures(figures)
            | {name: {(): value} for name, value in switchboard.counts().items()}
            | {"log_lines_dropped": _of_logs(lines_dropped())}
        )
        durations = {
            "in_sync_seconds": figures.in_sync,
            "port_serving_seconds": figures.serving,
            "registry_commit_seconds": self._registry.commits,
        }
        for metric in METRICS:
            if metric.kind == "histogram" and metric.name not in _REST:
                yield _histogram(metric, durations[metric.name])
            elif metric.name not in _REST:
                yield _family(metric, samples[metric.name])

    def _own(self) -> dict[str, Samples]:
        registry = self._registry
        single = {
            "droplets": registry.count,
            "claimed_ports": registry.claims.count,
            "registry_bytes": registry.size,
            "registry_writable": registry.last_error is None,
            "registry_damaged": registry.damage is not None,
            "registry_age_seconds": registry.age(),
            "registry_failures": registry.failures,
            "watchers": self._watchers.count,
            "batches": self._batches.taken,
        }
        build = (version("ovs-metadata"), platform.python_version())
        return {name: {(): float(value)} for name, value in single.items()} | {
            "build_info": {build: 1.0}
        }


def _of_logs(dropped: Mapping[str, int]) -> Samples:
    return {(log,): dropped.get(log, 0) for log in OUTLETS}


def _of_switches(views: Iterable[SwitchView]) -> dict[str, Samples]:
    views = list(views)
    states = Tally(str(view.state) for view in views)
    dpids = {view.dpid: (f"{view.dpid:016x}",) for view in views}
    return {
        "switches_in_state": {(state,): states[state] for state in SwitchState},
        "ports_in_state": {(state,): count for state, count in _ports(views).items()},
        "flows_wanted": {dpids[view.dpid]: view.flows_wanted for view in views},
        "flows_installed": {dpids[view.dpid]: view.flows for view in views},
        "flows_repaired": {dpids[view.dpid]: view.drift.repaired for view in views},
    }


def _ports(views: Iterable[SwitchView]) -> dict[PortState, int]:
    """How many ports of all switches are in each state."""
    ports = dict.fromkeys(PortState, 0)
    for view in views:
        ports[PortState.SERVING] += view.serving
        ports[PortState.BINDING] += view.binding
        ports[PortState.ERROR] += view.errors
        ports[PortState.UNREGISTERED] += view.ports - view.serving - view.binding - view.errors
    return ports


def _of_figures(figures: Figures) -> dict[str, Samples]:
    counted = {
        "switch_connections": ("event", figures.connections),
        "port_events": ("event", figures.port_events),
        "switch_refusals": ("of", figures.refused),
    }
    samples: dict[str, Samples] = {
        name: {(value,): counts[value] for value in _BY_NAME[name].labels[label]}
        for name, (label, counts) in counted.items()
    }
    releases = figures.by_release().items()
    return samples | {"switch_releases": {(release,): count for release, count in releases}}


def _family(metric: Metric, samples: Samples) -> Family:
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family = kind(PREFIX + metric.name, metric.text, labels=list(metric.labels))
    for values, value in samples.items():
        family.add_metric(values, value)
    return family


def _histogram(metric: Metric, durations: Durations) -> Family:
    family = HistogramMetricFamily(PREFIX + metric.name, metric.text)
    family.add_metric([], durations.cumulated(), durations.total)
    return family
