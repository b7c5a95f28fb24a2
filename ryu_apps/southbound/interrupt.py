"""Ctrl-C reaches Ryu's main thread, whatever green thread it finds at work.

Python raises KeyboardInterrupt wherever it happens to be. In a green thread Ryu's `hub.spawn` takes
it for that thread's own failure, logs it, and the process goes on as if nothing had been said.
"""

import signal
from types import FrameType

import eventlet
from eventlet import hubs


def interrupt_main() -> None:
    """From now on SIGINT ends what the root greenlet of this thread waits for, and nothing else."""
    root = eventlet.getcurrent()
    while root.parent is not None:
        root = root.parent

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        hub = hubs.get_hub()
        if eventlet.getcurrent() in (root, hub.greenlet):
            # What is raised in the hub goes on in its parent, the root; a call that was only
            # scheduled would wait until the hub's poll has something else to tell.
            raise KeyboardInterrupt
        hub.schedule_call_global(0, root.throw, KeyboardInterrupt)

    signal.signal(signal.SIGINT, interrupt)
