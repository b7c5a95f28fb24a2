"""Following a registry in etcd: all there is, then every write as it happens, whoever made it."""

import random
import time
from collections.abc import Callable, Iterable, Iterator, Sequence

from ryu_apps.registry.claims import Claim
from ryu_apps.registry.places import Placement
from ryu_apps.store.etcd import placing
from ryu_apps.store.etcd.gateway import Gateway
from ryu_apps.store.etcd.layout import (
    CLAIMS,
    CONTROLLER,
    FOLLOW,
    LEADER,
    PLACE,
    STATUS,
    TERM,
    WISH,
    Summary,
    controller_key,
    controller_of,
    droplet_id_of,
    encode_values,
    leader,
    places,
    presence,
    switch_key,
    switch_of,
)
from ryu_apps.store.etcd.values import Compacted, Event, Range, Write
from ryu_apps.store.interface import Leader, News, Presence, StoreUnavailable

LEASE_S = 9
"""Seconds without a sign of life after which what a controller leads is free for the others."""

_ATTEMPTS = 10
"""Times that places are worked out anew because others wrote those of the same names."""

QUIET_S = 10.0
"""Seconds without any news, signs of life included, after which another node is asked."""


class EtcdFollower:
    """News of the registry behind `gateway`, and what the controller with this `boot_count` leads.

    `read` is for one thread at a time, and so is `beat`. `everything` gives the whole news,
    and the revision of etcd's that they are of; `base` is the registry's `Meta.base`.
    """

    def __init__(
        self,
        gateway: Gateway,
        base: int,
        everything: Callable[[], tuple[News, int]],
        boot_count: int,
    ) -> None:
        self._gateway = gateway
        self._base = base
        self._everything = everything
        self._boot_count = boot_count
        self._lease = 0
        self._unheard = False
        self._position: int | None = None
        self._stream: Iterator[tuple[int, list[Event]]] | None = None

    def read(self) -> News:
        """The next news. Raises StoreUnavailable; the next call then goes on at another node."""
        while True:
            if self._position is None:
                news, self._position = self._everything()
                return news
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

    def beat(self, presence: Presence) -> int:
        """Write a sign of life; its revision.

        After one that failed, answers have to come first: where requests arrive and answers do not,
        what we lead is to be free for somebody who hears of droplets.
        """
        key = controller_key(self._boot_count)
        if self._unheard:
            self._gateway.read(Range(key))
        self._unheard = True
        if not self._lease or not self._gateway.keep_alive(self._lease):
            self._lease = self._gateway.grant(LEASE_S)
        write = Write(leased={key: encode_values(presence)}, lease=self._lease)
        revision = self._gateway.write(write)
        assert revision is not None  # Nothing was expected.
        self._unheard = False
        return self._base + revision

    def claim(self, dpid: int) -> int | None:
        """Lead this switch, in the term after the last, unless somebody leads it."""
        leads, term = switch_key(LEADER, dpid), switch_key(TERM, dpid)
        found = self._gateway.read(Range(leads), Range(term)).found
        if found[0].kvs or not self._lease:
            return None
        last = found[1].kvs[0] if found[1].kvs else None
        ours = Leader(self._boot_count, int(last.value) + 1 if last else 1)
        write = Write(
            {leads: 0, term: last.revision if last else 0},
            {term: b"%d" % ours.term},
            leased={leads: encode_values(ours)},
            lease=self._lease,
        )
        return None if self._gateway.write(write) is None else ours.term

    def wish(self, dpid: int) -> None:
        """Say that we would lead this switch; a wish is heard when it is written, and no longer."""
        if self._lease:
            wish = {switch_key(WISH, dpid): b"%d" % self._boot_count}
            self._gateway.write(Write(leased=wish, lease=self._lease))

    def resign(self, dpid: int, term: int) -> None:
        """Lead this switch no more, if this is the term."""
        key = switch_key(LEADER, dpid)
        kvs = self._gateway.read(Range(key)).found[0].kvs
        if kvs and leader(kvs[0].value) == Leader(self._boot_count, term):
            self._gateway.write(Write({key: kvs[0].revision}, deletes=frozenset({key})))

    def place(self, placements: Sequence[Placement]) -> int:
        """Write where ports are, as far as we lead their switches; the revision that has it."""
        for attempt in range(_ATTEMPTS):
            read = self._gateway.read(*map(Range, placing.keys(placements)))
            kvs = {kv.key: kv for found in read.found for kv in found.kvs}
            generation = self._base + read.revision
            write = placing.work_out(placements, kvs, self._boot_count, generation)
            if not write.expected:
                return generation
            revision = self._gateway.write(write)
            if revision is not None:
                return self._base + revision
            time.sleep(random.uniform(0, 0.002 * 2**attempt))
        raise StoreUnavailable(f"others wrote the places of the same ports {_ATTEMPTS} times")

    def leave(self) -> None:
        """Have our lease end now."""
        if self._lease:
            self._gateway.revoke(self._lease)
            self._lease = 0


def news_of(events: Iterable[Event], base: int) -> News:
    """What `events`, of whole transactions and in order, say together."""
    claims: dict[int, tuple[Claim, ...]] = {}
    latest: dict[int, int] = {}
    leaders: dict[int, Leader | None] = {}
    controllers: dict[int, Presence | None] = {}
    wishes: dict[int, int] = {}
    placed: dict[str, tuple[int, ...]] = {}
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
        elif event.key.startswith(LEADER):
            leaders[switch_of(event.key)] = event.value and leader(event.value)
        elif event.key.startswith(CONTROLLER):
            controllers[controller_of(event.key)] = event.value and presence(event.value)
        elif event.key.startswith(WISH) and event.value is not None:
            wishes[switch_of(event.key)] = int(event.value)
        elif event.key.startswith(PLACE):
            name = event.key.removeprefix(PLACE)
            placed[name] = tuple(place.dpid for place in places(event.value))
    return News(
        revision,
        claims,
        latest,
        count,
        leaders=leaders,
        controllers=controllers,
        wishes=wishes,
        places=placed,
    )
