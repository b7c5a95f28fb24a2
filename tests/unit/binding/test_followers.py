"""Whom a new binding waits for, how long, and whose old view is not taken any more."""

import pytest

from ryu_apps.binding.followers import LEASE, MAX_FOLLOWERS, Followers, TooMany

NOW = 1000.0


@pytest.fixture
def followers() -> Followers:
    return Followers()


def test_nobody_need_be_waited_for_where_nobody_follows(followers: Followers):
    assert followers.acknowledged(NOW) is None


def test_a_follower_counts_from_the_moment_it_follows(followers: Followers):
    followers.follow("s1", NOW)
    assert followers.acknowledged(NOW) == 0
    assert followers.acknowledge("s1", 7, NOW)
    assert followers.acknowledged(NOW) == 7


def test_the_slowest_decides(followers: Followers):
    for server, revision in {"s1": 7, "s2": 5, "s3": 9}.items():
        followers.follow(server, NOW)
        followers.acknowledge(server, revision, NOW)
    assert followers.acknowledged(NOW) == 5


def test_a_late_word_takes_nothing_back(followers: Followers):
    followers.follow("s1", NOW)
    followers.acknowledge("s1", 7, NOW)
    followers.acknowledge("s1", 5, NOW)
    assert followers.acknowledged(NOW) == 7


def test_following_anew_makes_the_old_word_void(followers: Followers):
    followers.follow("s1", NOW)
    followers.acknowledge("s1", 7, NOW)
    followers.follow("s1", NOW)
    assert followers.acknowledged(NOW) == 0


def test_silence_for_a_lease_ends_the_waiting(followers: Followers):
    followers.follow("s1", NOW)
    assert followers.acknowledged(NOW + LEASE - 0.001) == 0
    assert followers.acknowledged(NOW + LEASE) is None


def test_each_word_renews_the_lease(followers: Followers):
    followers.follow("s1", NOW)
    followers.acknowledge("s1", 7, NOW + 9)
    assert followers.acknowledged(NOW + 9 + LEASE - 0.001) == 7
    assert followers.acknowledged(NOW + 9 + LEASE) is None


def test_one_silent_follower_does_not_hold_for_the_others(followers: Followers):
    followers.follow("silent", NOW)
    followers.follow("s1", NOW + 5)
    followers.acknowledge("s1", 7, NOW + 5)
    assert followers.acknowledged(NOW + 5) == 0
    assert followers.acknowledged(NOW + LEASE) == 7


def test_who_leaves_is_not_waited_for(followers: Followers):
    followers.follow("s1", NOW)
    followers.unfollow("s1")
    followers.unfollow("stranger")
    assert followers.acknowledged(NOW) is None


def test_servers_of_an_earlier_life_are_waited_for_until_their_lease_is_over():
    followers = Followers(["s1"], NOW)
    assert followers.acknowledged(NOW + LEASE - 0.001) == 0
    assert followers.acknowledged(NOW + LEASE) is None


def test_a_word_without_following_makes_a_follower(followers: Followers):
    assert followers.acknowledge("s1", 7, NOW)
    assert followers.acknowledged(NOW) == 7
    assert followers.acknowledged(NOW + LEASE) is None


def test_a_view_older_than_what_was_opened_gets_no_lease(followers: Followers):
    followers.follow("s1", NOW)
    followers.acknowledge("s1", 7, NOW)
    assert followers.acknowledged(NOW + LEASE) is None
    followers.opened(9)
    assert not followers.acknowledge("s1", 8, NOW + LEASE)
    assert followers.acknowledged(NOW + LEASE) is None
    assert followers.acknowledge("s1", 9, NOW + LEASE)
    assert followers.acknowledged(NOW + LEASE) == 9


def test_what_was_opened_first_does_not_lower_the_bar(followers: Followers):
    followers.opened(9)
    followers.opened(5)
    assert not followers.acknowledge("s1", 8, NOW)


def test_a_follower_that_was_waited_for_is_never_too_old(followers: Followers):
    followers.follow("s1", NOW)
    followers.acknowledge("s1", 9, NOW)
    followers.opened(followers.acknowledged(NOW))
    assert followers.acknowledge("s1", 9, NOW + 3)


def test_a_switch_that_connects_gives_every_known_server_a_lease(followers: Followers):
    """Also one that lapsed meanwhile: it may have counted on the switch's absence."""
    followers.follow("lapsed", NOW)
    followers.follow("live", NOW + 15)
    followers.acknowledge("live", 7, NOW + 15)
    followers.expect(["forgotten", "lapsed"], NOW + 20)
    assert all(name in followers for name in ("forgotten", "lapsed", "live"))
    assert followers.acknowledged(NOW + 20) == 0
    assert followers.acknowledged(NOW + 20 + LEASE - 0.001) == 0
    assert followers.acknowledged(NOW + 20 + LEASE) is None


def test_a_switch_that_connects_shortens_no_lease(followers: Followers):
    followers.follow("s1", NOW + 5)
    followers.expect(["s1"], NOW)
    assert followers.acknowledged(NOW + 5 + LEASE - 0.001) == 0


def test_what_was_acknowledged_stays_so_when_the_switch_connects(followers: Followers):
    followers.follow("s1", NOW)
    followers.acknowledge("s1", 7, NOW)
    followers.expect(["s1"], NOW + 1)
    assert followers.acknowledged(NOW + 1) == 7


def test_only_who_lapsed_by_then_is_forgotten(followers: Followers):
    followers.follow("silent", NOW)
    followers.follow("s1", NOW + 5)
    assert followers.lapsed(NOW + LEASE - 0.001) == []
    assert followers.lapsed(NOW + LEASE) == ["silent"]
    assert followers.forget(NOW + LEASE) == ["silent"]
    assert "silent" not in followers
    assert followers.forget(NOW + LEASE) == []


def test_who_came_back_before_the_switch_answered_is_not_forgotten(followers: Followers):
    followers.follow("s1", NOW)
    assert followers.lapsed(NOW + LEASE) == ["s1"]
    followers.follow("s1", NOW + LEASE)
    assert followers.forget(NOW + LEASE) == []


def test_the_number_of_followers_is_bounded():
    """Whoever makes names up keeps nobody out who is there, and is told."""
    followers = Followers()
    names = [f"s{number}" for number in range(MAX_FOLLOWERS)]
    for name in names:
        followers.follow(name, NOW)
    for refused in (followers.follow, lambda name, now: followers.acknowledge(name, 1, now)):
        with pytest.raises(TooMany):
            refused("another", NOW)
    assert len(followers) == MAX_FOLLOWERS
    followers.follow(names[0], NOW)
    followers.unfollow(names[0])
    followers.follow("another", NOW)
