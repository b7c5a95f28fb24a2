"""Keeping the index of a shared registry at where its store is: other controllers write as well.

Two green threads, whose calls wait on native ones: one reads the store's news and hands them to the
index in order, one writes signs of life. A sign of life that comes back through the news shows that
the index had everything when it was sent; that is how old the index is known to be.
"""

import logging
import random
from collections import deque
from collections.abc import Callable
from typing import Any

from eventlet import event, sleep, timeout

from ovs_metadata_logs import say
from ryu_apps import events
from ryu_apps.store.interface import Follower, News, Presence, StoreError

LOG = logging.getLogger(__name__)

BEAT_S = 3.0
"""Seconds between signs of life: some of them may be lost before the index counts as old."""

CURRENT_S = 10.0
"""Seconds that the index may have been without a sign of life and still be believed about who
belongs on a new port. A name that went to another droplet meanwhile would go to the former one."""

_AGAIN_S = 0.5
"""Seconds, give or take half, after which a store that gave no news is asked again."""

_CATCH_UP_S = 5.0
"""Seconds that an acknowledged write waits for the index to have it; it is durable either way."""


class Following:
    """Calls `apply` with all news of `follower`, from the hub's thread; with the whole at once.

    `beaten_at` is when the last sign of life was sent that was written. `on_current` is called when
    the index is current again after it was not. `presence` is what signs of life say. `clock` gives
    seconds, monotonic. Raises StoreError where the first reading fails.
    """

    def __init__(
        self,
        follower: Follower,
        apply: Callable[[News], None],
        offload: Callable[..., Any],
        clock: Callable[[], float],
    ) -> None:
        self.presence = Presence("")
        self._follower = follower
        self._apply = apply
        self._offload = offload
        self._clock = clock
        self.current_at = clock()
        self._beats: deque[tuple[int, float]] = deque(maxlen=64)
        self._moved = event.Event()
        self.on_current: Callable[[], None] = lambda: None
        self.revision = 0
        self.beaten_at = self.current_at
        self.last_error: str | None = None
        self._take(offload(follower.read))

    @property
    def age(self) -> float:
        """Seconds since the index was last known to have all that there was."""
        return self._clock() - self.current_at

    @property
    def is_current(self) -> bool:
        """Whether the index is young enough to say who belongs on a new port."""
        return self.age < CURRENT_S

    def read_forever(self) -> None:
        """Take news as they come. Ends by a kill only."""
        while True:
            try:
                news = self._offload(self._follower.read)
            except StoreError as error:
                self._failed(error)
                sleep(_AGAIN_S * random.uniform(0.5, 1.5))
                continue
            self._take(news)

    def beat_forever(self) -> None:
        """Write signs of life. Ends by a kill only."""
        while True:
            sent = self._clock()
            try:
                self._beats.append((self._offload(self._follower.beat, self.presence), sent))
                self.beaten_at, self.last_error = sent, None
                self._see_beats()
            except StoreError as error:
                self._failed(error)
            sleep(BEAT_S * random.uniform(0.9, 1.0))

    def wait_for(self, revision: int) -> None:
        """Wait until the index has what was written at `revision`, but not for long."""
        try:
            with timeout.Timeout(_CATCH_UP_S):
                while self.revision < revision:
                    self._moved.wait()
        except timeout.Timeout:
            say(LOG, events.INDEX_BEHIND, revision=revision)

    def _take(self, news: News) -> None:
        self._apply(news)
        self.revision = max(self.revision, news.revision)
        self._see_beats()
        moved, self._moved = self._moved, event.Event()
        moved.send()

    def _see_beats(self) -> None:
        was_current = self.is_current
        while self._beats and self._beats[0][0] <= self.revision:
            self.current_at = self._beats.popleft()[1]
        if self.is_current and not was_current:
            say(LOG, events.REGISTRY_HEARD_AGAIN)
            self.on_current()

    def _failed(self, error: StoreError) -> None:
        if str(error) != self.last_error:
            say(LOG, events.STORE_AWAY, reason=error)
        self.last_error = str(error)
