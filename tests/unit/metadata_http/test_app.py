"""The WSGI callable: environ in, answer out, and what it remembers in between."""

import logging
import threading
from collections import Counter

import pytest

from metadata_http.access import NoSessions
from metadata_http.app import ANSWERED_LATER, LATER, Application, clock
from metadata_http.lease import Lease
from metadata_http.metric_table import PATH_KINDS
from metadata_http.view import Following, advance

BEGIN = {
    "event": "snapshot",
    "dpid": "00000000000000a1",
    "revision": 1,
    "hv_local_subnet": "100.127.0.0/16",
    "lease": 10,
}
FOREVER = Lease(float("inf"))


def port_event(droplet_id=7, metadata=None, revision=1, options=None):
    port = {
        "ofport": 602,
        "name": "tap7",
        "hv_local_ip": "100.127.2.90",
        "droplet_id": droplet_id,
        "droplet": {"metadata": metadata or {"hostname": "h"}, "metadata_options": options},
    }
    return {"event": "port", "revision": revision, "port": port}


def view_of(*ports):
    return advance(Following(), [BEGIN, *ports, {"event": "in-sync", "revision": 1}], clock()).view


class Counts(Counter):
    """What the application counts: answers by status, and the rest in `more`."""

    def __init__(self):
        super().__init__()
        self.more = Counter()

    def count(self, status, path_kind, seconds):
        assert path_kind in PATH_KINDS
        self[status] += 1

    def without_token(self):
        self.more["without token"] += 1

    def odd(self, caller, port, status):
        self.more["odd", status] += 1


class Client:
    """Calls the application as a WSGI server does."""

    def __init__(self):
        self.counts = Counts()
        self.application = Application(self.counts)
        self.application.publish(view_of(port_event()), FOREVER)

    def __call__(self, path="/metadata/v1/id", peer="100.127.2.90", method="GET", **environ):
        started = []
        path, _, query = path.partition("?")
        environ |= {"REMOTE_ADDR": peer, "REQUEST_METHOD": method, "PATH_INFO": path}
        environ |= {"QUERY_STRING": query, "HTTP_HOST": "169.254.169.254"}
        body = self.application(environ, lambda status, headers: started.append((status, headers)))
        ((status, headers),) = started
        return status, dict(headers), b"".join(body)


@pytest.fixture
def client():
    return Client()


def test_the_second_answer_equals_the_first(client):
    for path in ("/metadata/v1/id", "/metadata/v1", "/metadata/v1/", "/metadata/v1.json"):
        assert client(path) == client(path)
    assert client()[0] == "200 OK"


def test_what_is_remembered_for_get_is_not_given_to_others(client):
    client()
    assert client(method="HEAD")[2] == b""
    assert client(method="PUT")[0] == "405 Method Not Allowed"
    assert client(HTTP_VIA="")[0] == "403 Forbidden"
    assert client(HTTP_X_FORWARDED_FOR="1.2.3.4")[0] == "403 Forbidden"
    assert client(HTTP_FORWARDED="for=1.2.3.4")[0] == "403 Forbidden"
    assert client(HTTP_TRANSFER_ENCODING="chunked")[0] == "400 Bad Request"
    assert client(peer="100.127.0.1")[0] == "503 Service Unavailable"
    assert client(peer="10.0.0.1")[0] == "403 Forbidden"


def test_head_first_does_not_empty_a_later_get(client):
    assert client(method="HEAD")[2] == b""
    assert client()[2] == b"7"


def test_a_change_is_in_the_next_answer(client):
    assert client("/metadata/v1/hostname")[2] == b"h"
    client.application.publish(view_of(port_event(metadata={"hostname": "other"})), FOREVER)
    assert client("/metadata/v1/hostname")[2] == b"other"


def test_a_rebound_port_gives_the_other_droplets_data_only(client):
    assert client()[2] == b"7"
    client.application.publish(view_of(port_event(droplet_id=8)), FOREVER)
    assert client()[2] == b"8"


def test_an_answer_already_prepared_ends_with_the_lease(client):
    client()
    client.application.publish(client.application.state[0], Lease(clock()))
    assert client()[0] == "503 Service Unavailable"


def test_only_paths_that_exist_are_remembered(client):
    for n in range(100):
        client(f"/nowhere/{n}")
    client()
    droplet = client.application.state[0].ports[602].droplet
    assert set(droplet.prepared) == {"/metadata/v1/id"}


def test_every_answer_is_counted(client):
    for path in ("/metadata/v1/id", "/metadata/v1/id", "/metadata/v1", "/nowhere"):
        client(path)
    client(peer="10.0.0.1")
    assert client.counts == {200: 2, 301: 1, 404: 1, 403: 1}


def test_a_fault_of_ours_is_a_500_for_its_droplet_alone(client, caplog):
    client.application.publish(view_of(port_event(metadata={"interfaces": 7})), FOREVER)
    status, headers, body = client()
    assert (status, body) == ("500 Internal Server Error", b"500 Internal Server Error")
    assert headers["Content-Length"] == str(len(body))
    assert client.counts == {500: 1}
    assert "droplet 7" in caplog.text


