"""The public Python client over real sockets: against the real registry's REST, and a crooked peer.

What it tries again and what not, the kinds of its errors, how it edits and follows.
"""

import io
import json
import os
import re
import socket
import ssl
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import get_args

import pytest

import ovs_metadata_client
from ovs_metadata_client import (
    Client,
    Conflict,
    Forbidden,
    Invalid,
    NotAController,
    NotFound,
    PortsView,
    PreconditionFailed,
    Refused,
    Tls,
    TooLarge,
    Trouble,
    Unauthorized,
    Unavailable,
    Unreachable,
)
from ovs_metadata_client.client import _InTurn
from ovs_metadata_client.errors import KINDS
from ovs_metadata_client.transport import LONGEST_WAIT, Again
from ryu_apps.northbound.openapi import description
from tests.http.crooked_server import answer, crooked, problem, stream
from tests.http.rest_harness import DPID, DPID_TEXT, RestController, droplet, wait_until
from tests.packaging.certificates import Authority

OK = answer(200, b"{}")
CUT = None


@pytest.fixture(scope="module")
def controller(tmp_path_factory):
    folder = tmp_path_factory.mktemp("state")
    controller = RestController(folder, limits={"document": 5000}, pace={"heartbeat": 0.2})
    yield controller
    controller.kill()


@pytest.fixture
def client(controller):
    controller.forget_all()
    with Client(f"http://127.0.0.1:{controller.port}", controller.tokens["admin"]) as client:
        yield client


# -- what each call does ---------------------------------------------------------------------------


def test_a_droplet_s_life(client):
    made = client.put_droplet(7, droplet("tap7", tags=["a"]))
    assert made.created
    again = client.get_droplet(7)
    assert (again.droplet, again.etag, again.created) == (made.droplet, made.etag, None)
    assert client.put_batch([{"droplet_id": 8, **droplet("tap8")}]) == {
        **{"droplets": 1, "created": 1, "replaced": 0}
    }
    assert [each["droplet_id"] for each in client.droplets()] == [7, 8]
    assert client.page(limit=1)["next"] == 7
    assert [each["droplet_id"] for each in client.droplets(tag="a")] == [7]
    assert [each["droplet_id"] for each in client.droplets(q="tap8")] == [8]
    assert [each["droplet_id"] for each in client.standings(q="tap7")["droplets"]] == [7]
    assert client.standings(unserved=True, limit=1)["next"] == 7
    client.announce_maintenance(7, "live_migrate")
    assert client.maintenance(7) == "live_migrate"
    client.call_off_maintenance(7)
    assert client.maintenance(7) is None
    client.delete_droplet(7)
    with pytest.raises(NotFound):
        client.delete_droplet(7)


def batch(*droplets):
    """The JSON texts of a batch, from (id, port name)."""
    return [json.dumps({"droplet_id": n, **droplet(name)}).encode() for n, name in droplets]


def test_batches_are_registered_in_order_and_each_is_told(client):
    numbers = range(1, 100, 10)
    batches = (batch(*((n + i, f"t{n + i}") for i in range(10))) for n in numbers)
    told = list(client.put_batches([*batches, batch((1, "t500"), (101, "t1"))]))
    assert [(each["created"], each["replaced"]) for each in told] == [(10, 0)] * 10 + [(1, 1)]
    assert [each["droplet_id"] for each in client.droplets()] == list(range(1, 102))
    assert list(client.put_batches([])) == []


@pytest.mark.parametrize(
    ("bad", "kind"), [([(2, "t2"), (3, "no good")], Invalid), ([(2, "t2"), (3, "t1")], Conflict)]
)
def test_after_a_batch_that_is_refused_nothing_is_registered(client, bad, kind):
    batches = client.put_batches(
        [batch((1, "t1")), batch(*bad), batch((4, "t4")), batch((5, "t5"))]
    )
    assert next(batches)["created"] == 1
    with pytest.raises(kind) as refused:
        next(batches)
    assert refused.value.faults
    assert [each["droplet_id"] for each in client.droplets()] == [1]


