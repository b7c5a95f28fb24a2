"""When Python's garbage collector looks at the whole heap, which stops everybody on the one thread.

By itself it does so each time a quarter has been added: while a thousand switches connect that was
a third of the time, in pauses that grew with the heap. Nearly all that dies here dies by its
count of references; what is left are the sessions of connections that ended, tied in circles. So
the whole heap is looked at when the process has grown by a quarter since, and nobody connects.
"""

import gc
import logging
import os
from collections.abc import Callable
from pathlib import Path
from time import perf_counter

from ryu.lib import hub

from ovs_metadata_logs import say
from ryu_apps import events

LOG = logging.getLogger(__name__)

# New objects until the youngest are looked at, and how often so until those that outlived it are:
# a pause of some milliseconds at the most. Python's own is 700, a hundred times a thousand flows.
_YOUNG = 10_000
_MIDDLE = 10
_NEVER = 2**31 - 1

_EVERY = 5.0
"""Seconds between two looks at the size of the process."""

GROWN = 1.25
"""So many times its size after the last look is enough for another, once nobody connects."""

OVERGROWN = 2.0
"""With so many times it is not waited for that."""

LEAST = 32 << 20
"""Bytes of growth that are worth no look, however small the process."""


def worth_a_look(size: int, after_last: int, *, is_busy: bool) -> bool:
    """Whether a process of `size` bytes, of which `after_last` were left last time, may hold enough
    that nobody uses. `is_busy`: somebody would notice the pause.
    """
    grown = OVERGROWN if is_busy else GROWN
    return size >= max(grown * after_last, after_last + LEAST)


def look_seldom() -> None:
    """From now on only the young are looked at by themselves; the rest by `look_at_all`."""
    gc.set_threshold(_YOUNG, _MIDDLE, _NEVER)


def look_at_all(is_busy: Callable[[], bool]) -> None:
    """Look at the whole heap whenever it is worth it; never returns."""
    after_last = _size()
    while True:
        hub.sleep(_EVERY)
        size = _size()
        if worth_a_look(size, after_last, is_busy=is_busy()):
            began = perf_counter()
            found = gc.collect()
            seconds, after_last = perf_counter() - began, _size()
            say(
                LOG,
                events.MEMORY_LOOKED_AT,
                count=found,
                seconds=seconds,
                mebibytes=after_last >> 20,
                mebibytes_before=size >> 20,
            )


def _size() -> int:
    """Bytes of the process in memory. proc(5)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
