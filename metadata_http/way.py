"""Watches the way between droplets and this server that is the host's: address, device, route.

Shell, but for `fault`. The socket listens whether or not the host has its address (IP_FREEBIND),
so when somebody takes the address, the rule or the route away, no request comes and no error does:
droplets time out, and only looking tells. The kernel says when something of it changed (rtnetlink,
rtnetlink(7)); what is there then is asked of `ip`, as `dropletctl host-setup` made it.
"""

import json
import logging
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network
from typing import Any

from metadata_http import events
from ovs_metadata_logs import say

log = logging.getLogger(__name__)

# linux/rtnetlink.h: RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV4_RULE.
_GROUPS = 0x1 | 0x10 | 0x40 | 0x80
_SETTLE = 1.0  # seconds from one look to the next, however much changes
_LOOK_ANYWAY = 30.0  # seconds; for changes that the kernel does not tell of
_IP_SECONDS = 5
_KERNEL_REFUSED = 2
_MEND = "`dropletctl host-setup` makes it"

Link = Mapping[str, Any]
"""A device as `ip -json address` shows it."""


class _NoIp(Exception):
    """`ip` cannot be run, so nothing is known."""


def fault(address: str, holders: Sequence[Link], leaves_by: str | None) -> str:
    """Why droplets get no answer from `address`, or nothing.

    `holders` are the devices that have it; `leaves_by` is the one by which what is sent from it to
    a droplet leaves the host, None where there is no route.
    """
    names = [str(link["ifname"]) for link in holders]
    if not names:
        return f"no device of this host has {address}: {_MEND}"
    if not any("UP" in link.get("flags", ()) for link in holders):
        return f"{names[0]}, which has {address}, is down"
    if leaves_by is None:
        return f"this host has no route from {address} to droplets: {_MEND}"
    if leaves_by not in names:
        return f"what {address} sends to droplets leaves by {leaves_by}, not {names[0]}: {_MEND}"
    return ""


class Way(threading.Thread):
    """Keeps `reason` at why droplets get no answer; empty: they do, None: nothing is known.

    `network` gives the droplets' addresses, None while they are not known.
    """

    def __init__(self, address: str, network: Callable[[], IPv4Network | None]) -> None:
        super().__init__(name="way", daemon=True)
        self.reason: str | None = None
        self._address = address
        self._network = network
        self._stopping = threading.Event()

    def report(self) -> dict[str, Any]:
        """How it stands, for /readyz and as gauges."""
        reason = self.reason
        return {"reachable": None if reason is None else not reason, "unreachable": reason or ""}

    def leave(self) -> None:
        """Stop watching, soon."""
        self._stopping.set()

    def run(self) -> None:
        """Look whenever something changes, until told to stop."""
        if IPv4Address(self._address).is_unspecified:
            return
        with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, socket.NETLINK_ROUTE) as news:
            news.bind((0, _GROUPS))
            news.setblocking(False)
            while not self._stopping.is_set():
                self._look()
                self._stopping.wait(_SETTLE)
                select.select([news], [], [], _LOOK_ANYWAY)
                _drain(news)

    def _look(self) -> None:
        try:
            reason: str | None = self._fault()
        except _NoIp as error:
            say(log, events.REACH_UNKNOWN, address=self._address, reason=error)
            reason = None
        before, self.reason = self.reason, reason
        if reason and reason != before:
            say(log, events.UNREACHABLE, reason=reason)
        elif before and not reason:
            say(log, events.REACHABLE, address=self._address)

    def _fault(self) -> str:
        shown = _ip("address", "show", "to", self._address) or []
        holders = [link for link in shown if "ifname" in link]
        network = self._network()
        if network is None:
            return fault(self._address, holders, holders[0]["ifname"] if holders else None)
        routes = _ip("route", "get", str(network[1]), "from", self._address) if holders else None
        return fault(self._address, holders, routes[0].get("dev") if routes else None)


def _drain(news: socket.socket) -> None:
    """Pass over what the kernel tells: what is so now is asked anew."""
    while True:
        try:
            news.recv(1 << 16)
        except BlockingIOError:
            return
        except OSError:  # ENOBUFS: more than the socket could hold, which says no more
            continue


def _ip(*words: str) -> list[dict[str, Any]] | None:
    """What `ip` says; None where the kernel says that there is none (ip(8): status 2).

    Raises _NoIp.
    """
    command = ["ip", "-4", "-json", *words]
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, check=False, timeout=_IP_SECONDS
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise _NoIp(str(error)) from error
    if done.returncode == _KERNEL_REFUSED:
        return None
    if done.returncode != 0:  # any other says nothing of the host, only of `ip`
        said = done.stderr.strip() or f"status {done.returncode} without a word"
        raise _NoIp(f"{' '.join(command)}: {said}")
    try:
        return json.loads(done.stdout or "[]")
    except ValueError as error:
        raise _NoIp(f"{' '.join(command)} said {done.stdout[:80]!r}") from error
