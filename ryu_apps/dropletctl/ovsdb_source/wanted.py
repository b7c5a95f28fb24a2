"""What the interfaces of a switch say should be registered, and what that changes. Pure.

| key of external_ids | |
| --- | --- |
| `droplet-id` | the droplet's id; an interface without it is nobody's |
| `attached-mac` | the droplet's MAC on it, as libvirt and others have it there; required |
| `droplet-hostname` | its host name, where no file says more |

Interfaces with the same id are one droplet's, in the order of their names.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

Document = dict[str, Any]

ID, MAC, HOSTNAME = "droplet-id", "attached-mac", "droplet-hostname"
MAX_DROPLET_ID = 2**32 - 1
_MAC = re.compile(r"[0-9a-fA-F]{2}(:[0-9a-fA-F]{2}){5}", re.ASCII)


@dataclass(frozen=True, slots=True)
class Interface:
    """A row of the Interface table, as far as it matters here."""

    name: str
    external_ids: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Wanted:
    """The documents by droplet id, and what is wrong with an interface, for people.

    None stands for a droplet whose document cannot be told now: what is registered stays.
    """

    documents: Mapping[int, Document | None]
    complaints: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Changes:
    """What is to be done about registrations of ours; each document by its droplet's id."""

    new: Mapping[int, Document]
    changed: Mapping[int, Document]
    gone: tuple[int, ...]


def tag_of(owner: str) -> str:
    """The tag by which the registrations of one host's database are known; droplets see it too."""
    return f"ovsdb:{owner}"


def wanted(
    interfaces: Iterable[Interface], files: Mapping[int, Document | None], owner: str
) -> Wanted:
    """What should be registered. `files` has the rest of a document, by droplet id; None where
    there is a file that cannot be used.
    """
    ports: dict[int, list[dict[str, str]]] = {}
    names: dict[int, str] = {}
    held = {droplet_id for droplet_id, file in files.items() if file is None}
    complaints = []
    for interface in sorted(interfaces, key=lambda each: each.name):
        text = interface.external_ids.get(ID)
        if text is None:
            continue
        droplet_id, mac = _droplet_id(text), interface.external_ids.get(MAC, "")
        if droplet_id is None:
            complaints.append(f"{interface.name}: {ID} {text!r} is not 1 to {MAX_DROPLET_ID}")
        elif not _MAC.fullmatch(mac):
            complaints.append(f"{interface.name}: {MAC} {mac!r} is no MAC")
            held.add(droplet_id)
        else:
            port = {"name": interface.name, "mac": mac.lower()}
            ports.setdefault(droplet_id, []).append(port)
            names.setdefault(droplet_id, interface.external_ids.get(HOSTNAME, ""))
    documents: dict[int, Document | None] = dict.fromkeys(held)
    for droplet_id, own in ports.items():
        if droplet_id not in held:
            file = files.get(droplet_id) or {}
            documents[droplet_id] = _document(own, names[droplet_id], file, owner)
    return Wanted(documents, tuple(complaints))


def changes(
    documents: Mapping[int, Document | None], registered: Mapping[int, Document]
) -> Changes:
    """What has to change until the `registered` ones, all of them ours, are as wanted."""
    known = {one: document for one, document in documents.items() if document is not None}
    return Changes(
        new={one: document for one, document in known.items() if one not in registered},
        changed={
            one: document
            for one, document in known.items()
            if one in registered and not _covers(registered[one], document)
        },
        gone=tuple(one for one in registered if one not in documents),
    )


def is_ours(document: Document, owner: str) -> bool:
    """Whether a registration was made from this host's database."""
    return tag_of(owner) in ((document.get("metadata") or {}).get("tags") or ())


def _droplet_id(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= MAX_DROPLET_ID):
        return None
    return int(text)


def _document(ports: list[dict[str, str]], hostname: str, file: Document, owner: str) -> Document:
    metadata = dict(file.get("metadata") or {})
    if hostname:
        metadata.setdefault("hostname", hostname)
    metadata["tags"] = [*(metadata.get("tags") or ()), tag_of(owner)]
    return {**file, "ports": ports, "metadata": metadata}


def _covers(kept: Any, sent: Any) -> bool:
    """Whether what the registry keeps is what was sent; it adds what was left out."""
    if isinstance(sent, dict):
        return isinstance(kept, dict) and all(
            _covers(kept.get(key), value) for key, value in sent.items()
        )
    if isinstance(sent, list):
        return isinstance(kept, list) and len(kept) == len(sent) and all(map(_covers, kept, sent))
    return kept == sent
