"""Waiting for a condition, and saying what was seen when it does not come."""

import time
from collections.abc import Callable
from typing import TypeVar

_T = TypeVar("_T")

SECONDS = 40.0
"""The usual patience: a net for what never comes, no measure of speed."""

_PAUSE = 0.02


class LabError(Exception):
    """The lab could not be made to do something; the text has what is known about why."""


def wait_for(
    condition: Callable[[], _T],
    what: str,
    seconds: float = SECONDS,
    diagnose: Callable[[], str] | None = None,
    not_yet: tuple[type[Exception], ...] = (OSError,),
) -> _T:
    """The first true value of `condition()`, asked again and again.

    An exception of the kinds `not_yet` counts as a false value. Raises LabError naming `what`,
    the last value or exception, and what `diagnose` says.
    """
    deadline = time.monotonic() + seconds
    while True:
        try:
            seen: object = (value := condition())
            if value:
                return value
        except not_yet as error:
            seen = error
        if time.monotonic() > deadline:
            more = f"\n{diagnose()}" if diagnose else ""
            raise LabError(f"waited {seconds:g} s for {what}; last seen: {seen!r}{more}")
        time.sleep(_PAUSE)
