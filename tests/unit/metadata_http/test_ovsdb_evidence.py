"""What the times of messages prove, and what they do not."""

from metadata_http.ovsdb_evidence import SILENCE, Absence, Echoes
from metadata_http.ovsdb_rows import Bridge, ControllerRow


def echoes(*times):
    made = Echoes()
    for time in times:
        made.send(time)
        made.answer()
    return made


def bridge(**connected):
    rows = (ControllerRow(uuid, f"tcp:{uuid}", there) for uuid, there in connected.items())
    return Bridge(controllers=tuple(rows))


def test_three_echoes_bound_the_age_of_what_is_read():
    assert echoes(1.0, 2.0).floor is None
    assert echoes(1.0, 2.0, 3.0).floor == 1.0
    assert echoes(1.0, 2.0, 3.0, 4.0).floor == 2.0


def test_echoes_in_close_succession_count_once():
    assert echoes(1.0, 1.01, 1.02, 1.03).floor is None
    assert echoes(1.0, 1.01, 2.0, 2.01, 3.0, 3.01).floor == 1.0


def test_an_echo_counts_from_when_it_was_sent_and_when_it_is_answered():
    made = echoes(1.0)
    made.send(2.0)
    assert (made.answered, made.waiting_since) == (1.0, 2.0)
    assert made.due_in(2.0) == SILENCE
    made.answer()
    assert (made.answered, made.waiting_since) == (2.0, None)


def test_the_next_echo_is_due_in_half_a_second():
    assert Echoes().due_in(7.0) == 0.0
    assert echoes(1.0).due_in(1.25) == 0.25
    assert echoes(1.0).due_in(9.0) == 0.0
    assert echoes(1.0, 1.3).due_in(1.3) == echoes(1.0).due_in(1.3), "one between changes nothing"


def absence(now):
    made = Absence()
    made.learn(now)
    return made


def test_nobody_is_connected_since_the_floor():
    gone = bridge(c1=False)
    assert absence(gone).sample(gone, {"c1"}, 5.0) == 5.0


def test_one_that_is_connected_is_enough():
    now = bridge(c1=False, c2=True)
    assert absence(now).sample(now, {"c1", "c2"}, 5.0) is None


def test_each_controller_has_to_be_sampled_and_the_oldest_counts():
    now = bridge(c1=False, c2=False)
    made = absence(now)
    assert made.sample(now, {"c1"}, 5.0) is None
    assert made.sample(now, {"c2"}, 7.0) == 5.0
    assert made.sample(now, {"c1", "c2"}, 9.0) == 9.0


def test_without_a_controller_or_with_a_passive_one_nothing_is_known():
    for now in (None, Bridge(), Bridge(controllers=(ControllerRow("c", "ptcp:6653", False),))):
        assert absence(now).sample(now, {"c"}, 5.0) is None


def test_the_first_sample_after_a_change_of_controllers_may_be_of_before():
    before, after = bridge(c1=True, c2=False), bridge(c2=False)
    made = absence(before)
    made.learn(after)
    made.learn(after)
    assert made.sample(after, {"c2"}, 5.0) is None
    assert made.sample(after, {"c2"}, 10.0) == 10.0


def test_an_update_that_samples_nobody_proves_nothing():
    gone = bridge(c1=False)
    made = absence(gone)
    assert made.sample(gone, set(), 5.0) is None
