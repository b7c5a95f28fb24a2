"""What a client of an older description would miss in a newer one. Pure.

What is answered may grow, what is asked for may not; a name keeps its meaning as far as types and
bounds can tell.
"""

from dataclasses import dataclass
from typing import Any

METHODS = {"get", "put", "post", "delete", "patch"}
NARROWER = {"maximum": min, "maxLength": min, "maxItems": min, "minimum": max, "minLength": max}


@dataclass(frozen=True)
class Part:
    """A part of a description, references followed."""

    root: dict[str, Any]
    value: Any

    def of(self, *keys):
        """What is at these keys of it, nothing where there is none."""
        value = self.value
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return Part(self.root, self._resolved({} if value is None else value))

    def each(self, key):
        """The parts in a list."""
        return [Part(self.root, self._resolved(value)) for value in self.value.get(key, ())]

    def _resolved(self, value):
        while isinstance(value, dict) and "$ref" in value:
            value = self.root["components"]["schemas"][value["$ref"].rpartition("/")[2]]
        return value

    def names(self, key):
        """The words in a list or the keys of an object, as a set."""
        value = self.value.get(key, ())
        return {value} if isinstance(value, str) else set(map(str, value))


def breaks(old, new):
    """What is wrong with `new` for who knows `old`, a line each; nothing if all goes on."""
    return list(_breaks(Part(old, old), Part(new, new)))


def _breaks(old, new):
    for path, item in old.value["paths"].items():
        for method in METHODS & set(item):
            where = f"{method.upper()} {path}"
            if not new.of("paths", path, method).value:
                yield f"{where}: is gone"
                continue
            before, now = old.of("paths", path), new.of("paths", path)
            yield from _parameters(where, before, now, method)
            yield from _request(where, before.of(method), now.of(method))
            yield from _answers(where, before.of(method), now.of(method))


def _parameters(where, old, new, method):
    known, there = (
        {
            (each.value["in"], each.value["name"]): each
            for each in (*item.each("parameters"), *item.of(method).each("parameters"))
        }
        for item in (old, new)
    )
    for key, parameter in known.items():
        if key not in there:
            yield f"{where}: parameter {key[1]} is gone"
        else:
            schemas = parameter.of("schema"), there[key].of("schema")
            yield from _schema(f"{where} {key[1]}", *schemas, asked=True)
    for key, parameter in there.items():
        was = key in known and known[key].value.get("required")
        if parameter.value.get("required") and not was:
            yield f"{where}: parameter {key[1]} has to be given"


def _request(where, old, new):
    if "requestBody" in new.value and "requestBody" not in old.value:
        yield f"{where}: a body has to be given"
    yield from _content(where, old.of("requestBody"), new.of("requestBody"), asked=True)
    if old.value.get("security") == [] and new.value.get("security") != []:
        yield f"{where}: wants a token"


def _answers(where, old, new):
    for status in old.value["responses"]:
        before, now = old.of("responses", status), new.of("responses", status)
        if not now.value:
            if status < "400":
                yield f"{where}: {status} is answered no more"
            continue
        for header in before.names("headers") - now.names("headers"):
            yield f"{where} {status}: header {header} is gone"
        yield from _content(f"{where} {status}", before, now, asked=False)


def _content(where, old, new, *, asked):
    for media in old.value.get("content", ()):
        if media not in new.value.get("content", ()):
            yield f"{where}: {media} is gone"
        else:
            schemas = (each.of("content", media, "schema") for each in (old, new))
            yield from _schema(where, *schemas, asked=asked)


def _schema(where, old, new, *, asked):
    yield from _kind(where, old, new, asked=asked)
    yield from _members(where, old, new, asked=asked)
    if "items" in old.value and "items" in new.value:
        yield from _schema(f"{where} []", old.of("items"), new.of("items"), asked=asked)
    for choices in ("oneOf", "anyOf"):
        one, other = old.each(choices), new.each(choices)
        if len(other) < len(one):
            yield f"{where}: {choices} has fewer"
        for number, (before, now) in enumerate(zip(one, other, strict=False)):
            yield from _schema(f"{where} {choices}[{number}]", before, now, asked=asked)


def _kind(where, old, new, *, asked):
    before, now = old.names("type"), new.names("type")
    if not (before <= now if asked else now <= before):
        yield f"{where}: {sorted(before)} became {sorted(now)}"
    if "enum" in new.value:
        for word in old.names("enum") - new.names("enum"):
            yield f"{where}: {word} is gone"
    for bound, narrower in NARROWER.items():
        was, limit = old.value.get(bound), new.value.get(bound)
        if asked and limit is not None and (was is None or narrower(was, limit) != was):
            yield f"{where}: {bound} is narrower"


def _members(where, old, new, *, asked):
    had, has = old.names("required"), new.names("required")
    for name in has - had if asked else had - has:
        yield f"{where}: {name} {'has to be given' if asked else 'may be absent'}"
    for name in old.value.get("properties", ()):
        if name not in new.value.get("properties", ()):
            yield f"{where}: {name} is gone"
        else:
            inner = (each.of("properties", name) for each in (old, new))
            yield from _schema(f"{where} .{name}", *inner, asked=asked)
