"""Session tokens and metadata options over real sockets: what is asked for, who gets nothing."""

import http.client
import json
import re
import stat
import time

import pytest

from tests.http.conftest import Server
from tests.http.fake_controller import DPID, FakeController, port, wait_until

OPTIONAL = "127.1.2.90"
REQUIRED = "127.1.2.91"
OFF = "127.1.2.92"
BOTH = "127.1.2.93"
PLACES = {OPTIONAL: (602, 7), REQUIRED: (603, 8), OFF: (604, 9), BOTH: (605, 10)}
OPTIONS = {
    OPTIONAL: None,
    REQUIRED: {"http_tokens": "required"},
    OFF: {"http_endpoint": "disabled"},
    BOTH: {"http_endpoint": "disabled", "http_tokens": "required"},
}
FORMATS = ["digitalocean", "ec2", "openstack"]

OURS = ("/metadata/v1/token", "X-Metadata-Token-TTL-Seconds", "X-Metadata-Token")
EC2S = (
    "/latest/api/token",
    "X-aws-ec2-metadata-token-ttl-seconds",
    "X-aws-ec2-metadata-token",
)
TREES = ("/metadata/v1/id", "/latest/meta-data/instance-id", "/openstack/latest/meta_data.json")


def placed(address, options=None, binding=None, **given):
    ofport, droplet_id = PLACES[address]
    options = OPTIONS[address] if options is None else options
    return port(
        ofport,
        address,
        droplet_id,
        formats=FORMATS,
        metadata_options=options,
        binding=binding,
        **given,
    )


@pytest.fixture(scope="module")
def common(tmp_path_factory):
    """One server and its controller for all tests that leave both running."""
    controller = FakeController(subnet="127.1.0.0/16").start()
    server = Server(tmp_path_factory.mktemp("sessions"), controller.url)
    try:
        yield server.start(), controller
    finally:
        server.kill()
        controller.stop()


@pytest.fixture
def controller(common):
    """The common one, its bridge as each test expects it."""
    controller = common[1]
    controller.put(*map(placed, PLACES))
    controller.wait_acknowledged()
    return controller


@pytest.fixture
def server(common, controller):
    return common[0]


def token_of(server, address, how=OURS, ttl="60"):
    """A new session token."""
    path, ttl_name, _ = how
    status, headers, body = server.get(path, address, "PUT", {ttl_name: ttl})
    assert (status, headers[ttl_name]) == (200, ttl)
    assert re.fullmatch(rb"[A-Za-z0-9_-]{56}", body)
    return body.decode()


def status(server, address, token=None, path="/metadata/v1/id", name=OURS[2], method="GET"):
    """The status of a request, with a token or without."""
    headers = {} if token is None else {name: token}
    return server.get(path, address, method, headers)[0]


@pytest.mark.parametrize("how", [OURS, EC2S], ids=["ours", "ec2's"])
@pytest.mark.parametrize("address", [OPTIONAL, REQUIRED])
def test_a_token_opens_every_tree_by_either_name(server, address, how):
    token = token_of(server, address, how)
    for path in TREES:
        for name in (OURS[2], EC2S[2]):
            for method in ("GET", "HEAD"):
                assert status(server, address, token, path, name, method) == 200


def test_where_one_is_required_nothing_is_answered_without(server):
    for path in (*TREES, "/", "/metadata/v1", "/metadata/v1.json", "/nowhere", "/v1/appkey/x"):
        for token in (None, "", "x", "A" * 56):
            status_, _, body = server.get(
                path, REQUIRED, headers={} if token is None else {OURS[2]: token}
            )
            assert (status_, body) == (401, b"401 Unauthorized")
    assert status(server, REQUIRED, method="PATCH", path="/metadata/v1.json") == 401


def test_where_one_is_optional_a_bad_one_is_refused_all_the_same(server):
    assert status(server, OPTIONAL) == 200
    for token in ("", "x", "A" * 56, token_of(server, REQUIRED)):
        for name in (OURS[2], EC2S[2]):
            assert status(server, OPTIONAL, token, name=name) == 401
    assert status(server, OPTIONAL) == 200


def test_a_header_twice_or_both_that_differ_open_nothing(server):
    good = token_of(server, REQUIRED)
    for extra in (f"{OURS[2]}: {good}", f"{OURS[2]}: x", f"{EC2S[2]}: x"):
        head = f"GET /metadata/v1/id HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{OURS[2]}: {good}"
        answer = server.raw(f"{head}\r\n{extra}\r\n\r\n".encode(), REQUIRED)
        assert answer.startswith(b"HTTP/1.1 401 ")


