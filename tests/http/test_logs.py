"""The logs of both real processes: one form for all lines, and nobody waits for the reader."""

import fcntl
import json
import os
import re
import signal
import socket
import subprocess
import threading
from contextlib import contextmanager

import pytest

from tests.http.fake_controller import port, wait_until
from tests.http.real_controller import RealController
from tests.http.ryu_controller import RyuController
from tests.packaging.manager import BIN

PAGE = 4096
TEXT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z [A-Z]+ \d+ \S+ \[\w+( \w+=\".*\")*\] .*")
BEFORE_US = "loading app ryu_apps.metadata_controller"


class Pipe:
    """A pipe of one page that nobody reads until it is asked to."""

    def __init__(self):
        self.reading, self.writing = os.pipe()
        fcntl.fcntl(self.writing, fcntl.F_SETPIPE_SZ, PAGE)
        self.text = b""

    def drain(self):
        """Read from now on."""
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self):
        while some := os.read(self.reading, 65536):
            self.text += some


class UnreadController(RyuController):
    """One whose standard error is a pipe."""

    def __init__(self, folder):
        super().__init__(folder)
        self.config_file.write_text(
            self.config_file.read_text() + "log_level = debug\nlog_format = json\n"
        )
        self.pipe = Pipe()

    def launch(self):
        self.log = None
        self.process = subprocess.Popen(
            [
                BIN / "ryu-manager",
                "--config-file",
                self.config_file,
                "ryu_apps.metadata_controller",
            ],
            stderr=self.pipe.writing,
            cwd=BIN.parents[1],
            env={**os.environ, "PYTHONWARNINGS": "ignore"},
        )

    def log_text(self):
        return ""


@contextmanager
def unread(folder):
    controller = UnreadController(folder)
    try:
        controller.start()
        yield controller
    finally:
        controller.process.kill()
        controller.process.wait()


def ask_often(port, times):
    """So many requests over one connection, all answered."""
    with socket.create_connection(("127.0.0.1", port), 120) as connection:
        request = b"GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
        for _ in range(times // 100):
            connection.sendall(request * 100)
            answered = b""
            while answered.count(b"HTTP/1.1 200") < 100 or not answered.endswith(b"}"):
                some = connection.recv(1 << 20)
                assert some, answered
                answered += some


def dropped(text):
    return sum(
        float(value) for value in re.findall(r"^\S*log_lines_dropped_total\S* (\S+)", text, re.M)
    )


def test_a_controller_whose_log_nobody_reads_answers_on_and_tells_what_was_lost(tmp_path):
    with unread(tmp_path) as controller:
        ask_often(controller.port, 5000)
        assert controller.request("GET", "/v1/switches").status == 200
        lost = dropped(controller.get("/metrics", token=None).body.decode())
        assert lost > 0
        controller.pipe.drain()
        wait_until(lambda: b'"lines_dropped"' in controller.pipe.text, "the loss in the log")
        lines = [
            json.loads(line)
            for line in controller.pipe.text.decode().splitlines()
            if line.startswith("{")
        ]
        told = [line["count"] for line in lines if line["event"] == "lines_dropped"]
        assert sum(told) >= lost
        # What was not lost is whole, and in the order in which it happened.
        times = [line["time"] for line in lines]
        assert times == sorted(times)
        # And goes on.
        controller.get("/healthz", token=None)
        wait_until(lambda: controller.pipe.text.count(b"rest_answered") > len(lines) // 2, "more")


def test_a_metadata_server_whose_log_nobody_reads_answers_on(controller, make_server):
    controller.put(*(port(600 + n, f"127.0.1.{n}", n) for n in range(1, 100)))
    server = make_server(controller, log_level="debug", threads=4, rate_limit=0).start()
    controller.wait_acknowledged()
    # From here on nobody reads: the pipe is full soon, and so is what its reader took at once.
    fcntl.fcntl(server.process.stderr.fileno(), fcntl.F_SETPIPE_SZ, PAGE)
    server.stop_reading()
    odd = "/an-odd-path/" + "x" * 180
    for number in range(1, 100):
        assert server.get(odd, f"127.0.1.{number}")[0] == 404
    for number in range(1, 100):
        assert server.get("/metadata/v1/id", f"127.0.1.{number}")[0] == 200
    assert server.log.count(odd) < 99
    server.go_on_reading()
    wait_until(lambda: server.log.count("[request_odd") >= 99, "the lines that had to wait")


@pytest.mark.parametrize("form", ["json", "text"])
def test_every_line_of_the_controller_has_one_form(tmp_path, form):
    """Ryu's and eventlet's too, at any level, but for the one that says that we are loaded."""
    with RealController(tmp_path, log_format=form, log_level="debug") as controller:
        controller.request("GET", "/v1/nothing%0aERROR%1b[31m")
        wait_until(lambda: "rest_refused" in controller.log_text(), "the line")
    before, *lines = controller.log_text().splitlines()
    assert before == BEFORE_US
    loggers = set()
    for line in lines:
        if form == "json":
            loggers.add(json.loads(line)["logger"])
        else:
            assert TEXT.fullmatch(line), line
            assert line.isprintable()
            loggers.add(line.split()[3])
    assert {"ryu.base.app_manager", "eventlet.wsgi", "ryu_apps.northbound.rest"} <= loggers


@pytest.mark.parametrize("form", ["json", "text"])
def test_every_line_of_the_metadata_server_has_one_form(controller, make_server, form):
    """granian's too, and those of each worker."""
    controller.put(port(602, "127.0.0.2", 7))
    server = make_server(controller, log_format=form, log_level="debug", workers=2)
    server.process = server.spawn(server.command)
    server.read_log()
    wait_until(lambda: server.log.count("worker_started") == 2, "both workers")
    wait_until(lambda: server.log.count("Started worker") == 2, "both workers")
    server.signal(signal.SIGTERM)
    assert server.wait() == 0
    loggers, processes = set(), set()
    for line in server.log.splitlines():
        if form == "json":
            told = json.loads(line)
            loggers.add(told["logger"])
            processes.add(told["process"])
        else:
            assert TEXT.fullmatch(line), line
            loggers.add(line.split()[3])
            processes.add(int(line.split()[2]))
    assert {"_granian", "metadata_http.service", "metadata_http"} <= loggers
    assert len(processes) == 3


def test_a_file_that_is_rotated_is_followed_and_a_hangup_ends_the_controller(tmp_path):
    """logrotate needs no signal, moved or truncated; SIGHUP has its usual meaning."""
    log = tmp_path / "ryu.log"
    words = ("--log-file", log, "--nouse-stderr")
    with RealController(tmp_path, words=words) as controller:

        def said(peer, file):
            controller.request("GET", f"/v1/{peer}", role=None)
            wait_until(lambda: f"/v1/{peer}" in file.read_text(), f"{peer} in {file.name}")

        said("first", log)
        moved = log.rename(tmp_path / "ryu.log.1")
        said("second", log)
        assert "/v1/second" not in moved.read_text()
        os.truncate(log, 0)
        said("third", log)
        assert b"\0" not in log.read_bytes()
        controller.process.send_signal(signal.SIGHUP)
        assert controller.process.wait(60) == -signal.SIGHUP
