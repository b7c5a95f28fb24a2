"""The WSGI callable: environ in, answer out, and what it remembers in between."""

import logging
from collections import Counter

import pytest

from metadata_http.app import Application, clock
from metadata_http.lease import Lease
from metadata_http.view import Following, advance

BEGIN = {
    "event": "snapshot",
    "dpid": "00000000000000a1",
    "revision": 1,
    "hv_local_subnet": "100.127.0.0/16",
    "lease": 10,
}
FOREVER = Lease(float("inf"))


def port_event(droplet_id=7, metadata=None, revision=1):
    port = {
        "ofport": 602,
        "name": "tap7",
        "hv_local_ip": "100.127.2.90",
        "droplet_id": droplet_id,
        "droplet": {"metadata": metadata or {"hostname": "h"}},
    }
    return {"event": "port", "revision": revision, "port": port}


def view_of(*ports):
    return advance(Following(), [BEGIN, *ports, {"event": "in-sync", "revision": 1}], clock()).view


class Counts(Counter):
    def count(self, status):
        self[status] += 1


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


def test_an_odd_request_is_one_line_with_the_guests_words_quoted(client, caplog):
    caplog.set_level(logging.INFO)
    client("/no\nwhere" + "x" * 9999)
    (record,) = caplog.records
    line = record.getMessage()
    assert "404 to 100.127.2.90 (droplet 7, port tap7)" in line
    assert "\n" not in line
    assert len(line) < 400


def test_an_ordinary_request_is_no_event(client, caplog):
    caplog.set_level(logging.DEBUG)
    client()
    assert caplog.records == []
