"""How switches are shared out between controllers."""

import random

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.binding import balance


def test_a_switch_moves_only_where_that_brings_two_closer():
    assert balance.is_fairer(mine=2, theirs=0)
    assert not balance.is_fairer(mine=1, theirs=0)
    assert not balance.is_fairer(mine=3, theirs=3)


def test_who_leads_less_asks_for_half_of_the_difference():
    standing_by = dict.fromkeys(range(10), 1)
    assert len(balance.wishes(standing_by, {1: 10, 2: 0}, mine=0)) == 5
    assert len(balance.wishes(standing_by, {1: 10, 2: 9}, mine=9)) == 0
    assert len(balance.wishes(dict.fromkeys(range(1000), 1), {1: 1000}, 0)) == balance.MOST_AT_ONCE


def test_an_unknown_leader_is_asked_for_nothing():
    assert balance.wishes({5: 9}, {}, mine=0) == []


def test_who_leads_less_claims_first():
    assert balance.patience(0, 10) == 0 < balance.patience(5, 10) < balance.patience(10, 10)
    assert balance.patience(0, 0) == 0


@given(st.lists(st.integers(0, 60), min_size=2, max_size=4), st.integers(0, 2**32))
def test_sharing_out_ends_and_ends_fair(counts, seed):
    """Controllers that are all connected to all switches, one asking after the other."""
    shuffle = random.Random(seed)
    leader_of = {}

    def led():
        return [list(leader_of.values()).count(each) for each in range(len(counts))]

    for controller, count in enumerate(counts):
        leader_of |= {len(leader_of) + n: controller for n in range(count)}
    for _ in range(60):
        moved = False
        for me in shuffle.sample(range(len(counts)), len(counts)):
            leads = {
                c: sum(1 for each in leader_of.values() if each == c) for c in range(len(counts))
            }
            others = {dpid: c for dpid, c in leader_of.items() if c != me}
            for dpid in balance.wishes(others, leads, leads[me]):
                if balance.is_fairer(leads[leader_of[dpid]], leads[me]):
                    leads[leader_of[dpid]] -= 1
                    leads[me] += 1
                    leader_of[dpid] = me
                    moved = True
        if not moved:
            break
    assert not moved
    assert max(led()) - min(led()) <= 1
