"""The metadata server and the real REST interface: what each says is what the other understands.

The server's parts run in this process and its application is called as a WSGI server calls it;
between it and the controller is a real connection.
"""

import io
import json

import pytest

from metadata_http import counts
from metadata_http.service import Service
from metadata_http.settings import load
from ryu_apps.binding import requests
from tests.http.rest_harness import DPID, DPID_TEXT, RestController, droplet, wait_until

ADDRESS = "100.127.0.5"
OTHER = "100.127.0.6"
FORMATS = ["digitalocean", "ec2", "openstack"]


@pytest.fixture(scope="module")
def rest(tmp_path_factory):
    controller = RestController(tmp_path_factory.mktemp("rest"))
    yield controller
    controller.kill()


@pytest.fixture(scope="module")
def service(rest, tmp_path_factory):
    rest.put(7, droplet("tap7", hostname="web-7"))
    rest.put(8, droplet("tap8"))
    rest.do("connect", dpid=DPID)
    rest.do("publish", dpid=DPID, ofport=5, name="tap7", droplet_id=7)
    rest.do("publish", dpid=DPID, ofport=6, name="tap8", droplet_id=8)
    rest.do("in-sync", dpid=DPID)
    folder = tmp_path_factory.mktemp("server")
    config = folder / "config"
    config.write_text(
        f"[metadata]\nstate_dir = {folder}\n[metadata_http]\nadmin_listen = 127.0.0.1:0\n"
        f"dpid = {DPID_TEXT}\ncontroller_urls = http://127.0.0.1:{rest.port}\n"
        f"tokens_file = {rest.state_dir / 'tokens'}\n"
    )
    made = Service()
    made.start(load(config), DPID_TEXT)
    wait_until(lambda: ask(made, "/metadata/v1/id")[0] == 200, "the view is served")
    yield made
    made.stopping()
    made.stop()


def ask(service, path, address=ADDRESS, method="GET", body=b"", **headers):
    """One request: (status, headers, body)."""
    path, _, query = path.partition("?")
    environ = {
        "REMOTE_ADDR": address,
        "REQUEST_METHOD": method,
        "PATH_INFO": path,
        "QUERY_STRING": query,
        "HTTP_HOST": "169.254.169.254",
        "CONTENT_TYPE": "application/json; charset=utf-8",
        "CONTENT_LENGTH": str(len(body)),
        "wsgi.input": io.BytesIO(body),
        **{f"HTTP_X_METADATA_{name}": value for name, value in headers.items()},
    }
    started = []
    answer = service.application(environ, lambda *given: started.extend(given))
    return int(started[0][:3]), dict(started[1]), b"".join(answer)


def test_a_report_comes_back_through_the_stream(service, rest):
    said = {"dotty_status": "running", "ssh_info": {"port": 2222, "host_keys": ["ssh-rsa A"]}}
    body = json.dumps({**said, "hostname": "evil"}).encode()
    assert ask(service, "/metadata/v1.json", method="PATCH", body=body)[0] == 202
    assert rest.get("/v1/droplets/7").json["status"] == {"agent": said}

    def served():
        return json.loads(ask(service, "/metadata/v1.json")[2])

    wait_until(lambda: "ssh_info" in served(), "the report is served")
    assert {key: served()[key] for key in said} == said
    assert served()["hostname"] == "web-7"
    assert "ssh_info" not in json.loads(ask(service, "/metadata/v1.json", OTHER)[2])


def test_what_the_registry_refuses_is_the_droplets_fault(service):
    body = b'{"dotty_status":"on-fire"}'
    assert ask(service, "/metadata/v1.json", OTHER, "PATCH", body)[0] == 400


def test_maintenance_ends_a_wait(service, rest):
    path = "/v1/maintenance_event"
    assert ask(service, path)[2] == b""
    done = rest.request("PUT", "/v1/droplets/7/maintenance", {"event": "live_migrate"})
    assert done.status == 204
    status, headers, body = ask(
        service, f"{path}?wait_for_change=true&timeout_sec=20&last_etag={_empty(service)}"
    )
    assert (status, body) == (200, b"live_migrate")
    assert ask(service, path, OTHER)[2] == b""
    rest.request("DELETE", "/v1/droplets/7/maintenance")
    tag = headers["ETag"].strip('"')
    assert ask(service, f"{path}?wait_for_change=true&last_etag={tag}")[2] == b""


def _empty(service):
    """The tag of an empty body."""
    return ask(service, "/metadata/v1/vendor-data")[1]["ETag"].strip('"')


def test_formats_are_the_registrys_to_say(service, rest):
    assert ask(service, "/openstack/latest/meta_data.json", OTHER)[0] == 404
    rest.put(8, {**droplet("tap8"), "formats": ["openstack", "ec2"]})
    wait_until(lambda: ask(service, "/openstack/", OTHER)[0] == 200, "the format is served")
    assert ask(service, "/latest/meta-data/instance-id", OTHER)[2] == b"i-00000008"
    assert ask(service, "/metadata/v1/id", OTHER)[0] == 404
    assert ask(service, "/openstack/")[0] == 404


def test_metadata_options_are_the_registrys_to_say(service, rest):
    def status(**headers):
        return ask(service, "/openstack/latest/meta_data.json", OTHER, **headers)[0]

    def put(**options):
        return rest.put(8, {**droplet("tap8"), "formats": FORMATS, "metadata_options": options})

    put(http_tokens="required")
    wait_until(lambda: status() == 401, "a token is required")
    token = ask(service, "/metadata/v1/token", OTHER, "PUT", TOKEN_TTL_SECONDS="60")[2].decode()
    assert status(TOKEN=token) == 200
    put(http_endpoint="disabled", http_put_response_hop_limit=1)
    wait_until(lambda: status() == 403, "the endpoint is disabled")
    assert status(TOKEN=token) == 403
    assert rest.get("/v1/droplets/8").json["metadata_options"] == {
        "http_tokens": "optional",
        "http_endpoint": "disabled",
        "http_put_response_hop_limit": 1,
    }
    put()
    wait_until(lambda: status() == 200, "the defaults")
    assert status(TOKEN=token) == 200, "a new record is no new binding"
    assert status(TOKEN="x" * 56) == 401


def test_what_droplets_asked_is_told(service, rest):
    """Counted by the server, told to the controller, shown by both alike."""
    before = {each["ofport"]: each for each in service.requests()["droplets"]}
    for path in ("/metadata/v1/id", "/metadata/v1/nothing", "/metadata/v1/id"):
        ask(service, path)

    def told():
        return rest.get(f"/v1/switches/{DPID_TEXT}/requests").json

    def of_seven(answer):
        return next((each for each in answer["droplets"] if each["droplet_id"] == 7), {})

    asked = before[5]["requests"] + 3
    wait_until(lambda: of_seven(told()).get("requests") == asked, "the controller knows")
    here, there = of_seven(service.requests()), of_seven(told())
    assert here.pop("last_request_s") <= there.pop("last_request_s") + 1
    assert here == there
    assert (there["ofport"], there["last_status"]) == (5, 200)
    assert there["errors"] == before[5]["errors"] + 1
    (server,), (own,) = told()["servers"], service.requests()["servers"]
    assert server.keys() == own.keys()
    assert server["server"] == own["server"]


def test_both_packages_agree_on_how_much_is_told_at_once():
    assert counts.AT_ONCE == requests.MAX_PORTS
