"""The soak in short; longer with OVS_METADATA_SOAK_SECONDS, again with OVS_METADATA_SOAK_SEED."""

import pytest

from tests.system import soak
from tests.system.cloud import Cloud
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
