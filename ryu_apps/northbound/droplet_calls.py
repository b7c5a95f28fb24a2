"""The calls under /v1/droplets: read the request, ask the registry, answer."""

import re
from collections.abc import Iterable
from http import HTTPStatus

import webob

from ryu_apps.northbound import body
from ryu_apps.northbound.answers import document_revision, etag, json_answer, no_content
from ryu_apps.northbound.context import Call, asked_text, flag, whole_number
from ryu_apps.northbound.problems import Problem
from ryu_apps.northbound.turns import in_turns
from ryu_apps.registry import jsontext
from ryu_apps.registry.batch import BatchReader
from ryu_apps.registry.droplet import MAX_DROPLET_ID, read_droplet
from ryu_apps.registry.faults import Fault, InvalidDocument
from ryu_apps.store.interface import Entry, PageQuery, Precondition, Record

JSON = "application/json"
NDJSON = "application/x-ndjson"

_ID = re.compile(r"0|[1-9][0-9]{0,19}", re.ASCII)
_TAGS = re.compile(r'(W/)?"([^"]*)"')


def put(call: Call) -> webob.Response:
    """PUT /v1/droplets/{droplet_id}: register or replace, durably."""
    registry, limits = call.context.registry, call.context.limits
    environ = call.request.environ
    body.require_type(environ, JSON)
    data = body.read(environ, max_bytes=limits.document, seconds=limits.body_seconds)
    droplet = read_droplet(
        jsontext.parse(data), _addressed(call), default_region=registry.defaults.region
    )
    call.trail.look(registry, droplet.droplet_id)
    record, created = registry.put(droplet, _precondition(call.request))
    call.trail.put(record, created=created)
    return _droplet_answer(record, HTTPStatus.CREATED if created else HTTPStatus.OK)


def get(call: Call) -> webob.Response:
    """GET /v1/droplets/{droplet_id}: what was registered."""
    droplet_id, registry = known_id(call), call.context.registry
    certain = flag(call.parameters("certain"), "certain")
    age = registry.age()  # Before: what is found is no older than the index was then.
    found = registry.get_many([droplet_id], certain=certain)
    headers = _doubt(found.stale, age)
    record = found.get(droplet_id)
    if record is None:
        raise Problem(
            HTTPStatus.NOT_FOUND, f"droplet {droplet_id} is not registered", headers=headers
        )
    tag = etag(record.revision, record.status_revision)
    if _is_among(tag, call.request.headers.get("If-None-Match")):
        answer = webob.Response(status=304, headerlist=[("ETag", tag)])
        answer.headers["Cache-Control"] = "no-store"
    else:
        answer = _droplet_answer(record, HTTPStatus.OK)
    answer.headers.update(headers)
    return answer


def _doubt(stale: bool, age: float) -> dict[str, str]:
    """The header of an answer that may lack what was written in the last `age` seconds."""
    return {"Registry-Age": f"{age:.3f}"} if stale else {}


def delete(call: Call) -> webob.Response:
    """DELETE /v1/droplets/{droplet_id}."""
    registry, droplet_id = call.context.registry, known_id(call)
    call.trail.look(registry, droplet_id)
    registry.delete(droplet_id, _precondition(call.request))
    return no_content()


def list_page(call: Call) -> webob.Response:
    """GET /v1/droplets: a page in id order."""
    limits = call.context.limits
    given = call.parameters("limit", "after", "tag", "region", "q")
    query = PageQuery(
        after=whole_number(given, "after", 0, range(MAX_DROPLET_ID + 1)),
        limit=whole_number(given, "limit", min(100, limits.page), range(1, limits.page + 1)),
        tag=given.get("tag"),
        region=given.get("region"),
        text=asked_text(given),
        max_bytes=limits.page_bytes,
    )
    age = call.context.registry.age()
    page = call.context.registry.page(query)
    following = str(page.records[-1].droplet_id) if page.more else "null"
    documents = b",".join(map(_shown, page.records))
    return json_answer(
        b'{"droplets":[%b],"next":%b}' % (documents, following.encode()),
        headers=_doubt(page.stale, age),
    )


