"""The claims directory."""

import pytest

from ryu_apps.registry.claims import Claim, ClaimsDirectory


def claim(droplet_id, name, revision=1, mac="a6:a4:8e:4a:e8:70", dpid=None, hop_limit=None):
    return Claim(droplet_id, name, mac, dpid, revision, hop_limit)


def test_a_claim_is_found_by_its_name_as_it_was_given():
    directory = ClaimsDirectory()
    given = claim(7, "tap7", 5, "02:00:00:00:00:0a", 2**64 - 1, 2)
    assert directory.replace({7: [given]}) == {"tap7"}
    assert directory.get("tap7") == given
    assert directory.get("tap8") is None
    assert directory.names_of(7) == ("tap7",)
    assert directory.names_of(8) == ()
    assert directory.count == 1
    assert list(directory.all()) == [given]


def test_replacing_tells_the_names_of_before_and_after():
    directory = ClaimsDirectory()
    directory.replace({7: [claim(7, "a"), claim(7, "b")]})
    assert directory.names_of(7) == ("a", "b")
    assert directory.replace({7: [claim(7, "b", 2), claim(7, "c", 2)]}) == {"a", "b", "c"}
    assert directory.get("a") is None
    assert directory.get("b").revision == 2
    assert directory.replace({7: []}) == {"b", "c"}
    assert directory.count == 0
    assert directory.names_of(7) == ()
    assert directory.replace({7: []}) == frozenset()


def test_a_name_moves_between_droplets_that_change_together():
    directory = ClaimsDirectory()
    directory.replace({1: [claim(1, "a")], 2: [claim(2, "b")]})
    directory.replace({1: [claim(1, "b")], 2: [claim(2, "a")]})
    assert (directory.get("a").droplet_id, directory.get("b").droplet_id) == (2, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {2: [claim(2, "a")]},
        {2: [claim(2, "x")], 3: [claim(3, "x")]},
        {2: [claim(3, "x")]},
        {2: [claim(2, "x"), claim(2, "x")]},
    ],
)
def test_a_name_claimed_twice_changes_nothing(changes):
    directory = ClaimsDirectory()
    directory.replace({1: [claim(1, "a")]})
    with pytest.raises(ValueError, match="clashes"):
        directory.replace(changes)
    assert list(directory.all()) == [claim(1, "a")]


def test_an_empty_directory_is_truthy():
    assert ClaimsDirectory()


def test_what_is_prepared_is_not_seen_before_it_takes_effect():
    directory = ClaimsDirectory()
    directory.replace({1: [claim(1, "a")], 2: [claim(2, "b")], 3: [claim(3, "c")]})
    before = set(directory.all())
    replacement = directory.replacement({1, 2, 3})
    replacement.add(1, [claim(1, "b", 2)])
    replacement.add(2, [claim(2, "a", 2), claim(2, "d", 2)])
    replacement.add(3, [])
    assert set(directory.all()) == before
    assert directory.names_of(1) == ("a",)
    assert replacement.take_effect() == {"a", "b", "c", "d"}
    assert set(directory.all()) == {claim(1, "b", 2), claim(2, "a", 2), claim(2, "d", 2)}
    assert [directory.names_of(n) for n in (1, 2, 3)] == [("b",), ("a", "d"), ()]
