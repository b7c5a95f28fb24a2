"""Token buckets: a burst, then a rate, each key for itself, in bounded memory."""

from metadata_http import rates
from metadata_http.rates import Rates


def test_a_burst_then_the_rate():
    limited = Rates(rate=0.5, burst=3)
    assert [limited.take("a", 100.0) for _ in range(5)] == [True, True, True, False, False]
    assert not limited.take("a", 101.0)
    assert limited.take("a", 102.0)
    assert not limited.take("a", 102.0)
    assert [limited.take("a", 1000.0) for _ in range(4)] == [True, True, True, False]


def test_each_key_for_itself():
    limited = Rates(rate=1, burst=1)
    assert limited.take("a", 0.0)
    assert not limited.take("a", 0.0)
    assert limited.take("b", 0.0)


def test_a_charge_is_owed():
    limited = Rates(rate=1, burst=2)
    limited.charge("a", 0.0, 4)
    assert not limited.take("a", 1.0, 0)
    assert limited.take("a", 2.0, 0)
    assert not limited.take("a", 2.0)
    assert limited.take("a", 3.0)


def test_no_debt_without_end():
    limited = Rates(rate=1, burst=2)
    for _ in range(100):
        limited.charge("a", 0.0, 4)
    assert limited.take("a", 2.0, 0)


def test_a_clock_that_goes_back_gives_nothing():
    limited = Rates(rate=1, burst=1)
    assert limited.take("a", 100.0)
    assert not limited.take("a", 50.0)
    assert not limited.take("a", 100.5)


def test_keys_with_their_burst_are_forgotten_and_more_are_refused(monkeypatch):
    monkeypatch.setattr(rates, "_MOST_KEPT", 10)
    limited = Rates(rate=1, burst=1)
    assert all(limited.take(key, 0.0) for key in range(10))
    assert not limited.take("one more", 0.5)
    assert limited.take("one more", 1.0)
    assert len(limited._buckets) <= 10
