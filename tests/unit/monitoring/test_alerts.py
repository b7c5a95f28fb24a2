"""Every alert of docs/monitoring fires when it should and at no other time, as promtool says.

Each case is a series that goes well for twenty minutes, then badly for as long, then well again.
"""

import json
import re
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from docs import alerts

MONITORING = Path(__file__).parents[3] / "docs" / "monitoring"
RULES = MONITORING / "alerts.yml"

STEP_S = 30
PHASE_S = 20 * 60
STEPS = PHASE_S // STEP_S
WHERE = {"job": "j", "instance": "hypervisor-1"}


@dataclass(frozen=True)
class Case:
    """`good` and `bad` are a gauge's values, or how much a counter grows in a step of 30 s.

    `others` are series that go on all the while and are no reason for this alert, with their
    values as promtool writes them; `keeps` the labels that the alert has of its series.
    """

    metric: str
    good: float
    bad: float
    labels: dict[str, str] = field(default_factory=dict)
    others: dict[str, str] = field(default_factory=dict)
    keeps: tuple[str, ...] = ()


ALWAYS, GROWING = "0+0x400", "0+9x400"
ELSEWHERE = 'job="j", instance="hypervisor-2"'
STATE = "ovs_metadata_switches_in_state"
PORTS = "ovs_metadata_ports_in_state"
UNKNOWN = "metadata_http_unknown_sources_total"
REST = "ovs_metadata_rest_requests_total"


def in_state(state: str, *others: str, metric: str = STATE) -> Case:
    """Switches, or ports, in this state; any number in others is no matter of this alert."""
    return Case(
        metric,
        0,
        1,
        {"state": state},
        {f'{metric}{{{ELSEWHERE}, state="{other}"}}': "5+0x400" for other in others},
        ("state",),
    )


CASES = {
    "MetadataServerDown": Case(
        "up", 1, 0, {"job": "metadata-http"}, {'up{job="ovs-metadata", instance="a"}': ALWAYS}
    ),
    "MetadataServerUnreachable": Case(
        "metadata_http_reachable",
        1,
        0,
        others={f"metadata_http_reachable{{{ELSEWHERE}}}": "NaN+0x400"},
    ),
    "MetadataServerNotReady": Case(
        "metadata_http_ready",
        1,
        0,
        others={
            f"metadata_http_ready{{{ELSEWHERE}}}": ALWAYS,
            f"metadata_http_reachable{{{ELSEWHERE}}}": ALWAYS,
        },
    ),
    "MetadataServerErrors": Case(
        "metadata_http_answers_total",
        0,
        1,
        {"status": "500", "path": "v1"},
        {f'metadata_http_answers_total{{{ELSEWHERE}, status="503", path="v1"}}': GROWING},
    ),
    "MetadataViewUncertain": Case("metadata_http_lease_seconds", 5, 4.9),
    "MetadataDropletsInDoubt": Case("metadata_http_in_doubt", 0, 1),
    "MetadataUnsureAnswers": Case("metadata_http_unsure_total", 0, 1),
    "MetadataControllerAway": Case("metadata_http_connected", 1, 0),
    "MetadataManyOverRate": Case("metadata_http_over_rate_total", 148, 160),
    "MetadataUnregisteredDroplets": Case(
        UNKNOWN,
        0,
        1,
        {"reason": "no-droplet"},
        {f'{UNKNOWN}{{{ELSEWHERE}, reason="outside"}}': GROWING},
        ("reason",),
    ),
    "MetadataUnknownSources": Case(
        UNKNOWN,
        0,
        1,
        {"reason": "outside"},
        {f'{UNKNOWN}{{{ELSEWHERE}, reason="no-droplet"}}': GROWING},
    ),
    "MetadataControllerDown": Case(
        "up", 1, 0, {"job": "ovs-metadata"}, {'up{job="metadata-http", instance="a"}': ALWAYS}
    ),
    "MetadataSwitchDisconnected": in_state("disconnected", "in-sync", "standby"),
    "MetadataSwitchNotInSync": in_state("syncing", "in-sync", "standby", "disconnected"),
    "MetadataSwitchRefused": in_state("refused", "in-sync", "standby", "disconnected"),
    "MetadataPortsInError": in_state("error", "serving", "unregistered", metric=PORTS),
    "MetadataPortsStayBinding": in_state("binding", "serving", "unregistered", metric=PORTS),
    "MetadataFlowsRefused": Case(
        "ovs_metadata_switch_refusals_total",
        0,
        1,
        {"of": "flow"},
        {f'ovs_metadata_switch_refusals_total{{{ELSEWHERE}, of="meter"}}': GROWING},
        ("of",),
    ),
    "MetadataFlowsRepairedAgainAndAgain": Case(
        "ovs_metadata_flows_repaired_total",
        0,
        1,
        {"dpid": "000002ab11baa14a"},
        # Mended once, however much.
        {
            f'ovs_metadata_flows_repaired_total{{{ELSEWHERE}, dpid="00000000000000aa"}}': (
                "0+0x60 500+0x220"
            )
        },
        ("dpid",),
    ),
    "MetadataRegistryNotWritable": Case("ovs_metadata_registry_writable", 1, 0),
    "MetadataRegistryDamaged": Case("ovs_metadata_registry_damaged", 0, 1),
    "MetadataRegistryOld": Case("ovs_metadata_registry_age_seconds", 10, 10.1),
    "MetadataRestErrors": Case(
        REST,
        0,
        1,
        {"status": "507", "path": "/v1/droplets/{id}", "method": "PUT"},
        {
            f'{REST}{{{ELSEWHERE}, status="503", path="/readyz", method="GET"}}': GROWING,
            f'{REST}{{{ELSEWHERE}, status="404", path="(none)", method="GET"}}': GROWING,
        },
    ),
}


