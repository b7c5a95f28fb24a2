"""A watch stream without end: one that breaks is taken up where it was."""

import random
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

from ovs_metadata_client.errors import NotAController, NotFound, Unavailable, Unreachable
from ovs_metadata_client.wire import WatchEvent

_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 10.0


def follow(
    watch: Callable[[int | None], Iterator[WatchEvent]], broken: Callable[[str], None] | None
) -> Iterator[WatchEvent]:
    """The events of one stream after another, each begun by `watch` after a revision."""
    since: int | None = None
    whole, met, pause = False, False, _FIRST_PAUSE
    while True:
        why = "the stream ended"
        try:
            for told in watch(since):
                met, pause = True, _FIRST_PAUSE
                if told["event"] == "snapshot":
                    whole, since = False, None  # Half of it is nothing to come back with.
                elif told["event"] == "in-sync":
                    whole = True
                if whole:
                    since = _revision(told, since)
                yield told
        except (Unreachable, NotAController, NotFound, Unavailable) as error:
            if not met:
                raise
            why = str(error)
        if broken is not None:
            broken(why)
        time.sleep(pause * random.uniform(0.5, 1))
        pause = min(2 * pause, _LONGEST_PAUSE)


def _revision(told: WatchEvent, before: int | None) -> int | None:
    """The revision of an event, be it one that this release does not know; else as before."""
    revision = cast("Mapping[str, Any]", told).get("revision", before)
    return cast("int | None", revision)
