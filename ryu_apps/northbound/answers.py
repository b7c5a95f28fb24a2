"""Answers as WebOb responses: the few forms that all calls share."""

import re
from collections.abc import Mapping
from http import HTTPStatus

import webob


def json_answer(
    body: bytes,
    *,
    status: HTTPStatus = HTTPStatus.OK,
    content_type: str = "application/json",
    headers: Mapping[str, str] | None = None,
) -> webob.Response:
    """An answer whose body is JSON text. Nobody may keep a copy: documents hold secrets."""
    response = webob.Response(
        status=int(status), content_type=content_type, charset=None, body=body
    )
    response.headers["Cache-Control"] = "no-store"
    response.headers.update(headers or {})
    return response


def no_content() -> webob.Response:
    """204."""
    return webob.Response(status=204)


def etag(revision: int, status_revision: int = 0) -> str:
    """The strong entity tag of a record: its revision, and that of its status where it is newer.

    The first part alone is what preconditions of writes are about, see `document_revision`.
    """
    return f'"{revision}-{status_revision}"' if status_revision > revision else f'"{revision}"'


_TAG = re.compile(r"([1-9][0-9]{0,18})(?:-[0-9]{1,19})?", re.ASCII)


def document_revision(tag: str) -> int:
    """The revision of the document in an entity tag, given without its quotes; 0 if not ours."""
    found = _TAG.fullmatch(tag)
    return int(found[1]) if found else 0
