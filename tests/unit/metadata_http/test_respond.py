"""Methods, statuses and headers: every kind of caller asking every kind of thing."""

import pytest

from metadata_http.conditional import etag
from metadata_http.document import JSON, TEXT, Node
from metadata_http.identity import Caller, Verdict
from metadata_http.respond import Request, is_host, respond

TREE = {
    "/metadata/v1/": Node(b"id\ntags/"),
    "/metadata/v1/id": Node(b"2756294"),
    "/metadata/v1/tags/": Node(b"web"),
    "/metadata/v1.json": Node(b"{}", JSON),
}
TREES = {"digitalocean": lambda: TREE}
KNOWN = Caller(Verdict.KNOWN)


def ask(path="/metadata/v1/id", method="GET", headers=None, caller=KNOWN, query=""):
    response = respond(caller, Request(method, path, headers or {}, query), TREES)
    return response.status.value, dict(response.headers), response.body


def test_leaf():
    headers = {"Content-Type": TEXT, "Content-Length": "7", "ETag": etag(b"2756294")}
    assert ask() == (200, headers, b"2756294")


def test_index():
    status, _, body = ask("/metadata/v1/")
    assert (status, body) == (200, b"id\ntags/")


def test_document():
    assert ask("/metadata/v1.json") == (
        200,
        {"Content-Type": "application/json", "Content-Length": "2", "ETag": etag(b"{}")},
        b"{}",
    )


@pytest.mark.parametrize(
    ("path", "body"), [("/metadata/v1", b"id\ntags/"), ("/metadata/v1/tags", b"web")]
)
def test_index_without_its_slash_redirects_and_lists(path, body):
    status, headers, got = ask(path)
    assert (status, headers["Location"], got) == (301, f"{path}/", body)
    assert headers["Content-Length"] == str(len(body))


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/metadata/v1/id/",  # a leaf with a slash
        "/metadata/v1/tags/web",
        "/metadata/v1/nothing",
        "/metadata//v1/id",
        "/metadata/v1/../v1/id",
        "/metadata/v1/id\x00",
        "/METADATA/v1/id",
        # Other clouds at this address: detectors ask them side by side.
        "/latest/meta-data/",
        "/latest/user-data",
        "/openstack",
        "/openstack/latest/meta_data.json",
        "/computeMetadata/v1/",
        "/metadata/instance",
        "/opc/v1/instance/",
        "/v1.json",
    ],
)
def test_not_there(path):
    status, headers, body = ask(path)
    assert (status, headers["Content-Type"], body) == (404, TEXT, b"404 Not Found")


@pytest.mark.parametrize("path", ["/metadata/v1/id", "/metadata/v1/tags", "/nowhere"])
def test_head_is_get_without_the_body(path):
    status, headers, _ = ask(path)
    assert ask(path, "HEAD") == (status, headers, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "get", "X"])
def test_other_methods(method):
    status, headers, _ = ask(method=method)
    assert (status, headers["Allow"]) == (405, "GET, HEAD")


@pytest.mark.parametrize("name", ["x-forwarded-for", "forwarded", "via"])
@pytest.mark.parametrize("value", ["1.2.3.4", ""])
def test_a_request_that_came_through_a_proxy_is_refused(name, value):
    status, _, body = ask(headers={name: value})
    assert (status, body) == (403, b"403 Forbidden")


def test_a_chunked_request_body_ends_the_connection():
    status, headers, _ = ask(headers={"transfer-encoding": "chunked"})
    assert (status, headers["Connection"]) == (400, "close")


@pytest.mark.parametrize("path", ["", "*", "192.0.2.7:80", "metadata/v1/id"])
def test_a_target_that_is_no_path_ends_the_connection(path):
    status, headers, _ = ask(path)
    assert (status, headers["Connection"]) == (400, "close")


@pytest.mark.parametrize("path", ["", "/metadata/v1/id", "/v1/appkey/"])
def test_connect_ends_the_connection(path):
    status, headers, _ = ask(path, "CONNECT")
    assert (status, headers["Allow"], headers["Connection"]) == (405, "GET, HEAD", "close")


def test_who_is_refused_and_leaves_the_framing_in_doubt_is_cut_off_too():
    doubtful = {"transfer-encoding": "chunked", "via": "a"}
    for caller in (KNOWN, Caller(Verdict.REFUSED)):
        status, headers, _ = ask(headers=doubtful, caller=caller)
        assert (status, headers["Connection"]) == (403, "close")


@pytest.mark.parametrize(
    ("host", "taken"),
    [
        ("169.254.169.254", True),
        ("169.254.169.254:80", True),
        ("a_b.c-d~:", True),
        ("[fd00:ec2::254]:80", True),
        ("%41", True),
        ("", False),
        ("a,b", False),  # two lines
        ("a, b", False),
        ("a/b", False),
        ("u@a", False),
        ("a:b", False),
        ("a b", False),
        ("a\n", False),
        ("é", False),
        ("a:１", False),
    ],
)
def test_one_host_that_names_somebody(host, taken):
    assert is_host(host) == taken


@pytest.mark.parametrize(
    ("version", "headers", "expected"),
    [
        ("HTTP/1.1", {}, 400),
        ("HTTP/1.1", {"host": ""}, 400),
        ("HTTP/1.1", {"host": "a,b"}, 400),
        ("HTTP/1.1", {"host": "a"}, 200),
        ("HTTP/1.0", {}, 200),
        ("HTTP/1.0", {"host": ""}, 200),
        ("HTTP/1.0", {"host": "a,b"}, 400),
    ],
)
def test_who_is_asked_must_be_said_once(version, headers, expected):
    request = Request("GET", "/metadata/v1/id", headers, "", version)
    response = respond(KNOWN, request, TREES)
    assert response.status.value == expected
    assert (dict(response.headers).get("Connection") == "close") == (expected == 400)


def no_tree():
    raise AssertionError("this caller must not get at any tree")


@pytest.mark.parametrize("path", ["/metadata/v1/id", "/nowhere"])
@pytest.mark.parametrize(
    ("verdict", "expected"),
    [(Verdict.REFUSED, 403), (Verdict.WAIT, 503), (Verdict.NO_DROPLET, 404)],
)
def test_callers_without_a_droplet(verdict, expected, path):
    response = respond(Caller(verdict), Request("GET", path, {}), {"digitalocean": no_tree})
    assert response.status.value == expected


def test_waiting_says_when_to_come_again_and_frees_the_connection():
    status, headers, _ = ask(caller=Caller(Verdict.WAIT))
    assert (status, headers["Retry-After"], headers["Connection"]) == (503, "2", "close")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_a_source_outside_the_subnet_gets_403_and_nothing_else(method):
    status, headers, body = ask(method=method, caller=Caller(Verdict.REFUSED))
    assert (status, set(headers), body) == (
        403,
        {"Content-Type", "Content-Length"},
        b"403 Forbidden",
    )
