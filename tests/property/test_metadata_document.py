"""Any document a registry could take: its tree holds together, and every request gets an answer."""

import json
from http import HTTPStatus

from hypothesis import given
from hypothesis import strategies as st

from metadata_http.app import Application, clock
from metadata_http.document import tree
from metadata_http.identity import Caller, Verdict
from metadata_http.lease import Lease
from metadata_http.respond import Request, respond
from metadata_http.view import Following, advance
from tests.property.effort import effort

patient = effort(100)

text = st.text(max_size=20)
line = st.text(st.characters(exclude_characters="\r\n"), min_size=1, max_size=20)
values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(text, inner, max_size=3),
    max_leaves=5,
)
address = st.ip_addresses(v=4).map(str)
address6 = st.ip_addresses(v=6).map(lambda ip: ip.exploded.upper())
ipv4 = st.fixed_dictionaries({"ip_address": address, "netmask": address, "gateway": address})
ipv6 = st.fixed_dictionaries(
    {"ip_address": address6, "cidr": st.integers(0, 128), "gateway": address6}
)
mac = st.binary(min_size=6, max_size=6).map(lambda octets: octets.hex(":").upper())
interface = st.fixed_dictionaries(
    {"mac": mac, "type": st.sampled_from(["public", "private"])},
    optional={"ipv4": ipv4, "ipv6": ipv6 | st.none() | st.just({}), "anchor_ipv4": ipv4},
)
reserved = st.fixed_dictionaries({"active": st.booleans()}, optional={"ip_address": address})
by_family = st.fixed_dictionaries({"ipv4": reserved}, optional={"ipv6": reserved})
documents = st.fixed_dictionaries(
    {"hostname": line, "region": line},
    optional={
        "droplet_id": st.integers(1, 2**32 - 1) | st.just("7"),
        "user_data": st.none() | text,
        "vendor_data": st.none() | text,
        "public_keys": st.none() | st.lists(line, max_size=3),
        "auth_key": st.none() | line,
        "interfaces": st.dictionaries(
            st.sampled_from(["public", "private"]),
            st.none() | st.lists(interface, max_size=3),
        ),
        "floating_ip": by_family,
        "reserved_ip": by_family,
        "dns": st.fixed_dictionaries({}, optional={"nameservers": st.lists(address, max_size=3)}),
        "tags": st.none() | st.lists(line, max_size=3),
        "features": st.none() | st.dictionaries(text, st.booleans(), max_size=3),
        "something_new": values,
    },
)
user_data = st.none() | st.binary(max_size=50)


@patient
@given(documents, user_data)
def test_every_line_of_every_index_leads_on_and_nothing_is_hidden(document, data):
    nodes = tree(document, 7, data)
    reached = {"/metadata/"}
    for path in (path for path in nodes if path.endswith("/") and not path.endswith("/tags/")):
        for entry in nodes[path].body.decode().split("\n"):
            if entry:
                assert path + entry in nodes
                reached.add(path + entry)
    assert set(nodes) - reached <= {"/metadata/v1/auth-token", "/v1/maintenance_event"}


@patient
@given(documents, user_data)
def test_v1_json_is_one_object_that_tells_the_same_as_the_tree(document, data):
    nodes = tree(document, 7, data)
    whole = json.loads(nodes["/metadata/v1.json"].body)
    assert whole["droplet_id"] == 7
    assert nodes["/metadata/v1/hostname"].body.decode() == whole["hostname"]
    assert nodes["/metadata/v1/tags/"].body.decode() == "\n".join(whole["tags"] or ())
    assert all(whole["interfaces"].values())
    for kind, interfaces in whole["interfaces"].items():
        for n, each in enumerate(interfaces):
            path = f"/metadata/v1/interfaces/{kind}/{n}"
            assert nodes[f"{path}/mac"].body.decode() == each["mac"] == each["mac"].lower()
            assert (f"{path}/ipv6/" in nodes) == ("ipv6" in each)
            if "ipv4" in each:
                assert nodes[f"{path}/ipv4/address"].body.decode() == each["ipv4"]["ip_address"]


@patient
@given(documents, user_data)
def test_no_leaf_but_the_free_texts_ends_in_a_newline(document, data):
    free = {"/metadata/v1/user-data", "/metadata/v1/vendor-data"}
    for path, node in tree(document, 7, data).items():
        assert path in free or not node.body.endswith((b"\n", b"\r"))


@patient
@given(documents, user_data)
def test_user_data_bytes_come_back_untouched(document, data):
    served = tree(document, 7, data)["/metadata/v1/user-data"].body
    if data is not None:
        assert served == data


paths = st.one_of(
    st.text(max_size=40),
    st.binary(max_size=40).map(lambda octets: "/metadata/v1/" + octets.decode("latin-1")),
    st.sampled_from(sorted(tree({"hostname": "h", "region": "r"}, 7))),
)
methods = st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"]) | st.text(max_size=8)
headers = st.dictionaries(
    st.sampled_from(["host", "via", "forwarded", "x-forwarded-for", "transfer-encoding", "x-y"]),
    text,
)
KNOWN_STATUSES = {200, 301, 400, 403, 404, 405, 503}


@patient
@given(st.sampled_from(Verdict), methods, paths, headers)
def test_every_request_gets_one_of_the_known_answers(verdict, method, path, given_headers):
    nodes = tree({"hostname": "h", "region": "r"}, 7)
    trees = {"digitalocean": lambda: nodes}
    response = respond(Caller(verdict), Request(method, path, given_headers), trees)
    assert isinstance(response.status, HTTPStatus)
    assert response.status.value in KNOWN_STATUSES
    length = int(dict(response.headers)["Content-Length"])
    assert len(response.body) == (0 if method == "HEAD" else length)
    if response.status in (200, 301):
        assert verdict is Verdict.KNOWN


class NoCount:
    """These answers are nobody's statistics."""

    def count(self, status, path_kind, seconds):
        pass

    def without_token(self):
        pass

    def odd(self, caller, port, status):
        pass


requests = st.lists(
    st.tuples(
        methods,
        paths,
        st.sampled_from(["100.127.2.90", "100.127.2.91", "10.0.0.1", "not an address"]),
        headers,
    ),
    max_size=8,
)


@patient
@given(requests)
def test_a_remembered_answer_equals_a_fresh_one(asked):
    """The same requests, once to one application and once each to an application of its own."""
    one = application()
    for each in asked:
        assert call(one, *each) == call(application(), *each) == call(one, *each)


def application():
    port = {
        "ofport": 602,
        "name": "tap7",
        "hv_local_ip": "100.127.2.90",
        "droplet_id": 7,
        "droplet": {"metadata": {"hostname": "h", "tags": ["a"]}},
    }
    begin = {
        "event": "snapshot",
        "dpid": "00000000000000a1",
        "revision": 1,
        "hv_local_subnet": "100.127.0.0/16",
        "lease": 10,
    }
    events = [begin, {"event": "port", "revision": 1, "port": port}]
    view = advance(Following(), [*events, {"event": "in-sync", "revision": 1}], clock()).view
    made = Application(NoCount())
    made.publish(view, Lease(float("inf")))
    return made


def call(application, method, path, peer, given_headers):
    environ = {"REQUEST_METHOD": method, "PATH_INFO": path, "REMOTE_ADDR": peer}
    environ |= {f"HTTP_{k.upper().replace('-', '_')}": v for k, v in given_headers.items()}
    started = []
    body = application(environ, lambda *given: started.append(given))
    return started, list(body)
