"""Until when the view may be served: the rule that keeps a stale view from answering.

Pure; times are seconds of one clock that runs on while the machine sleeps.

The controller opens a port for another droplet only after this server has acknowledged the view
that says so, or has not acknowledged anything for a whole lease. So a view is safe to serve until
one lease after the acknowledgement was *sent*. Where the controller's port refuses connections the
controller is dead and opens nothing; a new one waits a lease for servers it does not hear from, so
each refusal makes the view, if it is still safe, safe for another part of the lease. A silent
controller may be alive on the other side of a broken network: the lease runs out and the answer is
503 until the controller is heard again.
"""

from dataclasses import dataclass

# Refusals extend by half a lease only: a controller that comes up right after the refusal starts
# its own wait somewhat before it listens.
_REFUSAL_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Lease:
    """The view may be served while `now < until`."""

    until: float = float("-inf")

    def acknowledged(self, sent_at: float, length: float) -> "Lease":
        """The controller confirmed an acknowledgement sent at `sent_at`."""
        return Lease(max(self.until, sent_at + length))

    def refused(self, now: float, length: float) -> "Lease":
        """Every controller refused the connection at `now`; no help to a lease already over."""
        if not self.holds(now):
            return self
        return Lease(max(self.until, now + length * _REFUSAL_SHARE))

    def holds(self, now: float) -> bool:
        """Whether the view may be served at `now`."""
        return now < self.until