def test_a_batch_ends_when_the_one_before_is_stored_and_never_if_it_is_not():
    before, stopped = Future(), threading.Event()
    body = _InTurn([b"1", b"2", b"3"], before, stopped)
    pieces = iter(body)
    assert next(pieces) == b"1\n2\n"
    before.set_result({})
    assert list(pieces) == [b"3\n"]
    assert list(body) == [b"1\n2\n", b"3\n"]  # as when it is sent again
    stopped.set()
    pieces = iter(body)
    next(pieces)
    with pytest.raises(CancelledError):
        next(pieces)


def test_switches_and_the_service(client, controller):
    assert client.switches() == []
    controller.do("connect", dpid=DPID)
    controller.do("publish", dpid=DPID, ofport=7, name="tap7")
    assert [each["dpid"] for each in client.switches()] == [DPID_TEXT]
    assert [port["name"] for port in client.ports(DPID_TEXT)["ports"]] == ["tap7"]
    assert client.ports(DPID_TEXT, state=["serving", "error"])["ports"] == []
    assert client.ports(DPID_TEXT, q="tap7", limit=1)["next"] is None
    assert client.ports(DPID_TEXT, after=7)["ports"] == []
    assert client.requests(DPID_TEXT, ofports=[7, 8]) == {
        "dpid": DPID_TEXT,
        "servers": [],
        "droplets": [],
    }
    assert client.ready() and client.alive()
    assert client.readiness()[0] == []
    assert "ovs_metadata_droplets" in client.metrics()
    assert client.description() == description()
    copy = io.BytesIO()
    client.backup(copy)
    assert copy.getvalue().startswith(b"SQLite format 3\0")


FOR_OTHERS = {
    *("acknowledge", "unfollow", "reportOfAgent", "countRequests"),
    *("page", "pageFile"),
}
"""What metadata servers call for themselves, and what browsers show."""


def test_there_is_a_call_for_all_that_the_description_has():
    """Each operation is asked for by a call of the client, and nothing that is not described."""
    calls = [
        lambda c: c.put_droplet(1, {}),
        lambda c: c.get_droplet(1),
        lambda c: c.delete_droplet(1),
        lambda c: c.page(),
        lambda c: c.put_batch([{}]),
        lambda c: c.maintenance(1),
        lambda c: c.announce_maintenance(1, "x"),
        lambda c: c.call_off_maintenance(1),
        lambda c: c.backup(io.BytesIO()),
        lambda c: c.switches(),
        lambda c: c.ports(DPID_TEXT),
        lambda c: list(c.watch(DPID_TEXT)),
        lambda c: c.requests(DPID_TEXT),
        lambda c: c.port_flows(DPID_TEXT, 7),
        lambda c: c.standings(),
        lambda c: c.readiness(),
        lambda c: c.alive(),
        lambda c: c.metrics(),
        lambda c: c.description(),
    ]
    body = b'{"event": 1, "switches": [], "reasons": []}'
    with crooked(answer(200, body, "Connection: close")) as server:
        for call in calls:
            with Client(server.url) as client:
                call(client)
        asked = set(
            zip(server.methods, (each.split("?")[0] for each in server.targets), strict=True)
        )
    operations = {
        (method.upper(), _concrete(path)): operation["operationId"]
        for path, item in description()["paths"].items()
        for method, operation in item.items()
        if method != "parameters"
    }
    assert {operations.get(each, each) for each in asked} | FOR_OTHERS == set(operations.values())


def _concrete(path):
    return path.replace("{droplet_id}", "1").replace("{dpid}", DPID_TEXT).replace("{ofport}", "7")


def test_threads_may_share_it(client):
    client.put_droplet(7, droplet("tap7"))
    failed = []

    def ask():
        try:
            for _ in range(20):
                assert client.get_droplet(7).droplet["droplet_id"] == 7
        except BaseException as error:
            failed.append(error)
            raise

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


# -- errors ----------------------------------------------------------------------------------------


