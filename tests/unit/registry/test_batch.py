"""Batches: all faults of all documents, each with its place."""

import pytest

from ryu_apps.registry.batch import BatchReader
from ryu_apps.registry.faults import InvalidDocument


def droplet(droplet_id, *names):
    ports = [{"name": name, "mac": "02:00:00:00:00:01"} for name in names]
    return {"droplet_id": droplet_id, "ports": ports, "metadata": {"region": "r"}}


def read(elements, **options):
    reader = BatchReader(lambda droplet: droplet, **{"max_droplets": 10} | options)
    counts = list(reader.read(iter(elements)))
    return reader, counts


def refused(elements, **options):
    with pytest.raises(InvalidDocument) as error:
        read(elements, **options)
    return [(f.element, f.line, f.pointer) for f in error.value.faults]


def test_all_are_read_one_at_a_time():
    reader, counts = read([(None, droplet(1, "a")), (None, droplet(2, "b", "c"))])
    assert [d.droplet_id for d in reader.kept] == [1, 2]
    assert counts == [1, 2]
    assert read([])[0].kept == []


def test_each_bad_document_is_named():
    bad = InvalidDocument([])
    elements = [
        (3, droplet(1, "a")),
        (5, droplet(0, "a b")),
        (6, bad),
        (9, {"ports": []}),
    ]
    assert refused(elements) == [
        (1, 5, "/droplet_id"),
        (1, 5, "/ports/0/name"),
        (3, 9, "/droplet_id"),
        (3, 9, "/metadata/region"),
    ]


def test_an_id_or_a_name_twice_is_refused_with_both_places():
    elements = [(None, droplet(1, "a")), (None, droplet(2, "b", "a")), (None, droplet(1, "c"))]
    assert refused(elements) == [(1, None, "/ports/1/name"), (2, None, "/droplet_id")]
    with pytest.raises(InvalidDocument, match="first in line 7"):
        read([(7, droplet(1, "a")), (8, droplet(1, "b"))])


def test_the_number_of_droplets_is_bounded():
    elements = [(None, droplet(n, f"t{n}")) for n in range(1, 4)]
    assert len(read(elements, max_droplets=3)[0].kept) == 3
    assert refused(elements, max_droplets=2) == [(2, None, "")]


def test_a_region_may_come_from_the_defaults():
    bare = {"droplet_id": 1, "ports": []}
    assert read([(None, bare)], default_region="nyc3")[0].kept[0].region == "nyc3"
