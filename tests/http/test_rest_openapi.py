"""The OpenAPI description is valid, tells each call and no other; real answers have its shapes."""

import copy
import json
import re
from pathlib import Path

import jsonschema
import pytest
from openapi_spec_validator import validate

from ryu_apps.northbound.openapi import description
from ryu_apps.northbound.rest import ROUTES
from tests.http.compatible import breaks
from tests.http.rest_harness import DPID, DPID_TEXT, RestController, droplet

REPORT = {"dotty_status": "running", "ssh_info": {"port": 22, "host_keys": ["ssh-rsa AAAA"]}}
EVENT = {"event": "live_migrate"}
AGENT = f"/v1/switches/{DPID_TEXT}/droplets/7/agent"
COUNTS = {
    "ofport": 7,
    "droplet_id": 7,
    "requests": 3,
    "errors": 1,
    "rate_limited": 1,
    "unsure": 1,
    "without_token": 9,
    "last_status": 503,
    "last_request_s": 0.5,
}
REPORTS = [
    ("PATCH", AGENT, "application/merge-patch+json", REPORT),
    ("PUT", "/v1/droplets/7/maintenance", "application/json", EVENT),
]


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    controller = RestController(tmp_path_factory.mktemp("state"), pace={"heartbeat": 0.2})
    options = {"http_tokens": "required", "http_put_response_hop_limit": 1}
    given = {"user_data_base64": "AP8=", "formats": ["digitalocean", "ec2"]}
    given["metadata_options"] = options
    controller.put(7, droplet("tap7", tags=["a"]) | given)
    controller.do("connect", dpid=DPID)
    controller.do("publish", dpid=DPID, ofport=7, name="tap7", droplet_id=7)
    for method, path, media, body in REPORTS:
        answer = controller.request(
            method, path, json.dumps(body).encode(), {"Content-Type": media}
        )
        assert answer.status in (200, 204)
    controller.do("publish", dpid=DPID, ofport=8, name="up")
    controller.do("follow", dpid=DPID, server="s1")
    told = {"view_age_s": 0.1, "droplets": [COUNTS]}
    path = f"/v1/switches/{DPID_TEXT}/servers/s1/requests"
    assert controller.request("PUT", path, told).status == 204
    check("RequestReport", told)
    yield controller
    controller.kill()


def check(name, value):
    """Hold `value` against the schema of this name."""
    document = description()
    schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
    jsonschema.Draft202012Validator(schema).validate(value)


def test_the_description_is_valid_openapi():
    validate(description())


def test_each_route_is_described_and_nothing_else():
    described = {
        (method.upper(), path)
        for path, item in description()["paths"].items()
        for method in item
        if method != "parameters"
    }
    assert described == {(route.method, route.path) for route in ROUTES}


def test_the_parameters_of_each_path_are_described():
    for path, item in description()["paths"].items():
        names = {p["name"] for p in item.get("parameters", []) if p["in"] == "path"}
        assert names == set(re.findall(r"{(\w+)}", path)), path


def test_who_needs_no_token_is_described_so():
    for route in ROUTES:
        operation = description()["paths"][route.path][route.method.lower()]
        assert (operation.get("security") == []) == (route.roles is None), route.path
        assert ("401" in operation["responses"]) == (route.roles is not None), route.path


def test_it_is_served(controller):
    assert controller.get("/v1/openapi.json").json == description()


@pytest.mark.parametrize(
    ("schema", "path"),
    [
        ("Droplet", "/v1/droplets/7"),
        ("DropletPage", "/v1/droplets"),
        ("MaintenanceNow", "/v1/droplets/7/maintenance"),
        ("SwitchList", "/v1/switches"),
        ("PortList", f"/v1/switches/{DPID_TEXT}/ports"),
        ("RequestList", f"/v1/switches/{DPID_TEXT}/requests"),
        ("ServiceStatus", "/healthz"),
        ("ServiceStatus", "/readyz"),
        ("Problem", "/v1/droplets/8"),
        ("Problem", "/v1/droplets?x=1"),
    ],
)
def test_answers_have_the_shapes_described(controller, schema, path):
    check(schema, controller.get(path).json)


def test_refusals_and_counts_have_the_shapes_described(controller):
    check("Problem", controller.put(8, droplet("tap7")).json)
    check("Problem", controller.put(8, {"x": 1}).json)
    check("Problem", controller.request("POST", "/v1/droplets", [{}, 5]).json)
    counts = controller.request("POST", "/v1/droplets", [{"droplet_id": 9, **droplet("tap9")}])
    check("BatchCounts", counts.json)
    check("DropletInput", droplet("tap9"))
    check("DropletInput", controller.get("/v1/droplets/7").json)
    check("AgentReport", REPORT)
    check("AgentReport", {"dotty_status": None, "ssh_info": None})
    check("Maintenance", EVENT)
    body, media = json.dumps(REPORT).encode(), {"Content-Type": "application/merge-patch+json"}
    check("Revision", controller.request("PATCH", AGENT, body, media).json)
    check("BatchDroplet", {"droplet_id": 9, **droplet("tap9")})


