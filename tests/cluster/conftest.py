"""An etcd cluster that is whole, and those that are not."""

from tests.etcd_fixtures import etcd_cluster, etcd_url

__all__ = ["etcd_cluster", "etcd_url"]
