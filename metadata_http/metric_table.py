"""Every metric of the metadata server: name, kind, labels and their values, meaning. Nothing else.

What is exported is made from this table and docs/metrics.md too; a test holds a live scrape to it.
Label values are listed, so no label can grow with what droplets send.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

PREFIX = "metadata_http_"

PATH_KINDS = ("v1.json", "v1", "user-data", "maintenance", "token", "ec2", "openstack", "other")
STATUSES = tuple(
    map(str, (200, 202, 204, 301, 304, 400, 401, 403, 404, 405, 408, 413, 415, 429, 500, 503))
)
UNKNOWN = ("outside", "no-port", "no-droplet")

# Seconds. A plain GET takes some 20 microseconds, all of the rest is waiting for something.
BUCKETS = (5e-5, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.05, 0.25, 1.0)


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
        "answers",
        "counter",
        "Answers to droplets and to whoever else asks",
        {"status": STATUSES, "path": PATH_KINDS},
    ),
    Metric(
        "answer_seconds",
        "histogram",
        "Seconds from a request's arrival to its answer, of those that are answered at once: "
        "neither waits for a change nor reports",
        buckets=BUCKETS,
    ),
    Metric("over_rate", "counter", "Requests answered 429 for rate_limit"),
    Metric(
        "connections_ended",
        "counter",
        "Connections ended: beyond max_connections_per_droplet, or of a former droplet",
        {"reason": ("crowding", "rebound")},
    ),
    Metric(
        "requests_without_token",
        "counter",
        "Requests answered without a session token, which http_tokens = required would refuse; "
        "`/requests` tells whose",
    ),
    Metric(
        "unknown_sources",
        "counter",
        "Requests from an address that is no droplet's: outside the hv-local subnet, of no port, "
        "or of a port without a droplet",
        {"reason": UNKNOWN},
    ),
    Metric(
        "unsure",
        "counter",
        "Requests of droplets answered 503, for it was not certain that the data would be theirs, "
        "or there was no room for them",
    ),
    Metric("log_lines_dropped", "counter", "Log lines that nobody took in time, and so were lost"),
    Metric(
        "build_info",
        "gauge",
        "Always 1",
        {"version": "of this process, one", "python": "of this process, one"},
    ),
    Metric("ready", "gauge", "1 if a known droplet gets its data now"),
    Metric("connected", "gauge", "1 while a controller is followed"),
    Metric("reachable", "gauge", "1 if droplets reach this host's address; NaN if it is not known"),
    Metric("revision", "gauge", "Revision of the view; NaN without one"),
    Metric("view_age_seconds", "gauge", "Age of what a controller vouched for last; +Inf: never"),
    Metric("lease_seconds", "gauge", "Seconds for which the view may still be served"),
    Metric("ports", "gauge", "Ports in the view"),
    Metric("droplets", "gauge", "Ports with a droplet in the view"),
    Metric("droplets_token_required", "gauge", "Of these, with http_tokens = required"),
    Metric("droplets_endpoint_disabled", "gauge", "Of these, with http_endpoint = disabled"),
    Metric("in_doubt", "gauge", "Of these, where the switch's database does not confirm the port"),
    Metric("waits", "gauge", "Requests that wait for a change"),
    Metric("connections", "gauge", "Open connections of droplets when last looked at"),
    Metric("most_connections_of_a_droplet", "gauge", "Of these, the droplet's that has most"),
    Metric("ovsdb_age_seconds", "gauge", "Seconds since the switch's database spoke; +Inf: never"),
    Metric("ovsdb_contested_ofports", "gauge", "Ofports that more than one interface asks for"),
)
