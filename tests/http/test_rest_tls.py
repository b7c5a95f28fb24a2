"""REST over TLS: who gets in, who does not, and that nobody is kept out by those who do not."""

import socket
import ssl

import pytest

from ryu_apps.northbound.tls import TlsRefused, server_context
from tests.http.rest_harness import DPID, PATIENCE, RestController, droplet, wait_until
from tests.packaging.certificates import Authority


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ours"), "authority")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("theirs"), "authority")


def serve(folder, pair, *more, authority, arguments=(), **options):
    """A controller with this key pair, and a context that trusts `authority`."""
    files = [pair.certificate, pair.key, *more]
    words = ["--tls", *(str(file) for file in files), "--handshake-seconds", "1.5", *arguments]
    context = ssl.create_default_context(cafile=authority.certificate)
    return RestController(folder, arguments=words, tls=context, **options)


@pytest.fixture(scope="module")
def controller(tmp_path_factory, ours):
    limits = {"document": 2000, "body_seconds": 1.5}
    pace = {"heartbeat": 0.2}
    controller = serve(
        *(tmp_path_factory.mktemp("state"), ours.issue("controller")),
        authority=ours,
        limits=limits,
        pace=pace,
    )
    yield controller
    controller.kill()


def test_calls_and_streams_go_over_tls(controller):
    assert controller.put(7, droplet("tap7")).status == 201
    controller.do("connect", dpid=DPID)
    controller.do("in-sync", dpid=DPID)
    with controller.watch() as watch:
        watch.until("in-sync")
        controller.do("publish", dpid=DPID, ofport=7, name="tap7", droplet_id=7)
        assert watch.event()["port"]["droplet"]["metadata"]["droplet_id"] == 7
        assert watch.line()["event"] == "heartbeat"
    wait_until(lambda: controller.gauge("ovs_metadata_watchers") == 0, "the stream to end")


def test_plain_text_gets_nothing(controller):
    with socket.create_connection(("127.0.0.1", controller.port), timeout=PATIENCE) as connection:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        said = b""
        try:
            while piece := connection.recv(4096):
                said += piece
        except ConnectionResetError:
            pass
    assert b"HTTP" not in said
    assert controller.get("/healthz").status == 200


def test_a_client_checks_who_answers(controller, ours, theirs):
    for context, host, reason in (
        (ssl.create_default_context(cafile=theirs.certificate), "127.0.0.1", "verify failed"),
        (ssl.create_default_context(cafile=ours.certificate), "127.0.0.2", "mismatch"),
    ):
        plain = socket.create_connection(("127.0.0.1", controller.port), timeout=PATIENCE)
        with plain, pytest.raises(ssl.SSLCertVerificationError, match=reason):
            context.wrap_socket(plain, server_hostname=host)
    wait_until(lambda: "REST: no TLS with 127.0.0.1" in controller.log_text(), "the log line")
    assert "Traceback" not in controller.log_text()


def test_old_versions_of_tls_are_refused(controller):
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning):
        context.minimum_version = ssl.TLSVersion.TLSv1
        context.maximum_version = ssl.TLSVersion.TLSv1_1
    plain = socket.create_connection(("127.0.0.1", controller.port), timeout=PATIENCE)
    with plain, pytest.raises(ssl.SSLError, match="alert protocol version"):
        context.wrap_socket(plain)


@pytest.mark.slow
def test_the_silent_and_the_broken_keep_nobody_out(controller):
    before = controller.connect()
    silent = [
        socket.create_connection(("127.0.0.1", controller.port), timeout=PATIENCE)
        for _ in range(300)  # More than there are handshakes at once.
    ]
    for each in silent[:20]:
        each.sendall(b"\x16\x03\x01")
    for each in silent[20:40]:
        each.sendall(b"nonsense\r\n\r\n")
    # Reset before anything was said.
    for each in silent[40:60]:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        each.close()
    assert controller.get("/healthz").status == 200
    with before:
        before.sendall(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert before.recv(4096).startswith(b"HTTP/1.1 200 ")
    for each in silent[60:]:
        with each:
            assert each.recv(1) == b""  # Given up, after a while.
    assert "Traceback" not in controller.log_text()


def test_a_refused_body_is_cut_below_tls_and_the_refusal_read(controller):
    token = controller.tokens["admin"]
    answer = controller.raw(
        f"PUT /v1/droplets/1 HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{".encode()
    )
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert controller.put(1, b"x" * 5000, {"Content-Type": "application/json"}).status == 413


@pytest.mark.slow
@pytest.mark.parametrize("who", ["nobody", "stranger", "ours"])
def test_with_an_authority_for_clients_only_its_own_get_in(tmp_path, ours, theirs, who):
    controller = serve(tmp_path, ours.issue("controller"), ours.certificate, authority=ours)
    try:
        if who != "nobody":
            pair = (ours if who == "ours" else theirs).issue("client")
            controller.tls.load_cert_chain(pair.certificate, pair.key)
        if who == "ours":
            assert controller.get("/v1/droplets").status == 200
            assert controller.get("/v1/droplets", role=None).status == 401
        else:
            # TLS 1.3 tells a client of the refusal only when it first reads.
            with pytest.raises((ssl.SSLError, ConnectionError)):
                controller.get("/healthz")
    finally:
        controller.kill()


def test_ryus_own_application_goes_over_tls_too(tmp_path, ours):
    controller = serve(tmp_path, ours.issue("controller"), authority=ours, arguments=["--ryu"])
    try:
        assert controller.put(7, droplet("tap7")).status == 201
        assert controller.get("/v1/droplets/7").json["droplet_id"] == 7
    finally:
        controller.kill()


def test_files_that_are_no_good_are_named(tmp_path, ours, theirs):
    pair, other = ours.issue("controller"), theirs.issue("other")
    absent, empty = tmp_path / "absent.pem", tmp_path / "empty.pem"
    empty.write_text("")
    for files, told in (
        ((absent, pair.key), f"rest_certificate = {absent}: No such file"),
        ((pair.certificate, absent), f"rest_key = {absent}: No such file"),
        ((pair.certificate, pair.key, absent), f"rest_client_ca = {absent}: No such file"),
        ((pair.certificate, pair.key, empty), f"rest_client_ca = {empty}: no certificates"),
        ((empty, pair.key), f"rest_certificate = {empty}"),
        ((pair.certificate, other.key), f"rest_key = {other.key}: not a certificate and its key"),
    ):
        with pytest.raises(TlsRefused, match=told):
            server_context(*map(str, files))
