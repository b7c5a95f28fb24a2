"""The reader of `ofproto/trace` against output captured from Open vSwitch 3.1."""

import pytest

from ryu_apps.openflow.trace import datapath_ports, parse_trace, split

SHOWN = """\
dummy@ovs-dummy: hit:0 missed:0
  br0:
    br0 65534/100: (dummy-internal)
    meta0 1000/3: (dummy-internal)
    tapext7889371 602/7889371: (dummy)
  br1:
    br1 65534/101: (dummy-internal)
    tap1 602/4: (dummy)
"""

REQUEST = """\
Flow: tcp,in_port=602,vlan_tci=0x0000,dl_dst=00:00:00:00:00:01,nw_src=10.0.0.5

bridge("br0")
-------------
 0. tcp,in_port=602,tp_dst=80, priority 4010, cookie 0x6d64025a007861db
    ct(commit,table=25,zone=602,nat(src=100.127.2.90))
    nat(src=100.127.2.90)
     -> A clone of the packet is forked to recirculate.

Final flow: unchanged
Megaflow: recirc_id=0,eth,tcp,in_port=602,nw_frag=no,tp_dst=80
Datapath actions: ct(commit,zone=602,nat(src=100.127.2.90)),recirc(0x1)

===============================================================================
recirc(0x1) - resume conntrack with ct_state=new|trk
Replacing src/dst IP/ports to simulate NAT:
 Initial flow: nw_src=10.0.0.5,tp_src=4444,nw_dst=169.254.169.254,tp_dst=80
 Modified flow: nw_src=100.127.2.90,tp_src=4444,nw_dst=169.254.169.254,tp_dst=80
===============================================================================

Flow: recirc_id=0x1,ct_state=new|trk,tcp,in_port=602,dl_dst=00:00:00:00:00:01,nw_src=100.127.2.90

bridge("br0")
-------------
    thaw
        Resuming from table 25
25. ct_state=-inv+trk,ct_zone=602,tcp,in_port=602, priority 4010, cookie 0x6d64025a007861db
    set_field:c2:91:25:64:d0:5d->eth_dst
    output:1000

Final flow: recirc_id=0x1,eth,tcp,in_port=602,dl_dst=c2:91:25:64:d0:5d,nw_src=100.127.2.90
Megaflow: recirc_id=0x1,ct_state=-inv+trk,eth,tcp
Datapath actions: set(eth(dst=c2:91:25:64:d0:5d)),3
"""


def test_every_pass_of_a_packet_is_read():
    trace = parse_trace(REQUEST, {3: 1000})
    assert [part.outputs for part in trace.parts] == [(), (1000,)]
    assert trace.outputs == [1000]
    assert trace.last.cookies == (0x6D64025A007861DB,)
    assert trace.last.priorities == (4010,)
    assert trace.last.actions == ("set(eth(dst=c2:91:25:64:d0:5d))", "3")


def test_fields_are_those_at_the_end_of_the_pass():
    trace = parse_trace(REQUEST, {3: 1000})
    assert trace.parts[0].fields["dl_dst"] == "00:00:00:00:00:01"
    assert trace.last.fields["dl_dst"] == "c2:91:25:64:d0:5d"
    assert trace.last.fields["nw_src"] == "100.127.2.90"


def test_datapath_ports_are_told_from_ofports():
    assert datapath_ports(SHOWN, "br0") == {100: 65534, 3: 1000, 7889371: 602}
    assert datapath_ports(SHOWN, "br1") == {101: 65534, 4: 602}


def test_a_port_the_table_lacks_is_no_drop():
    with pytest.raises(ValueError, match="datapath port 3"):
        parse_trace(REQUEST, {4: 602})


def test_an_error_text_is_no_trace():
    with pytest.raises(ValueError, match="no trace"):
        parse_trace("Unknown bridge", {})


def test_commas_inside_an_action_do_not_split_it():
    assert split("set(eth(src=a,dst=b)),push_vlan(vid=1,pcp=0),2,drop") == [
        "set(eth(src=a,dst=b))",
        "push_vlan(vid=1,pcp=0)",
        "2",
        "drop",
    ]
