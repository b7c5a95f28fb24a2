"""The alerts: what Prometheus is to wake somebody for. Made into docs/monitoring/alerts.yml and the
table in operations.md by generate.py.

Names of metrics are those of the metric tables; tests/unit/monitoring holds every expression to
them and has promtool try each alert. A summary may use `{{ $labels.NAME }}` and no other template.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass

CONTROLLER_JOB = "ovs-metadata"
SERVER_JOB = "metadata-http"
"""The jobs of docs/monitoring/prometheus.yml; only `up` has to be told whose it is."""

RUNBOOK = "docs/operations.md"


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule. `question` is what an operator wants to know, `wait` how long `expr` has to hold.

    `severity` is critical where droplets get no metadata or the registry fails, else warning.
    `summary` follows the instance's name, `mend` is what to do, `section` a heading of
    operations.md.
    """

    name: str
    question: str
    expr: str
    wait: str
    severity: str
    summary: str
    mend: str
    section: str

    @property
    def runbook(self) -> str:
        """The section as a link: GitHub's anchor of a heading."""
        kept = "".join(c for c in self.section.lower() if c.isalnum() or c in " -_")
        return f"{RUNBOOK}#{kept.replace(' ', '-')}"

    def annotations(self) -> dict[str, str]:
        """What Prometheus sends along."""
        return {
            "summary": f"{{{{ $labels.instance }}}}: {self.summary}",
            "description": self.mend,
            "runbook_url": self.runbook,
        }


NO_METADATA = "When a droplet has no metadata"
FAULTS = "Faults, and what droplets notice of them"
DRIFT = "When others change our flows"
DISK = "The registry's disk"

SERVER = (
    Alert(
        "MetadataServerDown",
        "Are droplets without metadata?",
        f'up{{job="{SERVER_JOB}"}} == 0',
        "1m",
        "critical",
        "the metadata server does not run",
        "Start it; droplets are refused connections until then.",
        FAULTS,
    ),
    Alert(
        "MetadataServerUnreachable",
        "Are droplets without metadata?",
        "metadata_http_reachable == 0",
        "1m",
        "critical",
        "droplets do not reach the metadata address",
        "`dropletctl host-setup`; /readyz says under `unreachable` what is missing.",
        FAULTS,
    ),
    Alert(
        "MetadataServerNotReady",
        "Are droplets without metadata?",
        "metadata_http_ready == 0 unless metadata_http_reachable == 0",
        "1m",
        "critical",
        "known droplets get no metadata",
        "Read /readyz of the metadata server, then `dropletctl doctor`.",
        NO_METADATA,
    ),
    Alert(
        "MetadataServerErrors",
        "Are droplets without metadata?",
        'sum by (job, instance) (rate(metadata_http_answers_total{status="500"}[5m])) > 0',
        "1m",
        "critical",
        "the metadata server fails at requests",
        "A defect: its log has a traceback for each. Report it.",
        NO_METADATA,
    ),
    Alert(
        "MetadataViewUncertain",
        "Is the server certain whose a port is?",
        "metadata_http_lease_seconds < 5",
        "1m",
        "critical",
        "the lease of the view has ended or is about to: droplets get 503",
        "Mend the connection between metadata server and controller.",
        FAULTS,
    ),
    Alert(
        "MetadataDropletsInDoubt",
        "Is the server certain whose a port is?",
        "metadata_http_in_doubt > 0",
        "5m",
        "warning",
        "the switch's database does not confirm ports of droplets, which get 503",
        "Look for two interfaces with one ofport_request, and at `ovsdb` of /readyz.",
        FAULTS,
    ),
    Alert(
        "MetadataUnsureAnswers",
        "Is the server certain whose a port is?",
        "rate(metadata_http_unsure_total[5m]) > 0",
        "10m",
        "warning",
        "droplets of the view go on getting 503",
        "Their `unsure` grows at /requests of the metadata server; `dropletctl trace ID` of one.",
        NO_METADATA,
    ),
    Alert(
        "MetadataControllerAway",
        "Is the controller away?",
        "metadata_http_connected == 0",
        "2m",
        "warning",
        "the metadata server follows no controller: who comes now gets no metadata",
        "Start the controller, or mend the way to it.",
        FAULTS,
    ),
    Alert(
        "MetadataManyOverRate",
        "Does a droplet ask too much?",
        "rate(metadata_http_over_rate_total[5m]) > 5",
        "10m",
        "warning",
        "more than 5 requests a second are answered 429",
        "`dropletctl top --sort rate-limited` tells whose.",
        "A droplet that asks too much",
    ),
    Alert(
        "MetadataUnregisteredDroplets",
        "Does somebody ask who is not known?",
        'rate(metadata_http_unknown_sources_total{reason="no-droplet"}[5m]) > 0',
        "10m",
        "warning",
        "a port without a registered droplet goes on asking",
        "`dropletctl ports DPID`: one that is unregistered is to be registered.",
        "What you see",
    ),
    Alert(
        "MetadataUnknownSources",
        "Does somebody ask who is not known?",
        'sum by (job, instance) (rate(metadata_http_unknown_sources_total{reason!="no-droplet"}'
        "[5m])) > 0",
        "10m",
        "warning",
        "requests come from addresses that are no port's",
        "Who gets past the switch? `dropletctl doctor` looks at routes and addresses of the host.",
        NO_METADATA,
    ),
)

