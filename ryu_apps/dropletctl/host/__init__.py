"""Setting up a host: what a hypervisor needs beside its bridge so that meta0 leads to the server.

`values.py` what is wanted and what is seen, `plan.py` (pure) what differs and what to do about it,
`observe.py` looking, `carry_out.py` doing.

`ip` and `ovs-vsctl` are run rather than netlink and OVSDB libraries: every host with Open vSwitch
has them, and what was done can be shown to the operator as lines to paste.
"""