def test_every_alert_has_a_case():
    assert CASES.keys() == {alert.name for alert in alerts.ALERTS}
    assert len(alerts.ALERTS) == len(CASES)


def test_each_fires_while_all_goes_badly_and_at_no_other_time(promtool, tmp_path):
    """In one run of promtool, which takes longer to start than to try them all."""
    groups = [group(alert, CASES[alert.name], moments(alert)) for alert in alerts.ALERTS]
    done = promtool("test", "rules", written(tmp_path, groups))
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("at", [PHASE_S - STEP_S, 3 * PHASE_S])
def test_promtool_complains_of_an_alert_that_does_not_fire(promtool, tmp_path, at):
    alert = alerts.ALERTS[0]
    case = CASES[alert.name]
    done = promtool(
        "test", "rules", written(tmp_path, [group(alert, case, [(at, [expected(alert, case)])])])
    )
    assert done.returncode != 0
    assert alert.name in done.stdout + done.stderr


def moments(alert: alerts.Alert) -> list:
    """When to look, and what fires then: at the end of each phase, and just before it may."""
    firing = [expected(alert, CASES[alert.name])]
    looks = [(PHASE_S - STEP_S, []), (2 * PHASE_S - STEP_S, firing), (3 * PHASE_S, [])]
    wait = int(alert.wait.removesuffix("m")) * 60
    return [*looks, (PHASE_S + wait - STEP_S, [])] if wait else looks


def expected(alert: alerts.Alert, case: Case) -> dict[str, dict[str, str]]:
    """The alert as Prometheus sends it, its text filled in."""
    labels = {**WHERE, **case.labels}
    kept = {name: labels[name] for name in ("job", "instance", *case.keeps)}

    def filled(text: str) -> str:
        return re.sub(r"\{\{ \$labels\.(\w+) \}\}", lambda found: kept[found[1]], text)

    annotations = {name: filled(text) for name, text in alert.annotations().items()}
    return {"exp_labels": {**kept, "severity": alert.severity}, "exp_annotations": annotations}


def group(alert: alerts.Alert, case: Case, moments: list) -> dict:
    """One of promtool's tests: this case's series, and what is expected of the alert."""
    labels = ", ".join(f'{key}="{value}"' for key, value in {**WHERE, **case.labels}.items())
    series = {f"{case.metric}{{{labels}}}": values(case), **case.others}
    return {
        "interval": f"{STEP_S}s",
        "input_series": [{"series": key, "values": text} for key, text in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{at}s", "alertname": alert.name, "exp_alerts": firing}
            for at, firing in moments
        ],
    }


def written(folder: Path, groups: list[dict]) -> Path:
    """A file of promtool's unit tests. JSON is YAML."""
    path = folder / "test.yml"
    content = {"rule_files": [str(RULES)], "evaluation_interval": f"{STEP_S}s", "tests": groups}
    path.write_text(json.dumps(content))
    return path


def values(case: Case) -> str:
    """Well, badly, well: a gauge's values, or those of a counter that grows by them."""
    rates, count = (case.good, case.bad, case.good), STEPS - 1
    if not re.search(r"_total$", case.metric):
        return " ".join(f"{value}+0x{count}" for value in rates) + f" {case.good}"
    told, start = [], 0.0
    for rate in rates:
        told.append(f"{start:g}+{rate}x{count}")
        start += rate * STEPS
    return " ".join(told) + f" {start:g}"
