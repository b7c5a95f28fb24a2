"""The events that are of no process's own: lines of libraries, and of the log itself."""

from logging import CRITICAL, ERROR, INFO, WARNING

from ovs_metadata_logs.event import Event

LIBRARY = Event(
    "library",
    INFO,
    "",
    "A line of a library: Ryu, eventlet, granian. Its level is its own, and so is its text.",
)
"""The likes of such a line are those of one logger with one text before its arguments."""

STDERR = Event(
    "stderr",
    WARNING,
    "",
    "Something wrote to standard error by itself, most of all the trace of a green thread.",
    burst=200,
)
CRASHED = Event(
    "crashed",
    CRITICAL,
    "a fault of ours ends this",
    "A defect, with its trace: report it. The process, or the thread, ends.",
)
LINES_DROPPED = Event(
    "lines_dropped",
    ERROR,
    "{count} lines were not written: {source} did not take them in time",
    "Whoever reads the log stood still, or its disk. They are lost, and counted in "
    "`..._log_lines_dropped_total`.",
)
MORE_LIKE_THIS = Event(
    "more_like_this",
    INFO,
    "{more} more like this: {reason}",
    "So many lines of the event `source` were held back, for they said the same of the same. Has "
    "that event's level.",
    more=("source",),
)

OWN = (LIBRARY, STDERR, CRASHED, LINES_DROPPED, MORE_LIKE_THIS)
