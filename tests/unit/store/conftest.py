"""An etcd cluster for the tests of stores."""

from tests.etcd_fixtures import etcd_cluster, etcd_url

__all__ = ["etcd_cluster", "etcd_url"]
