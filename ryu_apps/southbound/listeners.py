"""What Ryu listens on: alone, or not at all, for as long as the process lives.

Ryu's listeners are eventlet's, which by default share their port with any process that shares it
too (SO_REUSEPORT): beside a second controller by mistake, each switch and each REST call would
meet one of the two by chance. And a listener that fails ends its green thread with a line in the
log, and the process goes on without it.
"""

import logging
import os
import sys
from functools import partial
from typing import Any

import eventlet
from ryu import cfg
from ryu.base.app_manager import lookup_service_brick
from ryu.controller import ofp_event
from ryu.lib import hub

from ovs_metadata_logs import say
from ryu_apps import events

LOG = logging.getLogger(__name__)

# sysexits.h: what is needed is taken by somebody else.
EX_UNAVAILABLE = os.EX_UNAVAILABLE

_STARTING = 0.01  # seconds until Ryu is asked again whether it has started its listener

_made: list[Any] = []  # the addresses listened on


def listen_alone() -> None:
    """Have each listener that Ryu makes from now on refuse a port that another process has."""
    if not isinstance(eventlet.listen, partial):
        eventlet.listen = partial(_listen, eventlet.listen)


def _listen(listen: Any, address: Any, **options: Any) -> Any:
    try:
        listener = listen(address, **options, reuse_port=False)
    except OSError as error:
        say(LOG, events.CANNOT_LISTEN, address=_shown(address), reason=error.strerror)
        raise SystemExit(EX_UNAVAILABLE) from error
    _made.append(address)
    return listener


def _shown(address: Any) -> str:
    return address if isinstance(address, str) else f"{address[0] or '*'}:{address[1]}"


def wait_until_listening() -> None:
    """Return when Ryu has made all listeners that it makes: those for switches, and REST's."""
    conf = cfg.CONF
    # Without a port of our own choice it takes the one of before 2013 as well.
    switches = 1 if conf.ofp_tcp_listen_port or conf.ofp_ssl_listen_port else 2
    while len(_made) < switches + 1:
        hub.sleep(_STARTING)


def end_with_listener() -> None:
    """End the process when the listener for switches has ended, which it does only by a failure.

    Runs on a green thread of its own, spawned with `raise_error`.
    """
    handler = lookup_service_brick(ofp_event.NAME)
    while handler.main_thread is None:
        hub.sleep(_STARTING)
    handler.main_thread.wait()
    say(LOG, events.LISTENER_ENDED)
    sys.exit(EX_UNAVAILABLE)