CONTROLLER = (
    Alert(
        "MetadataControllerDown",
        "Is the controller away?",
        f'up{{job="{CONTROLLER_JOB}"}} == 0',
        "1m",
        "critical",
        "the controller does not run",
        "Start it. Who was served is served on, who comes now is not.",
        FAULTS,
    ),
    Alert(
        "MetadataSwitchDisconnected",
        "Is every switch as it should be?",
        'ovs_metadata_switches_in_state{state="disconnected"} > 0',
        "5m",
        "warning",
        "switches are not connected",
        "`dropletctl switches` tells which; `dropletctl doctor` on its host.",
        "What you see",
    ),
    Alert(
        "MetadataSwitchNotInSync",
        "Is every switch as it should be?",
        'ovs_metadata_switches_in_state{state="syncing"} > 0',
        "2m",
        "warning",
        "switches stay without all of their flows",
        "Does a metadata server hang? `dropletctl switches` and `ports` tell what is waited for.",
        "What you see",
    ),
    Alert(
        "MetadataSwitchRefused",
        "Is every switch as it should be?",
        'ovs_metadata_switches_in_state{state="refused"} > 0',
        "1m",
        "critical",
        "switches are not served",
        "`dropletctl switches` has the reason.",
        "What you see",
    ),
    Alert(
        "MetadataPortsInError",
        "Is every switch as it should be?",
        'ovs_metadata_ports_in_state{state="error"} > 0',
        "5m",
        "warning",
        "ports of registered droplets are in error, and the droplets get no metadata",
        "`dropletctl ports DPID` has each one's reason; `dropletctl doctor` on its host.",
        "What you see",
    ),
    Alert(
        "MetadataPortsStayBinding",
        "Is every switch as it should be?",
        'ovs_metadata_ports_in_state{state="binding"} > 0',
        "5m",
        "warning",
        "ports of registered droplets are on their way to be served, and do not arrive",
        "Does a metadata server hang, or is a switch away? `dropletctl switches`.",
        "What you see",
    ),
    Alert(
        "MetadataFlowsRefused",
        "Is every switch as it should be?",
        'increase(ovs_metadata_switch_refusals_total{of="flow"}[15m]) > 0',
        "0m",
        "warning",
        "a switch refused flows: ports are in error",
        "`dropletctl ports DPID` has the switch's own words.",
        "What you see",
    ),
    Alert(
        "MetadataFlowsRepairedAgainAndAgain",
        "Does somebody else change our flows?",
        "increase(ovs_metadata_flows_repaired_total[10m]) > 0",
        "15m",
        "warning",
        "flows of switch {{ $labels.dpid }} are mended again and again",
        "Find the second controller or the script: `ovs-vsctl get-controller BRIDGE`.",
        DRIFT,
    ),
    Alert(
        "MetadataRegistryNotWritable",
        "Is the registry sound?",
        "ovs_metadata_registry_writable == 0",
        "1m",
        "critical",
        "the registry takes no writes",
        "The log has the reason: make room on its disk, or give etcd its quorum back.",
        DISK,
    ),
    Alert(
        "MetadataRegistryDamaged",
        "Is the registry sound?",
        "ovs_metadata_registry_damaged == 1",
        "0m",
        "critical",
        "the registry is damaged",
        "Stop the controller and restore a backup.",
        "Backup and restore",
    ),
    Alert(
        "MetadataRegistryOld",
        "Is the registry sound?",
        "ovs_metadata_registry_age_seconds > 10",
        "1m",
        "critical",
        "nothing is heard of the registry in etcd: ports that come now are in error",
        "Give the cluster its quorum back, or mend the way to it.",
        "A registry in etcd",
    ),
    Alert(
        "MetadataRestErrors",
        "Does REST fail?",
        'sum by (job, instance) (rate(ovs_metadata_rest_requests_total{status=~"5..", '
        'path!="/readyz"}[5m])) > 0',
        "5m",
        "warning",
        "REST answers 5xx",
        "The answers and the log have the reason; 503 and 507 are the registry's.",
        DISK,
    ),
)

ALERTS = (*SERVER, *CONTROLLER)


def rules() -> str:
    """docs/monitoring/alerts.yml. A string of JSON is one of YAML."""
    return "\n".join(_rules()) + "\n"


def _rules() -> Iterator[str]:
    yield "# Written by docs/generate.py from docs/alerts.py: change that, not this."
    yield "# runbook_url is a path in this repository: put before it where you have its pages."
    yield "groups:"
    for name, alerts in (("metadata-http", SERVER), ("ovs-metadata", CONTROLLER)):
        yield f"  - name: {name}"
        yield "    rules:"
        for alert in alerts:
            yield f"      - alert: {alert.name}"
            yield f"        expr: {json.dumps(alert.expr)}"
            yield f"        for: {alert.wait}"
            yield "        labels:"
            yield f"          severity: {alert.severity}"
            yield "        annotations:"
            for key, text in alert.annotations().items():
                yield f"          {key}: {json.dumps(text)}"


def table() -> str:
    """The table of operations.md, grouped by what an operator wants to know."""
    lines = ["| question | alert | fires after | what to do |", "| --- | --- | --- | --- |"]
    for question in dict.fromkeys(alert.question for alert in ALERTS):
        for alert in (each for each in ALERTS if each.question == question):
            summary = alert.summary.replace("{{ $labels.dpid }}", "DPID")
            after = "at once" if alert.wait == "0m" else alert.wait
            anchor = alert.runbook.partition("#")[2]
            lines.append(
                f"| {question} | `{alert.name}` ({alert.severity}): {summary} | {after} "
                f"| {alert.mend} [{alert.section}](#{anchor}) |"
            )
    return "\n".join(lines) + "\n"
