"""The registry in etcd itself: begun, opened and counted, found to be made anew, filled or not."""

import logging
from dataclasses import replace

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.store.etcd.follow import LEASE_S
from ryu_apps.store.etcd.gateway import Gateway
from ryu_apps.store.etcd.layout import BOOT, CONTROLLER, META, SETTLED, Meta
from ryu_apps.store.etcd.values import MAX_OPERATIONS, Range, Write
from ryu_apps.store.interface import StoreRefused
from ryu_apps.store.sqlite_changes import UNSEEN_BOOTS

LOG = logging.getLogger(__name__)

RESTORE_BITS = 40
"""An etcd counts fewer than 2^40 revisions between two restores, so that those after one are above
all before it; a few thousand restores fit JSON's 2^53."""


class Life:
    """An opening of the registry behind `gateway`; its `meta` and `boot_count`.

    With `filling` it is one that a migration fills, and no other is opened. Raises StoreRefused.
    """

    def __init__(self, gateway: Gateway, *, filling: bool) -> None:
        self._gateway = gateway
        self._shown = f"registry {gateway.access.shown}"
        self.meta = self._begin(filling)
        if self.meta.unfinished and not filling:
            raise StoreRefused(f"{self._shown}: a migration into it was broken off: repeat it")
        self.boot_count = self._count_boot(1)

    def require_idle(self) -> None:
        """Raise StoreRefused where a controller shows signs of life."""
        if beats := self._gateway.read(Range.under(CONTROLLER, keys_only=True)).found[0].kvs:
            raise StoreRefused(
                f"{self._shown}: {len(beats)} controllers have it open, or had "
                f"{LEASE_S} seconds ago: stop them first"
            )

    def carry_on(self, revision: int, boot_count: int) -> None:
        """Let revisions and boot counts go on above these, where they are below them."""
        if self.boot_count <= boot_count:
            self.boot_count = self._count_boot(boot_count + 1 - self.boot_count)
        if self.meta.base < revision:
            self._change_meta(replace(self.meta, base=revision))

    def finish(self) -> None:
        """It is filled: controllers may open it."""
        self._change_meta(replace(self.meta, unfinished=False))

    def _change_meta(self, meta: Meta) -> None:
        self._gateway.write(Write(puts={META: meta.encode()}))
        self.meta = meta

    def _begin(self, filling: bool) -> Meta:
        """What the registry knows of itself, brought up to date with the cluster it is in."""
        while True:
            read = self._gateway.read(Range(META))
            kvs = read.found[0].kvs
            if not kvs:
                meta = Meta(read.cluster_id, unfinished=filling)
            else:
                meta = Meta.decode(kvs[0].value, self._shown)
                if filling and not meta.unfinished:
                    raise StoreRefused(f"{self._shown}: is one already; a migration replaces none")
                if meta.cluster_id == read.cluster_id:
                    return meta
                meta = self._restored(meta, read.cluster_id)
            expected = {META: kvs[0].revision if kvs else 0}
            if self._gateway.write(Write(expected, {META: meta.encode()})) is not None:
                return meta

    def _restored(self, meta: Meta, cluster_id: int) -> Meta:
        """The registry has come to another cluster, out of a snapshot: it may be an old one."""
        say(LOG, events.REGISTRY_MADE_ANEW, registry=self._shown)
        settled = [kv.key for kv in self._gateway.read(Range.under(SETTLED)).found[0].kvs]
        for start in range(0, len(settled), MAX_OPERATIONS):
            part = frozenset(settled[start : start + MAX_OPERATIONS])
            self._gateway.write(Write(deletes=part))
        self._count_boot(UNSEEN_BOOTS)
        base = ((meta.base >> RESTORE_BITS) + 1) << RESTORE_BITS
        return replace(meta, cluster_id=cluster_id, base=base, restored=True)

    def _count_boot(self, step: int) -> int:
        while True:
            kvs = self._gateway.read(Range(BOOT)).found[0].kvs
            count = (int(kvs[0].value) if kvs else 0) + step
            expected = {BOOT: kvs[0].revision if kvs else 0}
            if self._gateway.write(Write(expected, {BOOT: b"%d" % count})) is not None:
                return count
