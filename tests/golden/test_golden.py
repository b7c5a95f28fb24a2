"""The rendered flows against the reviewed ones.

After a change that is meant: `GOLDEN=write python -m pytest tests/golden`, then read the diff.
"""

import os

import pytest

from ryu_apps.openflow.text import parse_flow
from tests.golden.scenes import FOLDER, SCENES


@pytest.fixture(scope="module", autouse=True)
def written() -> None:
    """Write the files anew if told to."""
    if os.environ.get("GOLDEN") == "write":
        for name, scene in SCENES.items():
            (FOLDER / f"{name}.flows").write_text(scene.text, encoding="utf-8")


@pytest.mark.parametrize("name", SCENES)
def test_flows_are_those_reviewed(name: str):
    golden = (FOLDER / f"{name}.flows").read_text(encoding="utf-8")
    assert SCENES[name].text == golden


@pytest.mark.parametrize("name", SCENES)
def test_reviewed_flows_are_read_back_as_they_are_rendered(name: str):
    lines = (FOLDER / f"{name}.flows").read_text(encoding="utf-8").splitlines()
    flows = tuple(parse_flow(line) for line in lines if not line.startswith("#"))
    assert flows == SCENES[name].flows


def test_every_file_has_its_scene():
    assert {path.stem for path in FOLDER.glob("*.flows")} == set(SCENES)
