"""One log line for each odd request.

Shell (logging). A guest chooses what it asks and how often: its words are shown quoted and cut, and
how many of its lines there are is bounded where events are declared.
"""

import logging

from metadata_http import events
from metadata_http.identity import Caller, Verdict
from metadata_http.respond import Request, Response
from ovs_metadata_logs import say

log = logging.getLogger(__name__)


def note(peer: str, caller: Caller, request: Request, response: Response) -> None:
    """Log the answer `response`, from 400 on, to `request`."""
    told = {
        "status": response.status.value,
        "peer": peer,
        "who": who(caller),
        "method": request.method[:16],
        "path": request.path[:200],
    }
    if caller.verdict is Verdict.REFUSED:
        say(log, events.REQUEST_STRANGE, **told)
        return
    droplet_id = None if caller.droplet is None else caller.droplet.droplet_id
    say(log, events.REQUEST_ODD, **told, droplet_id=droplet_id)


def who(caller: Caller) -> str:
    """The caller for a log line."""
    if caller.droplet is None:
        return caller.reason
    off = "" if caller.droplet.options.endpoint_enabled else ", http_endpoint disabled"
    return f"droplet {caller.droplet.droplet_id}, {caller.reason}{off}"
