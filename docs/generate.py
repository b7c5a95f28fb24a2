"""Writes docs/pipeline.md, options.md, metrics.md, commands.md, openapi.md, docs/man, the dashboard
and the alerts in docs/monitoring, the figures, the alerts and the
log events in operations.md, and the example of a
configuration, packaging/ovs-metadata.conf.

    .venv/bin/python docs/generate.py

The first is docs/pipeline.in.md with the golden flows in the places marked for them, the second
the tables of options, as is the example, the third those of metrics; the next two are of
`reference.py`, the manual pages of `manpages.py`, the dashboard of `dashboard.py`, the alerts of
`alerts.py`. The figures are those of docs/faults.json, which is .build/faults.json of a run of
tests/system/test_faults.py. A test fails while what is committed differs from what this writes.
"""

import json
import re
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType

from oslo_config import cfg

import metadata_http.metric_table
import metadata_http.settings
import ryu_apps.northbound.metric_table
import ryu_apps.settings
from ryu_apps.pipeline.layout import CookieMark, Priority

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS))
import alerts  # noqa: E402  docs/ is no package
import dashboard  # noqa: E402  docs/ is no package
from events import with_events  # noqa: E402  docs/ is no package
from example_config import example_config  # noqa: E402  docs/ is no package
from manpages import manpages  # noqa: E402  docs/ is no package
from reference import commands_page, openapi_page  # noqa: E402  docs/ is no package

GOLDEN = DOCS.parent / "tests" / "golden"
EXAMPLE = DOCS.parent / "packaging" / "ovs-metadata.conf"


def pages() -> dict[Path, str]:
    """The pages by file."""
    return {
        DOCS / "pipeline.md": pipeline_page(),
        DOCS / "options.md": options_page(),
        DOCS / "metrics.md": metrics_page(),
        DOCS / "commands.md": _note("the commands") + commands_page(),
        DOCS / "openapi.md": _note("the OpenAPI description") + openapi_page(),
        DOCS / "operations.md": operations_page(),
        DOCS / "monitoring" / "alerts.yml": alerts.rules(),
        DOCS / "monitoring" / "dashboard.json": dashboard.dashboard(),
        **{DOCS / "man" / name: text for name, text in manpages().items()},
        EXAMPLE: example_config(),
    }


def _note(source: str) -> str:
    return f"<!-- Written by docs/generate.py from {source}: change that, not this. -->\n\n"


# -- docs/pipeline.md ------------------------------------------------------------------------------

_PRIORITIES = {
    Priority.ARP: "A1, A2, and the way to an ARP table of its own",
    Priority.REPLY_UNTRACKED: "R1",
    Priority.REPLY_STALE_MAC: "R1 where the host's neighbour entry is stale",
    Priority.PATH: "N1, L1, R2, and the way of replies to the forwarding table",
    Priority.REQUEST_KNOWN: "N1 for connections that conntrack knows",
    Priority.GUARD: "guards: whatever the above did not take and must not pass",
    Priority.MISS: "table misses, standalone only",
}


def pipeline_page() -> str:
    """docs/pipeline.md; raises KeyError or IndexError for a mark that names no flow."""
    template = (DOCS / "pipeline.in.md").read_text(encoding="utf-8")
    page = template.replace("@priorities", _priorities()).replace("@cookies", _cookies())
    page = re.sub(r"^@flow (\S+)(?: (\d+)(?:-(\d+))?)?$", _flows, page, flags=re.MULTILINE)
    return _note("docs/pipeline.in.md") + page


def _priorities() -> str:
    rows = (f"| {int(priority)} | {_PRIORITIES[priority]} |" for priority in Priority)
    return "\n".join(["| priority | what for |", "|---|---|", *rows])


def _cookies() -> str:
    ours = f"cookie={CookieMark().shared:#x}/{CookieMark.MASK:#x}"
    return f"    ovs-ofctl dump-flows BRIDGE {ours}"


def _flows(mark: re.Match[str]) -> str:
    """The golden flows that a mark asks for: one, some, or all of a file."""
    name, first, last = mark.groups()
    lines = (GOLDEN / f"{name}.flows").read_text(encoding="utf-8").splitlines()
    flows = [line for line in lines if not line.startswith("#")]
    if first is not None:
        wanted = range(int(first) - 1, int(last or first))
        flows = [flows[number] for number in wanted]
    return "\n".join(f"    {flow}" for flow in flows)


# -- docs/options.md -------------------------------------------------------------------------------

OPTIONS = """\
# Options

One file for both processes, in oslo.config's form:

    [metadata]
    state_dir = /var/lib/ovs-metadata

    [bridge:00000000000000aa]
    pipeline = embedded

    [metadata_http]
    bridge = br0

A bad value stops the process with the option, the value and the file in its message. So does an
option that there is none, a section that is nearly one of these, and one of Ryu's options in
`[DEFAULT]` that say where the controller is (`wsapi_port`, `ofp_tcp_listen_port` and so on)
misspelt, or with the command line's hyphens; the message has the one that was probably meant.

## [metadata]: the controller

{controller}

## [metadata], and [bridge:DPID] where one switch differs

The dpid is written as 16 hex digits. What its section does not set is as in [metadata].

{bridge}

## [metadata_http]: the metadata server

It reads `state_dir`, `tokens_file` and `ovsdb` of [metadata] too. The last tells it which port is
at which ofport now: a port is served only while it is where the controller saw it.

{server}
"""


def options_page() -> str:
    """docs/options.md."""
    bridge = ryu_apps.settings.BRIDGE_OPTIONS
    controller = [option for option in ryu_apps.settings.OPTIONS if option not in bridge]
    return _note("the settings modules") + OPTIONS.format(
        controller="\n".join(_table(controller)),
        bridge="\n".join(_table(bridge)),
        server="\n".join(_table(metadata_http.settings.OPTIONS)),
    )


