"""The private Open vSwitch of the trace tests leaves nothing behind."""

import os

import pytest

from lab.dummy_openvswitch import DummyOvs


def test_nothing_is_left_of_a_private_open_vswitch():
    with DummyOvs() as ovs:
        pids, directory = ovs.pids, ovs.directory
        assert ovs.run("ovs-vsctl", "list-br") == ""
        assert len(pids) == 2
    assert not directory.exists()
    for pid in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)
