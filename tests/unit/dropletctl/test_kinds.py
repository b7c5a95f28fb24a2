"""Completion of ids: which ids begin with what was typed."""

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.dropletctl.kinds import MAX_DROPLET_ID, ranges


@given(st.integers(1, MAX_DROPLET_ID), st.integers(0, 10), st.integers(1, MAX_DROPLET_ID))
def test_an_id_is_in_the_ranges_of_what_it_begins_with_and_of_nothing_else(
    droplet_id: int, length: int, other: int
) -> None:
    prefix = str(droplet_id)[:length]
    assert any(droplet_id in ids for ids in ranges(prefix))
    assert any(other in ids for ids in ranges(prefix)) == str(other).startswith(prefix)


def test_what_begins_no_id_has_none() -> None:
    for prefix in ("0", "x", "-1", "4294967296", "٣", "1x"):
        assert ranges(prefix) == [], prefix
