"""The Grafana dashboard of both processes, made into docs/monitoring/dashboard.json by generate.py.

A table of rows and panels; what Grafana wants around them is the same for all. Names of metrics
are those of the metric tables, which tests/unit/monitoring holds every expression to.
"""

import json
from dataclasses import dataclass
from typing import Any

Targets = tuple[tuple[str, str], ...]

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
SERVER = 'instance=~"$server"'
CONTROLLER = 'instance=~"$controller"'
WIDTH, HEIGHT = 8, 7
"""Of a panel, on Grafana's grid of 24 columns."""


@dataclass(frozen=True, slots=True)
class Panel:
    """A graph: each target is an expression and its legend."""

    title: str
    targets: Targets
    unit: str = "short"


def _rate(metric: str, by: str, who: str, legend: str) -> tuple[str, str]:
    return f"sum by ({by}) (rate({metric}{{{who}}}[$__rate_interval]))", legend


def _quantiles(metric: str, who: str) -> Targets:
    return tuple(
        (
            f"histogram_quantile({quantile}, "
            f"sum by (le) (rate({metric}_bucket{{{who}}}[$__rate_interval])))",
            f"p{quantile * 100:g}",
        )
        for quantile in (0.5, 0.99)
    )


def _each(metric: str, who: str, legend: str = "{{instance}}") -> tuple[str, str]:
    return f"{metric}{{{who}}}", legend


ROWS: tuple[tuple[str, tuple[Panel, ...]], ...] = (
    (
        "Are droplets served?",
        (
            Panel(
                "Ready, reachable",
                (
                    _each("metadata_http_ready", SERVER, "{{instance}} ready"),
                    _each("metadata_http_reachable", SERVER, "{{instance}} reachable"),
                ),
            ),
            Panel(
                "Answers by status",
                (_rate("metadata_http_answers_total", "status", SERVER, "{{status}}"),),
                "reqps",
            ),
            Panel(
                "Answers by path",
                (_rate("metadata_http_answers_total", "path", SERVER, "{{path}}"),),
                "reqps",
            ),
            Panel("Time to the answer", _quantiles("metadata_http_answer_seconds", SERVER), "s"),
            Panel(
                "Droplets and ports in the view",
                (
                    _each("metadata_http_droplets", SERVER, "{{instance}} droplets"),
                    _each("metadata_http_ports", SERVER, "{{instance}} ports"),
                ),
            ),
            Panel(
                "Requests from unknown sources",
                (_rate("metadata_http_unknown_sources_total", "reason", SERVER, "{{reason}}"),),
                "reqps",
            ),
        ),
    ),
    (
        "Is the server's view certain?",
        (
            Panel("Age of the view", (_each("metadata_http_view_age_seconds", SERVER),), "s"),
            Panel("Lease left", (_each("metadata_http_lease_seconds", SERVER),), "s"),
            Panel("Follows a controller", (_each("metadata_http_connected", SERVER),)),
            Panel(
                "Switch's database last heard",
                (_each("metadata_http_ovsdb_age_seconds", SERVER),),
                "s",
            ),
            Panel(
                "In doubt, contested",
                (
                    _each("metadata_http_in_doubt", SERVER, "{{instance}} droplets in doubt"),
                    _each(
                        "metadata_http_ovsdb_contested_ofports",
                        SERVER,
                        "{{instance}} contested ofports",
                    ),
                ),
            ),
            Panel(
                "503 because not certain",
                (_rate("metadata_http_unsure_total", "instance", SERVER, "{{instance}}"),),
                "reqps",
            ),
        ),
    ),
    (
        "Controller and switches in sync",
        (
            Panel(
                "Switches by state",
                (
                    (
                        f"sum by (state) (ovs_metadata_switches_in_state{{{CONTROLLER}}})",
                        "{{state}}",
                    ),
                ),
            ),
            Panel(
                "Ports by state",
                (
                    (
                        f"sum by (state) (ovs_metadata_ports_in_state{{{CONTROLLER}}})",
                        "{{state}}",
                    ),
                ),
            ),
            Panel(
                "Flows missing by switch",
                (
                    (
                        f"ovs_metadata_flows_wanted{{{CONTROLLER}}} "
                        f"- ovs_metadata_flows_installed{{{CONTROLLER}}}",
                        "{{dpid}}",
                    ),
                ),
            ),
            Panel(
                "Connections of switches",
                (_rate("ovs_metadata_switch_connections_total", "event", CONTROLLER, "{{event}}"),),
                "ops",
            ),
            Panel(
                "From connection to in sync",
                _quantiles("ovs_metadata_in_sync_seconds", CONTROLLER),
                "s",
            ),
            Panel(
                "From port to served",
                _quantiles("ovs_metadata_port_serving_seconds", CONTROLLER),
                "s",
            ),
            Panel("News waiting", (_each("ovs_metadata_news_waiting", CONTROLLER),)),
        ),
    ),
    (
        "Drift",
        (
            Panel(
                "Flows mended",
                (_rate("ovs_metadata_flows_repaired_total", "dpid", CONTROLLER, "{{dpid}}"),),
                "ops",
            ),
            Panel(
                "Refused by switches",
                (_rate("ovs_metadata_switch_refusals_total", "of", CONTROLLER, "{{of}}"),),
                "ops",
            ),
            Panel(
                "Port events",
                (_rate("ovs_metadata_port_events_total", "event", CONTROLLER, "{{event}}"),),
                "ops",
            ),
        ),
    ),
    (
        "REST",
        (
            Panel(
                "Answers by status",
                (_rate("ovs_metadata_rest_requests_total", "status", CONTROLLER, "{{status}}"),),
                "reqps",
            ),
            Panel(
                "Requests by path",
                (
                    _rate(
                        "ovs_metadata_rest_requests_total",
                        "method, path",
                        CONTROLLER,
                        "{{method}} {{path}}",
                    ),
                ),
                "reqps",
            ),
            Panel("Time to the answer", _quantiles("ovs_metadata_rest_seconds", CONTROLLER), "s"),
            Panel(
                "Watch streams, batches, servers",
                (
                    _each("ovs_metadata_watchers", CONTROLLER, "{{instance}} watch streams"),
                    _each("ovs_metadata_batches", CONTROLLER, "{{instance}} batches"),
                    _each("ovs_metadata_followers", CONTROLLER, "{{instance}} metadata servers"),
                ),
            ),
        ),
    ),
    (
        "Registry",
        (
            Panel(
                "Writable, damaged",
                (
                    _each("ovs_metadata_registry_writable", CONTROLLER, "{{instance}} writable"),
                    _each("ovs_metadata_registry_damaged", CONTROLLER, "{{instance}} damaged"),
                ),
            ),
            Panel(
                "Age of the index (etcd)",
                (_each("ovs_metadata_registry_age_seconds", CONTROLLER),),
                "s",
            ),
            Panel(
                "Droplets and claimed ports",
                (
                    _each("ovs_metadata_droplets", CONTROLLER, "{{instance}} droplets"),
                    _each("ovs_metadata_claimed_ports", CONTROLLER, "{{instance}} ports"),
                ),
            ),
            Panel(
                "Time of a commit",
                _quantiles("ovs_metadata_registry_commit_seconds", CONTROLLER),
                "s",
            ),
            Panel(
                "Commits that failed",
                (
                    _rate(
                        "ovs_metadata_registry_failures_total",
                        "instance",
                        CONTROLLER,
                        "{{instance}}",
                    ),
                ),
                "ops",
            ),
            Panel("Size", (_each("ovs_metadata_registry_bytes", CONTROLLER),), "bytes"),
        ),
    ),
    (
        "Droplets that ask too much",
        (
            Panel(
                "Answered 429",
                (_rate("metadata_http_over_rate_total", "instance", SERVER, "{{instance}}"),),
                "reqps",
            ),
            Panel(
                "Connections",
                (
                    _each("metadata_http_connections", SERVER, "{{instance}} all"),
                    _each(
                        "metadata_http_most_connections_of_a_droplet",
                        SERVER,
                        "{{instance}} of one droplet",
                    ),
                    _each("metadata_http_waits", SERVER, "{{instance}} waits"),
                ),
            ),
            Panel(
                "Connections ended",
                (_rate("metadata_http_connections_ended_total", "reason", SERVER, "{{reason}}"),),
                "ops",
            ),
        ),
    ),
    (
        "Processes",
        (
            Panel(
                "Memory",
                (
                    (
                        'process_resident_memory_bytes{instance=~"$server|$controller"}',
                        "{{job}} {{instance}}",
                    ),
                ),
                "bytes",
            ),
            Panel(
                "Processor",
                (
                    (
                        "rate(process_cpu_seconds_total"
                        '{instance=~"$server|$controller"}[$__rate_interval])',
                        "{{job}} {{instance}}",
                    ),
                ),
                "percentunit",
            ),
            Panel(
                "Files",
                (
                    (
                        'process_open_fds{instance=~"$server|$controller"}',
                        "{{job}} {{instance}}",
                    ),
                ),
            ),
            Panel(
                "Log lines lost",
                (
                    _rate(
                        "metadata_http_log_lines_dropped_total",
                        "instance",
                        SERVER,
                        "{{instance}}",
                    ),
                    _rate(
                        "ovs_metadata_log_lines_dropped_total",
                        "instance, log",
                        CONTROLLER,
                        "{{instance}} {{log}}",
                    ),
                ),
                "ops",
            ),
        ),
    ),
)


