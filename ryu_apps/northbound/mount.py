"""Puts the WSGI callable where Ryu serves HTTP: the only file of this room that knows Ryu."""

from typing import Any

import eventlet.wsgi
from ryu.app.wsgi import ControllerBase, WSGIApplication, route

from ryu_apps.northbound.rest import RestApp

MAX_CONNECTIONS = 4096
"""Connections Ryu's WSGI server serves at once: each watch stream holds one, and eventlet's own
1024 would leave none for others when a thousand metadata servers follow."""


def mount(wsgi: WSGIApplication, app: RestApp) -> None:
    """Have `app` answer every request that no Ryu application registered before answers.

    Must be called before Ryu starts its WSGI server, that is from an application's `__init__`.
    """
    # Ryu starts the server without a say in its size.
    eventlet.wsgi.DEFAULT_MAX_SIMULTANEOUS_REQUESTS = MAX_CONNECTIONS

    class CatchAll(ControllerBase):
        """Hands the request on. Made for each app: Ryu keeps data by the class's name alone."""

        @route("rest", "/{path:.*}")
        def index(self, request: Any, **_: Any) -> Any:
            """A WSGI callable is an answer to webob's wsgify, which calls it as it is."""
            # Not passed as register()'s `data`, which Ryu drops when it is falsy.
            return app

    wsgi.register(CatchAll)
