"""The metadata servers known to follow a switch, kept over restarts of the controller.

A controller that starts must wait for the servers of its earlier life, which may still answer from
an older view. It knows them by name from here. A restored registry may lack some: then there is one
more at each switch, `STRANGER`, who never says a word and is forgotten as any other silent server.
The store blocks, so calls go through `offload`.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Any

from eventlet import tpool
from eventlet.semaphore import Semaphore

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.store.interface import Store, StoreUnavailable

LOG = logging.getLogger(__name__)


STRANGER = "(not in the restored registry)"
"""Stands for all that a restored registry may not know; no server can have this name."""


class KnownServers:
    """Names of metadata servers by dpid."""

    def __init__(self, store: Store, *, offload: Callable[..., Any] = tpool.execute) -> None:
        self._store = store
        self._offload = offload
        # Writes in the order of the calls: a server that comes back must not be forgotten after.
        self._order = Semaphore(1)
        self._names: dict[int, set[str]] = {}
        for dpid, name in offload(store.servers):
            self._names.setdefault(dpid, set()).add(name)
        settled = offload(store.settled)
        self._settled: set[int] | None = None if settled is None else set(settled)

    def of(self, dpid: int) -> Iterable[str]:
        """The servers that follow this switch, as far as is known."""
        strangers = self._settled is not None and dpid not in self._settled
        return (*self._names.get(dpid, ()), *((STRANGER,) if strangers else ()))

    def refresh(self, dpid: int) -> None:
        """Another controller may have led this switch: read anew who follows it.

        Raises StoreUnavailable.
        """
        with self._order:
            self._names[dpid] = {name for _, name in self._offload(self._store.servers, dpid)}

    def remember(self, dpid: int, name: str) -> None:
        """This server follows this switch: durable when this returns. Raises StoreUnavailable."""
        with self._order:
            if name not in self._names.get(dpid, ()):
                self._offload(self._store.remember_server, dpid, name)
                self._names.setdefault(dpid, set()).add(name)

    def forget(self, dpid: int, name: str, *, unless: Callable[[], bool] = bool) -> None:
        """It has stopped, or has been silent too long, `unless` it came back meanwhile."""
        with self._order:
            if name in self.of(dpid) and not unless():
                try:
                    self._forget(dpid, name)
                except StoreUnavailable as error:
                    # Its name stays, and it is waited for once more after a restart: no harm.
                    say(LOG, events.STORE_AWAY, reason=error)

    def _forget(self, dpid: int, name: str) -> None:
        if name == STRANGER:
            self._offload(self._store.settle, dpid)
            self._settled.add(dpid)  # type: ignore[union-attr]
        else:
            self._offload(self._store.forget_server, dpid, name)
            self._names[dpid].discard(name)