REQUIRED = {"http_tokens": "required"}
DISABLED = {"http_endpoint": "disabled"}
TOKEN = "HTTP_X_METADATA_TOKEN"
EC2S_TOKEN = "HTTP_X_AWS_EC2_METADATA_TOKEN"


@pytest.mark.parametrize("change", [REQUIRED, DISABLED])
def test_what_was_prepared_is_not_served_once_more_is_asked_for(client, change):
    status = {str(REQUIRED): "401 Unauthorized", str(DISABLED): "403 Forbidden"}[str(change)]
    paths = ("/metadata/v1/id", "/metadata/v1", "/metadata/v1.json")
    for path in paths:
        client(path)
    client.application.publish(view_of(port_event(options=change)), FOREVER)
    for path in (*paths, "/nowhere", "/v1/appkey/x"):
        for method in ("GET", "HEAD"):
            assert client(path, method=method)[0] == status
    client.application.publish(view_of(port_event()), FOREVER)
    assert client()[0] == "200 OK"


@pytest.mark.parametrize("name", [TOKEN, EC2S_TOKEN])
def test_what_is_prepared_is_not_for_who_shows_a_bad_token(client, name):
    client()
    assert client(**{name: "bad"})[0] == "401 Unauthorized"
    assert client(**{name: ""})[0] == "401 Unauthorized"
    assert client()[0] == "200 OK"


@pytest.mark.parametrize("name", [TOKEN, EC2S_TOKEN])
def test_nothing_that_a_token_opened_is_remembered(client, name):
    client.application.sessions = OneGoodToken()
    client.application.publish(view_of(port_event(options=REQUIRED)), FOREVER)
    for _ in range(3):
        assert client(**{name: "good"})[0] == "200 OK"
        assert client()[0] == "401 Unauthorized"
    assert client.application.state[0].ports[602].droplet.prepared == {}


class OneGoodToken(NoSessions):
    def opens(self, token, binding):
        return token == "good"


def test_requests_without_a_token_are_counted_where_they_are_answered(client):
    def counted():
        tally = client.application.state[0].ports[602].droplet.tally
        return client.counts.more["without token"], tally.without_token

    client.application.sessions = OneGoodToken()
    for n, request in enumerate(
        [
            {},
            {},  # the second is answered from memory
            {"method": "HEAD"},
            {"path": "/nowhere"},
            {"path": "/metadata/v1"},
            {"path": "/v1/appkey/x", "method": "POST"},
            {"path": "/metadata/v1.json", "method": "PATCH"},
            {"path": "/metadata/v1/id?wait_for_change=true&timeout_sec=0"},
        ],
        start=1,
    ):
        client(**request)
        assert counted() == (n, n), request
    for request in (
        {TOKEN: "good"},
        {TOKEN: "bad"},
        {"path": "/metadata/v1/token", "method": "PUT"},
        {"path": "/metadata/v1/token"},
        {"method": "DELETE"},
        {"HTTP_VIA": "x"},
        {"peer": "100.127.0.1"},
        {"peer": "10.0.0.1"},
    ):
        client(**request)
    assert counted()[0] == 8
    for options in (REQUIRED, DISABLED):
        client.application.publish(view_of(port_event(options=options)), FOREVER)
        client()
    assert counted()[0] == 8


def test_a_wait_ends_with_401_when_a_token_is_required_meanwhile(client):
    answers, came = [], threading.Event()

    def answer(status, headers, body):
        answers.append((status, body))
        came.set()

    later = {LATER: answer}
    path = "/metadata/v1/hostname?wait_for_change=true"
    environ = {"REMOTE_ADDR": "100.127.2.90", "REQUEST_METHOD": "GET", "HTTP_HOST": "h"}
    environ |= {"PATH_INFO": path.partition("?")[0], "QUERY_STRING": path.partition("?")[2]}
    assert client.application(environ | later, None) is ANSWERED_LATER
    client.application.publish(view_of(port_event(options=REQUIRED)), FOREVER)
    assert came.wait(20)
    assert answers == [(401, b"401 Unauthorized")]


def test_an_odd_request_is_one_line_with_the_guests_words_quoted(client, caplog):
    caplog.set_level(logging.INFO)
    client("/no\nwhere" + "x" * 9999)
    (record,) = caplog.records
    line = record.getMessage()
    assert "404 to 100.127.2.90 (droplet 7, port tap7)" in line
    assert "\n" not in line
    assert len(line) < 400


def test_the_log_tells_that_an_endpoint_is_disabled(client, caplog):
    caplog.set_level(logging.INFO)
    client.application.publish(view_of(port_event(options=DISABLED)), FOREVER)
    client()
    assert "403 to 100.127.2.90 (droplet 7, port tap7, http_endpoint disabled)" in caplog.text


def test_an_ordinary_request_is_no_event(client, caplog):
    caplog.set_level(logging.DEBUG)
    client()
    assert caplog.records == []
