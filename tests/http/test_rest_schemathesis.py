"""schemathesis asks a real ryu-manager what `/v1/openapi.json` says can be asked, and what not.

EXAMPLES=20 python -m pytest tests/http/test_rest_schemathesis.py    # twenty times as many of them
"""

import json
import os
import re
import subprocess
import sys
import urllib.request
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.packaging.manager import Manager, free_port, wait_for
from tests.trace.dummy_ovs import DummyOvs

pytestmark = pytest.mark.slow

HERE = Path(__file__).parent
TIMES = int(os.environ.get("EXAMPLES", "1"))
# As schemathesis_hooks.py has them.
DPID = "00000000000000ab"
DROPLET_ID = 7


class Controller(Manager):
    """The controller in a real ryu-manager, with its state in `folder`."""

    def __init__(self, folder, *before):
        """`before`: modules that ryu-manager loads before the application."""
        self.folder = folder
        self.openflow_port = free_port()
        config = folder / "controller.conf"
        config.write_text(f"[metadata]\nstate_dir = {folder}\n")
        options = ("--config-file", config, "--ofp-tcp-listen-port", str(self.openflow_port))
        super().__init__(folder, *options, *before, app="ryu_apps.metadata_controller")

    @property
    def authorization(self):
        lines = (self.folder / "tokens").read_text().splitlines()
        return "Bearer " + next(line.split()[1] for line in lines if line.startswith("admin "))

    def call(self, method, path, document=None):
        """The JSON of one call that succeeds."""
        data = None if document is None else json.dumps(document).encode()
        headers = {"Authorization": self.authorization, "Content-Type": "application/json"}
        url = f"http://127.0.0.1:{self.http_port}{path}"
        request = urllib.request.Request(url, data, headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def schemathesis(self, *options):
        """Exit status and output of `st run` with all its checks but one.

        A maintenance event that was called off is null and still there to be asked for. That what
        was deleted is gone is shown in `test_rest_droplets`.
        """
        done = subprocess.run(
            [
                *(Path(sys.executable).parent / "st", "--no-color"),
                *("--config-file", HERE / "schemathesis.toml"),
                *("run", f"http://127.0.0.1:{self.http_port}/v1/openapi.json"),
                *("--checks", "all", "--exclude-checks", "use_after_free"),
                *("--header", f"Authorization: {self.authorization}", *options),
            ],
            capture_output=True,
            text=True,
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(HERE)},
            check=False,
        )
        return done.returncode, done.stdout + done.stderr


@contextmanager
def switch_with_a_droplet(controller):
    """A real switch, without packets, on which droplet `DROPLET_ID` has its port."""
    ports = [{"name": "tap7", "mac": "a6:a4:8e:4a:e8:70"}]
    document = {"ports": ports, "metadata": {"region": "nyc3"}}
    controller.call("PUT", f"/v1/droplets/{DROPLET_ID}", document)

    def bound():
        if not controller.call("GET", "/v1/switches")["switches"]:
            return False
        found = controller.call("GET", f"/v1/switches/{DPID}/ports")["ports"]
        return any(port["droplet_id"] == DROPLET_ID for port in found)

    with DummyOvs() as ovs:
        ovs.run(
            *("ovs-vsctl", "add-br", "br0", "--", "set", "bridge", "br0", "fail_mode=secure"),
            *("protocols=OpenFlow13", f"other-config:datapath-id={DPID}"),
            *("--", "add-port", "br0", "meta0", "--", "set", "interface", "meta0"),
            *("type=internal", "--", "add-port", "br0", "tap7", "--", "set", "interface", "tap7"),
            *("type=dummy", "--", "set-controller", "br0"),
            f"tcp:127.0.0.1:{controller.openflow_port}",
        )
        wait_for(bound, "the droplet on its port", lambda: controller.log)
        yield ovs


@pytest.mark.timeout(300 * TIMES)
def test_schemathesis_finds_nothing(tmp_path):
    with Controller(tmp_path) as controller, switch_with_a_droplet(controller):
        # An ordinary run asks the same as the one before; a longer one asks something new.
        chance = [] if TIMES > 1 else ["--generation-deterministic"]
        status, output = controller.schemathesis("--max-examples", str(10 * TIMES), *chance)
        assert status == 0, output
        assert "Traceback" not in controller.log
    tested = re.search(r"Selected: (\d+)/(\d+)\n\s+Tested: (\d+)\n", output)
    assert tested and len(set(tested.groups())) == 1, output
    for phase in ("Coverage", "Fuzzing", "Stateful"):
        assert re.search(rf"✅ +{phase}", output), output


def test_schemathesis_finds_each_of_the_flaws_planted(tmp_path):
    """As the harness is: else that it finds nothing would tell nothing."""
    with Controller(tmp_path, HERE / "flawed_controller.py") as controller:
        flawed = "listDroplets", "listSwitches", "putDroplet", "announceMaintenance", "healthz"
        only = [word for name in flawed for word in ("--include-operation-id", name)]
        _, output = controller.schemathesis("--phases", "coverage", "--no-shrink", *only)
    _, *parts = re.split(r"\n_{3,} ([A-Z]+ /\S+) _{3,}\n", output)
    found = dict(
        zip(parts[::2], map(re.compile(r"- ST\d+ (.*)").findall, parts[1::2]), strict=True)
    )
    assert found == {
        "GET /healthz": ["Undocumented Content-Type"],
        "GET /v1/droplets": ["Server error", "Undocumented status code"],
        "GET /v1/switches": ["Undocumented status code"],
        "PUT /v1/droplets/{droplet_id}": ["Response violates schema (2 violations)"],
        "PUT /v1/droplets/{droplet_id}/maintenance": ["Schema-violating request accepted"],
    }, output
