"""The bridge's dpid from OVSDB, asked with ovs-vsctl. Shell; nothing else of OVS is known here."""

import logging
import subprocess
import time
from collections.abc import Callable

from metadata_http import events
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

_PAUSE = 1.0
_TIMEOUT = 5


class NoOvsVsctl(Exception):
    """There is no ovs-vsctl on this machine."""


def wait_for_dpid(
    bridge: str, ovsdb: str, waiting: Callable[[str], None] = lambda what: None
) -> str:
    """The dpid of `bridge` as 16 hex digits, as soon as OVSDB knows it; says what it waits for.

    `waiting` is told as well, every few seconds. Raises NoOvsVsctl.
    """
    said = ""
    while True:
        found = _ask(bridge, ovsdb)
        if found.startswith("dpid "):
            return found.removeprefix("dpid ")
        if found != said:
            say(log, events.WAITING_FOR_BRIDGE, bridge=bridge, url=ovsdb, reason=found)
            said = found
        waiting(f"bridge {bridge} in OVSDB: {found}")
        time.sleep(_PAUSE)


def _ask(bridge: str, ovsdb: str) -> str:
    """`dpid <16 hex digits>`, or why there is none yet."""
    get = ["get", "Bridge", bridge, "datapath_id"]
    command = ["ovs-vsctl", "--no-syslog", f"--db={ovsdb}", f"--timeout={_TIMEOUT}", *get]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError as fault:
        raise NoOvsVsctl("there is no ovs-vsctl here; give `dpid` instead of `bridge`") from fault
    answer = done.stdout.strip().strip('"')
    if done.returncode != 0:
        return done.stderr.strip().replace("\n", "; ") or f"exit status {done.returncode}"
    # The column is empty until ovs-vswitchd has made the bridge.
    return f"dpid {answer}" if len(answer) == 16 else "it has no datapath_id yet"
