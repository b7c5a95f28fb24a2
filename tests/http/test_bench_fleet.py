"""The bench's fleet in small: its stub switches and the controller understand each other."""

from pathlib import Path

import pytest

from bench.fleet import Fleet, measure

pytestmark = pytest.mark.slow

SWITCHES, DROPLETS = 3, 2


def test_stub_switches_come_to_be_in_sync(tmp_path: Path):
    """`measure` raises for a flow too few or too many, and for whatever a stub refused."""
    fleet = Fleet(tmp_path, DROPLETS)
    fleet.register(SWITCHES)
    figures = measure(fleet, SWITCHES, idle=False)
    assert {"empty", "unchanged", "empty REST p99"} <= figures.keys()