def _table(options: Iterable[cfg.Opt]) -> Iterator[str]:
    yield "| option | default | |"
    yield "|---|---|---|"
    for option in options:
        text = option.help.replace("|", "\\|").replace("<", "&lt;")
        yield f"| `{option.name}` | {_default(option)} | {text}{_choices(option)} |"


def _default(option: cfg.Opt) -> str:
    default = option.default
    if isinstance(default, list):
        default = ", ".join(map(str, default))
    return "" if default in (None, "") else f"`{default}`"


def _choices(option: cfg.Opt) -> str:
    choices = getattr(option.type, "choices", None)
    return f" One of {', '.join(f'`{choice}`' for choice in choices)}." if choices else ""


# -- docs/metrics.md -------------------------------------------------------------------------------

METRICS = """\
# Metrics

For Prometheus, from both processes.

Every family is there from the start, and no label can grow with what anybody sends: its values are
listed here, or it is said what bounds them. What belongs to one droplet is no label:
`GET /v1/switches/{{dpid}}/requests` ([rest.md](rest.md#get-v1switchesdpidrequests)) tells it. A
counter counts from the start of its process. Beside these come the `process_` and `python_` metrics
of the client library. A dashboard and alerts are made of these, see
[what to alert on](operations.md#what-to-alert-on).

## The controller: `GET /metrics` on its REST address

{controller}

## The metadata server: `/metrics` on `admin_listen`

Each process of `workers` has a port of its own.

{server}
"""


def metrics_page() -> str:
    """docs/metrics.md."""
    controller, server = ryu_apps.northbound.metric_table, metadata_http.metric_table
    return _note("the metric tables") + METRICS.format(
        controller="\n".join(_metrics(controller)), server="\n".join(_metrics(server))
    )


def _metrics(table: ModuleType) -> Iterator[str]:
    yield "| metric | kind | | labels |"
    yield "|---|---|---|---|"
    for metric in table.METRICS:
        end = "_total" if metric.kind == "counter" else ""
        told = [_label(*label) for label in metric.labels.items()]
        if metric.buckets:
            told.append(f"up to {', '.join(f'{bound:g}' for bound in metric.buckets)} s")
        name = f"{table.PREFIX}{metric.name}{end}"
        yield f"| `{name}` | {metric.kind} | {metric.text} | {'; '.join(told)} |"


def _label(name: str, values: tuple[str, ...] | str) -> str:
    told = values if isinstance(values, str) else ", ".join(values)
    return f"`{name}`: {told}"


# -- docs/operations.md ----------------------------------------------------------------------------

MEASURED_ON = re.compile(r"(?<=^Measured on ).*(?=:$)", re.MULTILINE)
FAULT_ROW = re.compile(
    r"^\| (?P<name>(?!fault )[a-z0-9 ]+) \| (?P<sees>[^|]+) \| [^|]* \|(?=[^|]+\|$)", re.MULTILINE
)
"""A row of the table of faults: the test's name in words, what is seen, the figure, what to do."""
REGION_ROW = re.compile(
    r"^\| (?P<name>(?!fault )[a-z0-9 ]+) \| (?P<happens>[^|]+) \|(?: [^|]* \|){3}$", re.MULTILINE
)
"""A row of the table of a region's faults: the test's name in words, what happens, figures."""
HOST = "## Faults, and what droplets notice of them"
REGION = "## Faults of a region, and what droplets and operators notice of them"


def operations_page() -> str:
    """docs/operations.md with the figures of docs/faults.json, the alerts, and the log events.

    Raises KeyError for a fault without a figure, ValueError where there is no table of alerts.
    """
    measured = json.loads((DOCS / "faults.json").read_text(encoding="utf-8"))
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    before, table, after = fault_section(page)

    def row(found: re.Match[str]) -> str:
        figure = _figure(measured["faults"][found["name"].replace(" ", "_")])
        return f"| {found['name']} | {found['sees']} | {figure} |"

    table = MEASURED_ON.sub(measured["machine"], FAULT_ROW.sub(row, table))
    return with_events(_with_alerts(_with_region(before + table + after, measured)))


def _with_region(page: str, measured: dict[str, dict]) -> str:
    """The page with the figures of the table of a region's faults. Raises KeyError for a fault
    without any."""
    before, table, after = fault_section(page, REGION)

    def row(found: re.Match[str]) -> str:
        figures = measured["fleet"][found["name"].replace(" ", "_")]
        waits = " | ".join(f"{figures[each]:.2g} s" for each in ("newcomer", "unwritten"))
        return f"| {found['name']} | {found['happens']} | {_figure(figures)} | {waits} |"

    return before + MEASURED_ON.sub(measured["machine"], REGION_ROW.sub(row, table)) + after


def _with_alerts(page: str) -> str:
    start = page.index("| question | alert |")
    end = page.index("\n\n", start) + 1
    return page[:start] + alerts.table() + page[end:]


def fault_section(page: str, heading: str = HOST) -> tuple[str, str, str]:
    """The section of faults with this heading, what comes before it and what after."""
    start = page.index(f"{heading}\n")
    end = page.index("\n## ", start)
    return page[:start], page[start:end], page[end:]


def _figure(outage: dict[str, float]) -> str:
    """How long a droplet had no good answer; where none failed, how long one took at the most."""
    seconds = f"{outage['seconds']:.2g} s"
    return f"none ({seconds})" if outage["failed"] == 0 else seconds


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
        print(f"wrote {path.relative_to(DOCS.parent)}")
