"""What a registry_url of etcd's names."""

import pytest

from ryu_apps.store.etcd.layout import META, Meta
from ryu_apps.store.etcd.values import etcd_access
from ryu_apps.store.interface import StoreRefused


def test_nodes_and_prefix_are_read():
    access = etcd_access("etcd://a:1,[::1]:2,b/dc1/metadata/")
    assert access.endpoints == (("a", 1), ("::1", 2), ("b", 2379))
    assert access.prefix == "dc1/metadata/"


@pytest.mark.parametrize(
    ("url", "complaint"),
    [
        ("etcd://a:1", "PREFIX"),
        ("etcd://a:1/", "PREFIX"),
        ("etcd:///x", "'' is not HOST:PORT"),
        ("etcd://a:1,,b:2/x", "'' is not HOST:PORT"),
        ("etcd://a:99999/x", "'a:99999'"),
        ("etcd://a:b/x", "'a:b'"),
        ("etcd://root:secret@a:1/x", "etcd_password_file"),
        ("etcd://a:1/x?tls=1", "write it etcd://"),
    ],
)
def test_others_are_refused_with_what_is_wrong(url, complaint):
    with pytest.raises(StoreRefused, match="registry_url") as refusal:
        etcd_access(url)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize("value", [b"", b"[]", b"{}", b'{"format": 1}', b'{"format": 1, "x": 2}'])
def test_meta_that_is_not_ours_is_refused(value):
    with pytest.raises(StoreRefused, match=META):
        Meta.decode(value, "registry x")


def test_a_later_form_is_refused_as_such():
    with pytest.raises(StoreRefused, match="later"):
        Meta.decode(b'{"format": 2, "new": true}', "registry x")
    meta = Meta(2**63 + 1, 5, restored=True)
    assert Meta.decode(meta.encode(), "registry x") == meta
