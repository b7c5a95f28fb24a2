"""When a switch is looked at, and how often what others broke is mended."""

from itertools import pairwise

import pytest

from ryu_apps.binding.drift import (
    COUNT_EVERY,
    FIRST_YIELD,
    LONGEST_PAUSE,
    LONGEST_YIELD,
    MANY,
    QUARREL,
    READ_EVERY,
    SETTLE,
    WINDOW,
    Check,
    DriftView,
    Look,
    Mend,
    Repairs,
    Watch,
)

T = 1000.0


def later(seconds: float) -> float:
    """So long after the connection began, and a bit."""
    return T + seconds + 0.001


class TestWatch:
    @pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
    @pytest.mark.parametrize("monitored", [True, False])
    def test_with_nothing_to_be_seen_it_counts_now_and_then(self, monitored: bool, share: float):
        watch = Watch(T, share)
        watch.monitor(T)
        if not monitored:
            watch.unmonitor(T)
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

    def test_a_switch_that_tells_of_changes_is_not_looked_at_soon_after_it_was_taken_over(self):
        watch = Watch(T)
        watch.monitor(T)
        assert watch.wait(T) == COUNT_EVERY[True]
        watch.unmonitor(T)
        assert watch.wait(T) == COUNT_EVERY[False]

    def test_switches_that_connect_at_once_are_looked_at_one_after_the_other(self):
        watches = [Watch(T, share) for share in (0.0, 0.5, 1.0)]
        for watch in watches:
            watch.monitor(T)
        assert len({watch.wait(T) for watch in watches}) == len(watches)

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

    def test_all_is_read_back_when_that_was_asked_for(self):
        watch = Watch(T)
        watch.read_at(T + 1)
        assert watch.due(T + 0.9) is None
        assert watch.due(T + 1) == Check(Look.ALL)


class TestRepairs:
    def test_a_repair_now_and_then_is_no_quarrel(self):
        repairs = Repairs()
        for n in range(50):
            now = T + n * WINDOW
            assert repairs.may(now) is Mend.ALL
            repairs.note(8, "deleted", now, 1.7e9)
        assert not repairs.contested(now)
        assert repairs.view() == DriftView(400, "deleted", 1.7e9)

    def test_a_quarrel_is_said_and_others_are_left_alone_for_ever_longer(self):
        """Somebody undoes everything at once, for an hour."""
        repairs, now = Repairs(), T
        rounds: dict[Mend, list[float]] = {Mend.MISSING: [], Mend.ALL: []}
        while now < T + 3600:
            if (mend := repairs.may(now)) is not Mend.NOTHING:
                repairs.note(1, "changed", now, 1.7e9)
                rounds[mend].append(now)
            now += 0.5
            assert ("another controller" in (repairs.complaint(now) or "")) == (now > T + 2)
        assert rounds[Mend.ALL][QUARREL - 1] - T < WINDOW, "the first ones come at once"
        tries = rounds[Mend.ALL][QUARREL::2]
        assert tries[0] - T >= FIRST_YIELD
        assert [b - a for a, b in pairwise(tries)][-1] == pytest.approx(LONGEST_YIELD, abs=2)
        everything = sorted([*rounds[Mend.MISSING], *rounds[Mend.ALL]])
        assert max(b - a for a, b in pairwise(everything)) <= LONGEST_PAUSE + 1
        assert len(everything) < 3600 / LONGEST_PAUSE + 8 * len(tries)

    def test_a_quarrel_whose_other_side_stops_is_over_with_the_next_try(self):
        repairs = self.quarrel()
        assert repairs.may(T + QUARREL) is not Mend.ALL
        again = repairs.all_at
        assert again <= T + QUARREL + FIRST_YIELD
        assert repairs.may(again) is Mend.ALL
        repairs.note(8, "too many", again, 1.7e9)
        assert repairs.may(again + 1) is Mend.ALL
        assert repairs.complaint(again + WINDOW) is None

    def test_one_who_undoes_it_again_is_left_alone_for_longer(self):
        repairs = self.quarrel()
        again = repairs.all_at
        repairs.note(8, "too many", again, 1.7e9)
        repairs.note(8, "too many", again + 0.5, 1.7e9)
        assert repairs.all_at == again + 0.5 + 2 * FIRST_YIELD

    def test_one_who_is_known_to_have_gone_is_forgotten(self):
        repairs = self.quarrel()
        repairs.rival_left(T + QUARREL)
        assert repairs.may(T + QUARREL) is Mend.ALL
        assert repairs.complaint(T + QUARREL) is None

    @staticmethod
    def quarrel() -> Repairs:
        repairs = Repairs()
        for n in range(QUARREL):
            repairs.note(1, "changed", T + n, 1.7e9)
        assert repairs.contested(T + QUARREL)
        return repairs