def test_events_have_the_shapes_described(controller):
    with controller.watch() as watch:
        seen = {watch.line()["event"]}
        controller.do("in-sync", dpid=DPID)
        events = watch.until("in-sync")
        controller.do("remove", dpid=DPID, ofport=8)
        events += [watch.event(), watch.line()]
    for event in events:
        check("WatchEvent", event)
        seen.add(event["event"])
    assert seen == {"waiting", "snapshot", "port", "in-sync", "gone", "heartbeat"}


RELEASED = json.loads((Path(__file__).parents[1] / "data" / "openapi" / "1.0.json").read_text())


def numbers(document):
    return [int(number) for number in document["info"]["version"].split(".")]


def test_nothing_that_a_client_knows_is_gone_and_what_is_added_has_a_number():
    now = json.loads(json.dumps(description()))
    assert breaks(RELEASED, now) == []
    assert now["openapi"].startswith("3.1.")
    assert numbers(now)[0] == 1  # As in /v1.
    assert (numbers(now) > numbers(RELEASED)) == (now["paths"] != RELEASED["paths"])


def _break(place, change):
    """The released description with one thing changed."""
    document = copy.deepcopy(RELEASED)
    part = document
    for key in place:
        part = part[key]
    change(part)
    return document


SCHEMAS = ("components", "schemas")
DROPLET = ("paths", "/v1/droplets/{droplet_id}")


@pytest.mark.parametrize(
    ("place", "change", "told"),
    [
        (("paths",), lambda x: x.pop("/v1/backup"), "GET /v1/backup: is gone"),
        (DROPLET, lambda x: x.pop("put"), "PUT /v1/droplets/{droplet_id}: is gone"),
        ((*DROPLET, "put", "responses"), lambda x: x.pop("201"), "201 is answered no more"),
        ((*DROPLET, "get", "responses", "200"), lambda x: x.pop("headers"), "header ETag is gone"),
        ((*DROPLET, "put"), lambda x: x.pop("parameters"), "parameter If-Match is gone"),
        (("paths", "/v1/backup", "get"), lambda x: x.update(requestBody={}), "a body has to be"),
        (
            ("paths", "/v1/droplets", "get", "parameters", 0),
            lambda x: x.update(required=True),
            "parameter limit has to be given",
        ),
        (
            ("paths", "/v1/droplets", "get", "parameters", 0, "schema"),
            lambda x: x.update(maximum=10),
            "limit: maximum is narrower",
        ),
        (("paths", "/healthz", "get"), lambda x: x.pop("security"), "wants a token"),
        ((*SCHEMAS, "Switch", "properties"), lambda x: x.pop("flows"), "flows is gone"),
        ((*SCHEMAS, "Switch", "required"), lambda x: x.remove("flows"), "flows may be absent"),
        ((*SCHEMAS, "Port", "required"), lambda x: x.append("dpid"), "dpid has to be given"),
        ((*SCHEMAS, "DropletId"), lambda x: x.update(type="string"), "['integer'] became"),
        ((*SCHEMAS, "Port", "properties", "name"), lambda x: x.update(maxLength=9), "narrower"),
        (
            (*SCHEMAS, "Maintenance", "properties", "event", "enum"),
            lambda x: x.remove("live_migrate"),
            "live_migrate is gone",
        ),
        (
            ("paths", "/v1/droplets", "post", "requestBody", "content"),
            lambda x: x.pop("application/x-ndjson"),
            "application/x-ndjson is gone",
        ),
        ((*SCHEMAS, "WatchEvent", "oneOf"), lambda x: x.pop(), "oneOf has fewer"),
    ],
)
def test_what_a_client_would_miss_is_seen(place, change, told):
    """As the comparison is: else that it finds nothing would tell nothing."""
    assert any(told in line for line in breaks(RELEASED, _break(place, change)))
    assert breaks(RELEASED, RELEASED) == []


def test_each_query_parameter_is_described_and_nothing_else(controller):
    """What a call takes is what it says that there is, to who asks with another."""
    values = {"droplet_id": "7", "dpid": DPID_TEXT, "ofport": "7", "server": "meta-1"}
    values["file"] = "app.js"
    narrowed = 0
    for path, item in description()["paths"].items():
        described = {p["name"] for p in item.get("get", {}).get("parameters", ())}
        described -= {"If-None-Match", "If-Match"}
        if "get" in item and path not in ("/v1/backup", "/metrics"):
            answer = controller.get(path.format(**values) + "?nonsense=1")
            known = set()
            if answer.status == 400:
                (fault,) = answer.json["errors"]
                known = set(fault["detail"].partition("there is ")[2].split(", "))
                narrowed += 1
            assert known == described, path
    assert narrowed >= 3


def test_the_shapes_refuse_something():
    wrong = [
        ("Droplet", {}),
        ("WatchEvent", {"event": "x"}),
        ("Port", {"name": ""}),
        ("Port", {"name": "tap7", "mac": "01:00:00:00:00:00"}),
        ("Port", {"name": "tap7", "mac": "00:00:00:00:00:00"}),
        ("AgentReport", {"ssh_info": {}}),
        ("AgentReport", {"droplet_id": 7}),
        ("Maintenance", {"event": None}),
    ]
    for name, value in wrong:
        with pytest.raises(jsonschema.ValidationError):
            check(name, value)
