"""A second controller on a bridge by mistake, with its own registry, and what is said of it."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from lab.hypervisor import BRIDGE
from lab.services import CONTROLLER, Service, write_config
from tests.system.cloud import Rest
from tests.system.stage import Stage

_OPENFLOW, _REST = 6654, 8081
RIVAL = f"tcp:127.0.0.1:{_OPENFLOW}"


@dataclass(frozen=True)
class Rival:
    """The second controller and its administrator's REST."""

    service: Service
    rest: Rest


@contextmanager
def rival_of(stage: Stage) -> Iterator[Rival]:
    """It runs on the first one's host; the bridge has to be told of it, and forgets it after."""
    host = stage.host.hypervisor
    state, config = host.directory / "rival", host.directory / "rival.conf"
    openflow = {"ofp_listen_host": "127.0.0.1", "ofp_tcp_listen_port": _OPENFLOW}
    rest = {"wsapi_host": "127.0.0.1", "wsapi_port": _REST}
    own = {"state_dir": state, "ovsdb": host.ovs.db}
    write_config(config, {"DEFAULT": openflow | rest, "metadata": own})
    arguments = ["--config-file", str(config), "ryu_apps.metadata_controller"]
    service = Service(stage.cloud.lab, host, "ryu-manager", _REST, arguments)
    service.log = host.directory / "rival.log"
    service.start()
    try:
        yield Rival(service, Rest(host, state, _REST))
    finally:
        service.kill()
        host.ovs.vsctl("set-controller", BRIDGE, CONTROLLER)


def quarrels(rest: Rest, dpid: str) -> bool:
    """Whether a controller says that another changes its flows."""
    return "another controller or tool" in (rest.switch(dpid).get("reason") or "")


def names(rest: Rest, dpid: str, target: str) -> bool:
    """Whether it says which."""
    return any(target in warning for warning in rest.switch(dpid)["warnings"])


def no_strangers(stage: Stage) -> bool:
    """Whether every binding on the switch is of the first registry's."""
    cookies = re.findall(r"cookie=(0x6d64\w+)", "\n".join(stage.host.ovs.dump_flows(BRIDGE)))
    bound = {int(cookie, 16) & 0xFFFFFFFF for cookie in cookies} - {0}
    return bound == {stage.ids[name] for name in list(stage.ids)[:2]}
