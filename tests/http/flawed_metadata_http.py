"""`metadata-http` with a flaw, the one that the first argument names, for the fuzzers to find."""

import sys
from dataclasses import replace

from metadata_http import app, respond
from metadata_http.__main__ import main

_call, _respond, _doubtful = app.Application.__call__, app.respond, respond._is_doubtful


def _believe_the_header(application, environ, start_response):
    """The address is what a header says, as behind a proxy."""
    said = environ.pop("HTTP_X_FORWARDED_FOR", "").removeprefix("for=")
    if said.count(".") == 3:
        environ["REMOTE_ADDR"] = said
    return _call(application, environ, start_response)


def _trip_over_dots(caller, request, trees):
    """A path that nobody thought of is a fault of ours: 500."""
    if ".." in request.path:
        raise ValueError(request.path)
    return _respond(caller, request, trees)


def _count_characters(caller, request, trees):
    """A Content-Length that is not the body's."""
    response = _respond(caller, request, trees)
    if response.status == 404 and not request.path.isascii():
        longer = str(len(response.body) + 1)
        headers = [(n, longer if n == "Content-Length" else v) for n, v in response.headers]
        return replace(response, headers=tuple(headers))
    return response


def _overlook_encodings(request):
    """A body whose end is in doubt, and the connection goes on."""
    headers = {k: v for k, v in request.headers.items() if k != "transfer-encoding"}
    return _doubtful(replace(request, headers=headers))


FLAWS = {
    "believe the header": (app.Application, "__call__", _believe_the_header),
    "trip over dots": (app, "respond", _trip_over_dots),
    "count characters": (app, "respond", _count_characters),
    "overlook encodings": (respond, "_is_doubtful", _overlook_encodings),
}

if __name__ == "__main__":
    where, name, flawed = FLAWS[sys.argv.pop(1)]
    setattr(where, name, flawed)
    sys.exit(main())