def test_each_refusal_is_of_the_kind_that_says_what_to_do(client, controller):
    url = client.url
    client.put_droplet(7, droplet("tap7"))
    with pytest.raises(Invalid) as caught:
        client.put_droplet(8, {"ports": [{"name": "x", "mac": "nonsense"}], "odd": 1})
    assert {fault["pointer"] for fault in caught.value.faults} == {
        *("#/ports/0/mac", "#/odd", "#/metadata/region")
    }
    with pytest.raises(Conflict) as caught:
        client.put_droplet(8, droplet("tap7"))
    assert caught.value.faults[0]["held_by"] == 7
    with pytest.raises(PreconditionFailed):
        client.put_droplet(7, droplet("tap7"), if_new=True)
    with pytest.raises(TooLarge):
        client.put_droplet(7, droplet("tap7", user_data="x" * 6000))
    with pytest.raises(NotFound):
        client.ports("00000000000000ff")
    with Client(url, "0123456789abcdef") as stranger, pytest.raises(Unauthorized):
        stranger.switches()
    with Client(url, controller.tokens["server"]) as server, pytest.raises(Forbidden):
        server.page()


def test_every_refusal_described_has_a_kind_or_needs_none():
    described = {
        int(status)
        for item in description()["paths"].values()
        for method, operation in item.items()
        if method != "parameters"
        for status in operation["responses"]
        if int(status) >= 400
    }
    # 408: our body was too slow to come; 415: we always say what it is.
    assert described - {408, 415} <= set(KINDS)
    assert set(KINDS) <= described


@pytest.mark.parametrize(
    "said", [answer(200, b"<html>"), answer(404, b"no", kind="text/html"), answer(302)]
)
def test_what_is_no_controller_is_told_as_such(said):
    with crooked(said) as server, Client(server.url) as client:
        with pytest.raises(NotAController, match=re.escape(server.url)):
            client.switches()
        assert not client.ready() and not client.alive()


def test_nobody_there_is_told_with_the_reason():
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    for url, trouble in [
        (f"http://127.0.0.1:{port}", Trouble.REFUSED),
        (f"https://127.0.0.1:{port}", Trouble.REFUSED),
        ("http://nobody.invalid:1", Trouble.NAME),
    ]:
        with Client(url, retries=0) as client, pytest.raises(Unreachable) as caught:
            client.switches()
        assert caught.value.trouble is trouble
        assert url in str(caught.value)
        assert not client.ready()


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ours"), "authority")


def test_trouble_with_tls_is_told_apart(tmp_path, ours, controller):
    pair = ours.issue("controller")
    elsewhere = ours.issue("elsewhere", address="192.0.2.1")
    trust = Tls(ca_file=ours.certificate)
    plain = f"https://127.0.0.1:{controller.port}"
    with tls_server(pair) as url, tls_server(elsewhere) as other, tls_server(pair, ours) as strict:
        for at, tls, trouble in [
            (url, None, Trouble.UNTRUSTED),
            (other, trust, Trouble.UNTRUSTED),
            (plain, trust, Trouble.NO_TLS),
            # The alert is lost where the server has closed before our request came.
            (strict, trust, Trouble.CLIENT_CERTIFICATE),
            (url.replace("https", "http"), None, Trouble.BROKEN),
        ]:
            with Client(at, tls=tls, retries=0) as client, pytest.raises(Unreachable) as caught:
                client.switches()
            expected = {trouble, Trouble.BROKEN} if at is strict else {trouble}
            assert caught.value.trouble in expected, (at, tls, caught.value)
        with Client(url, tls=trust) as client:
            assert client.switches() == []
        shown = Tls(ours.certificate, pair.certificate, pair.key)
        with Client(strict, tls=shown) as client:
            assert client.switches() == []


def tls_server(pair, clients=None):
    """A context with the URL of a server that answers over TLS, to `clients`' clients alone."""

    @contextmanager
    def serving():
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(pair.certificate, pair.key)
        if clients is not None:
            context.load_verify_locations(clients.certificate)
            context.verify_mode = ssl.CERT_REQUIRED
        with socket.create_server(("127.0.0.1", 0)) as listener:
            threading.Thread(target=serve, args=(listener, context), daemon=True).start()
            yield f"https://127.0.0.1:{listener.getsockname()[1]}"

    def serve(listener, context):
        while True:
            try:
                plain, _ = listener.accept()
                with context.wrap_socket(plain, server_side=True) as connection:
                    connection.recv(65536)
                    connection.sendall(answer(200, b'{"switches": []}', "Connection: close"))
            except ssl.SSLError:
                continue
            except OSError:
                return

    return serving()


