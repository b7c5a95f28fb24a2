"""The fixture `cloud`, for the modules that name this file in their `pytest_plugins`."""

from collections.abc import Iterator

import pytest

from lab.lab import Lab
from lab.wait import LabError
from tests.system.cloud import Cloud


@pytest.fixture(scope="session")
def cloud() -> Iterator[Cloud]:
    """The one world of the session."""
    with Lab() as lab:
        made = Cloud(lab)
        try:
            made.start()
        except LabError as error:
            raise LabError(f"{error}\n{made.diagnosis()}") from error
        yield made
