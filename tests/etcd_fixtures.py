"""etcd clusters as fixtures, for the layers whose conftest imports them."""

import itertools
import shutil
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest

from lab.etcd import Cluster
from tests.packaging.manager import free_port

_PREFIXES = itertools.count()


@contextmanager
def running_cluster(members=3, options=(), **kinds):
    """A cluster of so many members, in a folder of its own; both gone afterwards."""
    directory = Path(tempfile.mkdtemp(prefix="etcd-"))
    ports = [free_port() for _ in range(2 * members)]
    cluster = Cluster(directory, ports, options, **kinds)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()
        shutil.rmtree(directory)


@pytest.fixture(scope="session")
def etcd_cluster():
    """Three members, shared and never harmed: each test takes a prefix of its own."""
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def etcd_url(etcd_cluster):
    """The registry_url of an empty registry."""
    return etcd_cluster.url(f"test{next(_PREFIXES)}")
