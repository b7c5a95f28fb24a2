"""dropletctl over real sockets and a real terminal: the live tables, completion, its errors."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.http.crooked_server import answer, crooked
from tests.http.rest_harness import DPID, DPID_TEXT, PATIENCE, RestController, droplet, wait_until
from tests.http.terminal import Terminal
from tests.packaging.certificates import Authority

DROPLETCTL = Path(sys.executable).parent / "dropletctl"


@pytest.fixture(scope="module")
def module_controller(tmp_path_factory):
    controller = RestController(tmp_path_factory.mktemp("state"), pace={"heartbeat": 0.2})
    yield controller
    controller.kill()


@pytest.fixture
def controller(module_controller):
    """With one switch, in sync, that has droplet 7 at ofport 7 and nobody at ofport 8."""
    module_controller.forget_all()
    module_controller.put(7, droplet("tap7", hostname="web-7"))
    module_controller.do("connect", dpid=DPID)
    module_controller.do("publish", dpid=DPID, ofport=7, name="tap7", droplet_id=7)
    module_controller.do("publish", dpid=DPID, ofport=8, name="up")
    module_controller.do("in-sync", dpid=DPID)
    return module_controller


def options(controller):
    """The words that lead to it."""
    tokens = controller.state_dir / "tokens"
    return ["--url", f"http://127.0.0.1:{controller.port}", "--tokens-file", str(tokens)]


def run(*words, **more):
    return subprocess.run(
        [DROPLETCTL, *words], capture_output=True, text=True, check=False, timeout=PATIENCE, **more
    )


# -- watch -----------------------------------------------------------------------------------------


def test_watch_shows_a_table_that_follows(controller):
    with Terminal(DROPLETCTL, *options(controller), "watch", rows=10) as terminal:
        picture = terminal.wait_for("tap7")
        assert re.match(rf"{DPID_TEXT}  in sync at revision \d+, 100\.127\.0\.0/16", picture[0])
        assert picture[1] == "2 ports: 1 serving, 1 unregistered, 0 binding, 0 error"
        assert picture[2].split() == [
            *("ofport", "port", "hv-local", "droplet", "hostname", "state", "changed", "reason")
        ]
        assert picture[3].split() == ["7", "tap7", "100.127.0.7", "7", "web-7", "serving"]
        controller.do("publish", dpid=DPID, ofport=9, name="tap9", elsewhere="is on another")
        picture = terminal.wait_for("is on another")
        assert re.search(r" tap9 .* error +\d+ s ", picture[3])
        controller.do("remove", dpid=DPID, ofport=9)
        wait_until(lambda: "tap9" not in "".join(terminal.screen), "the port to go")
        for ofport in range(100, 140):
            controller.do("publish", dpid=DPID, ofport=ofport, name=f"tap{ofport}")
        picture = terminal.wait_for("42 ports, 7 shown")
        assert len(picture) == 10
        assert terminal.interrupt() == 0
        # What was on the terminal before is back.
        assert terminal.raw.index("\x1b[?1049h") < terminal.raw.index("\x1b[?1049l")
    assert "Traceback" not in terminal.text
    wait_until(lambda: controller.gauge("ovs_metadata_watchers") == 0, "the stream to end")


def test_watch_says_so_while_the_controller_is_away_and_goes_on(controller):
    with Terminal(DROPLETCTL, *options(controller), "watch", DPID_TEXT) as terminal:
        terminal.wait_for("tap7")
        controller.do("forget")
        terminal.wait_for("as last known, trying again: ")
        assert "tap7" in "".join(terminal.screen)
        controller.do("connect", dpid=DPID)
        controller.do("publish", dpid=DPID, ofport=9, name="tap9")
        controller.do("in-sync", dpid=DPID)
        picture = terminal.wait_for("tap9")
        assert "tap7" not in "".join(picture)
        assert terminal.interrupt() == 0


def test_watch_that_is_refused_leaves_the_table_and_says_why(controller):
    with Terminal(DROPLETCTL, *options(controller), "watch", "00000000000000ff") as terminal:
        assert terminal.process.wait(PATIENCE) == 1
        wait_until(lambda: "is not known" in terminal.text, "the reason")
        assert terminal.raw.index("\x1b[?1049l") < terminal.raw.index("is not known")


@pytest.mark.parametrize("terminal_type", ["xterm", "dumb"])
def test_watch_writes_lines_where_that_is_asked_for_or_all_there_is(controller, terminal_type):
    words = ["watch"] if terminal_type == "dumb" else ["watch", "--lines"]
    with Terminal(
        DROPLETCTL, *options(controller), *words, env={"TERM": terminal_type}
    ) as terminal:
        wait_until(lambda: "in sync at revision" in terminal.text, "the view")
        assert re.search(r"^\d\d:\d\d:\d\d ofport 7 ", terminal.text, re.MULTILINE)
        assert "\x1b[" not in terminal.raw
        assert terminal.interrupt() == 0


def test_watch_into_a_pipe_writes_lines_and_with_json_events(controller):
    for words, begin in [([], "ofport 7 "), (["--json"], '"event": "port"')]:
        process = subprocess.Popen(
            [DROPLETCTL, *options(controller), "watch", *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        lines = [process.stdout.readline() for _ in range(3)]
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=PATIENCE)
        assert process.returncode == 0, rest
        assert begin in lines[1]
        if words:
            assert [json.loads(line)["event"] for line in lines] == ["snapshot", "port", "port"]


# -- top -------------------------------------------------------------------------------------------


def counted(droplet_id, requests, errors=0, limited=0):
    return {
        **{"droplet_id": droplet_id, "ofport": droplet_id, "requests": requests, "errors": errors},
        **{"rate_limited": limited, "unsure": 0, "without_token": 0},
        **{"last_status": 200, "last_request_s": 3.1},
    }


def looks(*droplets, servers=True):
    """The answer to one look at the requests of a switch."""
    server = {"server": "meta-1", "age_s": 0.0, "view_age_s": 0.1}
    told = {"dpid": DPID_TEXT, "servers": [server] if servers else [], "droplets": list(droplets)}
    return answer(200, json.dumps(told).encode())


BEFORE = looks(counted(7, 100), counted(8, 10))
AFTER = looks(counted(7, 100), counted(8, 1010, 1000, 500))


def top(server, *words):
    return [DROPLETCTL, "--url", server.url, "--token", "x", "top", *words]


def test_top_once_tells_what_was_between_two_looks():
    with crooked(BEFORE, AFTER) as server:
        words = [DPID_TEXT, "--once", "--interval", "0.5"]
        done = run(*top(server, *words)[1:])
        assert done.returncode == 0, done.stderr
        assert server.targets == [f"/v1/switches/{DPID_TEXT}/requests"] * 2
        _, first, second = (line.split() for line in done.stdout.splitlines())
    assert (first[2], second[2]) == ("8", "7")
    requests, errors, limited = map(float, first[3:6])
    assert 0 < requests <= 2000
    assert errors == pytest.approx(requests, rel=0.01)
    assert limited == pytest.approx(requests / 2, rel=0.01)
    assert first[6:] == ["1010", "1000", "500", "200", "3", "s"]
    assert second[3:6] == ["0.0", "0.0", "0.0"]


def test_top_in_json_is_one_value_or_a_line_each_time():
    with crooked(BEFORE, AFTER) as server:
        words = [DPID_TEXT, "--json", "--interval", "0.5", "--sort", "id"]
        told = json.loads(run(*top(server, *words, "--once")[1:]).stdout)
        assert [each["droplet_id"] for each in told["droplets"]] == [7, 8]
        assert told["droplets"][0] == {
            **{"dpid": DPID_TEXT, **counted(7, 100), "requests_per_s": 0.0},
            **{"errors_per_s": 0.0, "rate_limited_per_s": 0.0},
        }
        assert told["switches"][0]["servers"][0]["server"] == "meta-1"
        process = subprocess.Popen(top(server, *words), stdout=subprocess.PIPE, text=True)
        lines = [json.loads(process.stdout.readline()) for _ in range(2)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=PATIENCE)
        assert process.returncode == 0
        assert lines[0]["at"] < lines[1]["at"]


def test_top_shows_as_many_rows_as_there_is_room_for():
    many = [counted(n, n) for n in range(1, 41)]
    with crooked(looks(*many)) as server:
        words = top(server, DPID_TEXT, "--sort", "total", "--interval", "0.2")
        with Terminal(*words, rows=12) as terminal:
            picture = terminal.wait_for("40 droplets, the first 8, a second: 0.0 requests")
            assert len(picture) <= 12
            assert [line.split()[1] for line in picture[2:5]] == ["40", "39", "38"]
            assert terminal.interrupt() == 0


def test_top_says_where_nobody_counts():
    with crooked(looks(servers=False)) as server:
        done = run(*top(server, DPID_TEXT, "--once", "--interval", "0.2")[1:])
    assert done.returncode == 0
    assert f"{DPID_TEXT}: no metadata server reports" in done.stderr


# -- completion ------------------------------------------------------------------------------------


@pytest.fixture
def bash(controller, tmp_path):
    """A bash that has read the script, in a folder with one file."""
    (tmp_path / "droplets.ndjson").touch()
    url, tokens = options(controller)[1::2]
    path = f"{DROPLETCTL.parent}:{os.environ['PATH']}"
    env = {"PATH": path, "DROPLETCTL_URL": url, "DROPLETCTL_TOKENS_FILE": tokens, "PS1": "> "}
    command = ["bash", "--norc", "--noprofile", "-i"]
    with Terminal(*command, columns=300, env={**env, "TERM": "dumb"}) as terminal:
        terminal.type(
            f"cd {tmp_path}; bind 'set bell-style none'; bind 'set show-all-if-ambiguous on'\n"
        )
        terminal.type('eval "$(dropletctl completion bash)"; echo re""ady\n')
        wait_until(lambda: "ready" in terminal.text, "the script to be read")
        yield terminal


def complete(bash, line, expected):
    """Type `line` and Tab, wait until the line so begun is `expected`, and take it back."""
    begin = len(bash.text)
    bash.type(f"{line}\t")
    wait_until(
        lambda: expected in bash.text[begin:], f"{line!r} to become {expected!r}: {bash.text!r}"
    )
    bash.type("\x15\n")


def test_bash_completes_commands_options_files_switches_and_droplets(bash, controller):
    complete(bash, "dropletctl mai", "dropletctl maintenance ")
    complete(bash, "dropletctl watch --li", "dropletctl watch --lines ")
    complete(bash, "dropletctl top --sort rate", "--sort rate-limited ")
    complete(bash, "dropletctl completion z", "completion zsh ")
    complete(bash, "dropletctl import dro", "dropletctl import droplets.ndjson ")
    complete(bash, "dropletctl ports 0", f"dropletctl ports {DPID_TEXT} ")
    controller.put(7889371, droplet("tap9"))
    controller.put(90, droplet("tap90"))
    complete(bash, "dropletctl get 78", "dropletctl get 7889371 ")
    complete(bash, "dropletctl trace 788", "dropletctl trace 7889371 ")


def test_bash_is_left_alone_where_the_controller_is_not_there(bash, controller):
    bash.type("export DROPLETCTL_URL=http://127.0.0.1:1; echo g''one\n")
    wait_until(lambda: "gone" in bash.text, "the variable")
    begin = len(bash.text)
    bash.type("dropletctl ports 0\t")
    bash.type("\x15echo d''one\n")
    wait_until(lambda: "done" in bash.text[begin:], "the line")
    assert "Traceback" not in bash.text and "Error" not in bash.text[begin:]


# -- errors ----------------------------------------------------------------------------------------


def one_line_of(done):
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.count("\n") == 1, done.stderr
    return done.stderr


def test_who_was_asked_and_why_there_is_told(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as gone:
        port = gone.getsockname()[1]
    tokens = tmp_path / "tokens"
    tokens.write_text("admin 0123456789abcdef\n")
    config = tmp_path / "ovs-metadata.conf"
    config.write_text(f"[DEFAULT]\nwsapi_port = {port}\n[metadata]\nstate_dir = {tmp_path}\n")
    said = one_line_of(run("--config-file", config, "switches"))
    assert f"no answer from a controller at http://127.0.0.1:{port}: Connection refused" in said
    assert f"wsapi_host and wsapi_port of {config}" in said
    assert "does the controller run" in said


def test_a_wrong_token_is_told_with_its_file(controller, tmp_path):
    tokens = tmp_path / "tokens"
    tokens.write_text("admin 0123456789abcdef\n")
    said = one_line_of(run(*options(controller), "--tokens-file", tokens, "switches"))
    assert f"http://127.0.0.1:{controller.port} does not know the token of {tokens}" in said
    assert "0123456789abcdef" not in said


def test_a_misspelt_key_of_the_configuration_is_told_with_the_one_meant(tmp_path):
    config = tmp_path / "ovs-metadata.conf"
    config.write_text("[metadata]\nstate_dri = /tmp\n")
    said = one_line_of(run("--config-file", config, "switches"))
    assert "state_dri" in said and "did you mean state_dir?" in said and str(config) in said


def test_trouble_with_tls_leads_to_its_mend(tmp_path, controller):
    authority = Authority(tmp_path / "ours", "authority")
    pair = authority.issue("controller")
    words = ["--tls", str(pair.certificate), str(pair.key)]
    (tmp_path / "state").mkdir()
    secure = RestController(tmp_path / "state", arguments=words)
    try:
        url = f"https://127.0.0.1:{secure.port}"
        tokens = ["--tokens-file", secure.state_dir / "tokens"]
        ask = ["switches", *tokens, "--url"]
        assert "--ca-file says whom to trust" in one_line_of(run(*ask, url))
        trusting = ["--ca-file", authority.certificate]
        name = f"https://localhost:{secure.port}"
        assert "the URL must name the host" in one_line_of(run(*ask, name, *trusting))
        assert "https://?" in one_line_of(run(*ask, url.replace("https", "http")))
        plain = f"https://127.0.0.1:{controller.port}"
        assert "it speaks plain HTTP there" in one_line_of(run(*ask, plain, *trusting))
        assert run(*ask, url, *trusting).returncode == 0
    finally:
        secure.kill()