# -- what is tried again ---------------------------------------------------------------------------

BUSY = problem(503)
SOON = problem(503, "Retry-After: 1")
LATER = problem(503, f"Retry-After: {LONGEST_WAIT + 1}")

READ = lambda c: c.get_droplet(1)  # noqa: E731
WRITE = lambda c: c.put_droplet(1, {})  # noqa: E731
DELETE = lambda c: c.delete_droplet(1)  # noqa: E731
BATCH = lambda c: c.put_batch([b"{}"])  # noqa: E731
IF_MATCH = lambda c: c.put_droplet(1, {}, if_match='"1"')  # noqa: E731
IF_NEW = lambda c: c.put_droplet(1, {}, if_new=True)  # noqa: E731
DELETE_IF = lambda c: c.delete_droplet(1, if_match='"1"')  # noqa: E731


@pytest.mark.parametrize("call", [READ, WRITE, DELETE, BATCH], ids=["get", "put", "del", "batch"])
@pytest.mark.parametrize("first", [CUT, BUSY], ids=["cut", "busy"])
def test_what_may_be_done_twice_is_tried_again(call, first):
    with crooked(first, first, OK) as server, Client(server.url) as client:
        call(client)
        assert len(server.heads) == 3


@pytest.mark.parametrize("call", [IF_MATCH, IF_NEW, DELETE_IF], ids=["match", "new", "delete"])
def test_a_conditional_call_is_not_where_it_may_have_been_done(call):
    """503 too: a registry without a quorum may do what it did not acknowledge."""
    with crooked(CUT, OK) as server, Client(server.url) as client:
        with pytest.raises(Unreachable) as caught:
            call(client)
        assert caught.value.trouble is Trouble.BROKEN
        assert len(server.heads) == 1
    for busy in (BUSY, SOON):
        with crooked(busy, OK) as server, Client(server.url) as client:
            with pytest.raises(Unavailable):
                call(client)
            assert len(server.heads) == 1


def test_it_gives_up_after_so_many(client):
    for retries in (0, 1, 3):
        with crooked(BUSY) as server, Client(server.url, retries=retries) as impatient:
            with pytest.raises(Unavailable) as caught:
                READ(impatient)
            assert len(server.heads) == 1 + retries
            assert caught.value.retry_after is None
        with crooked(CUT) as server, Client(server.url, retries=retries) as impatient:
            with pytest.raises(Unreachable):
                READ(impatient)
            assert len(server.heads) == 1 + retries


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 413, 500, 507])
def test_what_would_be_refused_again_is_not_tried_again(status):
    refusal = problem(status, "Retry-After: 1") if status == 413 else problem(status)
    with crooked(refusal, OK) as server, Client(server.url) as client:
        with pytest.raises(Refused) as caught:
            WRITE(client)
        assert caught.value.status == status
        assert len(server.heads) == 1


def test_retry_after_is_waited_for_and_a_long_one_is_told_instead():
    with crooked(SOON, OK) as server, Client(server.url) as client:
        begin = time.monotonic()
        READ(client)
        assert time.monotonic() - begin >= 1
    with crooked(LATER, OK) as server, Client(server.url) as client:
        with pytest.raises(Unavailable) as caught:
            READ(client)
        assert caught.value.retry_after == LONGEST_WAIT + 1
        assert len(server.heads) == 1


def test_retry_after_that_cannot_be_read_is_none():
    with crooked(problem(503, "Retry-After: soon"), OK) as server, Client(server.url) as client:
        READ(client)
        assert len(server.heads) == 2


def test_waits_have_some_chance_in_them():
    said = SimpleNamespace(headers={"Retry-After": "2"})
    waits = {Again().get_retry_after(said) for _ in range(20)}
    assert len(waits) > 1
    assert all(2 <= wait < 2.5 for wait in waits)


