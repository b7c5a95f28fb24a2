"""Log lines of all processes: what may be said, in what form, how often, and by whom it is written.

Only the standard library, and nothing of the processes, so that all of them may use it. `fields`,
`event`, `lines` and `repeats` decide; `outlet` and `handler` do. What there is to say is declared
in `ryu_apps/events.py` and `metadata_http/events.py`. Why this and no library:
docs/decisions/0013-logs.md.
"""

from ovs_metadata_logs.event import Event
from ovs_metadata_logs.handler import AUDIT, Logs, lines_dropped, say

__all__ = ["AUDIT", "Event", "Logs", "lines_dropped", "say"]
