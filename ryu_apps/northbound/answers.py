"""Answers as WebOb responses: the few forms that all calls share."""

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


def etag(revision: int) -> str:
    """The strong entity tag of a record: its revision, which changes with every write."""
    return f'"{revision}"'
