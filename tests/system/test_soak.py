"""The soak in short; longer with OVS_METADATA_SOAK_SECONDS, again with OVS_METADATA_SOAK_SEED.

`make soak` is the long one, of MINUTES.
"""

import pytest

from tests.system import soak
from tests.system.cloud import Cloud
from tests.system.footprint import Footprint
from tests.system.packets import shown
from tests.system.trespass import trespassers

pytest_plugins = ["tests.system.cloud_fixture"]
pytestmark = [pytest.mark.root, pytest.mark.timeout(soak.SECONDS + 240)]


def test_every_answer_went_to_the_droplet_it_is_for(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    trespass = trespassers(cloud.host)
    run = soak.Soak(cloud, cloud.host, soak.SEED)
    try:
        run.run(soak.SECONDS)
        assert run.answers[200] > 0
    finally:
        with capsys.disabled():
            told = f"{len(run.steps)} steps, {dict(run.answers)}"
            print(f"\nsoak with OVS_METADATA_SOAK_SEED={soak.SEED}: {told}")
        run.close()
    assert list(map(shown, trespass.drain())) == []
    trespass.close()


MEMORY_NOISE = 4096
"""KiB by which a process that does not grow may seem to: heaps are taken in arenas of a MiB."""

MEMORY_PER_STEP = 0.5
"""KiB. What is kept of each step by mistake is a document, a connection or a thread: more."""

FILES_NOISE = 12
"""The droplets' own connections come and go."""


def test_memory_and_files_stay_flat(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    """Ports, records, droplets and their requests come and go, the processes stay as they are."""
    services = cloud.host.services
    footprints = [Footprint(services.controller), Footprint(services.server)]
    run = soak.Soak(cloud, cloud.host, soak.SEED, steady=True)

    def look(steps: int) -> None:
        for footprint in footprints:
            footprint.look(steps)

    try:
        look(0)
        run.run(soak.SECONDS, look)
    finally:
        with capsys.disabled():
            told = [f"{len(run.steps)} steps, {dict(run.answers)}"]
            told += [footprint.told() for footprint in footprints if len(footprint.samples) > 4]
            print(f"\nsteady soak with OVS_METADATA_SOAK_SEED={soak.SEED}:", *told, sep="\n  ")
        run.close()
    for footprint in footprints:
        assert footprint.growth("memory") < MEMORY_NOISE + MEMORY_PER_STEP * len(run.steps) / 2
        assert footprint.growth("files") < FILES_NOISE
        assert footprint.growth("threads") < FILES_NOISE
