"""Every metric of the controller: name, kind, labels and their values, meaning. Nothing else.

What is exported is made from this table and docs/metrics.md too; a test holds a live scrape to it.
A label's values are listed, or it is said what bounds them: no sender can make one grow.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ryu_apps.binding import figures
from ryu_apps.binding.views import PortState, SwitchState

PREFIX = "ovs_metadata_"

OUTLETS = ("stderr", "file", "syslog", "audit")
METHODS = ("GET", "HEAD", "PUT", "POST", "PATCH", "DELETE", "other")
_DPID = "16 hex digits of a switch that is known, at most 4096"
_PATH = "as in the OpenAPI document, with the names of its parameters; `(none)` for any other"

# Seconds.
REST_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


@dataclass(frozen=True, slots=True)
class Metric:
    """One family. `kind` is counter, gauge or histogram; a counter's samples end in `_total`.

    `labels` has the values a label may take, or a sentence on what bounds them.
    """

    name: str
    kind: str
    text: str
    labels: Mapping[str, tuple[str, ...] | str] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()


METRICS = (
    Metric(
        "rest_requests",
        "counter",
        "REST requests answered",
        {"method": METHODS, "path": _PATH, "status": "what REST answers, see rest.md"},
    ),
    Metric(
        "rest_seconds",
        "histogram",
        "Seconds to the answer's head, by path",
        {"path": _PATH},
        REST_BUCKETS,
    ),
    Metric("droplets", "gauge", "Registered droplets"),
    Metric("claimed_ports", "gauge", "Port names droplets claim"),
    Metric(
        "registry_bytes",
        "gauge",
        "Size of the registry on its disk, as of the last write; 0 where it is in etcd",
    ),
    Metric("registry_writable", "gauge", "0 after a write failed"),
    Metric("registry_damaged", "gauge", "1 after damage was found"),
    Metric(
        "registry_age_seconds",
        "gauge",
        "Since when others may have written to the registry unheard; 0: nobody else writes",
    ),
    Metric(
        "registry_commit_seconds",
        "histogram",
        "Seconds a commit took, waits for the disk included and for its turn not",
        buckets=figures.BUCKETS,
    ),
    Metric("registry_failures", "counter", "Commits that failed"),
    Metric("watchers", "gauge", "Open watch streams"),
    Metric("batches", "gauge", "Batches under way"),
    Metric("switches", "gauge", "Switches known, connected or not"),
    Metric("switches_in_state", "gauge", "Switches by their state", {"state": tuple(SwitchState)}),
    Metric(
        "ports_in_state",
        "gauge",
        "Ports by their state, on every switch known, as they were last where one is disconnected",
        {"state": tuple(PortState)},
    ),
    Metric("followers", "gauge", "Metadata servers that are waited for, of all switches"),
    Metric("news_waiting", "gauge", "News of switches and claims that nobody has dealt with yet"),
    Metric(
        "switch_connections",
        "counter",
        "Connections of switches that began, ended, and were not served (see its `reason`)",
        {"event": figures.CONNECTIONS},
    ),
    Metric(
        "in_sync_seconds",
        "histogram",
        "Seconds from a switch's connection until it has all its flows",
        buckets=figures.BUCKETS,
    ),
    Metric(
        "port_serving_seconds",
        "histogram",
        "Seconds from the news of a new port until its droplet is served, of droplets that were "
        "registered before",
        buckets=figures.BUCKETS,
    ),
    Metric("port_events", "counter", "What switches told of ports", {"event": figures.PORT_EVENTS}),
    Metric("flows_wanted", "gauge", "Flows that a switch should have of us", {"dpid": _DPID}),
    Metric("flows_installed", "gauge", "Flows of ours that it acknowledged", {"dpid": _DPID}),
    Metric(
        "flows_repaired",
        "counter",
        "Flows mended after others changed or deleted them",
        {"dpid": _DPID},
    ),
    Metric(
        "switch_refusals",
        "counter",
        "Messages that a switch refused: a flow of a port, a bundle or what else is nobody's in "
        "particular, a meter, a question",
        {"of": figures.REFUSED},
    ),
    Metric(
        "switch_releases",
        "gauge",
        "Connected switches by the release of Open vSwitch they say they are",
        {"release": f"at most {figures.MAX_RELEASES}, any further and odd one is `other`"},
    ),
    Metric(
        "log_lines_dropped",
        "counter",
        "Log lines that were not taken in time, and so were lost",
        {"log": OUTLETS},
    ),
    Metric(
        "build_info",
        "gauge",
        "Always 1",
        {"version": "of this process, one", "python": "of this process, one"},
    ),
)
