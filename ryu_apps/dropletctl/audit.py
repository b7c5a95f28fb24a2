"""The audit log of the commands that write a registry by themselves, with no controller to do it.

A line in the controller's form and file, `audit_log`; without one it goes to syslog.
"""

import contextlib
import getpass
import logging
import os
import socket
import syslog
from pathlib import Path
from typing import Any

from ovs_metadata_logs import AUDIT
from ovs_metadata_logs.fields import spelled
from ovs_metadata_logs.lines import Line, as_json
from ovs_metadata_logs.outlet import WatchedFile
from ryu_apps import events
from ryu_apps.dropletctl.connection import configured


def tell(config_file: Path | None, **fields: Any) -> None:
    """Tell of a write that was done. Raises OSError where `audit_log` cannot be written."""
    configuration = configured(config_file)
    audit_log = None if configuration is None else configuration.settings.audit_log
    text = _line({"who": _who(), "outcome": "done", **fields})
    if audit_log is None:
        syslog.openlog("dropletctl", facility=syslog.LOG_USER)
        syslog.syslog(syslog.LOG_INFO, text)
        return
    is_new = not os.path.exists(audit_log)
    WatchedFile(audit_log, mode=0o600).write(logging.INFO, f"{text}\n".encode())
    if is_new and os.geteuid() == 0:
        # The controller runs as somebody else and must be able to go on in it.
        folder = os.stat(Path(audit_log).absolute().parent)
        os.chown(audit_log, folder.st_uid, folder.st_gid)


def _line(fields: dict[str, Any]) -> str:
    event, told = events.REGISTRY_WRITE, spelled(fields)
    # For the time alone, which nothing is decided by.
    record = logging.LogRecord(AUDIT, event.level, "", 0, "", None, None)
    level = logging.getLevelName(event.level)
    return as_json(
        Line(
            record.created, level, AUDIT, os.getpid(), event.name, event.sentence(told), told, None
        )
    )


def _who() -> str:
    name = f"uid {os.getuid()}"
    with contextlib.suppress(KeyError, OSError):
        name = getpass.getuser()
    return f"{name}@{socket.gethostname()}, by dropletctl"
