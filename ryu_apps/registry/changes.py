"""The names of what differs between two documents of a droplet; never a value.

User data, keys and passwords are values, so that names alone may be told to anybody.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from ryu_apps.registry import jsontext

_WITHIN = ("metadata", "metadata_options", "agent")
"""Objects whose members are named one by one."""


def changed(before: bytes | None, after: bytes | None) -> list[str]:
    """What differs, as `ports` or `metadata.user_data`, in order; None stands for no document.

    Both are texts that we wrote ourselves: nothing is checked.
    """
    if before == after:
        return []
    old, new = (dict(_named(_decoded(text))) for text in (before, after))
    return sorted(
        name for name in old.keys() | new.keys() if old.get(name, _NONE) != new.get(name, _NONE)
    )


_NONE = object()


def _decoded(text: bytes | None) -> Mapping[str, Any]:
    return {} if text is None else jsontext.decode_trusted(text)


def _named(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in document.items():
        if name in _WITHIN and isinstance(value, dict):
            yield from ((f"{name}.{member}", of_it) for member, of_it in value.items())
        else:
            yield name, value