def dashboard() -> str:
    """docs/monitoring/dashboard.json."""
    page = {
        "title": "ovs-metadata",
        "uid": "ovs-metadata",
        "description": "Written by docs/generate.py from docs/dashboard.py.",
        "tags": ["ovs-metadata"],
        "schemaVersion": 37,
        "editable": True,
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": _variables()},
        "panels": _panels(),
    }
    return json.dumps(page, indent=1) + "\n"


def _variables() -> list[dict[str, Any]]:
    source = {"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"}
    return [
        source,
        _instances("server", "Metadata server", "metadata_http_build_info"),
        _instances("controller", "Controller", "ovs_metadata_build_info"),
    ]


def _instances(name: str, label: str, metric: str) -> dict[str, Any]:
    query = f"label_values({metric}, instance)"
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "definition": query,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "current": {"text": ["All"], "value": ["$__all"]},
    }


def _panels() -> list[dict[str, Any]]:
    made: list[dict[str, Any]] = []
    y = 0
    for title, panels in ROWS:
        row = {"type": "row", "title": title, "collapsed": False, "panels": []}
        made.append({"id": len(made) + 1, **row, "gridPos": _place(0, y, 24, 1)})
        y += 1
        for number, panel in enumerate(panels):
            if number and number % 3 == 0:
                y += HEIGHT
            place = _place(number % 3 * WIDTH, y, WIDTH, HEIGHT)
            made.append({"id": len(made) + 1, **_panel(panel), "gridPos": place})
        y += HEIGHT
    return made


def _place(x: int, y: int, width: int, height: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": width, "h": height}


def _panel(panel: Panel) -> dict[str, Any]:
    return {
        "type": "timeseries",
        "title": panel.title,
        "datasource": DATASOURCE,
        "fieldConfig": {"defaults": {"unit": panel.unit}, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + number), "expr": expr, "legendFormat": legend}
            | {"datasource": DATASOURCE}
            for number, (expr, legend) in enumerate(panel.targets)
        ],
    }
