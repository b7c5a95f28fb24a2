"""The small parts that a description in OpenAPI 3.1 is put together of. They know no call."""

from typing import Any

Json = dict[str, Any]

JSON = "application/json"
NDJSON = "application/x-ndjson"
SQLITE = "application/vnd.sqlite3"
MERGE_PATCH = "application/merge-patch+json"


def integer(minimum: int, maximum: int) -> Json:
    """A whole number, both bounds included."""
    return {"type": "integer", "minimum": minimum, "maximum": maximum}


def ref(name: str) -> Json:
    """The shape of this name."""
    return {"$ref": f"#/components/schemas/{name}"}


def answer(text: str, schema: str | None = None, *, media: str = JSON) -> Json:
    """An answer, its body of this shape where it has one."""
    told: Json = {"description": text}
    if schema is not None:
        told["content"] = {media: {"schema": ref(schema)}}
    return told


def droplet_answer(text: str) -> Json:
    """An answer that is a droplet, with its entity tag."""
    return answer(text, "Droplet") | {"headers": {"ETag": {"$ref": "#/components/headers/ETag"}}}


_REASONS = {
    400: "The request or the document is wrong; every fault is listed",
    401: "No token, or one that is not known",
    403: "Beyond what the token allows",
    404: "There is no such thing",
    405: "Not a method of this path; Allow names them",
    408: "The body took too long to come",
    409: "Another droplet holds a port name; the revision is none to acknowledge",
    412: "The precondition does not hold",
    413: "The body is larger than the limit",
    415: "Not the media type, charset or coding that is taken",
    421: "Another controller leads the switch: ask that one",
    503: "The registry, or the controller, cannot do it now",
    507: "The registry's disk is full",
}


def problems(*statuses: int) -> Json:
    """The refusals with these statuses."""
    return {
        str(status): answer(_REASONS[status], "Problem", media="application/problem+json")
        for status in sorted(statuses)
    }


def parameter(name: str, where: str, schema: Json, text: str) -> Json:
    """A parameter; one in the path is required."""
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "description": text, "schema": schema, **required}


def operation(name: str, summary: str, tag: str, answers: Json, **members: Any) -> Json:
    """A call; members that are None are left out."""
    return {
        "operationId": name,
        "summary": summary,
        "tags": [tag],
        **{key: value for key, value in members.items() if value is not None},
        "responses": answers,
    }
