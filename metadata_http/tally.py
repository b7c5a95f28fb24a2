"""How often a droplet asked on one port, and how it was answered.

Pure; times are arguments. A tally is counted up at every answer and so is nothing but numbers; it
lives as long as its droplet is on its port, whatever becomes of the droplet's record.
"""

from dataclasses import dataclass
from typing import Any

RATE_LIMITED = 429
UNSURE = 503


@dataclass(slots=True)
class Tally:
    """Counts since the server's start, or since the droplet came to the port.

    `errors` are answers from 400 on but 429, `unsure` those of them that were 503; `last_at` is
    when the last request was answered, in seconds of the caller's clock. `without_token` are
    requests that were answered and would not be if the droplet had to show a token.

    Threads count without a lock: CPython changes threads between calls and at jumps back, of which
    there are none within `+= 1` on a slot. Were one lost all the same, these are for people.
    """

    requests: int = 0
    errors: int = 0
    rate_limited: int = 0
    unsure: int = 0
    without_token: int = 0
    last_status: int = 0
    last_at: float = 0.0

    def count(self, status: int, now: float) -> None:
        """One more request, answered with `status` at the time `now`."""
        self.requests += 1
        self.last_status = status
        self.last_at = now
        if status < 400:
            return
        if status == RATE_LIMITED:
            self.rate_limited += 1
            return
        self.errors += 1
        if status == UNSURE:
            self.unsure += 1

    def told(self, now: float) -> dict[str, Any]:
        """As the controller and the operator are told."""
        return {
            "requests": self.requests,
            "errors": self.errors,
            "rate_limited": self.rate_limited,
            "unsure": self.unsure,
            "without_token": self.without_token,
            "last_status": self.last_status,
            "last_request_s": round(max(now - self.last_at, 0.0), 1),
        }
