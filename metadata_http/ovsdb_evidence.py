"""What may be concluded from when the Open vSwitch database said something.

Pure; times are seconds of the caller's clock. A message that is read now may have been under way
for any time: it may have lain in our socket, in the database server's queue or in the server's
hands. Echoes bound that time.
"""

from collections import deque

from metadata_http.ovsdb_rows import Bridge

SILENCE = 3.0
"""Seconds without an answer after which nothing is known of the switch any more."""

FRESH = 0.002
"""Seconds for which an answer is relied on without asking again.

Open vSwitch takes longer to learn of a change, replace a port and let the new one's first packet
through: 5 to 20 ms, measured with the userspace datapath.
"""

_ECHO_EVERY = 0.5


class Echoes:
    """Echoes, sent one after the other: each once the one before is answered. Pure."""

    def __init__(self) -> None:
        self.waiting_since: float | None = None
        self.answered: float | None = None  # when the last one that was answered was sent
        self._sent: deque[float] = deque(maxlen=3)

    @property
    def floor(self) -> float | None:
        """What is read now, the server was not given before; None where that is not known yet.

        The server takes messages of its clients in turns. What was in its queue when it got the
        third last answered echo, it had applied when it answered the second last, and had sent
        to us when it answered the last. So what comes after that was given to it later. Of echoes
        in close succession only one counts, for the queue may hold several messages.
        """
        return self._sent[0] if len(self._sent) == 3 else None

    def due_in(self, now: float) -> float:
        """Seconds until the next is to be sent."""
        if self.waiting_since is not None:
            return SILENCE
        return max(self._sent[-1] + _ECHO_EVERY - now, 0.0) if self._sent else 0.0

    def send(self, now: float) -> None:
        """One is being sent."""
        self.waiting_since = now

    def answer(self) -> None:
        """It was answered."""
        sent, self.waiting_since = self.waiting_since, None
        if sent is not None:
            self.answered = sent
            if not self._sent or sent - self._sent[-1] >= _ECHO_EVERY:
                self._sent.append(sent)


class Absence:
    """Since when, at least, no controller has been connected to the bridge. Pure.

    ovs-vswitchd writes down every few seconds which controllers are connected. A sample may be of
    a moment when it had not yet seen a change of its controllers, so the first one after a change
    is passed over.
    """

    def __init__(self) -> None:
        self._configured: tuple[tuple[str, str], ...] | None = None
        self._pass_over = False
        self._sampled: dict[str, float] = {}

    def learn(self, bridge: Bridge | None) -> None:
        """The bridge as it is now."""
        rows = () if bridge is None else bridge.controllers
        configured = tuple((row.uuid, row.target) for row in rows)
        if configured != self._configured:
            self._pass_over = self._configured is not None
            self._configured, self._sampled = configured, {}

    def sample(self, bridge: Bridge | None, refreshed: set[str], floor: float) -> float | None:
        """ovs-vswitchd wrote the state of `refreshed` down, later than `floor`.

        Returns a time after which none was connected at some moment; None where one may be.
        """
        if bridge is None or not bridge.controllers or not refreshed:
            return None
        if self._pass_over:
            self._pass_over = False
            return None
        self._sampled.update(dict.fromkeys(refreshed, floor))
        if any(row.connected or row.passive for row in bridge.controllers):
            return None
        sampled = [self._sampled.get(row.uuid) for row in bridge.controllers]
        known = [each for each in sampled if each is not None]
        return min(known) if len(known) == len(sampled) else None