def test_what_an_earlier_try_deleted_is_deleted():
    for first in (CUT, BUSY):
        with crooked(first, problem(404)) as server, Client(server.url) as client:
            client.delete_droplet(1)
            assert len(server.heads) == 2
    with crooked(problem(404)) as server, pytest.raises(NotFound):
        Client(server.url).delete_droplet(1)


# -- editing ---------------------------------------------------------------------------------------


def test_editing_loses_no_other_s_change(client, controller):
    client.put_droplet(7, droplet("tap7", tags=[]))

    def add(name):
        def change(document):
            document["metadata"]["tags"].append(name)
            return document

        client.edit_droplet(7, change, attempts=50)

    threads = [threading.Thread(target=add, args=(f"t{n}",)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(client.get_droplet(7).droplet["metadata"]["tags"]) == [f"t{n}" for n in range(8)]


def test_editing_gives_up_in_the_end(client):
    client.put_droplet(7, droplet("tap7"))
    asked = []

    def change(document):
        asked.append(document)
        client.put_droplet(7, droplet("tap7", tags=[str(len(asked))]))
        return document

    with pytest.raises(PreconditionFailed):
        client.edit_droplet(7, change, attempts=3)
    assert len(asked) == 3
    with pytest.raises(ValueError, match="attempts"):
        client.edit_droplet(7, change, attempts=0)
    with pytest.raises(NotFound):
        client.edit_droplet(9, change)


# -- following -------------------------------------------------------------------------------------


def snapshot(revision, *ports):
    """A whole view, as lines of the stream."""
    return [
        f'{{"event":"snapshot","dpid":"x","revision":{revision},"hv_local_subnet":"s","lease":1}}',
        *(f'{{"event":"port","revision":{revision},"port":{{"ofport":{p}}}}}' for p in ports),
        f'{{"event":"in-sync","revision":{revision}}}',
    ]


def test_a_broken_stream_is_taken_up_where_it_was(monkeypatch):
    monkeypatch.setattr(ovs_metadata_client.following, "_FIRST_PAUSE", 0.01)
    whole = snapshot(5, 1, 2)
    later = ['{"event":"port","revision":9,"port":{"ofport":3}}', '{"event":"new-in-v9"}']
    fresh = snapshot(20, 8, 9)
    script = [
        stream(*whole, *later),
        CUT,
        problem(503, "Retry-After: 60"),
        problem(404),
        stream('{"event":"gone","revision":10,"ofport":1}'),
        stream(*fresh[:2]),  # A new controller, whose view breaks off.
        stream(*fresh, '{"event":"heartbeat","revision":21}'),
        problem(403),
    ]
    view, told = PortsView(), []
    with crooked(*script) as server, Client(server.url, retries=0) as client:
        with pytest.raises(Forbidden):
            for event in client.follow(DPID_TEXT, broken=told.append):
                view.take(event)
        asked = [each.partition("since=")[2] for each in server.targets]
    assert asked == ["", "9", "9", "9", "9", "10", "", "21"]
    assert len(told) == 7
    assert view.known and sorted(view.ports) == [8, 9]


def test_following_what_is_not_there_fails_at_once(client):
    with pytest.raises(NotFound):
        next(client.follow("00000000000000ff"))
    with Client("http://127.0.0.1:1", retries=0) as lost, pytest.raises(Unreachable):
        next(lost.follow(DPID_TEXT))


def test_following_goes_over_a_controller_s_restart(tmp_path):
    controller = RestController(tmp_path, pace={"heartbeat": 0.2})
    try:
        controller.do("connect", dpid=DPID)
        controller.do("publish", dpid=DPID, ofport=7, name="tap7")
        controller.do("in-sync", dpid=DPID)
        view, told = PortsView(), []
        url = f"http://127.0.0.1:{controller.port}"
        with Client(url, controller.tokens["admin"]) as client:
            events = client.follow(DPID_TEXT, broken=told.append)
            while not view.known:
                view.take(next(events))
            assert sorted(view.ports) == [7]
            controller.do("publish", dpid=DPID, ofport=8, name="tap8")
            while 8 not in view.ports:
                view.take(next(events))
            controller.do("forget")
            controller.do("connect", dpid=DPID)
            controller.do("publish", dpid=DPID, ofport=9, name="tap9")
            controller.do("in-sync", dpid=DPID)
            while 9 not in view.ports:
                view.take(next(events))
            assert sorted(view.ports) == [9]
            events.close()
            wait_until(lambda: controller.gauge("ovs_metadata_watchers") == 0, "the stream to end")
        assert told
    finally:
        controller.kill()


def test_a_line_that_is_no_json_is_no_controller_s():
    with crooked(stream("nonsense")) as server, pytest.raises(NotAController):
        list(Client(server.url).watch(DPID_TEXT))


# -- the package and its page ---------------------------------------------------------------------


PAGE = Path(__file__).parents[2] / "docs" / "client.md"


def test_the_example_of_the_page_runs_and_prints_what_it_says(client, controller):
    controller.do("connect", dpid=DPID)
    controller.do("publish", dpid=DPID, ofport=602, name="tapext7889371")
    controller.do("in-sync", dpid=DPID)
    blocks = re.findall(r"^```(\w+)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    program = "".join(text for language, text in blocks if language == "python")
    said = "".join(text for language, text in blocks if language == "text")
    environment = {"CONTROLLER": client.url, "TOKEN": controller.tokens["admin"]}
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, **environment, "PYTHONPATH": str(PAGE.parents[1])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    assert done.stdout == said


def test_the_page_names_every_error_and_no_other():
    errors = {
        name
        for name in ovs_metadata_client.__all__
        if isinstance(kind := getattr(ovs_metadata_client, name), type)
        and issubclass(kind, Exception)
    }
    rows = re.findall(r"^\| `(\w+)` \|", PAGE.read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(errors)


def test_every_public_name_is_there():
    for name in ovs_metadata_client.__all__:
        assert getattr(ovs_metadata_client, name) is not None
    with pytest.raises(AttributeError, match="nonsense"):
        ovs_metadata_client.nonsense  # noqa: B018


def test_types_are_those_of_the_description():
    """Each member that the description requires of an answer, and no other, is in its type."""
    schemas = description()["components"]["schemas"]
    for name, kind in {
        "DropletPage": ovs_metadata_client.Page,
        "BatchCounts": ovs_metadata_client.BatchCounts,
        "Switch": ovs_metadata_client.Switch,
        "PortList": ovs_metadata_client.SwitchPorts,
        "Fault": ovs_metadata_client.Fault,
        "PortFlows": ovs_metadata_client.PortFlows,
        "StandingPage": ovs_metadata_client.StandingPage,
        "RequestList": ovs_metadata_client.SwitchRequests,
        "RequestCounts": ovs_metadata_client.DropletRequests,
    }.items():
        assert set(schemas[name]["properties"]) == set(kind.__annotations__), name
        assert set(schemas[name]["required"]) == kind.__required_keys__, name
    for name, member, kind in (
        ("RequestList", "servers", ovs_metadata_client.RequestServer),
        ("PortList", "ports", ovs_metadata_client.SwitchPort),
        ("PortFlows", "flows", ovs_metadata_client.PortFlow),
        ("StandingPage", "droplets", ovs_metadata_client.Standing),
    ):
        inner = schemas[name]["properties"][member]["items"]["properties"]
        assert set(inner) == set(kind.__annotations__), name
    port = schemas["StandingPage"]["properties"]["droplets"]["items"]["properties"]["ports"]
    assert set(port["items"]["properties"]) == set(ovs_metadata_client.StandingPort.__annotations__)
    assert json.dumps(sorted(_events(schemas))) == json.dumps(sorted(_typed_events()))


def _events(schemas):
    for each in schemas["WatchEvent"]["oneOf"]:
        yield each["properties"]["event"]["const"], sorted(each["properties"])


def _typed_events():
    for each in get_args(ovs_metadata_client.WatchEvent):
        (name,) = get_args(each.__annotations__["event"])
        yield name, sorted(each.__annotations__)
