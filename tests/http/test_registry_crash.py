"""The controller, killed again and again in the middle of registrations, loses none it answered.

OVS_METADATA_REGISTRY_KILLS kills it more often; OVS_METADATA_SOAK_SEED repeats a run's choices.
"""

import os
import random
import time

import pytest

from tests.http.registry_load import Load, under_load
from tests.http.ryu_controller import RyuController

KILLS = int(os.environ.get("OVS_METADATA_REGISTRY_KILLS", "20"))
SEED = int(os.environ.get("OVS_METADATA_SOAK_SEED", "0")) or random.SystemRandom().getrandbits(32)

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120 + 20 * KILLS)]


def test_what_was_answered_survives_kill_9_of_the_controller_and_nothing_is_half_there(
    tmp_path, capsys
):
    controller = RyuController(tmp_path)
    load, chance = Load(controller, SEED), random.Random(SEED)
    try:
        for _ in range(KILLS):
            if chance.random() < 0.2:
                controller.launch()  # Killed while it starts, or has just started.
                time.sleep(chance.uniform(0, 2))
                controller.kill()
                continue
            controller.start()
            load.check()
            with under_load(load):
                time.sleep(chance.uniform(0, 0.5))
        controller.start()
        load.check()
    finally:
        controller.kill()
        with capsys.disabled():
            told = f"{KILLS} kills, {sum(load.answered.values())} answered: {dict(load.answered)}"
            print(f"\nregistry with OVS_METADATA_SOAK_SEED={SEED}: {told}")
    assert set(load.answered) == {"put", "batch", "delete", "status"}
