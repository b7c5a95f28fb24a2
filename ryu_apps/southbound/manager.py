"""What the service manager is told of this process (sd_notify(3)): ready, alive, about to end.

Said on the green thread that does everything else: when that one hangs, so does the sign of life,
and the manager starts the process anew. Without a manager that asks (NOTIFY_SOCKET) nothing is.
"""

import os
from collections.abc import Mapping
from functools import cache

from ryu.lib import hub
from sdnotify import SystemdNotifier

from ryu_apps.southbound.listeners import wait_until_listening

_SIGNS = 4
"""Signs of life in the time after which the manager gives up on us."""


def keep_manager_informed(status: str) -> None:
    """Say that we are ready once we listen, with `status` for people; then that we live, for ever.

    Runs on a green thread of its own.
    """
    wait_until_listening()
    _tell(f"READY=1\nSTATUS={status}")
    seconds = watchdog_seconds(os.environ, os.getpid())
    while seconds is not None:
        _tell("WATCHDOG=1")
        hub.sleep(seconds / _SIGNS)


def tell_stopping() -> None:
    """Say that the end was asked for."""
    _tell("STOPPING=1")


def watchdog_seconds(environ: Mapping[str, str], pid: int) -> float | None:
    """How long the manager waits for a sign of life of process `pid`; None: for ever.

    sd_watchdog_enabled(3).
    """
    if environ.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    microseconds = int(environ.get("WATCHDOG_USEC", "0"))
    return microseconds / 1e6 if microseconds > 0 else None


def _tell(news: str) -> None:
    if "NOTIFY_SOCKET" in os.environ:
        _notifier().notify(news)


@cache
def _notifier() -> SystemdNotifier:
    # `debug`, or it would swallow what goes wrong.
    return SystemdNotifier(debug=True)
