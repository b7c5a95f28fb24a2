"""Token buckets: a burst, then a rate, each key for itself, in bounded memory."""

from metadata_http import rates
from metadata_http.rates import Quotas, Rates


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


def test_a_quota_is_a_burst_then_the_rate_for_each_key():
    quotas = Quotas(rate=0.5, burst=3)
    assert [quotas.take("a", 100.0) for _ in range(5)] == [True, True, True, False, False]
    assert quotas.take("b", 100.0)
    assert 0 < quotas.wait("a", 100.0) <= 2.0
    assert not quotas.take("a", 100.9)
    assert quotas.take("a", 102.0)
    assert not quotas.take("a", 102.0)
    assert [quotas.take("a", 1000.0) for _ in range(4)] == [True, True, True, False]


def test_a_quota_is_not_lost_to_rounding():
    quotas = Quotas(rate=3, burst=1000)
    far = 1e9 + 0.1
    assert sum(quotas.take("a", far) for _ in range(2000)) == 1000


def test_a_quota_without_a_rate_is_none():
    quotas = Quotas(rate=0, burst=1)
    assert all(quotas.take("a", 0.0) for _ in range(100))
    assert quotas.wait("a", 0.0) == 0.0


def test_a_quota_whose_clock_goes_back_gives_nothing():
    quotas = Quotas(rate=1, burst=1)
    assert quotas.take("a", 100.0)
    assert not quotas.take("a", 50.0)
    assert not quotas.take("a", 100.4)


def test_a_forgotten_quota_is_whole_again():
    quotas = Quotas(rate=1, burst=1)
    assert quotas.take("a", 0.0)
    assert not quotas.take("a", 0.0)
    quotas.forget(["a", "nobody"])
    assert quotas.take("a", 0.0)
