"""Brings the registrations of one host's database about, over REST, and nobody else's. Shell.

Ours are told by their tag, so a restart of either side forgets nothing. What somebody else
registered, or replaced since, is reported and left alone.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ovs_metadata_client import Client, Conflict, Invalid, NotFound, PreconditionFailed
from ryu_apps.dropletctl.ovsdb_source.wanted import Changes, Document, changes, is_ours, tag_of


class Registrations:
    """Those with the tag of `owner`. `tell` is called with what was done.

    Every method raises ClientError where the controller cannot be asked.
    """

    def __init__(self, client: Client, owner: str, tell: Callable[[dict[str, Any]], None]) -> None:
        self._client = client
        self._owner = owner
        self._tell = tell

    def bring_about(self, documents: Mapping[int, Document | None]) -> list[str]:
        """Register, replace and remove until it is as wanted; why what could not be, could not."""
        ours = {
            document["droplet_id"]: dict(document)
            for document in self._client.droplets(tag=tag_of(self._owner))
        }
        return list(self._do(changes(documents, ours)))

    def _do(self, todo: Changes) -> Iterator[str]:
        # First what goes: its port may be another droplet's now.
        for droplet_id in todo.gone:
            yield from self._guarded(droplet_id, None)
        for droplet_id, document in todo.changed.items():
            yield from self._guarded(droplet_id, document)
        for droplet_id, document in todo.new.items():
            yield from self._register(droplet_id, document)

    def _register(self, droplet_id: int, document: Document) -> Iterator[str]:
        try:
            self._client.put_droplet(droplet_id, document, if_new=True)
            self._done(droplet_id, "registered")
        except PreconditionFailed:
            yield f"droplet {droplet_id}: registered by somebody else, and left as it is"
        except (Conflict, Invalid) as error:
            yield _refused(droplet_id, error)

    def _guarded(self, droplet_id: int, document: Document | None) -> Iterator[str]:
        """Replace, or with None remove, a registration if it is ours still."""
        try:
            now = self._client.get_droplet(droplet_id)
            if not is_ours(dict(now.droplet), self._owner):
                return
            if document is None:
                self._client.delete_droplet(droplet_id, if_match=now.etag)
                self._done(droplet_id, "removed")
            else:
                self._client.put_droplet(droplet_id, document, if_match=now.etag)
                self._done(droplet_id, "replaced")
        except NotFound:
            return  # somebody removed it: if it is wanted, it is new the next time
        except PreconditionFailed:
            yield f"droplet {droplet_id}: changed by somebody else just now"
        except (Conflict, Invalid) as error:
            yield _refused(droplet_id, error)

    def _done(self, droplet_id: int, what: str) -> None:
        self._tell({"droplet_id": droplet_id, "done": what})


def _refused(droplet_id: int, error: Conflict | Invalid) -> str:
    faults = "; ".join(f"{fault.get('pointer', '')} {fault['detail']}" for fault in error.faults)
    return f"droplet {droplet_id}: {faults or error.detail}"
