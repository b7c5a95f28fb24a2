"""The audit log: who wrote what to the registry, or was refused to. Names, never values.

One line for each request that writes or would have written, in the logger of its own that
`ovs_metadata_logs` keeps in JSON. What a droplet was before is read before the write; another
write may come between the two, but for one with If-Match, which fails then.
"""

import logging
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import webob

from ovs_metadata_logs import AUDIT, say
from ryu_apps import events
from ryu_apps.northbound.registry import Registry
from ryu_apps.northbound.tokens import Caller
from ryu_apps.registry.changes import changed
from ryu_apps.store.interface import Entry, Record, StoreError

LOG = logging.getLogger(AUDIT)

ACTIONS = {
    ("POST", "/v1/droplets"): "batch",
    ("PUT", "/v1/droplets/{droplet_id}"): "put",
    ("DELETE", "/v1/droplets/{droplet_id}"): "delete",
    ("PUT", "/v1/droplets/{droplet_id}/maintenance"): "announce-maintenance",
    ("DELETE", "/v1/droplets/{droplet_id}/maintenance"): "call-off-maintenance",
    ("PATCH", "/v1/switches/{dpid}/droplets/{droplet_id}/agent"): "agent-report",
}
"""What each route that writes droplets does."""

_MAX_ID_DIGITS = 10


@dataclass(slots=True)
class Trail:
    """What is known of one request by now. `told` is what its line says of the droplets."""

    caller: Caller | None = None
    told: dict[str, Any] = field(default_factory=dict)
    _before: Record | None = None

    def look(self, registry: Registry, droplet_id: int) -> None:
        """Keep what there is of the droplet, before it is written."""
        self.told["droplet_id"] = droplet_id
        with suppress(StoreError):  # The write will say so, and it is what matters.
            self._before = registry.get(droplet_id)
        if self._before is not None:
            self.told["revision_before"] = self._before.latest

    def put(self, record: Record, *, created: bool) -> None:
        """The droplet is now this."""
        self.told["action"] = "create" if created else "replace"
        before = None if created or self._before is None else self._before.document
        self.told |= {"changed": changed(before, record.document), "revision": record.revision}

    def status(self, latest: int, names: Iterable[str]) -> None:
        """Its status has these names and this revision now."""
        is_new = self._before is None or latest != self._before.latest
        self.told |= {"revision": latest, "changed": sorted(names) if is_new else []}

    def batch(self, entries: Iterable[Entry]) -> None:
        """What a batch holds."""
        ids = [entry.droplet_id for entry in entries]
        self.told |= {"droplets": len(ids), "droplet_ids": ids}

    def end(
        self, request: webob.Request, path: str, values: dict[str, str], answer: webob.Response
    ) -> None:
        """Tell of it, if it was a write: `path` is the route's, `values` what stood for names."""
        action = ACTIONS.get((request.method, path))
        if action is None or (action == "agent-report" and self.told.get("changed") == []):
            return
        status = answer.status_int
        denied = status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN)
        said: dict[str, Any] = {
            "action": action,
            "droplet_id": _number(values.get("droplet_id", "")),
            **self.told,
            **self._who(),
            "peer": request.environ.get("REMOTE_ADDR"),
            "outcome": _outcome(status, self.told),
            "status": status,
            "reason": answer.json_body.get("detail") if status >= HTTPStatus.BAD_REQUEST else None,
        }
        say(LOG, events.REGISTRY_WRITE_DENIED if denied else events.REGISTRY_WRITE, **said)

    def _who(self) -> dict[str, Any]:
        if self.caller is None:
            return {"who": "nobody known"}
        role, line = str(self.caller.role), self.caller.line
        return {
            "who": f"{role} (line {line} of tokens_file)",
            "role": role,
            "token": f"line {line}",
            "dpid": self.caller.dpid,
        }


def _outcome(status: int, told: dict[str, Any]) -> str:
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return "failed"
    if status >= HTTPStatus.BAD_REQUEST:
        return "refused"
    return "unchanged" if told.get("changed") == [] else "done"


def _number(text: str) -> int | None:
    """A droplet's id as the path has it; None for what is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= _MAX_ID_DIGITS else None
