"""The call that hands out a copy of the registry, while everything else goes on."""

import os
from collections.abc import Iterator
from http import HTTPStatus
from typing import BinaryIO

import webob
from eventlet import tpool

from ryu_apps.northbound.context import Call, Places
from ryu_apps.northbound.problems import Problem
from ryu_apps.northbound.watch import bound_sending

SQLITE = "application/vnd.sqlite3"

_PIECE = 1 << 20
_SEND_SECONDS = 30
"""A reader that takes nothing for so long is given up, and the copy with it."""


def backup(call: Call) -> webob.Response:
    """GET /v1/backup: the registry as of now, one SQLite file.

    One at a time: each takes as much room beside the registry as the registry itself.
    """
    answer = webob.Response(status=200, content_type=SQLITE, charset=None)
    answer.headers["Cache-Control"] = "no-store"
    answer.content_length = None
    if call.request.method == "HEAD":
        return answer
    backups = call.context.backups
    if not backups.begin():
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            "another backup is being made",
            headers={"Retry-After": "5"},
        )
    try:
        file = call.context.registry.backup()
        answer.app_iter = _Copy(file, backups)
    except BaseException:
        backups.end()
        raise
    answer.content_length = os.fstat(file.fileno()).st_size
    bound_sending(call.request.environ["eventlet.input"].get_socket(), _SEND_SECONDS)
    return answer


class _Copy:
    """The file in pieces, read on a real thread; closed by the WSGI server whatever ended it."""

    def __init__(self, file: BinaryIO, backups: Places) -> None:
        self._file = file
        self._backups = backups

    def __iter__(self) -> Iterator[bytes]:
        while piece := tpool.execute(self._file.read, _PIECE):
            yield piece

    def close(self) -> None:
        """Give the copy's room back, and let the next one be made."""
        if not self._file.closed:
            self._file.close()
            self._backups.end()
