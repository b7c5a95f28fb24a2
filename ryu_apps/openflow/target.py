"""Controllers as Open vSwitch names them (ovs-vswitchd.conf.db(5), Controller: target)."""

import re

_ON_THIS_HOST = re.compile(r"p?unix:.*|(tcp|ssl):(127\.[0-9.]+|localhost|\[::1\])(:.*)?")


def on_this_host(target: str) -> bool:
    """Whether the controller `target` is reached without any network, so through no bridge."""
    return _ON_THIS_HOST.fullmatch(target) is not None
