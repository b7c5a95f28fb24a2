"""A controller that stands still costs nobody an answer: the arithmetic of `metadata_http.lease`.

Played with the numbers that both processes really use, and Open vSwitch's own.
"""

from hypothesis import given
from hypothesis import strategies as st

from metadata_http.lease import Lease
from ryu_apps.binding.followers import LEASE
from ryu_apps.northbound.watch import HEARTBEAT_SECONDS

PROBE = 5.0
"""inactivity_probe: so long after the last word Open vSwitch asks, and so long it waits then."""

WORD_EVERY = 5.0
"""other_config:stats-update-interval: how often Open vSwitch says whether it is connected."""

OLD = 2.0
"""How old its word may be at the most when we may rely on it."""


@given(
    acknowledged=st.floats(0.0, HEARTBEAT_SECONDS),
    heard=st.floats(0.0, PROBE),
    phase=st.floats(0.0, WORD_EVERY),
    ages=st.lists(st.floats(0.0, OLD), min_size=20, max_size=20),
)
def test_a_lease_outlives_a_controller_that_stands_still_for_any_time(
    acknowledged: float, heard: float, phase: float, ages: list[float]
) -> None:
    """It stops at 0. Seconds before that it was acknowledged to, and last heard by the switch."""
    lease = Lease().acknowledged(-acknowledged, LEASE)
    given_up = 2 * PROBE - heard
    for count, age in enumerate(ages):
        word = phase + count * WORD_EVERY
        assert lease.holds(word), f"over at {lease.until}, {word} s after the controller stopped"
        # A word that tells of a moment before the switch gave up would say "connected".
        if word >= given_up:
            lease = lease.quiet(word, word - age, LEASE)
