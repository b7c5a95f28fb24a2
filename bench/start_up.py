"""How long the processes take to start, and what their imports cost.

Imports beside Python's own start and beside the libraries they cannot do without; the controller to
its first answer on REST, beside a bare `ryu-manager` of an empty application; the metadata server
to its first answer. Medians of runs taken in turn. `python -m bench start_up`.
"""

import argparse
import http.client
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from bench.report import Report, package_version, run_alone

BIN = Path(sys.executable).parent
_PATIENCE = 60.0

IMPORTS: Mapping[str, Sequence[str]] = {
    "python": ["-c", "pass"],
    "dropletctl --help": ["-m", "ryu_apps.dropletctl", "--help"],
    "oslo.config, prometheus_client": ["-c", "import oslo_config.cfg, prometheus_client"],
    "metadata_http.wsgi": ["-c", "import metadata_http.wsgi"],
    "ryu.cmd.manager, ryu.app.wsgi": ["-c", "import ryu.cmd.manager, ryu.app.wsgi"],
    "ryu_apps.metadata_controller": [
        "-c",
        "import ryu.cmd.manager, ryu_apps.metadata_controller",
    ],
}

_EMPTY_APP = """
from ryu.app.wsgi import ControllerBase, WSGIApplication, route
from ryu.base.app_manager import RyuApp

class Empty(RyuApp):
    _CONTEXTS = {"wsgi": WSGIApplication}
    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        kwargs["wsgi"].register(Health)

class Health(ControllerBase):
    @route("health", "/healthz")
    def health(self, req, **kwargs):
        return "alive"
"""


def timed_import(arguments: Sequence[str]) -> float:
    """Seconds that a fresh Python takes for it."""
    started = time.perf_counter()
    subprocess.run([sys.executable, *arguments], check=True, capture_output=True)
    return time.perf_counter() - started


def timed_start(command: Sequence[str | Path], port: int) -> float:
    """Seconds from the start of a process to its first answer on /healthz; it is ended then."""
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        while not _answers(port):
            if process.poll() is not None or time.perf_counter() - started > _PATIENCE:
                raise RuntimeError(f"{command[0]} does not answer: {process.poll()}")
            time.sleep(0.002)
        return time.perf_counter() - started
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.client.OK
    except OSError:
        return False
    finally:
        connection.close()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def _starts(folder: Path) -> dict[str, Callable[[], float]]:
    (folder / "empty_app.py").write_text(_EMPTY_APP)

    def bare() -> float:
        port, openflow = _free_port(), _free_port()
        options = [f"--wsapi-port={port}", f"--ofp-tcp-listen-port={openflow}"]
        app = folder / "empty_app.py"
        return timed_start([BIN / "ryu-manager", "--wsapi-host=127.0.0.1", *options, app], port)

    def controller() -> float:
        port, openflow = _free_port(), _free_port()
        config = folder / "controller.conf"
        config.write_text(
            f"[DEFAULT]\nwsapi_host = 127.0.0.1\nwsapi_port = {port}\n"
            f"ofp_listen_host = 127.0.0.1\nofp_tcp_listen_port = {openflow}\n"
            f"[metadata]\nstate_dir = {folder}\n"
        )
        app = "ryu_apps.metadata_controller"
        # As its unit starts it.
        command = ["env", "EVENTLET_NO_GREENDNS=yes", BIN / "ryu-manager", "--config-file", config]
        return timed_start([*command, app], port)

    def server() -> float:
        admin, listen = _free_port(), _free_port()
        config = folder / "server.conf"
        config.write_text(
            f"[metadata]\nstate_dir = {folder}\n[metadata_http]\ndpid = {1:016x}\n"
            f"listen = 127.0.0.1:{listen}\nadmin_listen = 127.0.0.1:{admin}\n"
        )
        return timed_start([BIN / "metadata-http", "--config-file", config], admin)

    return {
        "bare ryu-manager with REST": bare,
        "controller": controller,
        "metadata-http": server,
    }


def _told(report: Report, what: str, runs: Mapping[str, Sequence[float]], reference: str) -> None:
    base = statistics.median(runs[reference])
    for name, seconds in runs.items():
        median = statistics.median(seconds)
        beside = "" if name == reference else f"{median / base:.2f} x {reference}"
        report.figure(f"{what} {name}", median * 1e3, "ms", beside)


def main(arguments: list[str]) -> Report:
    """Measure all and report medians, with ratios to a reference of the same run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args(arguments).rounds
    imports: dict[str, list[float]] = {name: [] for name in IMPORTS}
    with tempfile.TemporaryDirectory() as folder:
        starts = _starts(Path(folder))
        started: dict[str, list[float]] = {name: [] for name in starts}
        for _ in range(rounds):
            for name, words in IMPORTS.items():
                imports[name].append(timed_import(words))
            for name, start in starts.items():
                started[name].append(start())
    report = Report("start_up", "Start-up")
    report.peer("ryu", package_version("ryu"))
    _told(report, "import:", imports, "python")
    _told(report, "first answer:", started, "bare ryu-manager with REST")
    return report


if __name__ == "__main__":
    sys.exit(run_alone(main(sys.argv[1:])))
