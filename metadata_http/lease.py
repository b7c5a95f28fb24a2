"""Until when the view may be served: the rule that keeps a stale view from answering.

Pure; times are seconds of one clock that runs on while the machine sleeps.

The controller opens a port for another droplet only after this server has acknowledged the view
that says so, or has not acknowledged anything for a whole lease L. So a view is safe to serve until
L after the acknowledgement was *sent*.

A controller that is dead opens nothing, and neither does one that has no connection to the switch.
Once it has one, it first waits a whole L for each server it knows of and does not hear, counted
from the connection. So what this server knows of either makes a view that is still safe, safe for
longer:

- Refused at `now` by every controller, all of them on this host: none ran. (Elsewhere a firewall
  may refuse in the name of a controller that lives.) One that comes up now may have let the switch
  connect before it listens for us, so only half of L is counted: it must listen within the other
  half.
- No controller connected to the bridge at some moment after `since`, by Open vSwitch's own word:
  whichever connects after that moment waits L from then, so the view is safe until `since` + L.

Open vSwitch writes its word down once in I = 5 s (other_config:stats-update-interval, no less),
and `since` is up to D = 2 s before we read it (three echoes, half a second apart:
`ovsdb_evidence`). The next word comes I later, so the lease bridges the gap where I + D < L:
5 + 2 < 20. A controller that stands still (SIGSTOP, a machine that is paused), or whose host goes
silent, stays connected until Open vSwitch has probed it in vain (inactivity_probe, P = 5 s,
twice). It has been acknowledged to at most H = 3 s before (the heartbeat), so the first word comes
in time where H + 2 P + I < L: 3 + 10 + 5 < 20. Where the connection is reset no probe is needed.
What such a controller does when it goes on, it does to a connection that Open vSwitch has ended;
to be heard it needs a new one, and then it waits L as any other.

Where neither is known, above all where the controller leads the switch and only we are cut off from
it, the lease runs out, and the answer is 503 until it is heard again.
"""

from dataclasses import dataclass, replace

_REFUSAL_SHARE = 0.5


@dataclass(frozen=True, slots=True)
class Lease:
    """The view may be served while `now < until`.

    `confirmed` is when the controller was last asked and said that the view was the newest: how
    old the view is, at the most, counts from there.
    """

    until: float = float("-inf")
    confirmed: float = float("-inf")

    def acknowledged(self, sent_at: float, length: float) -> "Lease":
        """The controller confirmed an acknowledgement sent at `sent_at`."""
        return Lease(max(self.until, sent_at + length), max(self.confirmed, sent_at))

    def refused(self, now: float, length: float) -> "Lease":
        """Every controller, each on this host, refused at `now`; revives no lease that is over."""
        if not self.holds(now):
            return self
        return replace(self, until=max(self.until, now + length * _REFUSAL_SHARE))

    def quiet(self, now: float, since: float, length: float) -> "Lease":
        """No controller was connected to the bridge at some moment after `since`.

        Read at `now`; revives no lease that is over.
        """
        if not self.holds(now):
            return self
        return replace(self, until=max(self.until, since + length))

    def holds(self, now: float) -> bool:
        """Whether the view may be served at `now`."""
        return now < self.until