def put_batch(call: Call) -> webob.Response:
    """POST /v1/droplets: register all of a batch, or none and say what is wrong with each."""
    batches = call.context.batches
    if not batches.begin():
        raise Problem(
            HTTPStatus.SERVICE_UNAVAILABLE,
            f"{batches.limit} batches are under way, the most there may be at a time",
            headers={"Retry-After": "2"},
        )
    try:
        return _put_batch(call)
    finally:
        batches.end()


def _put_batch(call: Call) -> webob.Response:
    registry, limits = call.context.registry, call.context.limits
    reader = BatchReader(
        Entry.of, max_droplets=limits.batch_droplets, default_region=registry.defaults.region
    )
    for _ in in_turns(reader.read(_elements(call))):
        pass
    call.trail.batch(reader.kept)
    created = registry.put_many(reader.kept)
    call.trail.told["created"] = created
    total = len(reader.kept)
    return json_answer(
        jsontext.encode({"droplets": total, "created": created, "replaced": total - created})
    )


def _elements(call: Call) -> Iterable[jsontext.Element]:
    limits, environ = call.context.limits, call.request.environ
    if body.require_type(environ, JSON, NDJSON) == NDJSON:
        return jsontext.ndjson_elements(
            body.lines(
                environ,
                max_bytes=limits.batch,
                max_line=limits.document,
                seconds=limits.batch_seconds,
            )
        )
    pieces = body.pieces(environ, max_bytes=limits.batch, seconds=limits.batch_seconds)
    return jsontext.array_elements(pieces, max_bytes=limits.document)


def _droplet_answer(record: Record, status: HTTPStatus) -> webob.Response:
    tag = etag(record.revision, record.status_revision)
    return json_answer(_shown(record), status=status, headers={"ETag": tag})


def _shown(record: Record) -> bytes:
    """The droplet as it is answered: its document, and its status if it has any."""
    if record.status is None:
        return record.document
    return b'%b,"status":%b}' % (record.document[:-1], record.status)


def _addressed(call: Call) -> int:
    """The id in the path of a PUT; its range is checked with the rest of the document."""
    text = call.path["droplet_id"]
    if not _ID.fullmatch(text):
        fault = Fault("/droplet_id", f"the path must end in a number from 1 to {MAX_DROPLET_ID}")
        raise InvalidDocument([fault])
    return int(text)


def known_id(call: Call) -> int:
    """The id in the path where only one that can be registered makes sense.

    Raises `Problem` 404 for any other.
    """
    text = call.path["droplet_id"]
    if not _ID.fullmatch(text) or not 1 <= int(text) <= MAX_DROPLET_ID:
        raise Problem(
            HTTPStatus.NOT_FOUND, f"a droplet's id is a number from 1 to {MAX_DROPLET_ID}"
        )
    return int(text)


def _precondition(request: webob.Request) -> Precondition:
    return Precondition(
        match=_revisions(request.headers.get("If-Match"), weak=False),
        none_match=_revisions(request.headers.get("If-None-Match"), weak=True),
    )


def _revisions(header: str | None, *, weak: bool) -> frozenset[int] | None:
    """The documents' revisions that entity tags name; empty for `*`, None without the header.

    What a write would replace is the document, so its revision alone decides: a report of the
    droplet's agent does not get between an operator's reading and writing. A tag that is none of
    ours stands for revision 0, which no record has. If-Match compares strongly, so that a weak tag
    never matches there (RFC 9110 section 8.8.3.2).
    """
    if header is None:
        return None
    if header.strip() == "*":
        return frozenset()
    found = (document_revision(tag) for mark, tag in _TAGS.findall(header) if weak or not mark)
    return frozenset(found) | {0}


def _is_among(tag: str, header: str | None) -> bool:
    """Whether an If-None-Match names the entity tag, weak or strong."""
    if header is None:
        return False
    return header.strip() == "*" or tag in (f'"{given}"' for _, given in _TAGS.findall(header))
