"""When a switch is looked at, and how often what others broke is mended."""

from itertools import pairwise

import pytest

from ryu_apps.binding.drift import (
    COUNT_EVERY,
    LONGEST_PAUSE,
    MANY,
    QUARREL,
    READ_EVERY,
    SETTLE,
    WINDOW,
    Check,
    DriftView,
    Look,
    Repairs,
    Watch,
)

T = 1000.0


def later(seconds: float) -> float:
    """So long after the connection began, and a bit."""
    return T + seconds + 0.001


class TestWatch:
    @pytest.mark.parametrize("monitored", [True, False])
    def test_with_nothing_to_be_seen_it_counts_now_and_then(self, monitored: bool):
        watch = Watch(T)
        watch.monitored = monitored
        now, checks = T, []
        while now < T + 2 * READ_EVERY[monitored]:
            now += 0.5
            if (check := watch.due(now)) is not None:
                checks.append(check.look)
        seconds = now - T
        assert checks.count(Look.COUNT) >= seconds / COUNT_EVERY[monitored] * 0.7
        assert checks.count(Look.ALL) >= 1
        assert checks.count(Look.ALL) <= seconds / READ_EVERY[monitored] + 1
        assert Look.SOME not in checks

    def test_a_change_is_looked_at_when_the_burst_is_over(self):
        watch = Watch(T)
        watch.changed(0x77, T)
        watch.changed(0x78, T + SETTLE / 2)
        assert watch.due(T + SETTLE / 2) is None
        assert watch.wait(T) == pytest.approx(SETTLE)
        assert watch.due(later(SETTLE)) == Check(Look.SOME, frozenset({0x77, 0x78}))
        assert watch.due(later(SETTLE)) is None

    def test_an_endless_burst_does_not_put_the_look_off(self):
        watch = Watch(T)
        for n in range(20):
            watch.changed(n, T + n * SETTLE / 10)
        assert watch.due(later(SETTLE)).look is Look.SOME

    def test_many_changes_are_looked_at_as_one(self):
        watch = Watch(T)
        for cookie in range(MANY + 1):
            watch.changed(cookie, T)
        assert watch.due(later(SETTLE)) == Check(Look.ALL)
        assert watch.due(later(SETTLE)) is None

    def test_what_may_have_been_ours_is_counted_first(self):
        watch = Watch(T)
        watch.suspect(T)
        assert watch.due(later(SETTLE)) == Check(Look.COUNT)
        watch.miscounted()
        assert watch.due(later(SETTLE)) == Check(Look.ALL)

    def test_what_may_not_be_mended_yet_is_looked_at_then(self):
        watch = Watch(T)
        watch.put_off(T + 30)
        watch.changed(1, T + 1)
        assert watch.due(T + 29) is None
        assert watch.wait(T + 29) == 1
        assert watch.due(T + 30) == Check(Look.ALL)


class TestRepairs:
    def test_a_repair_now_and_then_is_no_quarrel(self):
        repairs = Repairs()
        for n in range(50):
            now = T + n * WINDOW
            assert repairs.may_repair(now)
            repairs.note(8, "deleted", now, 1.7e9)
        assert not repairs.contested(now)
        assert repairs.view() == DriftView(400, "deleted", 1.7e9)

    def test_a_quarrel_is_said_and_its_repairs_are_ever_rarer(self):
        repairs, now, rounds = Repairs(), T, []
        while now < T + 1800:
            if repairs.may_repair(now):
                repairs.note(1, "changed", now, 1.7e9)
                rounds.append(now)
            now += 0.5
        assert "another controller or tool changes our flows" in repairs.complaint(now)
        assert rounds[QUARREL - 1] - T < WINDOW, "the first ones come at once"
        pauses = [b - a for a, b in pairwise(rounds)]
        assert max(pauses) <= LONGEST_PAUSE + 1
        assert len(rounds) < QUARREL + 6 + 1800 / LONGEST_PAUSE

    def test_a_quarrel_that_is_over_is_forgotten(self):
        repairs = Repairs()
        for n in range(QUARREL):
            repairs.note(1, "changed", T + n, 1.7e9)
        assert repairs.contested(T + QUARREL)
        assert not repairs.may_repair(T + QUARREL)
        assert repairs.complaint(T + QUARREL + 2 * WINDOW) is None
        assert repairs.may_repair(T + QUARREL + 2 * WINDOW)
