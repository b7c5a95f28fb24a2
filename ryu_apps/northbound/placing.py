"""Telling the registry where ports are, as the leaders of their switches see them.

One green thread: what is to be told waits in `Whereabouts`, and what has come together by the time
that the registry is free goes there in one call, on a native thread. Nothing is read or written
while no port comes, goes or moves.
"""

import logging
import random
from collections.abc import Callable
from typing import Any

from eventlet import event, sleep

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.binding.whereabouts import Whereabouts
from ryu_apps.store.interface import MAX_PLACEMENTS, Follower, StoreError

LOG = logging.getLogger(__name__)

_AGAIN_S = 0.5
"""Seconds, give or take half, after which a registry that took nothing is told again."""


class Placing:
    """Writes the errands of `whereabouts`; `clock` gives seconds, monotonic."""

    def __init__(
        self,
        whereabouts: Whereabouts,
        follower: Follower,
        offload: Callable[..., Any],
        clock: Callable[[], float],
    ) -> None:
        self._whereabouts = whereabouts
        self._follower = follower
        self._offload = offload
        self._clock = clock
        self._due = event.Event()
        whereabouts.on_errand = self._wake

    def write_forever(self) -> None:
        """Write what there is. Ends by a kill only."""
        while True:
            self._due.wait()
            self._due = event.Event()
            self._write_all()

    def _wake(self) -> None:
        if not self._due.ready():
            self._due.send()

    def _write_all(self) -> None:
        while errands := self._whereabouts.due(MAX_PLACEMENTS):
            now = self._clock()
            placements = [errand.placement(now) for errand in errands]
            try:
                revision = self._offload(self._follower.place, placements)
            except StoreError as error:
                say(LOG, events.STORE_AWAY, reason=error)
                sleep(_AGAIN_S * random.uniform(0.5, 1.5))
                continue
            self._whereabouts.settle(errands, revision)
