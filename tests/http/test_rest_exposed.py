"""Where the real controller serves REST, plain or over TLS, and where it refuses to start."""

import json
import ssl
import stat

import pytest

from tests.http.fake_controller import DPID
from tests.http.real_controller import EX_CONFIG, RealController, dropletctl, trusting
from tests.http.rest_harness import droplet, wait_until
from tests.packaging.certificates import Authority

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("ours"), "authority")


def test_plain_rest_for_others_is_refused_with_the_way_out(tmp_path):
    refused = RealController(tmp_path, host="0.0.0.0")
    assert refused.ended() == EX_CONFIG
    log = refused.log_text()
    line = next(line for line in log.splitlines() if "cannot start" in line)
    assert f"wsapi_host = 0.0.0.0 (from {refused.config})" in line
    for word in ("rest_certificate", "rest_key", "rest_allow_plain = true"):
        assert word in line
    assert "Traceback" not in log
    assert not (tmp_path / "registry.db").exists()


def test_the_command_line_is_named_where_the_address_is_from_there(tmp_path):
    refused = RealController(tmp_path, host=None, words=["--wsapi-host", "::"])
    assert refused.ended() == EX_CONFIG
    assert "wsapi_host = :: (from the command line)" in refused.log_text()


@pytest.mark.parametrize(
    ("host", "options", "address"),
    [
        (None, {}, "127.0.0.1"),  # What we make Ryu's default.
        ("0.0.0.0", {"rest_allow_plain": "true"}, "0.0.0.0"),
    ],
)
def test_plain_rest_is_served_on_this_host_or_where_it_is_asked_for(
    tmp_path, host, options, address
):
    with RealController(tmp_path, host=host, **options) as controller:
        assert listeners(controller) == {address}


def listeners(controller):
    """The IPv4 addresses that the controller listens on with its REST port."""
    with open("/proc/net/tcp") as sockets:
        rows = [row.split() for row in sockets][1:]
    found = {
        row[1].split(":")[0] for row in rows if row[3] == "0A" and port(row) == controller.port
    }
    return {".".join(str(byte) for byte in reversed(bytes.fromhex(one))) for one in found}


def port(row):
    return int(row[1].split(":")[1], 16)


def test_a_certificate_that_is_no_good_is_told(tmp_path):
    options = {"rest_certificate": tmp_path / "absent.pem", "rest_key": tmp_path / "k.pem"}
    refused = RealController(tmp_path, **options)
    assert refused.ended() == EX_CONFIG
    told = f"cannot start: rest_certificate = {tmp_path}/absent.pem: No such file or directory"
    assert told in refused.log_text()
    assert "Traceback" not in refused.log_text()


def test_over_tls_it_serves_everywhere_and_both_its_clients_find_it(tmp_path, ours, make_server):
    pair, client = ours.issue("controller"), ours.issue("client")
    context = trusting(ours)
    context.load_cert_chain(client.certificate, client.key)
    with RealController(
        tmp_path,
        host="0.0.0.0",
        tls=context,
        rest_certificate=pair.certificate,
        rest_key=pair.key,
        rest_client_ca=ours.certificate,
        rest_ca=ours.certificate,
    ) as controller:
        shown = ("--client-cert", client.certificate, "--client-key", client.key)
        done = controller.dropletctl(*shown, "put", "7", "-", text=json.dumps(droplet("tap7")))
        assert (done.returncode, done.stdout) == (0, "droplet 7 registered\n"), done.stderr
        refused = controller.dropletctl("list")
        assert refused.returncode == 1
        assert f"no answer from a controller at {controller.url}: " in refused.stderr
        folder = tmp_path / "server"
        folder.mkdir()
        server = make_server(
            controller.url,
            folder=folder,
            token=controller.token("server"),
            controller_ca=ours.certificate,
            controller_certificate=client.certificate,
            controller_key=client.key,
        ).start()
        # The switch never comes, so that the server gets no view; but it follows.
        followed = f"following bridge {DPID} at {controller.url}"
        wait_until(lambda: followed in server.log, "the server to follow")
        listed = controller.dropletctl(*shown, "switches", "--json")
        assert [one["dpid"] for one in json.loads(listed.stdout)] == [DPID]


def test_dropletctl_tells_why_it_trusts_nobody_there(tmp_path, ours):
    theirs = Authority(tmp_path / "theirs", "authority")
    pair = ours.issue("elsewhere", "192.0.2.1")
    with RealController(
        tmp_path, tls=untrusting(), rest_certificate=pair.certificate, rest_key=pair.key
    ) as controller:
        for words, told, mend in (
            ([], "unable to get local issuer certificate", "--ca-file"),
            (["--ca-file", theirs.certificate], "certificate verify failed", "--ca-file"),
            (["--ca-file", ours.certificate], "IP address mismatch", "the URL must name the host"),
        ):
            done = controller.dropletctl(*words, "list")
            assert (done.returncode, done.stdout) == (1, "")
            assert done.stderr.count("\n") == 1
            for word in (controller.url, told, mend):
                assert word in done.stderr


def untrusting():
    """A context for a test's own look at a controller whose certificate does not fit."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def test_a_wrong_and_a_weak_token_are_told_with_their_source(tmp_path):
    with RealController(tmp_path) as controller:
        done = controller.dropletctl("list", DROPLETCTL_TOKEN="w" * 40)
        assert done.returncode == 1
        assert done.stderr.startswith(
            f"Error: {controller.url} does not know the token of --token or DROPLETCTL_TOKEN "
            "(this token is not known here); "
        )
        assert done.stderr.count("\n") == 1
        weak = tmp_path / "weak"
        weak.write_text(f"server {controller.token('server')}\n")
        done = dropletctl("--url", controller.url, "--tokens-file", weak, "list")
        assert done.returncode == 1
        assert done.stderr.startswith(f"Error: {controller.url} refuses the token of {weak}: ")
        assert done.stderr.count("\n") == 1


def test_every_file_is_its_owner_s_alone_whatever_the_umask(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    with RealController(state, umask=0) as controller:
        controller.request("PUT", "/v1/droplets/7", droplet("tap7"))
        made = {
            path.name: stat.S_IMODE(path.stat().st_mode)
            for path in state.iterdir()
            if path.name not in ("ovs-metadata.conf", "controller.log")
        }
    names = ("tokens", *(f"registry.db{end}" for end in ("", "-wal", "-shm", ".lock")))
    assert made == dict.fromkeys(names, 0o600)


def test_the_socket_of_a_path_is_its_owner_s_alone(tmp_path):
    path = tmp_path / "rest.sock"
    controller = RealController(tmp_path, host=path, umask=0)
    try:
        wait_until(path.exists, "the socket")
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    finally:
        controller.stop()
