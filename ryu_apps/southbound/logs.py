"""Where Ryu's log goes, in our form, and written by a thread that may wait.

Ryu sets its log up before it loads us, by its own options: standard error, a file, syslog. Its
handlers write on the green thread that logs, so a pipe that nobody reads would stop it and with it
everything else. They are replaced by outlets to the same places.
"""

import logging
import logging.handlers
import sys

from eventlet import patcher
from ryu import cfg

from ovs_metadata_logs import Logs
from ovs_metadata_logs.outlet import Descriptor, Sink, Syslog, WatchedFile


def write_logs(form: str, level: str | None) -> Logs | None:
    """Take over from Ryu, in the format `form`; `level` None leaves Ryu's.

    None where there is nothing to take over: we were not loaded by ryu-manager, or by one with a
    `log_config_file`, whose author has a say in everything.
    """
    root = logging.getLogger()
    theirs = [(each, sink) for each in root.handlers if (sink := _sink(each)) is not None]
    if not theirs or cfg.CONF.log_config_file:
        return None
    logs = Logs(form, native=patcher.original("threading"))
    for handler, (name, sink) in theirs:
        root.removeHandler(handler)
        logs.to(name, sink)
    if level is not None:
        root.setLevel(level.upper())
    logs.take_over()
    return logs


def _sink(handler: logging.Handler) -> tuple[str, Sink] | None:
    """What stands for one of Ryu's handlers, and its name among the outlets."""
    if type(handler) is logging.StreamHandler and handler.stream is sys.stderr:
        return "stderr", Descriptor(sys.stderr.fileno())
    if type(handler) is logging.handlers.WatchedFileHandler:
        return "file", WatchedFile(handler.baseFilename, mode=int(cfg.CONF.log_file_mode, 8))
    if type(handler) is logging.handlers.SysLogHandler:
        return "syslog", Syslog(handler)
    return None