@pytest.mark.parametrize("how", [OURS, EC2S], ids=["ours", "ec2's"])
def test_asking_for_a_token(server, how):
    path, name, _ = how
    for ttl in ("0", "21601", "x", ""):
        assert server.get(path, REQUIRED, "PUT", {name: ttl})[0] == 400
    assert server.get(path, REQUIRED, "PUT")[0] == 400
    assert server.get(path, REQUIRED, "PUT", {name: "21600"})[0] == 200
    for proxy in ("X-Forwarded-For", "Forwarded", "Via"):
        status_, _, body = server.get(path, REQUIRED, "PUT", {name: "60", proxy: "x"})
        assert (status_, body) == (403, b"403 Forbidden")
    for method in ("GET", "POST"):
        status_, headers, _ = server.get(path, REQUIRED, method)
        assert (status_, headers["Allow"]) == (405, "PUT")


def test_one_droplets_token_is_no_others(server, controller):
    """Not even one that it could be taken for: on its port, with its name, or bound anew."""
    token = token_of(server, REQUIRED)
    assert status(server, OPTIONAL, token) == 401
    for change in ({"binding": 99}, {"name": "tapx"}):
        controller.put(placed(REQUIRED, **change))
        controller.wait_acknowledged()
        assert status(server, REQUIRED, token) == 401, change
        assert status(server, REQUIRED, token_of(server, REQUIRED)) == 200
    ofport, _ = PLACES[REQUIRED]
    controller.put(port(ofport, REQUIRED, 77, binding=8))
    controller.wait_acknowledged()
    assert status(server, REQUIRED, token) == 401


def test_a_change_of_the_document_leaves_tokens_good(server, controller):
    token = token_of(server, REQUIRED)
    controller.put(placed(REQUIRED, hostname="other"))
    controller.wait_acknowledged()
    _, _, body = server.get("/metadata/v1/hostname", REQUIRED, headers={OURS[2]: token})
    assert body == b"other"


def test_a_token_ends(server):
    token = token_of(server, REQUIRED, ttl="1")
    assert status(server, REQUIRED, token) == 200
    wait_until(lambda: status(server, REQUIRED, token) == 401, "the end of the token")


@pytest.mark.parametrize("address", [OFF, BOTH])
def test_a_disabled_endpoint_says_nothing_but_403(server, address):
    for path in (*TREES, "/", "/nowhere", "/metadata/v1", "/v1/appkey/x", OURS[0], EC2S[0]):
        for method in ("GET", "PUT", "POST", "DELETE", "PATCH", "OPTIONS"):
            ttl = {OURS[1]: "60", EC2S[1]: "60"}
            status_, headers, body = server.get(path, address, method, ttl)
            assert (status_, body) == (403, b"403 Forbidden"), (method, path)
            assert set(map(str.lower, headers)) == {
                *("content-type", "content-length", "server", "date")
            }
    assert status(server, address, method="HEAD") == 403


def test_options_take_effect_at_the_next_request_of_an_open_connection(server, controller):
    connection = server.connect(OPTIONAL)

    def asked():
        connection.request("GET", "/metadata/v1/id")
        answer = connection.getresponse()
        answer.read()
        return answer.status

    try:
        for options, expected in (
            (None, 200),
            ({"http_tokens": "required"}, 401),
            ({"http_endpoint": "disabled"}, 403),
            ({"http_tokens": "optional"}, 200),
        ):
            controller.put(placed(OPTIONAL, options))
            controller.wait_acknowledged()
            assert (asked(), asked()) == (expected, expected)
    finally:
        connection.close()


def test_a_long_poll_must_show_its_token_too(server):
    path = "/metadata/v1/hostname?wait_for_change=true&timeout_sec=1"
    assert status(server, REQUIRED, path=path) == 401
    assert status(server, OPTIONAL, "bad", path=path) == 401
    assert status(server, REQUIRED, token_of(server, REQUIRED), path=path) == 200


def test_a_token_that_ends_during_a_long_poll_gets_nothing_more(server):
    token = token_of(server, REQUIRED, ttl="1")
    path = "/metadata/v1/hostname?wait_for_change=true&timeout_sec=2"
    assert status(server, REQUIRED, token, path) == 401


def test_an_agents_report_needs_the_token_too(server, controller):
    def report(token):
        headers = {"Content-Type": "application/json"}
        headers |= {} if token is None else {OURS[2]: token}
        connection = server.connect(REQUIRED)
        try:
            connection.request("PATCH", "/metadata/v1.json", b'{"dotty_status":"running"}', headers)
            return connection.getresponse().status
        finally:
            connection.close()

    assert [report(None), report("bad")] == [401, 401]
    assert controller.reports == []
    assert report(token_of(server, REQUIRED)) == 202
    assert controller.reports == [(8, {"dotty_status": "running"})]


