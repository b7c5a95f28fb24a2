"""What is measured of an outage, by example: the measure itself needs no switch."""

from tests.system.outage import Outage, Seen, outage


def history(*seen: tuple[float, int | None]) -> list[Seen]:
    return [Seen(over, status) for over, status in seen]


def test_all_good() -> None:
    seen = history((1.0, 200), (2.0, 200), (3.0, 200))
    assert outage([seen], began=1.5, ended=3.0) == Outage(1.0, 0, 0, 2, 1)


def test_failures_between_good_answers() -> None:
    seen = history((1.0, 200), (2.0, 503), (3.0, None), (4.5, 200), (5.0, 200))
    assert outage([seen], began=1.5, ended=5.0) == Outage(3.5, 2, 0, 4, 1)


def test_the_droplet_that_suffers_most_counts() -> None:
    well = history((1.0, 200), (2.0, 200), (3.0, 200), (4.0, 200))
    ill = history((1.0, 200), (4.0, 200))
    assert outage([well, ill], began=1.5, ended=4.0) == Outage(3.0, 0, 0, 4, 2)


def test_one_that_is_not_answered_again_is_without_until_the_end() -> None:
    assert outage([history((1.0, 200), (2.0, None))], began=1.5, ended=9.0).seconds == 8.0
    assert outage([history((2.0, None))], began=1.5, ended=9.0).seconds == 7.5


def test_what_was_before_the_fault_is_none_of_it() -> None:
    seen = history((1.0, 200), (8.0, 200), (9.0, 200))
    assert outage([seen], began=8.5, ended=9.0) == Outage(1.0, 0, 0, 1, 1)


def test_a_kept_connection_that_ended_is_counted_apart() -> None:
    seen = [Seen(1.0, 200), Seen(2.0, 200, cut=True)]
    assert outage([seen], began=1.5, ended=2.0) == Outage(1.0, 0, 1, 1, 1)
