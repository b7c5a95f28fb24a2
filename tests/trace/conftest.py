"""One dummy Open vSwitch for all trace tests, and bridges on it for the modules that ask."""

from collections.abc import Callable, Iterable, Iterator

import pytest

from lab.dummy_openvswitch import DummyOvs
from tests.droplets import META
from tests.trace.dummy_ovs import DummyBridge
from tests.trace.path import BRIDGES, OWNER, PORTS, Path

MakeBridge = Callable[[Iterable[int]], DummyBridge]


@pytest.fixture(scope="session")
def ovs() -> Iterator[DummyOvs]:
    with DummyOvs() as running:
        yield running


@pytest.fixture(scope="module")
def make_bridge(ovs: DummyOvs) -> Iterator[MakeBridge]:
    """Make bridges that are gone when the module's tests are done."""
    made: list[DummyBridge] = []

    def make(ofports: Iterable[int]) -> DummyBridge:
        bridge = DummyBridge(ovs, f"br{len(made)}", ofports, META)
        made.append(bridge)
        return bridge

    yield make
    for bridge in made:
        bridge.remove()


@pytest.fixture(scope="session")
def paths(ovs: DummyOvs) -> dict[str, Path]:
    return {
        name: Path(DummyBridge(ovs, name, PORTS, META), settings, OWNER.get(name, []))
        for name, settings in BRIDGES.items()
    }


@pytest.fixture(params=BRIDGES)
def path(request: pytest.FixtureRequest, paths: dict[str, Path]) -> Path:
    return paths[request.param]


@pytest.fixture(params=["standalone", "own-arp-table"])
def standalone(request: pytest.FixtureRequest, paths: dict[str, Path]) -> Path:
    return paths[request.param]


@pytest.fixture
def embedded(paths: dict[str, Path]) -> Path:
    return paths["embedded"]