def without_token(server):
    """The total, and of each droplet that asked."""
    (total,) = re.findall(
        r"^metadata_http_requests_without_token_total (\S+)$", server.admin("/metrics")[1], re.M
    )
    droplets = json.loads(server.admin("/requests")[1])["droplets"]
    return float(total), {each["droplet_id"]: each["without_token"] for each in droplets}


def test_the_operator_sees_what_requiring_tokens_would_refuse(server, controller):
    total, before = without_token(server)
    token = token_of(server, OPTIONAL)
    for _ in range(3):
        assert status(server, OPTIONAL) == 200
        assert status(server, OPTIONAL, token) == 200
        assert status(server, OPTIONAL, "bad") == 401
        assert status(server, REQUIRED) == 401
        assert status(server, OFF) == 403
    now, counted = without_token(server)
    assert now == total + 3
    assert counted[7] == before.get(7, 0) + 3
    assert not any(counted.get(droplet_id) for droplet_id in (8, 9, 10))
    state = json.loads(server.admin("/readyz")[1])
    assert (state["droplets_token_required"], state["droplets_endpoint_disabled"]) == (2, 2)
    assert "metadata_http_droplets_endpoint_disabled 2.0" in server.admin("/metrics")[1]
    controller.remove(602)
    controller.wait_acknowledged()
    assert 7 not in without_token(server)[1]


def keys(server):
    return server.folder / f"session-keys-{DPID}"


def test_the_keys_are_the_servers_alone_and_no_token_or_key_is_told(server):
    token = token_of(server, REQUIRED)
    status(server, OPTIONAL, token)
    assert stat.S_IMODE(keys(server).stat().st_mode) == 0o600
    (key,) = json.loads(keys(server).read_text())["keys"]
    told = server.log + server.admin("/metrics")[1] + server.admin("/readyz")[1]
    for secret in (token, key["key"]):
        assert secret not in told
        assert secret not in server.snapshot.read_text()


@pytest.mark.slow
def test_tokens_are_good_with_every_worker_and_over_a_restart(make_server, tmp_path):
    controller = FakeController(subnet="127.1.0.0/16").start()
    controller.put(*map(placed, PLACES))
    server = make_server(controller, workers=3)
    try:
        server.start()
        controller.wait_acknowledged(servers=3)
        tokens = [token_of(server, REQUIRED) for _ in range(20)]
        assert {status(server, REQUIRED, token) for token in tokens} == {200}

        def workers_that_answered():
            assert status(server, REQUIRED, tokens[0]) == 200
            ports = re.findall(r"admin on 127\.0\.0\.1:(\d+)", server.log)
            return len(ports) == 3 and all(map(has_opened, ports))

        wait_until(workers_that_answered, "each worker to have let the token in")
        assert len(json.loads(keys(server).read_text())["keys"]) == 1
        for end in (server.stop, server.kill):
            end()
            server.start()
            wait_until(lambda: status(server, REQUIRED, tokens[0]) != 503, "a view")
            assert {status(server, REQUIRED, token) for token in tokens} == {200}
    finally:
        server.kill()
        controller.stop()


def has_opened(admin_port):
    """Whether the worker with this admin port has answered a request with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", int(admin_port), timeout=30)
    try:
        connection.request("GET", "/metrics")
        return (
            b'metadata_http_answers_total{path="v1",status="200"}'
            in connection.getresponse().read()
        )
    finally:
        connection.close()


def test_a_snapshot_that_comes_back_revives_no_dead_binding(make_server, tmp_path):
    """The files of an earlier moment are put back: view, keys and all."""
    controller = FakeController(subnet="127.1.0.0/16", lease=2.0).start()
    controller.put(placed(REQUIRED, binding=1))
    server = make_server(controller).start()
    try:
        controller.wait_acknowledged()
        token = token_of(server, REQUIRED)
        kept = {path: path.read_bytes() for path in (server.snapshot, keys(server))}
        controller.put(placed(REQUIRED, binding=2))
        controller.wait_acknowledged()
        assert status(server, REQUIRED, token) == 401
        server.stop()
        # Within its lease a view is good, as it is over any restart.
        wait_until(lambda: clock() > lease_end(kept[server.snapshot]), "the end of the old lease")
        for path, data in kept.items():
            path.write_bytes(data)
        server.start()
        seen = set()
        wait_until(
            lambda: seen.add(status(server, REQUIRED, token)) or 401 in seen, "the present view"
        )
        assert seen <= {401, 503}
    finally:
        server.kill()
        controller.stop()


def lease_end(snapshot):
    """Until when the view in a snapshot file may be served."""
    events = [json.loads(line) for line in snapshot.splitlines()]
    return max(event["until"] for event in events if event["event"] == "confirmed")


def clock():
    return time.clock_gettime(time.CLOCK_BOOTTIME)
