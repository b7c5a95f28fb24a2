"""What docs/monitoring asks Prometheus for is there: metrics, labels and their values are those of
the metric tables, jobs those of its own example, and links lead somewhere.
"""

import itertools
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import metadata_http.metric_table
import ryu_apps.northbound.metric_table
from docs import alerts

DOCS = Path(__file__).parents[3] / "docs"
MONITORING = DOCS / "monitoring"
DASHBOARD = json.loads((MONITORING / "dashboard.json").read_text(encoding="utf-8"))
TABLES = (metadata_http.metric_table, ryu_apps.northbound.metric_table)

ENDS = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_sum", "_count")}
SAMPLES = {
    f"{table.PREFIX}{metric.name}{end}": metric
    for table in TABLES
    for metric in table.METRICS
    for end in ENDS[metric.kind]
}
OF_ANY_PROCESS = {
    "up",
    "process_resident_memory_bytes",
    "process_cpu_seconds_total",
    "process_open_fds",
}
OF_THE_TARGET = {"job", "instance"}

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
SELECTOR = re.compile(rf"({NAME})\{{([^}}]*)\}}")
MATCHER = re.compile(rf'({NAME})\s*(=~|!~|!=|=)\s*"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|without|on|ignoring)\s*\(([^)]*)\)")
WORDS = {"and", "or", "unless", "bool", "offset"}


def panels() -> list[dict]:
    return [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def of_dashboard() -> list[str]:
    return [target["expr"] for panel in panels() for target in panel["targets"]]


def of_rules() -> list[str]:
    found = re.findall(r"^ +expr: (.*)$", (MONITORING / "alerts.yml").read_text(), re.MULTILINE)
    return [json.loads(text) for text in found]


EXPRESSIONS = [*of_dashboard(), *of_rules()]


def names(expr: str) -> set[str]:
    """The metrics of an expression: what is neither label, function, word nor duration."""
    bare = GROUPING.sub("", re.sub(r"\{[^}]*\}|\[[^\]]*\]", "", expr))
    words = re.findall(rf"(?<![\w.])({NAME})(?!\w)(?!\s*\()", bare)
    return {word for word in words if word not in WORDS}


def faults(expr: str) -> Iterator[str]:
    """What an expression asks for and nobody tells."""
    known = SAMPLES.keys() | OF_ANY_PROCESS
    yield from (f"no metric {name}" for name in names(expr) - known)
    for name, inside in SELECTOR.findall(expr):
        labels = SAMPLES[name].labels if name in SAMPLES else {}
        for label, how, value in MATCHER.findall(inside):
            if label not in OF_THE_TARGET:
                yield from _unmatched(name, label, how, value, labels)
    grouped = {label.strip() for text in GROUPING.findall(expr) for label in text.split(",")}
    own = [SAMPLES[name].labels.keys() for name in names(expr) if name in SAMPLES]
    every = OF_THE_TARGET.union({"le"} if "_bucket" in expr else set(), *own)
    yield from (f"no label {label} to group by" for label in grouped - every)


def _unmatched(name: str, label: str, how: str, value: str, labels: dict) -> Iterator[str]:
    if label not in labels:
        yield f"{name} has no label {label}"
        return
    values = labels[label]
    if isinstance(values, str):
        return  # not listed, only bounded
    pattern = value if how in ("=~", "!~") else re.escape(value)
    if not any(re.fullmatch(pattern, each) for each in values):
        yield f"{name} has no {label} {value}"


@pytest.mark.parametrize("expr", EXPRESSIONS)
def test_what_is_asked_for_is_told(expr):
    assert list(faults(expr)) == []
    assert names(expr)


@pytest.mark.parametrize(
    ("expr", "fault"),
    [
        ("metadata_http_over_rate", "no metric metadata_http_over_rate"),
        ("rate(metadata_http_answer_seconds[5m])", "no metric metadata_http_answer_seconds"),
        ("metadata_http_ready_total == 0", "no metric metadata_http_ready_total"),
        ("sum by (le) (rate(ovs_metadata_x_bucket[5m])) > 0", "no metric ovs_metadata_x_bucket"),
        (
            'ovs_metadata_switches_in_state{state="refusd"}',
            "ovs_metadata_switches_in_state has no state refusd",
        ),
        ('metadata_http_ready{dpid="a"}', "metadata_http_ready has no label dpid"),
        ("sum by (dpid) (metadata_http_ready)", "no label dpid to group by"),
        ("up == 0 unless metadata_http_raedy == 0", "no metric metadata_http_raedy"),
    ],
)
def test_what_is_misspelt_is_found(expr, fault):
    assert fault in list(faults(expr))


def test_no_selector_or_rule_escapes_the_look():
    """The expressions are read by patterns: what these pass over would be held to nothing."""
    assert len(of_rules()) == len(alerts.ALERTS)
    for expr in EXPRESSIONS:
        assert len(SELECTOR.findall(expr)) == expr.count("{"), expr
        for _, inside in SELECTOR.findall(expr):
            assert MATCHER.sub("", inside).strip(" ,") == "", expr


def test_promtool_takes_the_rules_and_the_example(promtool):
    """The configuration names the rules, so both are checked."""
    done = promtool("check", "config", MONITORING / "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    done = promtool("check", "rules", MONITORING / "alerts.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(alerts.ALERTS)} rules found" in done.stdout


def test_promtool_takes_every_expression_of_the_dashboard(promtool, tmp_path):
    rules = [
        {"record": f"panel:{number}", "expr": expr.replace("$__rate_interval", "1m")}
        for number, expr in enumerate(of_dashboard())
    ]
    path = tmp_path / "dashboard.yml"
    path.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = promtool("check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_s_variables_are_made_and_used():
    made = {variable["name"] for variable in DASHBOARD["templating"]["list"]}
    used = set(re.findall(r"\$\{?([a-z]+)\b", json.dumps(panels())))
    assert made == used == {"datasource", "server", "controller"}
    for panel in panels():
        sources = [panel["datasource"], *(target["datasource"] for target in panel["targets"])]
        assert {source["uid"] for source in sources} == {"${datasource}"}
    for variable in DASHBOARD["templating"]["list"][1:]:
        (metric,) = re.findall(r"label_values\((\w+), instance\)", variable["definition"])
        assert metric in SAMPLES
        assert variable["query"]["query"] == variable["definition"]


def test_no_two_panels_of_the_dashboard_overlap():
    taken = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        columns, lines = range(at["x"], at["x"] + at["w"]), range(at["y"], at["y"] + at["h"])
        cells = set(itertools.product(columns, lines))
        assert columns.stop <= 24
        assert not cells & taken, panel["title"]
        taken |= cells
    ids = [panel["id"] for panel in DASHBOARD["panels"]]
    assert len(ids) == len(set(ids))


def test_every_metric_is_in_the_dashboard():
    """Or it is named here, with where it is of use instead."""
    elsewhere = {
        "metadata_http_revision",  # says nothing by its height
        "metadata_http_requests_without_token",  # before http_tokens is made `required`
        "metadata_http_droplets_token_required",
        "metadata_http_droplets_endpoint_disabled",
        "ovs_metadata_switches",  # the sum of those by state
        "ovs_metadata_switch_releases",  # an inventory
        "metadata_http_build_info",  # what the variables are made of
        "ovs_metadata_build_info",
    }
    shown = set().union(*map(names, of_dashboard()))
    unseen = {
        table.PREFIX + metric.name
        for table in TABLES
        for metric in table.METRICS
        if not shown & {f"{table.PREFIX}{metric.name}{end}" for end in ENDS[metric.kind]}
    }
    assert unseen == elsewhere


def test_every_alert_s_runbook_is_a_section():
    page = (DOCS / "operations.md").read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.*)$", page, re.MULTILINE)
    anchors = {re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-") for text in headings}
    links = re.findall(r'runbook_url: "([^"]*)"', (MONITORING / "alerts.yml").read_text())
    assert len(links) == len(alerts.ALERTS)
    for link in links:
        path, _, anchor = link.partition("#")
        assert path == "docs/operations.md"
        assert anchor in anchors


def test_every_job_that_an_alert_names_is_in_the_example():
    jobs = {job for expr in of_rules() for job in re.findall(r'job="([^"]*)"', expr)}
    example = (MONITORING / "prometheus.yml").read_text()
    assert jobs == set(re.findall(r"job_name: (\S+)", example))
