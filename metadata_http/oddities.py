"""One log line for each odd request, but no more of them than anyone would read.

Shell (logging). A guest chooses what it asks and how often, so its words are shown quoted and cut,
and its lines are counted out.
"""

import logging
import threading
from collections import Counter

from metadata_http.identity import Caller, Verdict
from metadata_http.rates import Rates
from metadata_http.respond import Request, Response

log = logging.getLogger(__name__)

# Of each address, and of all together: this many lines at once, then so many a second.
_OWN_RATE, _OWN_BURST = 0.5, 20
_ALL_RATE, _ALL_BURST = 10, 200
_EVERYBODY = "everybody"


class Oddities:
    """Logs answers from 400 on; those that are passed over are counted in the next line."""

    def __init__(self) -> None:
        self._own = Rates(_OWN_RATE, _OWN_BURST)
        self._all = Rates(_ALL_RATE, _ALL_BURST)
        self._passed_over: Counter[str] = Counter()
        self._lock = threading.Lock()  # never held while logging, which may block

    def note(
        self, now: float, peer: str, caller: Caller, request: Request, response: Response
    ) -> None:
        """Log the answer `response` to `request`, or count it."""
        # Outside the subnet addresses are for free, so those share one key.
        key = "outside" if caller.verdict is Verdict.REFUSED else peer
        with self._lock:
            more = self._take(key, now)
        if more is None:
            return
        level = logging.WARNING if caller.verdict is Verdict.REFUSED else logging.INFO
        status, method, path = response.status.value, request.method[:16], request.path[:200]
        log.log(level, "%d to %s (%s): %r %r%s", status, peer, who(caller), method, path, more)

    def _take(self, key: str, now: float) -> str | None:
        """What a line of `key` has to add about those before it; None if there is to be none."""
        if not self._own.take(key, now):
            self._passed_over[key] += 1
            return None
        if not self._all.take(_EVERYBODY, now):
            self._passed_over[_EVERYBODY] += 1
            return None
        return "".join(
            f"; before it {count} of {whose} not logged"
            for whose in (key, _EVERYBODY)
            if (count := self._passed_over.pop(whose, 0))
        )


def who(caller: Caller) -> str:
    """The caller for a log line."""
    if caller.droplet is None:
        return caller.reason
    off = "" if caller.droplet.options.endpoint_enabled else ", http_endpoint disabled"
    return f"droplet {caller.droplet.droplet_id}, {caller.reason}{off}"
