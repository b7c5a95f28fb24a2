"""Following a registry in etcd: all there is, then every write as it happens, whoever made it."""

from collections.abc import Callable, Iterable, Iterator

from ryu_apps.registry.claims import Claim
from ryu_apps.store.etcd.gateway import Gateway
from ryu_apps.store.etcd.layout import CLAIMS, FOLLOW, STATUS, Summary, droplet_id_of
from ryu_apps.store.etcd.values import Compacted, Event, Write
from ryu_apps.store.interface import News

BEAT = f"{FOLLOW}beat/"

BEAT_LEASE_S = 30
"""Seconds after which the last sign of life of a store that is gone is gone as well."""

QUIET_S = 10.0
"""Seconds without any news, signs of life included, after which another node is asked."""


class EtcdFollower:
    """News of the registry behind `gateway`. `read` and `beat` each for one thread at a time.

    `all_claims` gives the claims of every droplet and etcd's revision of which they are; `base` is
    the registry's `Meta.base`, `boot_count` that of the store.
    """

    def __init__(
        self,
        gateway: Gateway,
        base: int,
        all_claims: Callable[[], tuple[dict[int, tuple[Claim, ...]], int]],
        boot_count: int,
    ) -> None:
        self._gateway = gateway
        self._base = base
        self._all_claims = all_claims
        self._beat = f"{BEAT}{boot_count}"
        self._lease = 0
        self._position: int | None = None
        self._stream: Iterator[tuple[int, list[Event]]] | None = None

    def read(self) -> News:
        """The next news. Raises StoreUnavailable; the next call then goes on at another node."""
        while True:
            if self._position is None:
                claims, self._position = self._all_claims()
                revision = self._base + self._position
                return News(revision, claims, count=len(claims), whole=True)
            try:
                self._stream = self._stream or self._gateway.watch(
                    FOLLOW, self._position, quiet_s=QUIET_S
                )
                _, events = next(self._stream)
            except Compacted:
                # We were away for longer than etcd remembers: everything anew.
                self._stream = self._position = None
                continue
            except BaseException:
                self._stream = None
                raise
            if events:
                self._position = events[-1].revision
                return news_of(events, self._base)

    def beat(self) -> int:
        """Write a sign of life; its revision."""
        if not self._lease or not self._gateway.keep_alive(self._lease):
            self._lease = self._gateway.grant(BEAT_LEASE_S)
        revision = self._gateway.write(Write(puts={self._beat: b""}, lease=self._lease))
        assert revision is not None  # Nothing was expected.
        return self._base + revision


def news_of(events: Iterable[Event], base: int) -> News:
    """What `events`, of whole transactions and in order, say together."""
    claims: dict[int, tuple[Claim, ...]] = {}
    latest: dict[int, int] = {}
    count = revision = 0
    for event in events:
        revision = base + event.revision
        if event.key.startswith(CLAIMS):
            droplet_id = droplet_id_of(event.key)
            latest.pop(droplet_id, None)
            if event.value is None:
                claims[droplet_id] = ()
                count -= 1
            else:
                claims[droplet_id] = Summary.decode(event.value).claims(droplet_id, revision)
                count += event.created == event.revision
        elif event.key.startswith(STATUS) and event.value is not None:
            latest[droplet_id_of(event.key)] = revision
    return News(revision, claims, latest, count)
