"""What an audit line says of a change: names, and no value whatever it is."""

from hypothesis import given
from hypothesis import strategies as st

from ryu_apps.registry import jsontext
from ryu_apps.registry.changes import changed


def text(**document):
    return jsontext.encode(document)


def test_what_differs_is_named_and_metadata_member_by_member():
    before = text(ports=[1], metadata={"user_data": "a", "region": "x"}, formats=["ec2"])
    after = text(ports=[2], metadata={"user_data": "b", "region": "x", "tags": []})
    assert changed(before, after) == ["formats", "metadata.tags", "metadata.user_data", "ports"]


def test_nothing_differs_where_only_the_order_does():
    assert changed(text(a=1, b=2), text(b=2, a=1)) == []
    assert changed(None, None) == []


def test_all_of_a_new_one_is_new():
    assert changed(None, text(droplet_id=7, metadata={"region": "x"})) == [
        "droplet_id",
        "metadata.region",
    ]


VALUES = st.text(alphabet="SECRET", min_size=7)


@given(
    st.dictionaries(st.sampled_from("abc"), VALUES), st.dictionaries(st.sampled_from("abc"), VALUES)
)
def test_no_value_is_told(before, after):
    names = changed(text(metadata=before), text(metadata=after))
    assert set(names) <= {f"metadata.{name}" for name in "abc"}
    assert {name.removeprefix("metadata.") for name in names} == {
        name for name in "abc" if before.get(name) != after.get(name)
    }
