"""Puts the WSGI callable where Ryu serves HTTP: the only file of this room that knows Ryu."""

import logging
import os
from ssl import SSLContext
from typing import Any

import eventlet.wsgi
import ryu.app.wsgi
from ryu import cfg
from ryu.app.wsgi import ControllerBase, WSGIApplication, route
from ryu.lib import hub

from ryu_apps.northbound.rest import RestApp
from ryu_apps.northbound.tls import TlsListener

LOG = logging.getLogger("eventlet.wsgi")

MAX_CONNECTIONS = 4096
"""Connections served at once: each watch stream holds one, and eventlet's own 1024 would leave
none for others when a thousand metadata servers follow."""


IDLE_SECONDS = 120
"""How long a connection may say nothing, in a request's head, its body, or between requests: else
so many silent ones would keep everybody else out. Metadata servers speak every few seconds."""


def mount(
    wsgi: WSGIApplication,
    app: RestApp,
    tls: SSLContext | None = None,
    *,
    idle_seconds: float = IDLE_SECONDS,
) -> None:
    """Have `app` answer every request that no Ryu application registered before answers.

    With `tls` all of them are served over it. Must be called before Ryu starts its WSGI server,
    that is from an application's `__init__`.
    """

    class CatchAll(ControllerBase):
        """Hands the request on. Made for each app: Ryu keeps data by the class's name alone."""

        # Not `.*`, which ends before a line's end: Ryu would answer such a path, in HTML.
        @route("rest", r"/{path:[\s\S]*}")
        def index(self, request: Any, **_: Any) -> Any:
            """A WSGI callable is an answer to webob's wsgify, which calls it as it is."""
            # Not passed as register()'s `data`, which Ryu drops when it is falsy.
            return app

    class Server(_Server):
        """The server of this context; Ryu passes it nothing but the application."""

        context = tls
        patience = idle_seconds

    wsgi.register(CatchAll)
    # Ryu starts the server by this name, without a say in its size, its socket or its manners.
    ryu.app.wsgi.WSGIServer = Server


class _Talk:
    """What eventlet's server says beside its line for each request, which is empty here."""

    def info(self, text: str) -> None:
        """Its start and end, and what went wrong with an answer: a trace, of a defect of ours."""
        if text:
            LOG.log(logging.ERROR if text.startswith("Traceback") else logging.INFO, text)

    def debug(self, text: str) -> None:
        """Each connection."""
        LOG.debug(text)

    def error(self, text: str) -> None:
        """What went wrong."""
        LOG.error(text)


class _Server(hub.WSGIServer):
    """What stands for Ryu's own: the same address, on our terms."""

    context: SSLContext | None = None
    patience = IDLE_SECONDS

    def __init__(self, application: WSGIApplication) -> None:
        # `wsapi_host` may be a path: that socket is its owner's alone, whatever the umask.
        before = os.umask(0o177)
        try:
            super().__init__((cfg.CONF.wsapi_host, cfg.CONF.wsapi_port), application)
        finally:
            os.umask(before)

    def __call__(self) -> None:
        """Serve until the process ends; Ryu has a green thread call this."""
        listener = self.server if self.context is None else TlsListener(self.server, self.context)
        eventlet.wsgi.server(
            listener,
            self.handle,
            _Talk(),
            log_format="",  # REST tells of its requests itself.
            max_size=MAX_CONNECTIONS,
            socket_timeout=self.patience,
            debug=False,  # With it a fault's trace goes to the sender.
        )
